"""Simulations that stop: killed, told to, or blown up.

Cannot detect what only another machine shows (a full disk, a lost node's half-written file).
"""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import replace

import numpy as np
import pytest
from cgdistill.forcefield.architecture import LammpsModel
from cgdistill.forcefield.hipnn.export import mliap_style
from cgdistill.forcefield.potential import Evaluation
from cgdistill.io.csv_tables import read_table
from cgdistill.io.lammps_dump import read_dump
from cgdistill.md.simulation import RunPlan, _Run
from cgdistill.runtime.signals import Interrupted
from lj import (
    CUBIC,
    CUTOFF_A,
    IDENTITY,
    PROVENANCE,
    SPEC,
    TYPES,
    At,
    Crash,
    LennardJones,
    NativeEngine,
    crash,
    lattice,
    simulate,
)

FILES = ("equilibration.lammpstrj", "trajectory.lammpstrj", "thermo.csv", "final.data", "last_frames.lammpstrj")


def steps_of(path):
    """Steps of the frames of a dump, which may be empty."""
    return [frame.step for frame in read_dump(path)] if path.stat().st_size else []


@pytest.mark.parametrize("call", [150, 300, 400])
def test_resumed_equals_uninterrupted(tmp_path, call):
    """A run that dies between checkpoints goes on from the last and ends alike, to the last digit.

    Death is an exception of the evaluator, which must come through as it is.
    """
    _, whole = simulate(tmp_path / "whole")
    with pytest.raises(Crash):
        simulate(tmp_path / "cut", At(call, crash))
    assert (tmp_path / "cut" / "checkpoint" / "state.json").exists()
    assert not (tmp_path / "cut" / "out").exists()
    potential = LennardJones()
    _, resumed = simulate(tmp_path / "cut", potential)
    assert 20 < potential.n_calls < 400
    for file in FILES:
        assert (resumed / file).read_bytes() == (whole / file).read_bytes(), file


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signal_leaves_a_checkpoint(tmp_path, number):
    """Told to stop in the middle: exit status, checkpoint at that step, and the same end within 1e-6 A.

    Not to the last digit: forces are evaluated anew where the run was cut.
    """
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        simulate(tmp_path / "cut", At(257, lambda _: os.kill(os.getpid(), number)))
    assert caught.value.code == 128 + number
    assert signal.getsignal(number) is before
    state = json.loads((tmp_path / "cut" / "checkpoint" / "state.json").read_text())
    assert 180 < state["step"] < 257 and state["step"] % 20 and state["wall_s"] > 0
    record, resumed = simulate(tmp_path / "cut")
    assert record["wall_s"] > state["wall_s"] and record["step"] == 400
    _, whole = simulate(tmp_path / "whole")
    assert (resumed / FILES[0]).read_bytes() == (whole / FILES[0]).read_bytes()
    pairs = zip(read_dump(resumed / "trajectory.lammpstrj"), read_dump(whole / "trajectory.lammpstrj"), strict=True)
    for found, expected in pairs:
        assert found.step == expected.step
        np.testing.assert_allclose(found.positions_A, expected.positions_A, atol=1.1e-5)
    tables = [read_table(folder / "thermo.csv") for folder in (resumed, whole)]
    assert tables[0]["step"].tolist() == tables[1]["step"].tolist()
    np.testing.assert_allclose(tables[0]["total_energy_kcal_mol"], tables[1]["total_energy_kcal_mol"], rtol=1e-8)


