"""The script that a model's page shows: it runs, on forces that are the model's."""

from __future__ import annotations

import html
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from cgdistill.export.model_folder import FORMAT, load_exported
from cgdistill.forcefield.hipnn.model import BeadModel, NetworkSpec
from cgdistill.forcefield.model_files import save_model
from cgdistill.forcefield.prior.repulsion import Repulsion
from cgdistill.forcefield.prior.terms import PriorTerms
from cgdistill.md.lammps_files import write_data_file
from cgdistill.provenance.record import sha256_of
from cgdistill.report.page import template
from cgdistill.runtime.atomic_files import write_json

TYPES, CELL_A = ("A", "B"), 16.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the script reads of an exported model: card, weights and start, of an untrained network."""
    folder = tmp_path_factory.mktemp("model") / "a folder's place"
    torch.manual_seed(1)
    prior = PriorTerms(TYPES, (Repulsion(TYPES, np.full((2, 2), 1e3), np.full((2, 2), 3.0)),))
    network = folder / "networks" / "seed-1"
    save_model(network, BeadModel(NetworkSpec(1, 1, 1, 4, 6, 6.0, 2.0, 5.5), TYPES, seed=1), prior, {})
    digests = {"weights_sha256": sha256_of(network / "weights.safetensors"),
               "settings_sha256": sha256_of(network / "network.json")}  # fmt: skip
    units = {"length": "A", "energy": "kcal/mol", "force": "kcal/mol/A", "mass": "g/mol"}
    card = {"format": FORMAT, "units": units, "bead_types": list(TYPES), "networks": {"seed-1": digests}}
    write_json(folder / "card.json", card)
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 3) * 4.0
    positions = grid + np.random.default_rng(1).uniform(-0.3, 0.3, grid.shape)
    types = np.arange(len(positions)) % 2
    write_data_file(folder / "start.data", positions, np.eye(3) * CELL_A, types, TYPES, np.array([50.0, 30.0]),
                    comment="start")  # fmt: skip
    return folder, positions, types


def test_the_script_runs_the_model(folder, tmp_path):
    """Its first potential energy and forces are the model's, at the temperature asked for, and beads move."""
    path, positions, types = folder
    simulation = {"timestep_fs": 2.0, "temperature_K": 298.15, "damping_fs": 100.0}
    page = template("run_model.py.j2").render(folder=path, simulation=simulation)
    script = html.unescape(page).replace("thermo 100", "thermo 10\nthermo_style custom step temp pe")
    look = 'f = lmp.numpy.extract_atom("f")[lmp.numpy.extract_atom("id")[:64].argsort()]; print("FORCES", *f.ravel())'
    script = script.replace('lmp.command("run 1000")', f'lmp.command("run 0")\n{look}\nlmp.command("run 10")')
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\s*(\d+)\s+(\S+)\s+(\S+)\s*$", done.stdout, re.M)
    steps = {int(step): (float(temperature), float(energy)) for step, temperature, energy in rows}
    assert set(steps) == {0, 10}
    expected = load_exported(path).potential().evaluate(positions, np.eye(3) * CELL_A, types)
    assert steps[0][0] == pytest.approx(298.15, abs=1e-2)
    assert steps[0][1] == pytest.approx(expected.energy_kcal_mol, rel=1e-4)
    assert steps[10][1] != steps[0][1]
    forces = np.array(re.search("^FORCES (.*)$", done.stdout, re.M)[1].split(), dtype=float).reshape(-1, 3)
    size = np.abs(expected.forces_kcal_mol_A).max()
    assert size > 0.05
    assert np.abs(forces - expected.forces_kcal_mol_A).max() < 1e-3 * size
