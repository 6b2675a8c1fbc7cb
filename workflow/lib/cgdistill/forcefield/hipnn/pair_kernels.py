"""Loops over given pairs of beads on a CPU: rows, differences, forces."""

from __future__ import annotations

import numpy as np
from numba import prange

from .compiled import parallel, serial


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
