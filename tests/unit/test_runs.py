"""Runs gathered for a variant: finished ones have curves, those that blew up are described."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from bead_cases import bead_topology, configuration
from cgdistill.beads import BeadFrames
from cgdistill.checkpoint import THERMO_COLUMNS
from cgdistill.errors import InputError
from cgdistill.runs import analyse_runs
from cgdistill.structure.curves import compute_curves
from cgdistill.structure.spec import StructureSpec
from cgdistill.tables import write_table

CELL = np.diag([12.0, 12.0, 12.0])
SPEC = StructureSpec.from_config(
    {
        "rdf": {"r_max_A": 6.0, "bin_width_A": 0.5},
        "adf": {"triplets": [["Cho", "Cl", "Cho"]], "r_max_A": [5.0], "bin_width_deg": 15.0},
        "cdf": {"r_max_A": 6.0, "bin_width_A": 0.5},
    }
)
N_FRAMES = 3


def positions(replica):
    return np.array([configuration(CELL, seed=100 * replica + number)[0] for number in range(N_FRAMES)])


def thermo(n_production):
    """Equilibration at 400 K, production at 300 K."""
    phases = ["equilibration"] * 20 + ["production"] * n_production
    n = len(phases)
    noise = np.random.default_rng(0).normal(size=n)
    table = {
        "phase": phases,
        "step": np.arange(n) * 10,
        "time_ps": np.arange(n) * 0.02,
        "temperature_K": [400.0] * 20 + [300.0 + i for i in range(n_production)],
        "potential_energy_kcal_mol": -50.0 + noise,
        "total_energy_kcal_mol": -20.0 + noise,
        "pressure_atm": [1.0] * 20 + [9.0] * n_production,
    }
    return pd.DataFrame(table, columns=list(THERMO_COLUMNS))


def write_run(folder, replica, status="finished", n_production=40, types=None):
    folder.mkdir(parents=True)
    bead_types = configuration(CELL)[1] if types is None else types
    record = {
        "status": status,
        "reason": None if status == "finished" else "temperature 2000 K above 1500 K",
        "step": 600,
        "variant": "T",
        "member": "seed-1",
        "replica": replica,
        "n_beads": len(bead_types),
        "timestep_fs": 2.0,
        "threads": 1,
        "device": "cpu",
        "ns_per_day": 12.5,
        "wall_s": 3.0,
    }
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    write_table(folder / "thermo.csv", thermo(n_production), {})
    lines = ["ITEM: UNITS", "real"]
    for step, frame in enumerate(positions(replica)):
        lines += ["ITEM: TIME", f"{step}", "ITEM: TIMESTEP", f"{step}", "ITEM: NUMBER OF ATOMS", f"{len(frame)}"]
        lines += ["ITEM: BOX BOUNDS pp pp pp", *["0 12"] * 3, "ITEM: ATOMS id type xu yu zu"]
        for number, (kind, place) in enumerate(zip(bead_types, frame, strict=True), start=1):
            lines.append(f"{number} {kind + 1} " + " ".join(f"{value:.8f}" for value in place))
    (folder / "trajectory.lammpstrj").write_text("\n".join(lines) + "\n", encoding="ascii")
    return folder


@pytest.fixture
def topology():
    return bead_topology(configuration(CELL)[1])


def test_finished_and_blown_up_runs(tmp_path, topology):
    folders = [
        write_run(tmp_path / "1", 1),
        write_run(tmp_path / "2", 2, "blown up", n_production=0),
        write_run(tmp_path / "3", 3),
    ]
    curves, runs = analyse_runs(folders, topology, SPEC)
    assert sorted(set(curves.replica)) == [1, 3]
    assert runs.replica.tolist() == [1, 2, 3]
    assert runs.status.tolist() == ["finished", "blown up", "finished"]
    assert runs.reason.tolist() == ["", "temperature 2000 K above 1500 K", ""]
    assert runs.n_frames.tolist() == [N_FRAMES, 0, N_FRAMES]
    assert runs.mean_temperature_K[0] == pytest.approx(300 + 39 / 2)
    assert runs.mean_pressure_atm[0] == 9.0
    assert np.isnan(runs.mean_temperature_K[1])
    assert (runs.ns_per_day == 12.5).all()


def test_curves_are_those_of_the_frames(tmp_path, topology):
    """The RDF, ADF and CDF of the same frames in memory (tested against other programs elsewhere)."""
    curves, _ = analyse_runs([write_run(tmp_path / "1", 2)], topology, SPEC)
    frames = BeadFrames(positions(2), None, np.repeat(CELL[None], N_FRAMES, axis=0), np.arange(N_FRAMES))
    expected = compute_curves(
        zip(frames.positions_A, frames.cells_A, strict=True), topology.type_names, topology.bead_types, SPEC
    )
    assert set(curves.metric) == {"rdf", "adf", "cdf"}
    np.testing.assert_allclose(curves.value, expected.value, atol=1e-6)
    assert curves.item.tolist() == expected.item.tolist()
    assert set(zip(curves.variant, curves.member, curves.replica, strict=True)) == {("T", "seed-1", 2)}


def test_when_all_blew_up_the_curves_are_empty_but_have_their_columns(tmp_path, topology):
    """One of them before its first thermo row."""
    folders = [write_run(tmp_path / "1", 1, "blown up", n_production=0), write_run(tmp_path / "2", 2, "blown up")]
    write_table(folders[0] / "thermo.csv", pd.DataFrame(columns=list(THERMO_COLUMNS)), {})
    curves, runs = analyse_runs(folders, topology, SPEC)
    assert len(curves) == 0
    finished, _ = analyse_runs([write_run(tmp_path / "3", 3)], topology, SPEC)
    assert list(curves.columns) == list(finished.columns)
    assert len(runs) == 2
    assert np.isnan(runs.equilibrated_ps[0])
    assert np.isfinite(runs.equilibrated_ps[1])


def test_a_run_of_other_beads_is_refused(tmp_path, topology):
    folder = write_run(tmp_path / "1", 1, types=1 - configuration(CELL)[1])
    with pytest.raises(InputError, match="other bead types"):
        analyse_runs([folder], topology, SPEC)


@pytest.mark.parametrize("name", ["run.json", "thermo.csv", "trajectory.lammpstrj"])
def test_damaged_files_are_named(tmp_path, topology, name):
    folder = write_run(tmp_path / "1", 1)
    (folder / name).write_text("{", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        analyse_runs([folder], topology, SPEC)
    assert caught.value.source == str(folder / name)
