"""The whole workflow with pairwise splines: the architecture of least squares and LAMMPS tables, end to end."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import yaml
from cgdistill.cli.main import main
from cgdistill.data.beads import BeadFile
from cgdistill.export.model_folder import load_exported
from cgdistill.io.csv_tables import read_table
from cgdistill.io.lammps_dump import read_dump
from cgdistill.runtime.lammps_library import load_lammps

RUN = "pair-spline"
MODELS = ["S1-aa-bead/seed-1", "S1-aa-bead/seed-2", "S2-aa-kd-bead/ensemble", "T/seed-1", "T/seed-2", "T2/ensemble"]


def snakemake(root, folder, *arguments):
    command = [sys.executable, "-m", "snakemake", "-s", root / "Snakefile", "--directory", folder]
    command += ["--configfile", folder / "config.yaml", "--cores", "2", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=root)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    """A folder with the finished run: the end-to-end config with two other lines, and no pictures."""
    folder = tmp_path_factory.mktemp("workflow")
    config = yaml.safe_load((root / "tests/configs/end-to-end.yaml").read_text(encoding="utf-8"))
    config |= {"run": RUN, "network": {"architecture": "pair-spline", "cutoff_A": 7.5}, "pictures": False}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for name in ("config", "resources", "tests"):
        (folder / name).symlink_to(root / name)
    status, text = snakemake(root, folder)
    assert status == 0, text[-6000:]
    return folder


def test_products(finished):
    """Report, tables and one exported folder per model, each with tables for LAMMPS in place of a network's files."""
    results = finished / "results" / RUN
    assert len(read_table(results / "tables" / "tae.csv")) > 0
    models = results / "models"
    assert sorted(path.parent.relative_to(models).as_posix() for path in models.glob("*/*/card.json")) == MODELS
    for model in MODELS:
        files = {path.name for path in (models / model).iterdir()}
        assert files == {"card.json", "README.md", "in.lammps", "start.data", "networks", "pair.table"}
    history = read_table(results / "teachers/seed-1/history.csv")
    assert len(history) == 1 and history["best"].item() == 1
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "Force matching by linear least squares" in report and "HIP-NN-TS with" not in report


def test_teachers_of_other_seeds_differ(finished):
    """Each is fitted to frames drawn with replacement: the spread of the forces is not 0."""
    spread = read_table(finished / "results" / RUN / "tables" / "spread.csv")
    reference = spread[spread["source"] == "reference"] if (spread["source"] == "reference").any() else spread
    assert (reference["force_spread_kcal_mol_A"] > 0.01).all()


def test_simulated_by_tables_of_lammps(finished):
    """Runs finish, and say how LAMMPS evaluated the model."""
    for path in (finished / "results" / RUN / "simulations").glob("*/*/*/run.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert (record["status"], record["coupling"]) == ("finished", "table"), path


def test_exported_folder_gives_the_forces_of_the_models(finished, monkeypatch):
    """Forces of LAMMPS by the exported folder against the mean of the models and the prior, on its start frame."""
    folder = finished / "results" / RUN / "models/T2/ensemble"
    script = (folder / "in.lammps").read_text(encoding="utf-8").split("neighbor")[0]
    monkeypatch.chdir(folder)
    lmp = load_lammps().lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
    try:
        lmp.commands_string(script)
        lmp.commands_string("atom_modify sort 0 0\nrun 0 post no")
        n = lmp.get_natoms()
        order = np.argsort(lmp.numpy.extract_atom("id")[:n])
        positions, forces = (np.array(lmp.numpy.extract_atom(name)[:n])[order] for name in ("x", "f"))
        (low, high, xy, yz, xz, *_) = lmp.extract_box()
        types = np.array(lmp.numpy.extract_atom("type")[:n])[order] - 1
    finally:
        lmp.close()
    a, b, c = np.subtract(high, low)
    cell = np.array([[a, 0, 0], [xy, b, 0], [xz, yz, c]])
    expected = load_exported(folder).potential().evaluate(positions, cell, types).forces_kcal_mol_A
    assert np.abs(expected).max() > 5
    # The tables hold the error of a pair's force below 0.01 kcal/mol/A.
    np.testing.assert_allclose(forces, expected, atol=0.02)


def test_trajectory_has_the_beads_of_the_run(finished):
    results = finished / "results" / RUN
    with BeadFile(results / "mapped/beads.h5") as beads:
        types = beads.topology.bead_types
    frames = list(read_dump(results / "simulations/T2/ensemble/replica-1/trajectory.lammpstrj"))
    assert len(frames) == 3 and np.array_equal(frames[0].types - 1, types)


def test_running_again_does_nothing_and_verify_finds_no_fault(finished, root, capsys):
    status, text = snakemake(root, finished)
    assert status == 0 and "Nothing to be done" in text, text[-3000:]
    arguments = ["verify", str(finished / "results" / RUN), "--config", str(finished / "config.yaml")]
    assert main(arguments) == 0, capsys.readouterr().out
