"""Memory of the stages does not grow with the frames, beyond what is stated for each.

Ten times the frames, and what Python and numpy have allocated at most (tracemalloc; torch and HDF5 are not seen, so a
leak in them is not: ``python -m benchmarks.memory`` measures whole processes).
"""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import tracemalloc

import atom_cases
import numba
import numpy as np
import pytest
import torch
from bead_cases import PRIOR, bead_topology, make_model, write_beads
from cgdistill.analysis.ensemble_spread import compute_spread
from cgdistill.analysis.noise_ceiling import estimate_ceiling
from cgdistill.core.errors import InputError
from cgdistill.data import pair_frames as frames_module
from cgdistill.data.atoms import read_topology
from cgdistill.data.beads import BeadFile, BeadFrames, BeadWriter
from cgdistill.data.mapping import FrameSelection, Mapper, map_trajectory
from cgdistill.data.pair_frames import PairFrames
from cgdistill.data.split import split_frames, write_split
from cgdistill.forcefield.model_files import save_model
from cgdistill.forcefield.prior.terms import fit_prior
from cgdistill.runtime.memory import available_bytes
from cgdistill.training.prediction_job import predict_teachers

FEW, MANY = 130, 520
#: Coordinates of a frame of the 27 beads in 64 bits: what each frame costs where all are held, at the least.
FRAME_BYTES = 27 * 3 * 8


