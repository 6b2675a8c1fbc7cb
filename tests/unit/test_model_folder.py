"""Exported models: what the folder says, what it refuses, and its ML-IAP object on LAMMPS' kind of data.

LAMMPS itself does not run here (tests/integration does that); the stand-in below follows its neighbour data:
pairs of a local bead with local or ghost beads, both directions, forces added to both partners.
"""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from bead_cases import CELLS, PRIOR, TYPES, bead_topology, configuration, make_model
from cgdistill.core.errors import InputError
from cgdistill.export.model_folder import export_model, load_exported, read_card
from cgdistill.forcefield.hipnn.export import export_mliap
from cgdistill.forcefield.hipnn.network_potential import NetworkPotential
from cgdistill.forcefield.model_files import save_model
from cgdistill.md.protocol import SimulationSpec

FACTS = {"name": "T8/ensemble", "label": "T8", "variant": "T8", "member": "ensemble", "metrics": {"seed-1": [1.5]}}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with two networks."""
    top = tmp_path_factory.mktemp("export")
    sources = {}
    for seed in (1, 2):
        sources[f"seed-{seed}"] = top / f"seed-{seed}"
        save_model(sources[f"seed-{seed}"], make_model(seed), PRIOR, {})
    positions, types = configuration(CELLS["cubic"])
    start = (positions, CELLS["cubic"])
    export_model(top / "folder", sources, bead_topology(types), start, SimulationSpec(), FACTS, velocity_seed=5)
    return top / "folder"


@pytest.fixture
def folder(exported, tmp_path):
    """A copy that a test may spoil."""
    import shutil

    return shutil.copytree(exported, tmp_path / "folder")


def test_card_says_what_the_model_is(exported):
    card = read_card(exported)
    assert card["bead_types"] == list(TYPES)
    assert card["masses_g_mol"] == [104.17, 35.45]
    assert card["cutoff_A"] == 5.0
    assert card["units"] == {"length": "A", "energy": "kcal/mol", "force": "kcal/mol/A", "mass": "g/mol"}
    assert sorted(card["networks"]) == ["seed-1", "seed-2"]
    entry = card["networks"]["seed-1"]
    assert entry["architecture"]["tensor_order"] == 2
    assert entry["n_parameters"] == make_model(1).n_parameters
    assert card["label"] == "T8"
    assert card["metrics"] == {"seed-1": [1.5]}


def test_folder_stands_alone(exported):
    """Nothing in it names a place outside."""
    names = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert {"card.json", "mliap.pt", "in.lammps", "start.data", "README.md"} <= names
    assert "networks/seed-2/weights.safetensors" in names
    for name in ("card.json", "in.lammps", "README.md"):
        text = (exported / name).read_text(encoding="utf-8")
        assert str(exported.parent) not in text
        assert not any(word.startswith("/") for word in text.split())
    script = (exported / "in.lammps").read_text(encoding="utf-8")
    assert "start.data" in script
    assert "mliap.pt" in script


def test_networks_are_those_that_were_exported(exported):
    force_field = load_exported(exported)
    assert force_field.prior.to_dict() == PRIOR.to_dict()
    for model, seed in zip(force_field.networks, (1, 2), strict=True):
        for name, value in make_model(seed).weights().items():
            assert torch.equal(value, model.weights()[name])


def test_other_weights_than_the_card_names_are_refused(folder):
    save_model(folder / "networks" / "seed-2", make_model(3), PRIOR, {})
    with pytest.raises(InputError, match="sha256") as caught:
        load_exported(folder)
    assert "seed-2" in caught.value.source


def test_missing_network_or_card_is_refused(folder):
    (folder / "networks" / "seed-1" / "weights.safetensors").unlink()
    with pytest.raises(InputError, match="seed-1"):
        load_exported(folder)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps(card | {"format": "other"}), encoding="utf-8")
    with pytest.raises(InputError, match="format"):
        read_card(folder)
    (folder / "card.json").unlink()
    with pytest.raises(InputError, match=r"card\.json"):
        load_exported(folder)


def test_loading_does_not_touch_the_pickle(folder):
    (folder / "mliap.pt").write_bytes(b"not a pickle")
    assert len(load_exported(folder).networks) == 2


def test_networks_of_other_bead_types_are_refused(tmp_path):
    save_model(tmp_path / "one", make_model(1), PRIOR, {})
    positions, types = configuration(CELLS["cubic"])
    topology = bead_topology(types)
    other = type(topology)(("Cl", "Cho"), *[getattr(topology, name) for name in list(vars(topology))[1:]])
    with pytest.raises(InputError, match="bead types"):
        export_model(
            tmp_path / "out", {"one": tmp_path / "one"}, other, (positions, CELLS["cubic"]), SimulationSpec(), FACTS, 1
        )


class LammpsData:
    """Neighbour data as LAMMPS hands it to an ML-IAP object: ghosts for images, pairs within the cutoff."""

    def __init__(self, positions, cell, types, cutoff_A):
        n = len(positions)
        reach = np.ceil(cutoff_A / (1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0))).astype(int) + 1
        images = [m for m in itertools.product(*(range(-r, r + 1) for r in reach)) if any(m)]
        everything, owners = [positions], [np.arange(n)]
        for image in images:
            moved = positions + np.array(image) @ cell
            near = (np.linalg.norm(moved[:, None] - positions[None], axis=2) < cutoff_A).any(axis=1)
            everything.append(moved[near])
            owners.append(np.flatnonzero(near))
        places, self.owners = np.concatenate(everything), np.concatenate(owners)
        vectors = places[None, :] - positions[:, None]
        distance = np.linalg.norm(vectors, axis=2)
        self.pair_i, self.pair_j = np.nonzero((distance < cutoff_A) & (distance > 0))
        self.rij = vectors[self.pair_i, self.pair_j]
        self.npairs, self.nlistatoms, self.ntotal = len(self.rij), n, len(places)
        self.elems = types[self.owners].astype(np.int32)
        self.f = np.zeros((self.ntotal, 3))
        self.energy, self.eatoms = 0.0, None

    def update_pair_forces(self, fij):
        np.add.at(self.f, self.pair_i, fij)
        np.add.at(self.f, self.pair_j, -fij)

    def forces(self):
        """Forces of the ghosts added to their owners, as LAMMPS communicates them back."""
        total = np.zeros((self.nlistatoms, 3))
        np.add.at(total, self.owners, self.f)
        return total


@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize("n_models", [1, 2])
def test_mliap_object_gives_the_models_energy_and_forces(tmp_path, cell, n_models):
    models = [make_model(seed, tensor_order=2 - seed % 2) for seed in range(1, n_models + 1)]
    path = tmp_path / "mliap.pt"
    export_mliap(path, models)
    interface = torch.load(path, weights_only=False)
    assert interface.element_types == list(TYPES)
    # LAMMPS cuts at twice this radius.
    assert 2 * interface.rcutfac == pytest.approx(5.0)
    fractions, types = configuration(CELLS[cell], seed=6)
    fractions = fractions @ np.linalg.inv(CELLS[cell])
    positions = (fractions - np.floor(fractions)) @ CELLS[cell]
    data = LammpsData(positions, CELLS[cell], types, 5.0)
    assert data.ntotal > data.nlistatoms
    interface.compute_forces(data)
    expected = NetworkPotential(models, dtype=torch.float64).evaluate(positions, CELLS[cell], types)
    scale = np.abs(expected.forces_kcal_mol_A).max()
    assert data.energy == pytest.approx(expected.energy_kcal_mol, rel=2e-5)
    np.testing.assert_allclose(data.eatoms, expected.bead_energies_kcal_mol, atol=1e-5 * scale)
    np.testing.assert_allclose(data.forces(), expected.forces_kcal_mol_A, atol=5e-5 * scale)


def test_export_leaves_the_models_as_they_were(tmp_path):
    model = make_model(1)
    before = model.weights()
    export_mliap(tmp_path / "mliap.pt", [model])
    for name, value in model.weights().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])
