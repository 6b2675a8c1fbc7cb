"""What every architecture has to hold, whatever its form of models: one suite over the register."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch
from bead_cases import CELLS, TYPES, configuration, make_model
from cgdistill.core.errors import InputError
from cgdistill.data.pair_frames import Batch
from cgdistill.forcefield.architecture import GradientArchitecture, SolvedArchitecture
from cgdistill.forcefield.forcefield import ForceField, load_force_field
from cgdistill.forcefield.model_files import load_model, network_settings, read_settings, save_model
from cgdistill.forcefield.prior.terms import PriorTerms
from cgdistill.forcefield.registry import NAMES, architecture, architecture_of
from cgdistill.geometry.neighbours import NeighbourList
from pair_spline_cases import known_model

NO_PRIOR = PriorTerms(TYPES, ())
#: Two models of each architecture.
MODELS = {
    "hipnn": lambda: [make_model(1), make_model(2)],
    "pair-spline": lambda: [known_model(seed=1, shortest_A=2.0), known_model(seed=2, shortest_A=1.9)],
}


@pytest.fixture(params=NAMES)
def models(request):
    return MODELS[request.param]()


def outputs(model, cell="triclinic"):
    """Forces and energies of beads by `evaluate_together`, for one configuration."""
    positions, types = configuration(CELLS[cell])
    # Sorted by type, as `PairFrames.from_beads` has them.
    pairs = NeighbourList(model.spec.cutoff_A, 0.0, types, len(TYPES)).pairs(positions, CELLS[cell])
    first, second, vectors = map(torch.as_tensor, pairs)
    batch = Batch(torch.as_tensor(types + 1)[None], first.long(), second.long(), vectors.float(), {})
    (found,) = type(model).evaluate_together([model], [batch])
    return found.forces_kcal_mol_A[0].detach().numpy(), found.epsilon_kcal_mol[0].detach().numpy()


def test_every_architecture_has_its_case_here():
    assert set(MODELS) == set(NAMES)
    for name in NAMES:
        assert architecture(name).name == name
        assert isinstance(architecture(name), GradientArchitecture | SolvedArchitecture)


def test_unknown_architecture():
    with pytest.raises(InputError, match=r"network.architecture: found 'schnet', expected one of hipnn, pair-spline"):
        architecture_of({"architecture": "schnet"})
    assert architecture_of({}).name == "hipnn", "files of earlier versions"


def test_the_register_is_cheap_to_import():
    """The workflow asks it for names of files before any job; torch would cost seconds, and more than a gigabyte."""
    code = (
        "import sys; from cgdistill.forcefield.registry import NAMES, architecture; [architecture(n) for n in NAMES]; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_files_give_the_same_model(models, tmp_path):
    """Weights, settings and outputs to the last bit, without a hint as to which architecture it is."""
    model = models[0]
    save_model(tmp_path, model, NO_PRIOR, {"training": {"seed": 3}})
    again = load_model(tmp_path)
    assert type(again) is type(model) and again.spec == model.spec and again.type_names == model.type_names
    assert again.n_parameters == model.n_parameters
    for name, weight in model.weights().items():
        assert torch.equal(again.weights()[name], weight), name
    for before, after in zip(outputs(model), outputs(again), strict=True):
        assert np.array_equal(before, after)
    assert read_settings(tmp_path)["network"] == network_settings(model)


def test_settings_are_checked(models, tmp_path):
    """Each setting that is missing, unknown, or of another type is named."""
    kind, good = architecture(models[0].architecture), asdict(models[0].spec)
    assert kind.spec({"architecture": kind.name, **good}, 2) == models[0].spec
    for key in good:
        with pytest.raises(InputError, match=r"network"):
            kind.spec({name: value for name, value in good.items() if name != key}, 2)
        with pytest.raises(InputError, match=key):
            kind.spec({**good, key: "1"}, 2)
    with pytest.raises(InputError, match="network"):
        kind.spec({**good, "unknown": 1}, 2)
    with pytest.raises(InputError, match="network"):
        kind.spec([1, 2], 2)


def test_weights_of_other_settings_are_refused(models, tmp_path):
    model = models[0]
    kind, weights = architecture(model.architecture), model.weights()
    name = next(iter(weights))
    with pytest.raises(InputError):
        kind.restore(model.spec, TYPES, {key: value for key, value in weights.items() if key != name}, "weights")
    with pytest.raises(InputError):
        kind.restore(model.spec, TYPES, {**weights, name: weights[name].reshape(-1)[:-1]}, "weights")
    with pytest.raises(InputError):
        kind.restore(model.spec, TYPES, {**weights, name: torch.full_like(weights[name], torch.nan)}, "weights")


def test_number_of_weights(models):
    """What a file may hold at most is known from the settings; it bounds memory before weights are read."""
    for model in models:
        count = architecture(model.architecture).n_weights(model.spec, len(TYPES))
        assert count == sum(weight.numel() for weight in model.weights().values()) >= model.n_parameters


@pytest.mark.parametrize("cell", list(CELLS))
def test_potential_is_the_mean_of_the_outputs(models, cell):
    """Energies, forces, and both against finite differences and strain: the potential is what was trained."""
    positions, types = configuration(CELLS[cell])
    forces, energies = (np.mean(parts, axis=0) for parts in zip(*(outputs(m, cell) for m in models), strict=True))
    potential = architecture(models[0].architecture).potential(models, skin_A=0.5, dtype=torch.float64)
    found = potential.evaluate(positions, CELLS[cell], types)
    scale = float(np.abs(forces).max())
    np.testing.assert_allclose(found.forces_kcal_mol_A, forces, atol=1e-4 * scale)
    np.testing.assert_allclose(found.bead_energies_kcal_mol, energies, atol=1e-4 * max(scale, np.abs(energies).max()))
    assert found.energy_kcal_mol == pytest.approx(found.bead_energies_kcal_mol.sum())
    step = 1e-5
    moved = [positions + sign * step * np.eye(3)[1] * (np.arange(len(positions)) == 4)[:, None] for sign in (1, -1)]
    slope = np.subtract(*(potential.evaluate(x, CELLS[cell], types).energy_kcal_mol for x in moved)) / (2 * step)
    assert -slope == pytest.approx(found.forces_kcal_mol_A[4, 1], abs=1e-5 * scale)
    strained = []
    for sign in (1, -1):
        stretch = np.eye(3) + sign * step * np.diag([0.0, 0.0, 1.0])
        strained.append(potential.evaluate(positions @ stretch, CELLS[cell] @ stretch, types).energy_kcal_mol)
    virial = -np.subtract(*strained) / (2 * step)
    assert virial == pytest.approx(found.virial_kcal_mol[2], abs=1e-4 * scale)


def test_export_leaves_what_it_says(models, tmp_path):
    """The files and scripts of the register, no other; the first script is in.lammps."""
    kind = architecture(models[0].architecture)
    scripts = kind.export(tmp_path, models)
    assert scripts[0].file == "in.lammps"
    written = {path.name for path in tmp_path.iterdir()} | {script.file for script in scripts[1:]}
    assert written == set(kind.exported_files(network_settings(models[0])))
    for script in scripts:
        assert script.usage.startswith("- ") and script.style.category == "pair"


def test_words_and_methods(models):
    """Words of settings that exist, with a place for their value; sentences with the values of these settings."""
    kind, settings = architecture(models[0].architecture), network_settings(models[0])
    assert set(kind.words) <= set(settings)
    assert kind.words["cutoff_A"].format("5") == "cutoff 5 Å"
    assert "cutoff of 5 Å" in kind.methods(settings)


def test_models_of_two_architectures_are_no_mean(tmp_path):
    for name in NAMES:
        save_model(tmp_path / name, MODELS[name]()[0], NO_PRIOR, {})
    with pytest.raises(InputError, match=r"architecture: found \['hipnn', 'pair-spline'\], expected one architecture"):
        load_force_field([tmp_path / name for name in NAMES])


def test_force_field_adds_the_prior(models):
    """Forces of the sum are those of the models alone, where the prior has no terms."""
    positions, types = configuration(CELLS["triclinic"])
    whole = ForceField(NO_PRIOR, tuple(models)).potential(skin_A=0.5, dtype=torch.float64)
    alone = architecture(models[0].architecture).potential(models, skin_A=0.5, dtype=torch.float64)
    first, second = (item.evaluate(positions, CELLS["triclinic"], types) for item in (whole, alone))
    np.testing.assert_allclose(first.forces_kcal_mol_A, second.forces_kcal_mol_A, atol=1e-12)
