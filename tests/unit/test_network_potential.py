"""A model, or the mean of several, as a potential; several systems in one call; against hippynn's own graph."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch
from bead_cases import CELLS, configuration, make_model, network_spec
from cgdistill.core.errors import InputError
from cgdistill.forcefield.hipnn import network_potential
from cgdistill.forcefield.hipnn.hippynn_import import compile_kernels
from cgdistill.forcefield.hipnn.model import BeadModel
from cgdistill.forcefield.hipnn.network_potential import JointNetworkPotential, NetworkPotential


@pytest.fixture(autouse=True)
def exact_kernels():
    """hippynn's compiled kernels leave out sensitivities below 1e-10; another test may have switched them on."""
    compile_kernels(False)


@pytest.fixture(autouse=True)
def small_boxes(monkeypatch):
    """Beads are worked on in the order of boxes in space: here in those of systems that are large."""
    monkeypatch.setattr(network_potential, "_BOX_A", 3.0)


def potential(*models, dtype=torch.float64, skin_A=0.5):
    return NetworkPotential(models, skin_A=skin_A, dtype=dtype)


@pytest.mark.parametrize("cell", list(CELLS))
def test_mean_of_models_is_the_mean_of_their_evaluations(cell):
    """The members differ in cutoff and tensor order, so one neighbour list serves different ranges."""
    positions, types = configuration(CELLS[cell])
    members = [make_model(1), make_model(2, 0), make_model(3, 1, cutoff_A=4.2)]
    together = potential(*members)
    assert together.cutoff_A == 5.0
    mean = together.evaluate(positions, CELLS[cell], types)
    single = [potential(member).evaluate(positions, CELLS[cell], types) for member in members]
    for name in ("energy_kcal_mol", "forces_kcal_mol_A", "virial_kcal_mol", "bead_energies_kcal_mol"):
        parts = [getattr(part, name) for part in single]
        np.testing.assert_allclose(getattr(mean, name), sum(parts) / 3, rtol=1e-9, atol=1e-9)


def test_energy_is_the_sum_over_beads_and_forces_their_gradient():
    cell = CELLS["triclinic"]
    positions, types = configuration(cell, seed=3)
    model = potential(make_model(1), make_model(2))
    result = model.evaluate(positions, cell, types)
    assert result.energy_kcal_mol == pytest.approx(result.bead_energies_kcal_mol.sum())
    np.testing.assert_allclose(result.forces_kcal_mol_A.sum(axis=0), 0, atol=1e-9)
    step = 1e-5
    for bead, axis in ((1, 0), (14, 2)):
        moved = [positions.copy() for _ in range(2)]
        for sign, place in zip((1, -1), moved, strict=True):
            place[bead, axis] += sign * step
        high, low = (model.evaluate(place, cell, types).energy_kcal_mol for place in moved)
        assert result.forces_kcal_mol_A[bead, axis] == pytest.approx(-(high - low) / (2 * step), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("cell", list(CELLS))
def test_virial_is_minus_the_derivative_by_strain(cell):
    positions, types = configuration(CELLS[cell], seed=4)
    model = potential(make_model(1))
    virial = model.evaluate(positions, CELLS[cell], types).virial_kcal_mol
    assert np.abs(virial).min() > 1e-3
    step = 1e-5
    for number, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))):
        energies = []
        for sign in (+1, -1):
            strain = np.eye(3)
            # Symmetric: half of the shear in each of the two components.
            strain[i, j] += 0.5 * sign * step
            strain[j, i] += 0.5 * sign * step
            energies.append(model.evaluate(positions @ strain, CELLS[cell] @ strain, types).energy_kcal_mol)
        assert virial[number] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), rel=1e-4, abs=1e-5)


def test_single_precision_is_close_to_double():
    """The tolerance is that of float32 sums over some hundred pairs, not a physical one."""
    positions, types = configuration(CELLS["cubic"])
    models = [make_model(seed) for seed in (1, 2)]
    double = potential(*models).evaluate(positions, CELLS["cubic"], types)
    single = potential(*models, dtype=torch.float32).evaluate(positions, CELLS["cubic"], types)
    scale = np.abs(double.forces_kcal_mol_A).max()
    np.testing.assert_allclose(single.forces_kcal_mol_A, double.forces_kcal_mol_A, atol=2e-5 * scale)
    np.testing.assert_allclose(single.virial_kcal_mol, double.virial_kcal_mol, rtol=1e-4, atol=1e-4 * scale)
    assert single.energy_kcal_mol == pytest.approx(double.energy_kcal_mol, rel=1e-5)
    assert single.forces_kcal_mol_A.dtype == np.float64


