"""Simulations with an analytic potential, against LAMMPS's own pair style and against themselves.

None of these can detect an error of a network's energies or forces: its potential is tested on its own.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from cgdistill.core.errors import InputError
from cgdistill.core.units import KCAL_MOL_PER_G_MOL_A2_FS2, BOLTZMANN_kcal_mol_K, ns_per_day
from cgdistill.forcefield.architecture import LammpsModel, LammpsScript
from cgdistill.forcefield.hipnn.export import mliap_style
from cgdistill.forcefield.lammps_style import LammpsStyle, quoted
from cgdistill.io.csv_tables import read_provenance, read_table
from cgdistill.io.lammps_dump import read_dump
from cgdistill.md.lammps_engine import Engine
from cgdistill.md.lammps_files import write_data_file, write_lammps_input
from cgdistill.md.system import BeadSystem
from cgdistill.runtime.lammps_library import load_lammps, mliap_works
from lj import (
    CUBIC,
    IDENTITY,
    PROVENANCE,
    SPEC,
    TRICLINIC,
    TYPES,
    LennardJones,
    NativeEngine,
    lattice,
    simulate,
)

ROTATED = TRICLINIC @ np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
ROTATED *= np.sign(np.linalg.det(ROTATED))
#: Smaller than twice the cutoff: beads interact with several images.
SMALL = np.diag([13.5, 14.0, 14.5])


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
    assert (record["equilibration_ps"], record["frame_every_ps"]) == pytest.approx((0.3, 0.1))
    assert record["ns_per_day"] == pytest.approx(ns_per_day(400, 2.0, record["wall_s"]))
    frames = list(read_dump(out / "trajectory.lammpstrj"))
    assert [frame.step for frame in frames] == [200, 250, 300, 350, 400]
    assert [frame.time_ps for frame in frames] == pytest.approx([0.4, 0.5, 0.6, 0.7, 0.8])
    assert frames[0].ids.tolist() == list(range(1, 126)) and frames[0].unwrapped
    np.testing.assert_allclose(frames[0].cell_A, TRICLINIC, atol=1e-9)
    assert frames[0].types.tolist() == (lattice(TRICLINIC)[1].bead_types + 1).tolist()
    early = list(read_dump(out / "equilibration.lammpstrj"))
    assert [frame.step for frame in early] == [0, 50, 100, 150]
    assert [frame.time_ps for frame in early] == pytest.approx([0.0, 0.1, 0.2, 0.3])
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


def test_without_equilibration(tmp_path):
    """All frames belong to production; the file of the other phase is there and empty."""
    _, out = simulate(tmp_path, spec=replace(SPEC, equilibration_ps=0.0))
    assert (out / "equilibration.lammpstrj").read_bytes() == b""
    assert [frame.step for frame in read_dump(out / "trajectory.lammpstrj")] == [50, 100, 150, 200, 250]


def test_frames_of_both_phases_are_of_one_run(tmp_path):
    """A run whose production is the equilibration of another has the same frames: where they go changes nothing."""
    spec = replace(SPEC, ensemble="nve")
    _, whole = simulate(tmp_path / "a", spec=spec)
    _, late = simulate(tmp_path / "b", spec=replace(spec, equilibration_ps=0.0, production_ps=0.8))
    texts = [(whole / name).read_text() for name in ("equilibration.lammpstrj", "trajectory.lammpstrj")]
    assert (late / "trajectory.lammpstrj").read_text().endswith(texts[1])
    assert texts[0].endswith((late / "trajectory.lammpstrj").read_text().removesuffix(texts[1]))


def test_final_data_is_read_by_lammps(tmp_path):
    """LAMMPS reads the last configuration and velocities back: same energy and temperature."""
    _, out = simulate(tmp_path, cell=TRICLINIC)
    last = read_table(out / "thermo.csv").iloc[-1]
    lmp = load_lammps().lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.commands_string(f"units real\nbox tilt large\natom_modify map array\nread_data {out / 'final.data'}\n")
    engine = NativeEngine.__new__(NativeEngine)
    engine.lmp = lmp
    engine._couple(None, ())
    lmp.command("run 0")
    assert lmp.get_thermo("pe") == pytest.approx(last["potential_energy_kcal_mol"], rel=1e-6)
    assert lmp.get_thermo("temp") == pytest.approx(last["temperature_K"], rel=1e-6)
    velocities = np.asarray(lmp.numpy.extract_atom("v"))[:125]
    masses = np.array([35.0, 60.0])[np.asarray(lmp.numpy.extract_atom("type"))[:125] - 1]
    np.testing.assert_allclose(masses @ velocities, 0, atol=1e-9)
    twice_kinetic = float((masses[:, None] * velocities**2).sum()) * KCAL_MOL_PER_G_MOL_A2_FS2
    temperature_K = twice_kinetic / ((3 * len(masses) - 3) * BOLTZMANN_kcal_mol_K)
    assert temperature_K == pytest.approx(last["temperature_K"], rel=1e-6)
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
    model = LammpsModel(TYPES, mliap_style(quoted(tmp_path / "model.pt"), TYPES))
    with pytest.raises(InputError, match=r"simulation.coupling: found mliap, but this LAMMPS has no ML-IAP Python"):
        simulate(tmp_path, model, spec=replace(SPEC, coupling="mliap"))


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
    style = LammpsStyle("pair", "lj/smooth/linear", "9.0", (("* *", "0.3 4.0"),))
    script = LammpsScript("in.lammps", style, about="Two\nlines.", usage="", variables=("variable x index 1",))
    write_lammps_input(path, script, [], "start.data", replace(SPEC, ensemble=ensemble), 9)
    text = path.read_text()
    assert text.splitlines()[1:5] == ["# Two", "# lines.", "", "variable x index 1"]
    monkeypatch.chdir(tmp_path)
    lmp = load_lammps().lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.commands_string(text)
    assert lmp.extract_global("ntimestep") == 400
    assert 30 < lmp.get_thermo("temp") < 500
    lmp.close()
    frames = list(read_dump("trajectory.lammpstrj"))
    assert frames[-1].step == 400 and frames[-1].units == "real" and len(frames[0].ids) == 125
