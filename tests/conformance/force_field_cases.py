"""Configurations that every way of evaluating a force field must get right, and the truth for them.

The truth is hippynn's graph in float64 on pairs found by brute force, plus the repulsion by its formula.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from cgdistill.forcefield.forcefield import ForceField
from cgdistill.forcefield.hipnn.hippynn_import import compile_kernels
from cgdistill.forcefield.hipnn.model import BeadModel, NetworkSpec
from cgdistill.forcefield.potential import Evaluation
from cgdistill.forcefield.prior.repulsion import Repulsion
from cgdistill.forcefield.prior.terms import PriorTerms

TYPES = ("Cho", "Cl", "Urea")
CUTOFF_A = 5.0
#: The second pair of types has a prefactor as steep fits give it, the last none.
REPULSION = Repulsion(
    TYPES,
    np.array([[300.0, 1.0e12, 200.0], [1.0e12, 150.0, 250.0], [200.0, 250.0, 0.0]]),
    np.array([[3.1, 10.0, 2.9], [10.0, 2.7, 3.0], [2.9, 3.0, 2.8]]),
)
PRIOR = PriorTerms(TYPES, (REPULSION,))


@cache
def network(seed: int = 1, order: int = 2, cutoff_A: float = CUTOFF_A, n_features: int = 5) -> BeadModel:
    """Untrained network with a larger readout: its forces are as large as those of the repulsion."""
    spec = NetworkSpec(order, 1, 2, 6, n_features, cutoff_A, 2.0, cutoff_A - 0.5)
    model = BeadModel(spec, TYPES, seed).double().eval()
    with torch.no_grad():
        model.modules_.energy.layers[1].weight *= 100.0
    return model


@dataclass(frozen=True)
class Case:
    """A configuration and the networks that are averaged on it.

    Attributes
    ----------
    positions_A: (n_beads, 3), some outside the cell.
    cell_A: (3, 3) lower triangular, as LAMMPS wants it.
    types: (n_beads,)
    networks: what makes them.
    """

    positions_A: np.ndarray
    cell_A: np.ndarray
    types: np.ndarray
    networks: Callable[[], tuple[BeadModel, ...]] = lambda: (network(),)

    def force_field(self) -> ForceField:
        """Networks and prior."""
        return ForceField(PRIOR, self.networks())


def _pair(distance_A: float, types: Sequence[int] = (0, 1)) -> Case:
    """Two beads of one distance along an edge, so that it has no rounding, in a cell much larger."""
    return Case(np.array([[1.0, 2.0, 3.0], [1.0 + distance_A, 2.0, 3.0]]), 40.0 * np.eye(3), np.array(types))


def _lattice(cell_A: np.ndarray, side: int = 3, seed: int = 0, kinds: Sequence[int] = (0, 1, 2), **more) -> Case:
    """A disturbed lattice; some beads outside the cell."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) / side
    fractions = grid + rng.uniform(-0.1, 0.1, grid.shape) + rng.integers(-1, 2, grid.shape)
    return Case(fractions @ cell_A, cell_A, np.array(kinds)[np.arange(len(grid)) % len(kinds)], **more)


