"""Hundreds of simulations and of readings in one process leave nothing behind: no file, no LAMMPS, no memory.

The simulations end in every way that there is (see `benchmarks.replicas`). The same with 1,000 of them, and the memory
of every stage over long runs, is what ``python -m benchmarks.memory`` measures. Not detected here: what grows with the
length of one run, with networks (beads on springs stand in for them), or on a GPU; memory below 10 kB per simulation.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
import sys
from contextlib import nullcontext
from functools import lru_cache
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cgdistill.core.errors import InputError
from cgdistill.data.atoms import count_frames, read_frames, read_topology
from cgdistill.data.beads import BeadFile, BeadFrames, BeadWriter
from cgdistill.data.split import Split, read_split, write_split
from cgdistill.forcefield.hipnn.model import BeadModel, NetworkSpec
from cgdistill.forcefield.model_files import load_model, save_model
from cgdistill.forcefield.prior.repulsion import Repulsion
from cgdistill.forcefield.prior.terms import PriorTerms
from cgdistill.forcefield.trainable import ModelOutput
from cgdistill.io.csv_tables import read_table
from cgdistill.io.lammps_dump import read_dump, truncate_dump
from cgdistill.md.lammps_engine import Engine
from cgdistill.runtime.devices import _held, claim
from cgdistill.structure.files import CURVE_COLUMNS, label_run, read_curves, write_curves
from cgdistill.training.predictions import PredictionFile, read_predictions, writing_predictions

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.replicas import CELL_A, KINDS, TYPES, Replicas, sample_replicas  # noqa: E402
from benchmarks.resources import Held, slope  # noqa: E402

TEXT = {"metric", "item", "x_unit", "value_unit"}
DEMO = ROOT / "resources" / "demo"
#: Jobs of 8 simulations, one of each kind in turn, of which the first are to warm up.
JOBS, WARM_UP = 49, 24
#: What memory may grow by; a LAMMPS in every tenth simulation is 100 kB each.
ALLOWED_kB = 10.0


def leaks(samples, warm_up):
    """What grew behind the first jobs, in words."""
    start, after = samples[warm_up - 1], samples[warm_up:]
    found = {f"open LAMMPS behind {one.kind}" for one in samples if one.lammps_open}
    found |= {name for one in after for name in one.held.growth(start.held)}
    per_replica_kB = 1024.0 * slope([one.n_replicas for one in after], [one.memory_MB for one in after])
    if per_replica_kB > ALLOWED_kB:
        found.add("memory")
    return found


def test_hundreds_of_simulations_leave_nothing(tmp_path):
    """Behind each of 25 jobs there are as many handles, threads, LAMMPS, greenlets as behind the 24 before."""
    samples = sample_replicas(tmp_path / "runs", JOBS)
    assert samples[-1].n_replicas == 8 * JOBS and {one.kind for one in samples[WARM_UP:]} == set(KINDS)
    assert leaks(samples, WARM_UP) == set()


@pytest.mark.parametrize(
    ("what", "found"), [("handle", "files"), ("LAMMPS", "open LAMMPS behind finish"), ("array", "memory")]
)
def test_a_leak_in_every_tenth_simulation_is_found(tmp_path, monkeypatch, what, found):
    """A file left open, a LAMMPS not closed, or 1 MB of memory for each ten."""
    close, number, kept = Engine.close, count(), []

    def leaking(engine):
        if next(number) % 10:
            return close(engine)
        if what == "handle":
            kept.append(open(os.devnull))
        if what == "array":
            # Pages of their own: memory that tests before have freed would take up an array without a trace.
            kept.append(mmap.mmap(-1, 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
            kept[-1].write(bytes([1]) * 2**20)
        if what == "LAMMPS":
            return kept.append(engine)
        return close(engine)

    monkeypatch.setattr(Engine, "close", leaking)
    samples = sample_replicas(tmp_path / "runs", 12, ["finish"])
    monkeypatch.undo()
    for one in kept:
        one.close()
    assert found in leaks(samples, 4)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of sound files of each kind, and one of the same files cut in half."""
    sound, damaged = (tmp_path_factory.mktemp(name) for name in ("sound", "damaged"))
    replicas = Replicas(tmp_path_factory.mktemp("runs"))
    replicas.finish()
    for name in ("trajectory.lammpstrj", "thermo.csv"):
        shutil.copy(replicas.folder / "0" / "out" / name, sound)
    rng = np.random.default_rng(1)
    positions, types = np.tile(replicas.start_A, (20, 1, 1)), replicas.topology.bead_types
    with BeadWriter(sound / "beads.h5", replicas.topology, {}) as writer:
        writer.append(
            BeadFrames(positions, rng.normal(size=positions.shape), np.tile(CELL_A, (20, 1, 1)), np.arange(20.0))
        )
    with writing_predictions(sound / "predictions.h5", "seed-1", 20, types, {}) as predictions:
        predictions.append(ModelOutput(rng.normal(size=positions.shape), rng.normal(size=positions.shape[:2])))
    write_split(sound / "split.json", Split(np.arange(10), np.arange(10, 15), np.arange(15, 20)), {})
    curves = pd.DataFrame({name: ["a"] * 99 if name in TEXT else np.arange(99.0) for name in CURVE_COLUMNS})
    write_curves(sound / "curves.parquet", label_run(curves, "T", "seed-1", 2), {})
    prior = PriorTerms(TYPES, (Repulsion(TYPES, np.full((2, 2), 200.0), np.full((2, 2), 2.0)),))
    save_model(sound / "model", BeadModel(NetworkSpec(2, 1, 2, 6, 5, 5.0, 2.0, 4.5), TYPES, 1), prior, {})
    shutil.copy(DEMO / "des128.trr", sound)
    for path in sound.rglob("*.*"):
        target = damaged / path.relative_to(sound)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (damaged / "thermo.csv").write_text("step\n1\n")
    return sound, damaged


