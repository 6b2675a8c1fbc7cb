"""A process from which tests start jobs that they kill.

It imports everything once. For each request, one line of JSON, it forks a child that goes on as the job's process
and ends as Python does; it answers with the child's process number, then with its exit status.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
TRAINING = {"max_epochs": 12, "stop_epochs": 12}
EPOCHS = TRAINING["max_epochs"]
SIMULATION = {
    "temperature_K": 300.0,
    "timestep_fs": 1.0,
    "equilibration_ps": 0.1,
    "production_ps": 0.5,
    "frame_every_ps": 0.01,
    "thermo_every_ps": 0.005,
    "skin_A": 0.5,
    "checkpoint_every_steps": 40,
    "minimise": {"max_iterations": 20},
    "limits": {"check_every_steps": 10},
}
STEPS = 600
#: How far a bead may go in a run that blows up.
REACH_A = 2.8


#: Left on a disk that is full, bytes.
ROOM_BYTES = 3000
STRUCTURE = {
    "rdf": {"r_max_A": 5.0, "bin_width_A": 0.1},
    "adf": {"triplets": [["Cho", "Cl", "Cho"]], "r_max_A": [5.0], "bin_width_deg": 5.0},
    "cdf": {"r_max_A": 9.0, "bin_width_A": 0.2, "resolved_every_ps": 0.1},
}
STABILITY = {
    "cdf_shift_A": 0.5,
    "rdf_shift_A": 0.3,
    "energy_drift_kcal_mol_bead": 0.1,
    "temperature_drift_K": 15.0,
    "largest_cluster": 0.5,
}


class Jobs:
    """The process, seen from the tests."""

    def __enter__(self) -> Jobs:
        # Scripts of the workflow find the package like this where it is not installed.
        paths = [str(ROOT / "workflow/lib"), str(ROOT / "tests/unit"), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, **THREADS, "PYTHONPATH": os.pathsep.join(paths)}
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait(60)

    def _answer(self) -> int:
        line = self.process.stdout.readline()
        assert line, "the process that starts jobs has died"
        return int(line)

    def start(self, job: str, folder: Path, inputs: Path, **fault: object) -> int:
        """Process number of a new job that works in ``folder``; it prints to ``folder/output.txt``."""
        folder.mkdir(parents=True, exist_ok=True)
        request = {"job": job, "folder": str(folder), "inputs": str(inputs), "fault": fault}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def wait(self) -> int:
        """Exit status of the job, minus the number of the signal that killed it."""
        return self._answer()

    def run(self, job: str, folder: Path, inputs: Path, **fault: object) -> int:
        """Exit status of a job that is left alone."""
        self.start(job, folder, inputs, **fault)
        return self.wait()


def die() -> None:
    """Be killed here and now."""
    os.kill(os.getpid(), signal.SIGKILL)


def note(folder: Path, *words: object) -> None:
    """Append a line to what outlives the process."""
    descriptor = os.open(folder / "progress.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
    os.close(descriptor)


def happen(action: str, path: Path | None = None) -> None:
    """Have a fault here and now: the process is killed, crashes, is stopped, or something is raised."""
    # No image of the memory beside the tests.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if action == "kill":
        die()
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "segmentation fault":
        ctypes.string_at(1)
    elif action == "abort":
        os.abort()
    elif action == "MPI_Abort":
        # The number that MPICH gives to MPI_COMM_WORLD.
        ctypes.CDLL(None).MPI_Abort(0x44000000, 7)
    elif action.startswith("full"):
        # Like a full disk to all that write more: what was there, and some bytes.
        size = path.stat().st_size if path is not None and path.exists() else 0
        room = int(action[5:] or ROOM_BYTES)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, resource.RLIM_INFINITY))
    elif action == "memory of torch":
        import torch

        torch.empty(1 << 55)
    elif action == "memory of numpy":
        import numpy as np

        np.empty(1 << 50)
    elif action == "memory of numba":
        import numba
        import numpy as np

        numba.njit(lambda n: np.empty(n).sum())(1 << 50)
    elif action == "memory of a GPU":
        import torch

        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")
    elif action.startswith("GPU: "):
        import torch

        raise torch.AcceleratorError(f"CUDA error: {action[5:]}\nCUDA kernel errors might be asynchronously reported")
    elif action.startswith("clock "):
        # From here on the time of day is another one.
        now, offset_s = time.time, float(action[6:])
        time.time = lambda: now() + offset_s
    else:
        raise ValueError(action)


def prepare(
    kind: str | None = None, number: int = 1, moment: str = "half", name: str = "*", action: str = "kill"
) -> None:
    """Have this process killed, or something else `happen`, at the ``number``-th event of a kind.

    Kinds: ``move`` of a file to a final ``name`` (pattern): ``before``, ``after``, or ``half``, when half of it has
    been written under the temporary name; ``torch.save``, ``frame`` (of a LAMMPS dump), ``rows`` (of the thermo
    table), ``restart`` (of LAMMPS) in the middle of writing; ``beads``, behind a chunk appended to a bead file;
    ``batch`` predicted by networks, ``forces`` evaluated in a simulation, ``configuration`` analysed, before that;
    ``run``: where LAMMPS shall advance one of the systems, it gets a command that it does not know.
    """
    from cgdistill.data.beads import BeadWriter
    from cgdistill.forcefield.hipnn.model import BeadModel
    from cgdistill.forcefield.hipnn.network_potential import JointNetworkPotential
    from cgdistill.md import checkpoint
    from cgdistill.md.lammps_engine import Engine
    from cgdistill.structure.pairs import Frame

    left = number

    def due() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    def at_start(original):
        def call(*arguments, **options):
            if due():
                happen(action)
            return original(*arguments, **options)

        return call

    def replace(source, target, original=os.replace):
        if not fnmatch(Path(target).name, name) or not due():
            return original(source, target)
        if moment == "half":
            # A file of its own: the temporary name may be a link to a finished file.
            content = Path(source).read_bytes()
            os.unlink(source)
            Path(source).write_bytes(content[: len(content) // 2])
        elif moment == "after":
            original(source, target)
        return happen(action)

    def save(state, path, original):
        if due() and action.startswith("full"):
            happen(action)
        elif left == 0:
            buffer = io.BytesIO()
            original(state, buffer)
            Path(path).write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
            return happen(action)
        return original(state, path)

    def write(engine, path, original):
        before = path.stat().st_size if path.exists() else 0
        if due() and action.startswith("full"):
            happen(action, path)
        original(engine, path)
        if left == 0 and not action.startswith("full"):
            os.truncate(path, (before + path.stat().st_size) // 2)
            happen(action)

    def save_rows(folder, state, original=checkpoint.CheckpointFolder._save):
        if due():
            if action.startswith("full"):
                happen(action, folder.folder / "thermo.jsonl")
                return original(folder, state)
            with open(folder.folder / "thermo.jsonl", "a", encoding="utf-8") as stream:
                stream.write(json.dumps(folder.rows.last)[:30])
                stream.flush()
                happen(action)
        return original(folder, state)

    def append(writer, frames, original=BeadWriter.append):
        if due() and action.startswith("full"):
            happen(action, None)
        original(writer, frames)
        if left == 0 and not action.startswith("full"):
            happen(action)

    def run(engine, n_steps, original=Engine.run):
        if due():
            engine.lmp.command("nonsense")
        original(engine, n_steps)

    if kind == "move":
        os.replace = replace
    elif kind == "torch.save":
        import torch

        original = torch.save
        torch.save = lambda state, path: save(state, path, original)
    elif kind in ("frame", "restart"):
        method = getattr(Engine, f"write_{kind}")
        setattr(Engine, f"write_{kind}", lambda engine, path: write(engine, path, method))
    elif kind == "rows":
        checkpoint.CheckpointFolder._save = save_rows
    elif kind == "beads":
        BeadWriter.append = append
    elif kind == "batch":
        BeadModel.evaluate_together = staticmethod(at_start(BeadModel.evaluate_together))
    elif kind == "forces":
        JointNetworkPotential.evaluate_all = at_start(JointNetworkPotential.evaluate_all)
    elif kind == "configuration":
        Frame.of = at_start(Frame.of)
    elif kind == "run":
        Engine.run = run


def train(folder: Path, inputs: Path) -> None:
    """Two models in a job."""
    from dataclasses import asdict

    from bead_cases import network_spec
    from cgdistill.training.trainer import Trainer
    from cgdistill.training.training_job import TrainingInputs, TrainingSettings, TrainingTask, run_trainings
    from test_training import SPEC

    begin, save = Trainer.batches, Trainer._save

    def batches(trainer):
        note(folder, trainer.name, trainer.epoch)
        return begin(trainer)

    def saved(trainer):
        save(trainer)
        note(folder, trainer.name, trainer.epoch, "saved")

    Trainer.batches, Trainer._save = batches, saved
    tasks = [
        TrainingTask(folder / "out/teachers" / f"seed-{n}", n, None, folder / f"checkpoints/{n}.pt") for n in (1, 2)
    ]
    files = TrainingInputs(*(inputs / name for name in ("beads.h5", "split.json", "prior.csv")))
    settings = TrainingSettings(asdict(network_spec()), asdict(SPEC) | TRAINING, {"F": 1.0})
    run_trainings(tasks, files, settings, "cpu")


def simulate(folder: Path, inputs: Path, reach_A: float | None = None) -> None:
    """Two runs in lockstep, of two networks; forces of a run are undefined once a bead has gone ``reach_A``."""
    import numpy as np
    from bead_cases import PRIOR, make_model
    from cgdistill.data.beads import BeadFile
    from cgdistill.forcefield.hipnn.network_potential import JointNetworkPotential
    from cgdistill.md.protocol import SimulationSpec
    from cgdistill.md.simulation import RunPlan, _Run, run_simulations

    following = _Run._next_stop

    def next_stop(run, step):
        note(folder, run.name.replace(" ", "/"), step)
        return following(run, step)

    _Run._next_stop = next_stop
    spec = SimulationSpec.from_config(SIMULATION)
    with BeadFile(inputs / "starts.h5") as beads:
        topology, frames = beads.topology, beads.frames()
    plans = [
        RunPlan(
            frames.positions_A[k],
            frames.cells_A[k],
            velocity_seed=30 + k,
            out_dir=folder / "out" / f"T/seed-{k}/replica-1",
            checkpoint_dir=folder / "checkpoints" / str(k),
            identity={"variant": "T", "member": f"seed-{k}", "replica": 1, "start_frame": k},
            provenance={"program": "cgdistill", "files": {"beads": str(inputs / "starts.h5")}},
            styles=PRIOR.lammps_styles(),
        )
        for k in (1, 2)
    ]
    models = [[make_model(k)] for k in (1, 2)]
    potential = JointNetworkPotential(models, topology.bead_types, spec.skin_A)
    evaluate, cell = potential.evaluate_all, frames.cells_A[0]

    def undefined_further_on(configurations):
        found = evaluate(configurations)
        for number, (positions, _) in configurations.items():
            fractions = (positions - frames.positions_A[number + 1]) @ np.linalg.inv(cell)
            gone = np.linalg.norm((fractions - np.round(fractions)) @ cell, axis=1)
            if gone.max() > reach_A:
                found[number].forces_kcal_mol_A[gone.argmax()] = np.nan
        return found

    if reach_A is not None:
        potential.evaluate_all = undefined_further_on
    run_simulations(potential, plans, topology, spec)


def blow_up(folder: Path, inputs: Path) -> None:
    """Two runs in lockstep that blow up, each at a step of its own."""
    simulate(folder, inputs, REACH_A)


def map_atoms(folder: Path, inputs: Path) -> None:
    """Mapping, with the calls of its script."""
    from atom_cases import rules
    from cgdistill.data.atoms import read_topology
    from cgdistill.data.mapping import Mapper, map_trajectory
    from cgdistill.runtime.atomic_files import whole_file

    mapper = Mapper(rules(), read_topology(inputs / "atoms.gro", inputs / "atoms.top"))
    with whole_file(folder / "out/beads.h5") as partial:
        note(folder, "mapping")
        map_trajectory(partial, mapper, [inputs / "atoms.trr"], {"inputs": {}}, chunk=8)


def structure(folder: Path, inputs: Path) -> None:
    """Structure of the reference and of the runs in ``inputs/runs``, by the scripts of the workflow."""
    names = ("curves", "blocks", "resolved", "series")
    params = {"structure": STRUCTURE, "blocks": 4, "stability": STABILITY}
    members = sorted({str(path.parent.parent) for path in inputs.glob("runs/**/run.json")})
    reference, runs = ({name: str(folder / "out" / f"{kind}-{name}.parquet") for name in names} for kind in "ar")
    runs["runs"] = str(folder / "out/runs.csv")
    steps = {
        "compute_reference": (Files(beads=str(inputs / "starts.h5")), reference),
        "compute_structure": (
            Files(beads=str(inputs / "starts.h5"), reference=reference["series"], runs=members),
            runs,
        ),
    }
    for script, (source, output) in steps.items():
        note(folder, script)
        snakemake = SimpleNamespace(
            input=source, output=SimpleNamespace(**output), params=SimpleNamespace(**params), threads=1, log=[None]
        )
        runpy.run_path(str(ROOT / f"workflow/scripts/{script}.py"), {"snakemake": snakemake})


def predict(folder: Path, inputs: Path) -> None:
    """Predictions of the teachers in ``inputs/teachers``, copied into the folder as Snakemake would find them."""
    from cgdistill.training.prediction_job import predict_teachers

    # Provenance holds the paths: they are to be the same in every folder.
    os.chdir(folder)
    for teacher in sorted((inputs / "teachers").iterdir()):
        (Path("out/teachers") / teacher.name).mkdir(parents=True, exist_ok=True)
        for name in ("weights.safetensors", "network.json"):
            shutil.copy(teacher / name, Path("out/teachers") / teacher.name)
    note(folder, "predicting")
    folders = sorted(Path("out/teachers").iterdir())
    predict_teachers(folders, inputs / "beads.h5", inputs / "split.json", 4, 5, "cpu")


class Files(dict):
    """Stands for Snakemake's named inputs."""

    __getattr__ = dict.__getitem__


JOBS = {
    "train": train,
    "simulate": simulate,
    "blow_up": blow_up,
    "map": map_atoms,
    "predict": predict,
    "structure": structure,
}


def serve() -> dict | None:
    """Answer requests; in a child: its request."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            return request
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


def main() -> None:
    """The process itself, and each of its children."""
    import bead_cases  # noqa: F401
    import cgdistill.analysis.run_analysis
    import cgdistill.data.mapping
    import cgdistill.forcefield.hipnn.network_potential
    import cgdistill.md.simulation
    import cgdistill.runtime.locks
    import cgdistill.training.prediction_job
    import cgdistill.training.training_job
    import numba
    import torch
    from cgdistill.runtime.job import job

    cgdistill.runtime.locks._PATIENCE_S = 0.5
    torch.set_num_threads(1)
    # Loads most of numba; starts no threads, which a child would lack.
    numba.njit(lambda x: x + 1)(1)
    request = serve()
    if request is None:
        return
    folder = Path(request["folder"])
    output = os.open(folder / "output.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(output, stream)
    prepare(**request["fault"])
    with job(None, 1):
        JOBS[request["job"]](folder, Path(request["inputs"]))


if __name__ == "__main__":
    main()
