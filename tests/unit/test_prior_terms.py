"""Prior terms: the repulsion against brute force, differences of its energy and LAMMPS's style; files of a prior."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from bead_cases import CELLS, PRIOR, REPULSION, TYPES, bead_topology, configuration, force_field, make_model
from cgdistill.core.errors import InputError
from cgdistill.forcefield.forcefield import ForceField
from cgdistill.forcefield.lammps_style import LammpsStyle, lammps_commands
from cgdistill.forcefield.prior.base import InteractionTopology
from cgdistill.forcefield.prior.repulsion import NEGLIGIBLE_KCAL_MOL, Repulsion
from cgdistill.forcefield.prior.terms import PriorTerms, sum_of
from cgdistill.md.lammps_engine import Engine
from cgdistill.md.protocol import SimulationSpec
from cgdistill.md.system import BeadSystem


def evaluate(prior, positions, cell, types, skin_A=0.5):
    return prior.potential(InteractionTopology(types), skin_A).evaluate(positions, cell, types)


def by_brute_force(positions, cell, types):
    """Per-bead energies, forces and virial matrix over all pairs and images within four cells."""
    images = np.array(list(itertools.product(range(-4, 5), repeat=3))) @ cell
    energies, forces, virial = np.zeros(len(types)), np.zeros((len(types), 3)), np.zeros((3, 3))
    for i, j in itertools.product(range(len(types)), repeat=2):
        vectors = positions[j] - positions[i] + images
        r = np.linalg.norm(vectors, axis=1)
        vectors, r = vectors[r > 1e-9], r[r > 1e-9]
        a = REPULSION.a_per_A[types[i], types[j]]
        energy = REPULSION.E0_kcal_mol[types[i], types[j]] * np.exp(-a * r)
        energies[i] += 0.5 * energy.sum()
        scaled = (a * energy / r)[:, None] * vectors
        forces[i] -= scaled.sum(axis=0)
        virial += 0.5 * vectors.T @ scaled
    return energies, forces, virial


@pytest.mark.parametrize("cell", list(CELLS))
def test_repulsion_is_the_sum_over_all_pairs_and_images(cell):
    """Its range is longer than these cells."""
    rng = np.random.default_rng(1)
    positions, types = rng.uniform(-5, 15, (7, 3)), np.array([0, 1, 1, 0, 1, 0, 0])
    energies, forces, virial = by_brute_force(positions, CELLS[cell], types)
    found = evaluate(PRIOR, positions, CELLS[cell], types)
    np.testing.assert_allclose(found.bead_energies_kcal_mol, energies, rtol=1e-9)
    np.testing.assert_allclose(found.forces_kcal_mol_A, forces, rtol=0, atol=1e-9 * np.abs(forces).max())
    expected = [virial[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    np.testing.assert_allclose(found.virial_kcal_mol, expected, rtol=0, atol=1e-9 * np.abs(virial).max())
    assert found.energy_kcal_mol == pytest.approx(found.bead_energies_kcal_mol.sum(), rel=1e-12)


def test_energy_beyond_the_reach_is_negligible_and_weak_pairs_have_none():
    weak = Repulsion(TYPES, np.array([[300.0, 1e-13], [1e-13, 0.0]]), np.full((2, 2), 2.0))
    assert weak.reach_A[0, 1] == weak.reach_A[1, 1] == 0.0
    energy = 300.0 * np.exp(-2.0 * weak.cutoff_A)
    assert energy == pytest.approx(NEGLIGIBLE_KCAL_MOL, rel=1e-9)
    none = evaluate(PriorTerms(TYPES, (weak,)), np.array([[0.0, 0, 0], [0.1, 0, 0]]), 90.0 * np.eye(3), np.ones(2, int))
    assert none.energy_kcal_mol == 0.0 and not none.forces_kcal_mol_A.any()


def test_distant_contacts_do_not_overflow():
    """E0 of a contact at 6 A with d = 0.15 A is about 1e50."""
    a = np.log(20.0) / 0.15
    steep = PriorTerms(TYPES, (Repulsion(TYPES, np.full((2, 2), 0.05 * np.exp(a * 6.0) / a), np.full((2, 2), a)),))
    found = evaluate(steep, np.array([[0.0, 0, 0], [6.0, 0, 0]]), 30.0 * np.eye(3), np.array([0, 1]))
    assert found.energy_kcal_mol == pytest.approx(0.05 / a, rel=1e-12)
    np.testing.assert_allclose(found.forces_kcal_mol_A[:, 0], [-0.05, 0.05], rtol=1e-12)


class Nothing:
    """A potential without interactions."""

    cutoff_A, type_names = 5.0, TYPES

    def forget(self):
        pass

    def evaluate(self, positions_A, cell_A, bead_types):
        return sum_of([], len(positions_A))


@pytest.mark.parametrize("prior", [PRIOR, PriorTerms(TYPES, (Repulsion(
    TYPES, np.array([[1e40, 0.0], [0.0, 3e27]]), np.full((2, 2), 19.97)),))], ids=["soft", "steep"])  # fmt: skip
@pytest.mark.parametrize("cell", list(CELLS))
def test_lammps_computes_the_same(prior, cell):
    """Energy, forces and pressure of LAMMPS's style; a pair of types without repulsion among them."""
    positions, types = configuration(CELLS[cell], jitter=0.05)
    system = BeadSystem.from_frame(positions, CELLS[cell], bead_topology(types))
    engine = Engine(Nothing(), system, SimulationSpec(), prior.lammps_styles())
    engine.integrate()
    engine.setup()
    thermo, forces = engine.thermo(), engine.forces_kcal_mol_A()
    engine.close()
    expected = evaluate(prior, system.positions_A, system.cell_A, types)
    assert thermo["potential_energy_kcal_mol"] == pytest.approx(expected.energy_kcal_mol, rel=1e-11)
    scale = np.abs(expected.forces_kcal_mol_A).max()
    np.testing.assert_allclose(forces, expected.forces_kcal_mol_A, rtol=0, atol=1e-11 * scale)
    pressure = expected.virial_kcal_mol[:3].sum() / 3 / np.linalg.det(system.cell_A) * 68568.415
    assert thermo["pressure_atm"] == pytest.approx(pressure, rel=1e-8)


