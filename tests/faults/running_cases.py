"""Faults while a job runs: the fault, the message that a user sees, and the effect of a rerun.

Each is done to real processes by `tests/integration/killed_jobs.py`; the rerun has to give what a job gives that
nothing happened to.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any

ONE_LINE = 1
EPOCH = "resumes after the last finished epoch; the same bytes"
STEP = "resumes from the last checkpoint; the same bytes"
ANEW = "starts again; the same bytes"
VALUES = "starts again; the same values"
STAGES = {
    "train": "training",
    "simulate": "simulation",
    "map": "mapping",
    "predict": "predictions",
    "structure": "structure",
}


@dataclass(frozen=True)
class Running:
    """One row of the table.

    Attributes
    ----------
    group, title: where in the table, and what goes wrong.
    stage: of `killed_jobs`.
    fault: of `killed_jobs.prepare`.
    message: regular expression of what the log says; empty where nothing can be said.
    rerun: what the same command does afterwards.
    status: of the job: 1, or minus the number of the signal that ended it; 0 where the fault does no harm.
    traces: whether the log shows where the program was, in more than one line.
    """

    group: str
    title: str
    stage: str
    fault: dict[str, Any] = field(repr=False)
    message: str
    rerun: str
    status: int = ONE_LINE
    traces: bool = False


MEMORY, DISK = "Out of memory", "Full disk"
CRASH, GPU, CLOCK = "LAMMPS and crashes", "A GPU that disappears", "The clock jumps"
_MEMORY = r"memory: found too little in \S+ \(.*{}.*\), expected more.*set-resources"
_FULL = r"{}: writing: found File too large, expected room and permission"
_TORCH, _NUMPY, _NUMBA = "can't allocate memory", "Unable to allocate 8.00 PiB", "Allocation failed"

_DISCARDED = "starts again if Snakemake discards the products as older than their input; the same bytes"


def _memory(title: str, stage: str, fault: dict[str, Any], said: str, rerun: str) -> Running:
    return Running(MEMORY, title, stage, fault, _MEMORY.format(said), rerun)


def _full(title: str, stage: str, fault: dict[str, Any], file: str, rerun: str) -> Running:
    return Running(DISK, title, stage, {"action": "full"} | fault, _FULL.format(file), rerun)


def _at(kind: str, number: int, action: str) -> dict[str, Any]:
    return {"kind": kind, "number": number, "action": action}


#: In the order in which they happen to one job of a stage, each to the rerun of the one before.
RUNNING: list[Running] = [
    _memory("torch, in an epoch", "train", _at("batch", 10, "memory of torch"), _TORCH, EPOCH),
    _memory("numpy, while a checkpoint is written", "train", _at("torch.save", 3, "memory of numpy"), _NUMPY, EPOCH),
    Running(MEMORY, "the kernel ends the job (SIGKILL)", "train", _at("batch", 10, "kill"), "", EPOCH, -signal.SIGKILL),
    _memory("numpy, between two chunks of frames", "map", _at("beads", 5, "memory of numpy"), _NUMPY, ANEW),
    _memory("torch, at the second teacher", "predict", _at("batch", 5, "memory of torch"), _TORCH, ANEW),
    _memory("numpy, in the middle of a trajectory", "structure", _at("configuration", 4, "memory of numpy"), _NUMPY,
            VALUES),
    _full("while a checkpoint is written", "train", {"kind": "torch.save", "number": 2}, r"1\.pt", EPOCH),
    _full("while bead frames are written (HDF5)", "map", {"kind": "beads", "number": 3}, r"beads\.h5", ANEW),
    _full("while predictions are written (HDF5)", "predict", {"kind": "batch", "number": 2}, r"predictions\.h5", ANEW),
    _full("while a table is written (Parquet)", "structure", {"kind": "configuration", "number": 2},
          r"\S+\.parquet", VALUES),
    Running(CRASH, "segmentation fault in a training step", "train", _at("batch", 10, "segmentation fault"),
            r"Fatal Python error: Segmentation fault", EPOCH, -signal.SIGSEGV, True),
    Running(GPU, "uncorrectable ECC error in an epoch", "train",
            _at("batch", 10, "GPU: uncorrectable ECC error encountered"),
            r"GPU: found CUDA error: uncorrectable ECC error encountered, expected a working GPU", EPOCH),
    Running(GPU, "out of its memory", "train", _at("batch", 10, "memory of a GPU"),
            r"GPU memory: found too little .*CUDA out of memory.*training.together", EPOCH),
    Running(GPU, "a kernel that it cannot run", "predict",
            _at("batch", 4, "GPU: no kernel image is available for execution on the device"),
            r"GPU: found CUDA error: no kernel image is available", ANEW),
    _full("while predictions of the test frames are written (HDF5)", "train",
          {"kind": "move", "name": "metrics.csv", "moment": "after"}, r"test_predictions\.h5", EPOCH),
    _memory("numba, in the evaluation of forces", "simulate", _at("forces", 110, "memory of numba"), _NUMBA, STEP),
    Running(CRASH, "segmentation fault in a step", "simulate", _at("forces", 60, "segmentation fault"),
            r"Fatal Python error: Segmentation fault", STEP, -signal.SIGSEGV, True),
    Running(CRASH, "segmentation fault while LAMMPS writes a restart file", "simulate",
            _at("restart", 3, "segmentation fault"), r"Fatal Python error: Segmentation fault", STEP, -signal.SIGSEGV,
            True),
    Running(CRASH, "abort in a step", "simulate", _at("forces", 60, "abort"), r"Fatal Python error: Aborted", STEP,
            -signal.SIGABRT, True),
    Running(CRASH, "MPI_Abort while LAMMPS writes a restart file", "simulate", _at("restart", 3, "MPI_Abort"),
            r"application called MPI_Abort", STEP, 7),
    Running(GPU, "unknown error in a step", "simulate", _at("forces", 50, "GPU: unknown error"),
            r"GPU: found CUDA error: unknown error, expected a working GPU", STEP),
    _full("while LAMMPS writes a frame", "simulate", {"kind": "frame", "number": 9}, r"\S+\.lammpstrj", STEP),
    _full("while LAMMPS writes a restart file", "simulate", {"kind": "restart", "number": 4}, r"restart-\d+\.lammps",
          STEP),
    _full("the end of a restart file is lost, of which LAMMPS says nothing", "simulate",
          {"kind": "restart", "number": 3, "action": "full 11980"}, r"restart-\d+\.lammps", STEP),
    _full("while the table of temperatures grows", "simulate", {"kind": "rows", "number": 3, "action": "full 100"},
          r"\S+", STEP),
    Running(CRASH, "LAMMPS stops with an error in one of two runs; the other finishes", "simulate",
            {"kind": "run", "number": 3}, r"failed at step \d+: .*Unknown command: nonsense", STEP, 1, True),
    _memory("torch, while a restart file is written", "simulate", _at("restart", 1, "memory of torch"), _TORCH, STEP),
    _full("while products are written", "simulate", {"kind": "move", "name": "final.data", "number": 2,
          "moment": "after"}, r"thermo\.csv", "links the finished runs; the same bytes"),
    Running(CLOCK, "an hour forward, in the middle", "train", _at("batch", 20, "clock 3600"), "", "", 0),
    Running(CLOCK, "an hour forward, in the middle", "simulate", _at("forces", 20, "clock 3600"), "", "", 0),
    Running(CLOCK, "an hour back, in the middle", "train", _at("batch", 20, "clock -3600"), "", _DISCARDED, 0),
    Running(CLOCK, "an hour back, in the middle", "simulate", _at("forces", 20, "clock -3600"), "", _DISCARDED, 0),
]  # fmt: skip


@dataclass(frozen=True)
class Elsewhere:
    """A row of the table whose fault is made by a test of its own.

    Attributes
    ----------
    group, title, message, rerun: as of `Running`.
    where: what it happens to.
    """

    group: str
    title: str
    where: str
    message: str
    rerun: str


TWINS = "Two at once"
_TWIN = r"checkpoints/\S+: checkpoint: found in use by process \d+ on \S+, expected one job at a time"
_LOCKED = r"Directory cannot be locked.*--unlock"
ELSEWHERE: dict[str, Elsewhere] = {
    "train": Elsewhere(TWINS, "two trainings on one checkpoint: the second is refused, the first undisturbed",
                       STAGES["train"], _TWIN, EPOCH),
    "simulate": Elsewhere(TWINS, "two simulations in one folder: the second is refused, the first undisturbed",
                          STAGES["simulate"], _TWIN, STEP),
    "snakemakes": Elsewhere(TWINS, "two Snakemakes on one folder: the second is refused, the first undisturbed",
                            "Snakemake", _LOCKED, "works when the first has ended"),
    "stale": Elsewhere(TWINS, "Snakemake killed (SIGKILL): its lock stays", "Snakemake", _LOCKED,
                       "`snakemake --unlock`, then the same command completes"),
    "incomplete": Elsewhere(TWINS, "the same under a user's profile without `rerun-incomplete`", "Snakemake",
                            r"--rerun-incomplete", "with `--rerun-incomplete`; the profiles here set it"),
    "auto": Elsewhere(GPU, "dead at the start, `device: auto`", "start of a job",
                      r"device: auto: GPU 0: CUDA error: unknown error; using the CPU", "not needed"),
    "cuda": Elsewhere(GPU, "dead at the start, `device: cuda`", "start of a job",
                      r"config: device: found GPU 0: CUDA error: unknown error, expected a GPU, or device: cpu",
                      "when the GPU is back, or with another device"),
    "promised": Elsewhere(GPU, "promised (`CUDA_VISIBLE_DEVICES`, Slurm) but not there, `device: auto`",
                          "start of a job", r"no GPU visible to this job \(CUDA_VISIBLE_DEVICES=0\); using the CPU",
                          "not needed"),
}  # fmt: skip