def test_signal_where_something_is_due(tmp_path):
    """Cut at a checkpoint, in the evaluation behind it, at a frame and right after it: nothing is lost or doubled."""
    whole = LennardJones()
    simulate(tmp_path / "whole", whole)
    # 400 steps, the first evaluation, and one behind each of the six checkpoints.
    before = whole.n_calls - 407
    for call, step in ((51, 50), (122, 120), (153, 150), (244, 240), (245, 240), (255, 250), (256, 251)):
        folder = tmp_path / str(call)
        with pytest.raises(Interrupted):
            simulate(folder, At(before + call, lambda _: os.kill(os.getpid(), signal.SIGTERM)))
        assert json.loads((folder / "checkpoint" / "state.json").read_text())["step"] == step
        _, out = simulate(folder)
        assert steps_of(out / "equilibration.lammpstrj") == [0, 50, 100, 150]
        assert steps_of(out / "trajectory.lammpstrj") == [200, 250, 300, 350, 400]
        assert read_table(out / "thermo.csv")["step"].tolist() == list(range(0, 401, 25))


def test_signal_before_the_first_step(tmp_path):
    """Told to stop while minimising: no checkpoint of a half-minimised state."""
    with pytest.raises(Interrupted):
        simulate(tmp_path, At(3, lambda _: os.kill(os.getpid(), signal.SIGTERM)))
    assert not list((tmp_path / "checkpoint").iterdir())


def test_checkpoint_of_another_run_is_not_used(tmp_path):
    """Another seed in the same checkpoint folder starts anew."""
    with pytest.raises(Crash):
        simulate(tmp_path, At(300, crash))
    potential = LennardJones()
    _, out = simulate(tmp_path, potential, seed=12)
    assert potential.n_calls > 400
    _, clean = simulate(tmp_path / "clean", seed=12)
    assert (out / "trajectory.lammpstrj").read_bytes() == (clean / "trajectory.lammpstrj").read_bytes()


def test_key_of_a_checkpoint(tmp_path):
    """Everything that determines a run changes it, where the products go does not."""
    positions, topology = lattice(CUBIC)
    plan = RunPlan(positions, CUBIC, 11, tmp_path / "out", tmp_path / "checkpoint", IDENTITY, PROVENANCE)
    heavy = replace(topology, masses_g_mol=1.5 * topology.masses_g_mol)
    others = [
        (replace(plan, positions_A=positions + 0.01), topology, SPEC),
        (replace(plan, cell_A=1.01 * CUBIC), topology, SPEC),
        (replace(plan, velocity_seed=12), topology, SPEC),
        (replace(plan, provenance=PROVENANCE | {"inputs": {"card": "1"}}), topology, SPEC),
        (plan, heavy, SPEC),
        (plan, topology, replace(SPEC, damping_fs=50.0)),
        (plan, topology, replace(SPEC, limits=replace(SPEC.limits, temperature_K=900.0))),
        (plan, topology, replace(SPEC, checkpoint_every_steps=61)),
    ]
    keys = [_Run(*one).checkpoint.key for one in ((plan, topology, SPEC), *others)]
    assert len(set(keys)) == 9
    moved = replace(plan, out_dir=tmp_path / "elsewhere", checkpoint_dir=tmp_path / "there")
    assert _Run(moved, topology, SPEC).checkpoint.key == keys[0]


def test_run_without_callback(tmp_path, monkeypatch):
    """The driver with forces from within LAMMPS (as with ML-IAP): same run as by callback, and it resumes.

    LAMMPS's own pair style stands in for the network; cannot detect a fault of ``pair_style mliap``.
    """

    class Dying(NativeEngine):
        def run(self, n_steps):
            if self.step >= 310:
                raise Crash("killed")
            super().run(n_steps)

    def go(folder, engine):
        monkeypatch.setattr("cgdistill.md.simulation.Engine", engine)
        return simulate(folder, LammpsModel(TYPES, mliap_style("model.pt", TYPES)))

    _, callback = simulate(tmp_path / "callback")
    _, whole = go(tmp_path / "whole", NativeEngine)
    with pytest.raises(Crash):
        go(tmp_path / "cut", Dying)
    record, resumed = go(tmp_path / "cut", NativeEngine)
    assert (record["status"], record["coupling"], record["step"]) == ("finished", "mliap", 400)
    for file in FILES:
        assert (resumed / file).read_bytes() == (whole / file).read_bytes(), file
    tables = [read_table(folder / "thermo.csv") for folder in (whole, callback)]
    # The minimisation amplifies rounding before the run does.
    np.testing.assert_allclose(*(t["total_energy_kcal_mol"] for t in tables), rtol=1e-5)