def test_whole_force_field_is_the_sum():
    """Prior and mean of the networks, whose energies and forces are added."""
    positions, types = configuration(CELLS["triclinic"])
    whole = force_field(make_model(1), make_model(2)).potential(dtype=torch.float64)
    found = whole.evaluate(positions, CELLS["triclinic"], types)
    prior = evaluate(PRIOR, positions, CELLS["triclinic"], types)
    network = whole.networks.evaluate(positions, CELLS["triclinic"], types)
    for name in ("energy_kcal_mol", "forces_kcal_mol_A", "virial_kcal_mol", "bead_energies_kcal_mol"):
        np.testing.assert_allclose(getattr(found, name), getattr(prior, name) + getattr(network, name), rtol=1e-12)


def test_one_force_field_has_one_prior():
    """Networks are differences to it: their mean is the difference to none where priors differ."""
    other = PriorTerms(TYPES, (Repulsion(TYPES, 2 * REPULSION.E0_kcal_mol, REPULSION.a_per_A),))
    models = [make_model(1), make_model(2)]
    assert ForceField.of([PRIOR, PRIOR], models, "here").prior is not None
    with pytest.raises(InputError, match="prior: found 2 that differ"):
        ForceField.of([PRIOR, other], models, "here")
    strange = PriorTerms(("A", "B"), (Repulsion(("A", "B"), REPULSION.E0_kcal_mol, REPULSION.a_per_A),))
    with pytest.raises(InputError, match="bead types"):
        ForceField.of([strange], models, "here")


def test_json_of_now_and_of_earlier_versions():
    """To the last bit; the latter holds the parameters of the repulsion alone."""
    for values in (PRIOR.to_dict(), REPULSION.to_dict()):
        found = PriorTerms.from_dict(values, TYPES, "network.json")
        assert found.to_dict() == PRIOR.to_dict() == {"repulsion": REPULSION.to_dict()}


def test_commands_of_several_styles():
    """One style is used by itself; several are overlaid, their coefficients named by style."""
    one = LammpsStyle("pair", "buck", "6.0", (("1 1", "2.0 0.5 0.0 6.0"),))
    network = LammpsStyle("pair", "mliap", "unified m.pt 0", (("* *", "A B"),))
    bond = LammpsStyle("bond", "harmonic", "", (("1", "300.0 2.5"),))
    assert lammps_commands([]) == []
    assert lammps_commands([one, bond]) == [
        "pair_style buck 6.0", "pair_coeff 1 1 2.0 0.5 0.0 6.0", "bond_style harmonic", "bond_coeff 1 300.0 2.5",
    ]  # fmt: skip
    assert lammps_commands([network, one]) == [
        "pair_style hybrid/overlay mliap unified m.pt 0 buck 6.0",
        "pair_coeff * * mliap A B",
        "pair_coeff 1 1 buck 2.0 0.5 0.0 6.0",
    ]
