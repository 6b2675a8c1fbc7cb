"""Temperature and frequencies from forces, on molecules drawn from a Boltzmann distribution that is known exactly.

Chains of three heavy atoms, each bond a Gaussian (a spring without length), so that positions can be drawn without
simulation; a hydrogen rides on each atom, with a pair of opposite forces of constraint that are no part of the
potential; a force on the whole chain, in proportion to the masses, stands for its neighbours.
Cannot show how far off real force fields are: tests/faults has the demo's liquid.
"""

from __future__ import annotations

import numpy as np
import pytest
from cgdistill.core.units import BOLTZMANN_kcal_mol_K
from cgdistill.data.force_checks import ForceSanityCheck
from cgdistill.data.unwrapping import bonds_within_residues, placement

N_CHAINS, SPRING = 300, 6.0
CELL = np.array([[24.0, 0.0, 0.0], [-5.0, 23.0, 0.0], [4.0, 6.0, 22.0]])
#: Heavy, its hydrogen, and so on.
MASSES = np.tile([12.0, 1.0, 14.0, 1.0, 16.0, 1.0], N_CHAINS)
RESIDUES = np.repeat(np.arange(N_CHAINS), 6)
BONDS = np.concatenate([np.array([[0, 1], [2, 3], [4, 5], [0, 2], [2, 4]]) + 6 * n for n in range(N_CHAINS)])


def draw(temperature_K: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Positions, A, each atom wrapped into the cell by itself, and forces, kcal/mol/A."""
    spread = np.sqrt(BOLTZMANN_kcal_mol_K * temperature_K / SPRING)
    steps = rng.normal(scale=spread, size=(N_CHAINS, 2, 3))
    heavy = rng.uniform(0, 24, size=(N_CHAINS, 1, 3)) + np.cumsum(np.pad(steps, ((0, 0), (1, 0), (0, 0))), axis=1)
    forces = np.zeros((N_CHAINS, 3, 2, 3))
    forces[:, :2, 0] += SPRING * steps
    forces[:, 1:, 0] -= SPRING * steps
    direction = rng.normal(size=(N_CHAINS, 3, 3))
    direction /= np.linalg.norm(direction, axis=2, keepdims=True)
    forces[:, :, 0] += 20.0 * direction
    forces[:, :, 1] -= 20.0 * direction
    masses = MASSES[:6].reshape(3, 2, 1)
    forces += rng.normal(scale=10.0, size=(N_CHAINS, 1, 1, 3)) * masses / masses.sum()
    positions = np.stack([heavy, heavy + direction], axis=2).reshape(-1, 3)
    fractions = positions @ np.linalg.inv(CELL)
    return (fractions - np.floor(fractions)) @ CELL, forces.reshape(-1, 3)


def scale_of(temperature_K: float, factor: float = 1.0, n_frames: int = 20) -> ForceSanityCheck:
    """What some frames say, their forces multiplied."""
    scale = ForceSanityCheck(MASSES, RESIDUES, BONDS)
    rng = np.random.default_rng(0)
    for _ in range(n_frames):
        positions, forces = draw(temperature_K, rng)
        scale.add(positions, factor * forces, CELL)
    return scale


@pytest.mark.parametrize("temperature_K", [200.0, 298.15, 600.0])
def test_temperature_is_that_of_the_distribution(temperature_K):
    """Forces of constraint, larger than the springs', change nothing."""
    found_K, error_K = scale_of(temperature_K).temperature_K()
    assert abs(found_K - temperature_K) < 4 * error_K
    assert error_K < 0.03 * temperature_K


@pytest.mark.parametrize("factor", [41.84, 1 / 41.84, 4.184])
def test_temperature_and_frequency_follow_the_forces(factor):
    one, other = scale_of(298.15), scale_of(298.15, factor)
    assert other.temperature_K()[0] == pytest.approx(factor * one.temperature_K()[0])
    assert other.frequency_per_cm == pytest.approx(factor * one.frequency_per_cm)


def test_frequency_of_an_oscillator():
    """An atom of 10 g/mol on a spring of 100 kcal/mol/A^2: sqrt(k/m) / (2 pi c) = 343.4 cm-1, by hand in SI units."""
    joules = 4184.0 / 6.02214076e23
    by_hand = np.sqrt(100.0 * joules * 1e20 / (0.010 / 6.02214076e23)) / (2 * np.pi * 2.99792458e10)
    n = 4000
    spread = np.sqrt(BOLTZMANN_kcal_mol_K * 298.15 / 100.0)
    forces = -100.0 * np.random.default_rng(1).normal(scale=spread, size=(n, 3))
    scale = ForceSanityCheck(np.full(n, 10.0), np.arange(n), np.empty((0, 2), dtype=int))
    scale.add(np.zeros((n, 3)), forces, CELL)
    assert by_hand == pytest.approx(343.4, abs=0.1)
    assert scale.frequency_per_cm == pytest.approx(by_hand, rel=0.03)


def test_sound_forces_have_no_fault_and_velocities_have():
    scale = scale_of(298.15)
    assert scale.fault() is None and scale.doubt() is None
    scale.reset()
    rng = np.random.default_rng(2)
    positions, _ = draw(298.15, rng)
    scale.add(positions, 30 * rng.normal(size=positions.shape) / np.sqrt(MASSES)[:, None], CELL)
    assert "velocities" in scale.fault()[0]


def test_order_of_the_atoms():
    """Two atoms of each chain exchanged with those of the next."""
    positions, forces = draw(298.15, np.random.default_rng(3))
    scale = ForceSanityCheck(MASSES, RESIDUES, BONDS)
    scale.add(np.roll(positions, 3, axis=0), forces, CELL)
    assert "longer than 3.5 A" in scale.fault()[0]


def test_placement_along_bonds_within_residues():
    """A bond to another residue places nothing; an atom without bonds follows the first of its residue."""
    residues, bonds = np.array([0, 0, 0, 1, 1]), np.array([[0, 2], [2, 3], [1, 2]])
    placed, parents, bonded = placement(residues, bonds)
    assert placed.tolist() == [1, 2, 4]
    assert parents.tolist() == [2, 0, 3]
    assert bonded.tolist() == [True, True, False]
    assert bonds_within_residues(residues, bonds).tolist() == [[0, 2], [1, 2]]
