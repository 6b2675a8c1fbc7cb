"""Frames, known pair potentials and fits that the tests of pairwise splines share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from bead_cases import CELLS, TYPES, configuration
from cgdistill.forcefield.pair_spline.basis import PairSplineSpec, SplineBasis
from cgdistill.forcefield.pair_spline.equations import NormalEquations, add_frames
from cgdistill.forcefield.pair_spline.fit import fit
from cgdistill.forcefield.pair_spline.model import PairSplineModel
from cgdistill.geometry.neighbours import NeighbourList

SPEC = PairSplineSpec(cutoff_A=5.0, knot_spacing_A=0.5, smoothing_pairs=0.0)


def known_model(spec=SPEC, seed=1, shortest_A=1e-6) -> PairSplineModel:
    """Random coefficients and constants; the spline holds down to ``shortest_A``."""
    rng = np.random.default_rng(seed)
    coefficients = rng.normal(size=(3, SplineBasis.of(spec).n_functions))
    coefficients[:, -1] = 0.0
    return PairSplineModel(spec, TYPES, coefficients, np.full(3, shortest_A), rng.normal(size=2))


def frames_of(n_frames, cell="triclinic", seed=0, jitter=0.12):
    """Positions (n, 27, 3) of unrelated configurations, their cells (n, 3, 3), and bead types."""
    cells = np.repeat(CELLS[cell][None], n_frames, axis=0)
    positions = [configuration(CELLS[cell], seed=1000 * seed + k, jitter=jitter)[0] for k in range(n_frames)]
    return np.array(positions), cells, configuration(CELLS[cell])[1]


def labels_of(model, positions, cells, types):
    """Labels F, epsilon and E of a model that has ``evaluate``."""
    neighbours = NeighbourList(model.cutoff_A, 0.0, types, len(TYPES))
    found = [model.evaluate(*neighbours.pairs(*frame), types) for frame in zip(positions, cells, strict=True)]
    return {
        "F": np.array([item.forces_kcal_mol_A for item in found]),
        "epsilon": np.array([item.bead_energies_kcal_mol for item in found]),
        "E": np.array([item.energy_kcal_mol for item in found]),
    }


def equations_of(positions, cells, types, labels, spec=SPEC) -> NormalEquations:
    """Sums over frames."""
    equations = NormalEquations(SplineBasis.of(spec), len(TYPES), tuple(labels))
    add_frames(equations, zip(positions, cells, strict=True), types, labels)
    return equations


def fitted(positions, cells, types, labels, weights, spec=SPEC, **changes):
    """Model and report of a fit."""
    spec = replace(spec, **changes)
    return fit(equations_of(positions, cells, types, labels, spec), spec, weights, TYPES)


class ShiftedMorse:
    """Morse potentials of a mixture, D (y² - 2 y), y = exp(-a (r - r0)), shifted in energy and force at the cutoff."""

    cutoff_A = 5.0
    depth = np.array([0.40, 0.35, 0.30])
    place = np.array([2.6, 2.8, 3.0])
    steepness = np.array([1.2, 1.0, 0.9])

    def pair_values(self, pairs, distances):
        """Energy and force, as `PairSplineModel.pair_values`."""
        depth, place, steepness = self.depth[pairs], self.place[pairs], self.steepness[pairs]

        def bare(r):
            y = np.exp(-steepness * (r - place))
            return depth * (y**2 - 2 * y), 2 * depth * steepness * (y**2 - y)

        energy, force = bare(distances)
        energy_cut, force_cut = bare(self.cutoff_A)
        return energy - energy_cut + (distances - self.cutoff_A) * force_cut, force - force_cut

    def forces(self, first, second, vectors, types):
        """(n_beads, 3) forces of directed pairs."""
        distances = np.linalg.norm(vectors, axis=1)
        pairs = types[first] + types[second]  # of two types: 0-0, 0-1, 1-1
        on_first = -(self.pair_values(pairs, distances)[1] / distances)[:, None] * vectors
        return np.stack([np.bincount(first, on_first[:, axis], len(types)) for axis in range(3)], axis=1)