def peak_bytes(work, *arguments):
    """What ``work`` holds at most, beyond what was there before."""
    # Jobs that ran in this process look for garbage more rarely: it would count here.
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    gc.collect()
    tracemalloc.start()
    try:
        work(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.set_threshold(*before)


def growth(work, few, many, n_few=FEW, n_many=MANY):
    """Bytes for each further frame; the first call, which imports and compiles, does not count."""
    work(few)
    return (peak_bytes(work, many) - peak_bytes(work, few)) / (n_many - n_few)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads that wait for each other on a busy machine would take most of the time."""
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    yield
    torch.set_num_threads(before[0])
    numba.set_num_threads(before[1])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folders of few and of many frames: beads, split, two teachers with predictions."""
    logging.getLogger("cgdistill").setLevel(logging.ERROR)
    folders = []
    for n_frames in (FEW, MANY):
        folder = tmp_path_factory.mktemp(f"frames-{n_frames}")
        write_beads(folder / "beads.h5", n_frames)
        parts = split_frames(n_frames, {"train": 0.5, "valid": 0.1, "test": 0.4}, "random", 1)
        write_split(folder / "split.json", parts, {})
        for seed in (1, 2):
            settings = {"training": {"training": {"max_epochs": 9}, "best_epoch": 1}}
            save_model(folder / f"seed-{seed}", make_model(seed), PRIOR, settings)
        predict(folder)
        folders.append(folder)
    logging.getLogger("cgdistill").setLevel(logging.NOTSET)
    return folders


def teachers(folder):
    return [folder / "seed-1", folder / "seed-2"]


def predict(folder):
    predict_teachers(teachers(folder), folder / "beads.h5", folder / "split.json", 8, 1, "cpu")


def ceiling(folder):
    paths = [teacher / "predictions.h5" for teacher in teachers(folder)]
    estimate_ceiling(folder / "beads.h5", folder / "split.json", paths, resamples=300)


def spread(folder):
    compute_spread(folder / "beads.h5", folder / "split.json", teachers(folder), {}, device="cpu")


def prior(folder):
    with BeadFile(folder / "beads.h5") as beads:
        fit_prior(beads.chunks(16), beads.topology, {"delta_A": 0.1, "fraction": 0.01, "outlier_iqr": 1.5})


#: Bytes that a further frame may cost, and why. Held whole, it would cost `FRAME_BYTES` for each array at least.
ALLOWED = {
    predict: (FRAME_BYTES // 2, "per-bead energies of two teachers, times and cells"),
    ceiling: (FRAME_BYTES // 2, "some resamples, a few sums"),
    prior: (FRAME_BYTES + FRAME_BYTES // 2, "times, cells, the closest pairs"),
}


@pytest.mark.parametrize("work", ALLOWED)
def test_a_frame_costs_what_is_kept_of_it(data, work):
    """Pairs, positions, forces are held of some frames alone."""
    assert growth(work, *data) < ALLOWED[work][0], ALLOWED[work][1]


def test_spread_holds_the_pairs_of_some_frames(data, monkeypatch):
    """They are most of the memory that it needs at a time; all 208 test frames are read once."""
    asked, from_beads = [], PairFrames.from_beads

    def counted(file, chosen, *rest, **more):
        asked.append(len(chosen))
        return from_beads(file, chosen, *rest, **more)

    monkeypatch.setattr(PairFrames, "from_beads", counted)
    spread(data[1])
    assert sum(asked) == 208 and max(asked) <= 64


def test_frames_of_training_cost_their_pairs(tmp_path, monkeypatch):
    """20 bytes per directed pair, 12 per bead; what does not fit is refused behind the first frames, in one line."""
    path = write_beads(tmp_path / "beads.h5", 70)
    with BeadFile(path) as beads:
        read = []
        monkeypatch.setattr(
            beads, "frames", lambda index, frames=beads.frames: read.append(len(index)) or frames(index)
        )
        frames = PairFrames.from_beads(beads, np.arange(70), 5.0)
        n_pairs = sum(map(len, frames.first))
        held = sum(part.nbytes for parts in (frames.first, frames.second, frames.vectors_A) for part in parts)
        assert held == 20 * n_pairs and frames.targets["F"].nbytes == 70 * 27 * 12
        left = held - 20 * sum(map(len, frames.first[:32]))
        read.clear()
        monkeypatch.setattr(frames_module, "available_bytes", lambda: int(0.8 * left))
        with pytest.raises(InputError, match="70 frames: found .* GB of pairs .* MB per frame, expected at most the"):
            PairFrames.from_beads(beads, np.arange(70), 5.0)
        assert read == [32]
        for enough in (int(1.2 * left), None):
            monkeypatch.setattr(frames_module, "available_bytes", lambda enough=enough: enough)
            assert len(PairFrames.from_beads(beads, np.arange(70), 5.0)) == 70


def group(folder, **files):
    """A control group with its files."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


@pytest.mark.parametrize("version", [1, 2])
def test_memory_that_is_left(tmp_path, version):
    """The least of what the machine and every group around the process leave; cached files do not count as used."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    assert available_bytes(tmp_path / "none", groups) is None
    limit, usage = (
        ("memory__max", "memory__current") if version == 2 else ("memory__limit_in_bytes", "memory__usage_in_bytes")
    )
    (proc / "self" / "cgroup").write_text("4:memory:/job/step\n" if version == 1 else "0::/job/step\n")
    assert available_bytes(proc, groups) == 8_192_000, "no such groups in sight"
    top = groups / "memory" if version == 1 else groups
    cached = {"memory__stat": "anon 5\ninactive_file 300\nactive_file 200"}
    group(top / "job", **{limit: 5000, usage: 4000}, **cached)
    group(top / "job" / "step", **{limit: "max", usage: 4000}, **cached)
    assert available_bytes(proc, groups) == 1500
    (top / "job" / "step" / limit.replace("__", ".")).write_text("4100")
    assert available_bytes(proc, groups) == 600
    (top / "job" / "step" / usage.replace("__", ".")).write_text("9000")
    assert available_bytes(proc, groups) == 0
    assert available_bytes() > 2**20


def test_mapping(tmp_path):
    cell = atom_cases.CELLS["cubic"]
    frames = atom_cases.make_frames(cell, 10)
    gro = atom_cases.write_gro(tmp_path / "system.gro", frames[0]["whole"], cell)
    top = atom_cases.write_top(tmp_path / "system.top")
    atoms = read_topology(gro, top)
    paths, sizes = [], (4 * FEW, 4 * MANY)  # where the output's largest piece has been written in both
    for n_frames in sizes:
        many = [frames[number % 10] | {"time": float(number)} for number in range(n_frames)]
        paths.append(atom_cases.write_trr(tmp_path / f"{n_frames}.trr", many, cell))

    def work(path):
        map_trajectory(
            tmp_path / "mapped.h5", Mapper(atom_cases.rules(), atoms), [path], {}, FrameSelection(check_forces=False)
        )

    assert growth(work, *paths, *sizes) < 27 * 3 * 8 // 10, "offsets of the frames in the file"


_OPEN = """
import sys
from pathlib import Path
from cgdistill.data.beads import BeadFile, BeadFrames, BeadWriter

def own_kB():
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("RssAnon:"))

BeadFile(sys.argv[1]).close()
before = own_kB()
BeadFile(sys.argv[2]).close()
print(own_kB() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_opening_a_long_trajectory(tmp_path):
    """A process of its own, since HDF5's memory is not Python's: below 2 kB per frame; 7 where all are read at once."""
    topology = bead_topology(np.zeros(1, dtype=np.int64))
    for name, n_frames in (("few", 10), ("many", 6000)):
        with BeadWriter(tmp_path / f"{name}.h5", topology, {}) as writer:
            numbers, cells = np.zeros((n_frames, 1, 3)), np.tile(9.0 * np.eye(3), (n_frames, 1, 1))
            writer.append(BeadFrames(numbers, numbers, cells, np.arange(float(n_frames))))
    command = [sys.executable, "-c", _OPEN, tmp_path / "few.h5", tmp_path / "many.h5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) < 2 * 6000