def test_skin_does_not_change_the_result():
    """Over a walk in which the list is reused, then rebuilt."""
    positions, types = configuration(CELLS["triclinic"])
    lazy, eager = potential(make_model(1), skin_A=1.0), potential(make_model(1), skin_A=0.0)
    rng = np.random.default_rng(0)
    for _ in range(6):
        positions = positions + rng.normal(scale=0.12, size=positions.shape)
        one, other = (model.evaluate(positions, CELLS["triclinic"], types) for model in (lazy, eager))
        np.testing.assert_allclose(one.forces_kcal_mol_A, other.forces_kcal_mol_A, atol=1e-10)
    assert lazy.n_builds < eager.n_builds == 6


def test_models_of_other_bead_types_or_none_are_refused():
    stranger = BeadModel(network_spec(), ("Cl", "Cho"))
    with pytest.raises(InputError, match="bead types"):
        potential(make_model(), stranger)
    with pytest.raises(InputError, match="bead types"):
        potential()


#: Number of bead types, tensor order, cell, changes of the network; a vector holds 8 or 16 sensitivities or features.
CASES = {
    "order 0": (2, 0, "triclinic", {}),
    "order 1": (2, 1, "triclinic", {"n_sensitivities": 9, "n_features": 7}),
    "order 2": (2, 2, "triclinic", {"n_sensitivities": 20, "n_features": 13, "n_atom_layers": 3}),
    "one type": (1, 2, "cubic", {"n_sensitivities": 16, "n_features": 16}),
    "three types": (3, 2, "flat", {"n_features": 33, "n_atom_layers": 1}),
    "as many features as types": (3, 1, "cubic", {"n_features": 3}),
    "box of twice the cutoff": (2, 2, "twice", {}),
    "box a little larger": (2, 2, "larger", {}),
    "bead beside its own images": (2, 2, "tiny", {}),
    "many boxes": (3, 2, "wide", {}),
}
#: With ``cutoff_A`` 5 of `network_spec`.
MORE_CELLS = {
    **CELLS,
    "twice": np.diag([10.0, 10.0, 10.0]),
    "larger": np.diag([10.0, 10.0, 10.0]) * (1 + 1e-12),
    "tiny": np.diag([4.6, 5.4, 9.0]),
    "wide": 2 * CELLS["triclinic"],
}


def strong_model(n_types=2, order=2, seed=1, **changes):
    """A model in float64 with forces of some kcal/mol/A."""
    model = BeadModel(network_spec(order, **changes), ("Cho", "Cl", "Urea")[:n_types], seed).double().eval()
    with torch.no_grad():
        model.modules_.energy.layers[1].weight *= 100.0
    return model


