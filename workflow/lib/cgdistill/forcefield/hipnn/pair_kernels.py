"""Loops over given pairs of beads on a CPU: rows, repulsive prior, forces."""

from __future__ import annotations

import numpy as np
from numba import prange

from .compiled import parallel, serial

#: exp(-60) of the force at contact is nothing, even in double precision.
NEGLIGIBLE = -60.0


@serial
def row_bounds(
    first: np.ndarray, second: np.ndarray, types: np.ndarray, n_types: int, starts: np.ndarray, ends: np.ndarray
) -> bool:
    """Fill starts and ends (n_beads * n_types,) of rows of sorted pairs; False where the pairs are not sorted."""
    starts[:] = 0
    ends[:] = 0
    last = -1
    for pair in range(len(first)):
        row = first[pair] * n_types + types[second[pair]]
        if row != last:
            if row < last:
                return False
            starts[row] = pair
            last = row
        ends[row] = pair + 1
    return True


@serial
def forces_from_pairs(gradient: np.ndarray, first: np.ndarray, second: np.ndarray, forces: np.ndarray) -> None:
    """Fill ``forces`` (n_beads, 3) from dE/d(vector) (n_pairs, 3) of directed pairs from ``first`` to ``second``."""
    sums = np.zeros(forces.shape)
    for pair in range(len(first)):
        i, j = first[pair], second[pair]
        for axis in range(3):
            sums[i, axis] += gradient[pair, axis]
            sums[j, axis] -= gradient[pair, axis]
    forces[:] = sums


@parallel
def differences(values: np.ndarray, first: np.ndarray, second: np.ndarray, out: np.ndarray) -> None:
    """Fill ``out`` (n_pairs, 3) with values[first] - values[second]."""
    for pair in prange(len(first)):
        i, j = first[pair], second[pair]
        for axis in range(3):
            out[pair, axis] = values[i, axis] - values[j, axis]


@serial
def prior_energies_and_forces(
    vectors: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    types: np.ndarray,
    log_E0: np.ndarray,
    a: np.ndarray,
    energies: np.ndarray,
    forces: np.ndarray,
) -> None:
    """Fill per-bead energies (n_beads,) and forces (n_beads, 3) of the repulsive prior over directed pairs.

    ``log_E0, a``: (n_types, n_types), logarithm of kcal/mol and 1/A. Each direction of a pair has half its energy.
    """
    energies[:] = 0.0
    forces[:] = 0.0
    for pair in range(len(first)):
        i, j = first[pair], second[pair]
        ti, tj = types[i], types[j]
        x, y, z = np.float64(vectors[pair, 0]), np.float64(vectors[pair, 1]), np.float64(vectors[pair, 2])
        squared = x * x + y * y + z * z
        reach = (log_E0[ti, tj] - NEGLIGIBLE) / a[ti, tj]
        if reach > 0.0 and squared < reach * reach:
            distance = np.sqrt(squared)
            half = 0.5 * np.exp(log_E0[ti, tj] - a[ti, tj] * distance)
            energies[i] += half
            push = a[ti, tj] * half / distance
            forces[i, 0] -= push * x
            forces[i, 1] -= push * y
            forces[i, 2] -= push * z
            forces[j, 0] += push * x
            forces[j, 1] += push * y
            forces[j, 2] += push * z
