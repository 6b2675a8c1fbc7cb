"""A model, or the mean of several, as a potential."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bead_cases import CELLS, PRIOR, configuration, make_model, network_spec
from cgdistill.errors import InputError
from cgdistill.network import BeadModel
from cgdistill.network_potential import NetworkPotential
from cgdistill.prior import RepulsivePrior


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
    # Evaluated with the longest cutoff each: the prior has no cutoff of its own.
    single = [potential(member, make_model(1)).evaluate(positions, CELLS[cell], types) for member in members]
    extra = potential(make_model(1)).evaluate(positions, CELLS[cell], types)
    for name in ("energy_kcal_mol", "forces_kcal_mol_A", "virial_kcal_mol", "bead_energies_kcal_mol"):
        parts = [2 * getattr(part, name) - getattr(extra, name) for part in single]
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
    stranger = BeadModel(network_spec(), RepulsivePrior(("Cl", "Cho"), PRIOR.E0_kcal_mol, PRIOR.a_per_A))
    with pytest.raises(InputError, match="bead types"):
        potential(make_model(), stranger)
    with pytest.raises(InputError, match="bead types"):
        potential()