def system(cell="triclinic", n_types=2, seed=0, side=3):
    """Positions, cell and types; in a box of twice the cutoff with pairs at exactly the cutoff, in both directions."""
    cell_A = MORE_CELLS[cell]
    positions, _ = configuration(cell_A, seed, {"tiny": 2, "wide": 6}.get(cell, side))
    if cell in ("twice", "larger"):
        corners = np.stack(np.meshgrid(*[[0.0, 5.0]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        positions = np.concatenate([corners, corners + np.random.default_rng(seed).uniform(1.7, 3.3, (8, 3))])
    return positions, cell_A, np.arange(len(positions)) % n_types


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


def assert_same(found, expected, tolerance):
    """Energies, forces and virial equal: largest error as a fraction of the root mean square."""
    for name in ("forces_kcal_mol_A", "bead_energies_kcal_mol", "virial_kcal_mol"):
        one, other = getattr(found, name), getattr(expected, name)
        assert np.abs(one - other).max() <= tolerance * rms(other), name
    assert found.energy_kcal_mol == pytest.approx(found.bead_energies_kcal_mol.sum(), rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_fused_evaluation_is_that_of_hippynn(case):
    """Rounding of float64; per-bead energies include the constants by type."""
    n_types, order, cell, changes = CASES[case]
    model, where = strong_model(n_types, order, **changes), system(cell, n_types)
    stock = NetworkPotential([model], 0.5, torch.float64, evaluation="stock").evaluate(*where)
    assert_same(potential(model).evaluate(*where), stock, 1e-10)


def test_single_precision_of_the_fused_evaluation():
    """Weights as float32 has them; measured: forces off by 1.0e-6 of their rms, those of hippynn by 1.8e-6."""
    where = system(side=4)
    exact, single = (strong_model(n_sensitivities=20, n_features=32).float() for _ in range(2))
    wanted = NetworkPotential([exact], 0.5, torch.float64, evaluation="stock").evaluate(*where)
    found = NetworkPotential([single], 0.5, torch.float32).evaluate(*where)
    for name in ("forces_kcal_mol_A", "bead_energies_kcal_mol", "virial_kcal_mol"):
        assert rms(getattr(found, name) - getattr(wanted, name)) < 1e-5 * rms(getattr(wanted, name)), name


@pytest.mark.parametrize("n_beads", [0, 1])
def test_beads_without_neighbours(n_beads):
    """One bead alone has the energy of its type, as by hippynn."""
    where = np.zeros((n_beads, 3)), MORE_CELLS["cubic"], np.ones(n_beads, dtype=int)
    result = potential(strong_model()).evaluate(*where)
    assert result.forces_kcal_mol_A.shape == (n_beads, 3)
    assert not result.forces_kcal_mol_A.any() and not result.virial_kcal_mol.any()
    if n_beads:
        stock = NetworkPotential([strong_model()], 0.5, torch.float64, evaluation="stock").evaluate(*where)
        assert result.energy_kcal_mol == pytest.approx(stock.energy_kcal_mol, rel=1e-10)


#: Ensembles of the systems of a call, by number of the model.
COMPANIES = {
    "replicas of one model": [[1], [1], [1]],
    "several models": [[1], [2], [3]],
    "replicas of several models": [[1], [2], [1], [2]],
    "ensembles": [[1, 2], [3, 4]],
    "replicas of an ensemble": [[1, 2, 3], [1, 2, 3]],
    "mixed": [[1], [1, 2], [1], [3], [1, 2], [5, 1], [5]],
}


def company(name):
    """Ensembles of models, model 5 being of another tensor order."""
    models = {number: strong_model(order=0 if number == 5 else 2, seed=number) for number in range(1, 6)}
    return [[models[number] for number in numbers] for numbers in COMPANIES[name]]


def configurations(n_systems, step=0):
    """Each system in a cell of its own, some of them the same; beads move a little from step to step."""
    cells = [CELLS[name] for name in ("triclinic", "cubic", "flat")]
    walk = np.random.default_rng(step).normal(scale=0.1, size=(27, 3)) if step else 0.0
    return {
        number: (configuration(cells[number % 3], seed=number)[0] + walk, cells[number % 3])
        for number in range(n_systems)
    }


@pytest.mark.parametrize("name", COMPANIES)
def test_systems_together_are_what_they_are_alone(name):
    """Step after step, with systems left out and back again; rounding of float64."""
    ensembles = company(name)
    types = configuration(CELLS["cubic"])[1]
    joint = JointNetworkPotential(ensembles, types, 0.5, torch.float64)
    alone = [potential(*ensemble) for ensemble in ensembles]
    everyone = list(range(len(ensembles)))
    for step, present in enumerate((everyone, everyone, everyone[1:], everyone[-1:], everyone[::2], everyone)):
        given = {number: configurations(len(ensembles), step)[number] for number in present}
        found = joint.evaluate_all(given)
        assert sorted(found) == present
        for number, result in found.items():
            assert_same(result, alone[number].evaluate(*given[number], types), 1e-12)


def everything(joint, n_systems):
    """All numbers of a call as one array."""
    results = joint.evaluate_all(configurations(n_systems))
    parts = [(r.forces_kcal_mol_A, r.virial_kcal_mol, r.bead_energies_kcal_mol) for r in results.values()]
    return np.concatenate([values.ravel() for part in parts for values in part])


@pytest.mark.parametrize("name", ["replicas of several models", "several models", "mixed"])
@pytest.mark.parametrize("tile", [7, 60, 1000])
def test_tiles_change_nothing_but_rounding(name, tile, monkeypatch):
    """Tiles that cut systems of 27 beads, hold two of them, or everything."""
    ensembles, types = company(name), configuration(CELLS["cubic"])[1]
    reference = everything(JointNetworkPotential(ensembles, types, 0.5, torch.float64), len(ensembles))
    monkeypatch.setattr(network_potential, "TILE_BEADS", tile)
    joint = JointNetworkPotential(ensembles, types, 0.5, torch.float64)
    np.testing.assert_allclose(everything(joint, len(ensembles)), reference, rtol=0, atol=1e-12 * rms(reference))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread only")
def test_threads_change_no_bit():
    """Of the forces of 27 beads dealt out in 16 slices, nor of anything else."""
    ensembles, types = company("mixed"), configuration(CELLS["cubic"])[1]
    before, found = numba.get_num_threads(), []
    try:
        for n_threads in (1, 2):
            numba.set_num_threads(n_threads)
            found.append(everything(JointNetworkPotential(ensembles, types, 0.5, torch.float64), len(ensembles)))
    finally:
        numba.set_num_threads(before)
    assert np.array_equal(*found)