def _two_cutoffs() -> Case:
    """A box of twice the cutoff: pairs at exactly the cutoff, in both directions at once, and others."""
    corners = np.stack(np.meshgrid(*[[0.0, CUTOFF_A]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    others = corners + np.random.default_rng(2).uniform(1.7, 3.3, corners.shape)
    return Case(np.concatenate([corners, others]), 2 * CUTOFF_A * np.eye(3), np.arange(16) % 3)


TRICLINIC_A = np.array([[11.0, 0.0, 0.0], [-3.5, 10.5, 0.0], [2.5, 3.0, 10.0]])
CASES = {
    "lone bead": Case(np.array([[1.0, 2.0, 3.0]]), 40.0 * np.eye(3), np.array([1])),
    "pair at the cutoff": _pair(CUTOFF_A),
    "pair just inside the cutoff": _pair(CUTOFF_A - 1e-3),
    "pair just outside the cutoff": _pair(CUTOFF_A + 1e-6),
    "pair inside the repulsive core": _pair(1.0),
    "pair at the repulsive core": _pair(1.7, (0, 2)),
    "pair without repulsion": _pair(3.0, (2, 2)),
    "orthogonal cell": _lattice(np.diag([9.0, 12.0, 15.0])),
    "triclinic cell": _lattice(TRICLINIC_A, seed=3),
    "box of two cutoffs": _two_cutoffs(),
    "bead beside its own images": _lattice(np.diag([4.6, 5.4, 9.0]), side=2),
    "a type without beads": _lattice(TRICLINIC_A, seed=4, kinds=(0, 2)),
    "one type": _lattice(TRICLINIC_A, seed=5, kinds=(1,)),
    "order 0": _lattice(TRICLINIC_A, networks=lambda: (network(2, 0, n_features=9),)),
    "order 1": _lattice(TRICLINIC_A, networks=lambda: (network(3, 1),)),
    "mean of networks": _lattice(
        TRICLINIC_A, networks=lambda: (network(1), network(2), network(3, 1, 4.2), network(4, 0, n_features=9))
    ),
}


def pairs_within(case: Case, cutoff_A: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All directed pairs within a distance by brute force over images: first, second and vectors."""
    inverse = np.linalg.inv(case.cell_A)
    fractions = case.positions_A @ inverse
    wrapped = (fractions - np.floor(fractions)) @ case.cell_A
    reach = np.ceil(cutoff_A * np.linalg.norm(inverse, axis=0)).astype(int) + 1
    images = np.array(list(itertools.product(*(range(-n, n + 1) for n in reach)))) @ case.cell_A
    first, second, vectors = [], [], []
    for image in images:
        apart = wrapped[None] - wrapped[:, None] + image
        squared = (apart**2).sum(axis=2)
        i, j = np.nonzero((squared <= cutoff_A**2) & (squared > 1e-12))
        first.append(i)
        second.append(j)
        vectors.append(apart[i, j])
    return np.concatenate(first), np.concatenate(second), np.concatenate(vectors)


def _from_pairs(
    energies: np.ndarray, gradient: np.ndarray, first: np.ndarray, second: np.ndarray, vectors: np.ndarray
) -> Evaluation:
    """Forces and virial from the gradient of the energy by the vectors of directed pairs."""
    forces = np.zeros((len(energies), 3))
    np.add.at(forces, first, gradient)
    np.subtract.at(forces, second, gradient)
    stress = -vectors.T @ gradient
    virial = np.array([stress[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))])
    return Evaluation(float(energies.sum()), forces, virial, energies)


@cache
def network_truth(name: str) -> Evaluation:
    """Mean of the networks by hippynn's graph."""
    compile_kernels(False)
    case = CASES[name]
    first, second, vectors = pairs_within(case, CUTOFF_A)
    energies, gradient = np.zeros(len(case.types)), np.zeros(vectors.shape)
    arrays = (torch.as_tensor(array) for array in (case.types[None] + 1, first, second, vectors))
    species, *pairs = arrays
    for model in case.networks():
        own, slope = model.energies_and_pair_gradient(species, *pairs)
        energies += own.detach().numpy()[0] / len(case.networks())
        gradient += slope.detach().numpy() / len(case.networks())
    return _from_pairs(energies, gradient, first, second, vectors)


@cache
def prior_truth(name: str) -> Evaluation:
    """The repulsion by its formula, to half as far again as the library follows it."""
    case = CASES[name]
    first, second, vectors = pairs_within(case, 1.5 * REPULSION.cutoff_A)
    kinds = case.types[first], case.types[second]
    r, a = np.linalg.norm(vectors, axis=1), REPULSION.a_per_A[kinds]
    half = 0.5 * REPULSION.E0_kcal_mol[kinds] * np.exp(-a * r)
    energies = np.bincount(first, half, len(case.types))
    return _from_pairs(energies, -(a * half / r)[:, None] * vectors, first, second, vectors)