def first_frames(path):
    """Two frames of a dump, and no more: the reader is left where it stands."""
    return [frame for _, frame in zip(range(2), read_dump(path), strict=False)]


def cut_dump(path):
    """As a simulation that goes on does."""
    copied = path.with_name("copied.lammpstrj")
    shutil.copy(path, copied)
    truncate_dump(copied, 4)


def read_with(kind, read):
    """Something from a file that is open meanwhile."""

    def reading(path):
        with kind(path) as file:
            return read(file)

    return reading


@lru_cache
def atoms():
    """Topology of the demo."""
    return read_topology(DEMO / "des128.gro", DEMO / "des128.top")


def all_atom_frame(path):
    """The first frame of a trajectory, behind a look at all of them."""
    count_frames(atoms(), [path])
    return next(iter(read_frames(atoms(), [path])))


READERS = {
    "beads.h5": read_with(BeadFile, lambda file: file.frames([3, 7])),
    "predictions.h5": read_predictions,
    "predictions.h5 in parts": read_with(PredictionFile, lambda file: file.forces_kcal_mol_A[[3, 7]]),
    "trajectory.lammpstrj": lambda path: list(read_dump(path)),
    "trajectory.lammpstrj left": first_frames,
    "trajectory.lammpstrj cut": cut_dump,
    "thermo.csv": read_table,
    "split.json": lambda path: read_split(path, 20),
    "curves.parquet": read_curves,
    "model": load_model,
    "des128.trr": all_atom_frame,
}
#: Of these half a file is sound as far as it goes.
FORGIVING = {"trajectory.lammpstrj left", "trajectory.lammpstrj cut"}


@pytest.fixture
def one_arrow_thread():
    """Arrow starts the threads of its pools one by one, when it first needs as many; the first is there at once."""
    before = pa.cpu_count(), pa.io_thread_count()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    yield
    pa.set_cpu_count(before[0])
    pa.set_io_thread_count(before[1])


@pytest.mark.parametrize("name", READERS)
def test_a_thousand_readings_leave_no_handle(files, one_arrow_thread, name):
    """Of a sound file and of a damaged one in turn, 100 of each of the readers here."""
    sound, damaged = (folder / name.split()[0] for folder in files)

    def read_both():
        READERS[name](sound)
        with pytest.raises(InputError) if name not in FORGIVING else nullcontext():
            READERS[name](damaged)

    for _ in range(5):
        read_both()
    start = Held.now()
    for _ in range(50):
        read_both()
    assert Held.now().growth(start) == {}


def test_places_on_devices_are_taken_once(tmp_path):
    """A job that asks again keeps its place and its one handle; what others hold is looked at and closed."""
    others = [open(tmp_path / f"{name}.0", "wb") for name in ("a", "b")]
    for stream in others:
        fcntl.flock(stream, fcntl.LOCK_EX)
    start = Held.now()
    try:
        places = {claim(["a", "b"], tmp_path) for _ in range(1000)}
        assert places == {(0, 1), (0, 0)}
        assert Held.now().files == start.files + 1
    finally:
        for stream in (*others, *(_held.pop(name) for name in ("a", "b") if name in _held)):
            stream.close()