def not_a_number(result):
    """Energy finite, one force not."""
    forces = result.forces_kcal_mol_A.copy()
    forces[16, 1] = np.nan
    return replace(result, forces_kcal_mol_A=forces)


def infinite_energy(result):
    """Forces finite, energy not."""
    return replace(result, energy_kcal_mol=float("inf"))


def kick(result):
    """One force that throws a bead far out of the cell."""
    forces = result.forces_kcal_mol_A.copy()
    forces[3] = [1e13, 0.0, 0.0]
    return replace(result, forces_kcal_mol_A=forces)


class Collapse:
    """Attraction without a core: each bead is drawn to its nearest neighbours."""

    cutoff_A = CUTOFF_A
    type_names = TYPES

    def __init__(self):
        self.inner = LennardJones()

    def forget(self):
        self.inner.forget()

    def evaluate(self, positions_A, cell_A, bead_types):
        first, _, vectors = self.inner.neighbours.pairs(positions_A, cell_A)
        n = len(positions_A)
        weights = 2.0 * np.exp(-np.einsum("ij,ij->i", vectors, vectors) / 8.0)[:, None] * vectors
        forces = np.stack([np.bincount(first, weights[:, k], n) for k in range(3)], axis=1)
        return Evaluation(0.0, forces, np.zeros(6), np.zeros(n))


@pytest.mark.parametrize(
    ("potential", "limits", "reason", "last_step"),
    [
        (lambda: At(350, not_a_number), {}, r"forces are not finite, bead 17 \([AB]\)", 340),
        (lambda: At(350, infinite_energy), {}, "energy or virial is not finite", 340),
        (lambda: At(350, kick), {}, "positions are not finite|beads lost|LAMMPS stopped|exceeds", 381),
        (Collapse, {"temperature_K": 1e5}, r"bead \d+ \([AB]\), bead \d+ \([AB]\) are 0\.\d\d A apart", 400),
        (LennardJones, {"temperature_K": 40.0}, "temperature .* K exceeds 40 K", 0),
        (LennardJones, {"min_distance_A": 3.7}, "A apart, the limit is 3.7 A", 400),
    ],
    ids="nan energy kick overlap temperature distance".split(),
)
def test_blow_up_is_marked(tmp_path, potential, limits, reason, last_step):
    """A run that explodes ends in order, with its reason, its step and what it has produced.

    Cannot detect instabilities slower than the limits, such as a melt that freezes.
    """
    spec = replace(SPEC, limits=replace(SPEC.limits, **limits))
    record, out = simulate(tmp_path, potential(), spec=spec)
    assert record["status"] == "blown up"
    assert re.search(reason, record["reason"]), record["reason"]
    assert 0 <= record["step"] <= last_step
    assert steps_of(out / "trajectory.lammpstrj") == [s for s in (200, 250, 300, 350, 400) if s < record["step"]]
    assert steps_of(out / "equilibration.lammpstrj") == [s for s in (0, 50, 100, 150) if s < record["step"]]
    assert np.isfinite(np.genfromtxt(out / "final.data", skip_header=15, max_rows=100, usecols=(2, 3, 4))).all()
    assert read_table(out / "thermo.csv")["step"].max() <= record["step"] if record["step"] else True
    assert json.loads((out / "run.json").read_text())["status"] == "blown up"


def test_blow_up_while_minimising(tmp_path):
    """Forces that are not finite at the start: step 0."""
    record, out = simulate(tmp_path, At(1, not_a_number))
    assert (record["status"], record["step"]) == ("blown up", 0)
    assert steps_of(out / "equilibration.lammpstrj") == steps_of(out / "trajectory.lammpstrj") == []
    assert record["reason"].startswith("minimisation: forces are not finite")
