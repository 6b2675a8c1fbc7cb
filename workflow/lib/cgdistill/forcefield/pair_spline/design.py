"""Linear dependence of forces and energies of beads on the coefficients: one row per number, summed over pairs.

Columns of a bead are those of its pairs with each type in turn: column t * n_functions + k belongs to function k of the
pair of its own type and type t. Rows of beads of one type share their columns, so that products of rows cost no more
than they must.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

#: Typed loosely: mypy cannot follow what numba makes of a function.
compiled: Any = njit(cache=True)


@compiled  # type: ignore[untyped-decorator]
def force_rows(
    first: np.ndarray,
    second: np.ndarray,
    vectors: np.ndarray,
    types: np.ndarray,
    rows: np.ndarray,
    grid: tuple[float, float, float],
    polynomials: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill ``out`` (n_beads, 3, n_types * n_functions) with the derivative of the forces by the coefficients.

    Parameters
    ----------
    first, second, vectors: directed pairs, (n,), (n,) and (n, 3) from first to second, A.
    types, rows: (n_beads,) type and row of each bead.
    grid: lowest break, knot spacing and cutoff, A.
    polynomials: `SplineBasis.force_polynomials`.
    """
    start, spacing, cutoff = grid
    n_intervals, n_local = polynomials.shape[0], polynomials.shape[1]
    n_functions = n_intervals + n_local - 1
    out[:] = 0.0
    for pair in range(len(first)):
        x, y, z = vectors[pair, 0], vectors[pair, 1], vectors[pair, 2]
        r = np.sqrt(x * x + y * y + z * z)
        if r > cutoff or r == 0.0:
            continue
        interval = min(int((r - start) / spacing), n_intervals - 1)
        rest = r - (cutoff - spacing * (n_intervals - interval))
        row = rows[first[pair]]
        column = types[second[pair]] * n_functions + interval
        for local in range(n_local):
            value = 0.0
            for power in range(n_local - 1, -1, -1):
                value = value * rest + polynomials[interval, local, power]
            value /= -r
            out[row, 0, column + local] += value * x
            out[row, 1, column + local] += value * y
            out[row, 2, column + local] += value * z


@compiled  # type: ignore[untyped-decorator]
def energy_rows(
    first: np.ndarray,
    second: np.ndarray,
    vectors: np.ndarray,
    types: np.ndarray,
    rows: np.ndarray,
    grid: tuple[float, float, float],
    polynomials: np.ndarray,
    integrals: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill ``out`` (n_beads, n_types * n_functions) with the derivative of bead energies by the coefficients, A.

    A bead has half the energy of each of its pairs. ``polynomials``: `SplineBasis.energy_polynomials`, ``integrals``:
    `SplineBasis.integrals_A`; the rest as for `force_rows`.
    """
    start, spacing, cutoff = grid
    n_intervals, n_local = polynomials.shape[0], polynomials.shape[1]
    n_functions = n_intervals + n_local - 1
    # Functions beyond those of the pair's interval enter by their whole integral: they are counted, then summed.
    beyond = np.zeros(out.shape)
    out[:] = 0.0
    for pair in range(len(first)):
        x, y, z = vectors[pair, 0], vectors[pair, 1], vectors[pair, 2]
        r = np.sqrt(x * x + y * y + z * z)
        if r > cutoff or r == 0.0:
            continue
        interval = min(int((r - start) / spacing), n_intervals - 1)
        rest = r - (cutoff - spacing * (n_intervals - interval))
        row = rows[first[pair]]
        column = types[second[pair]] * n_functions + interval
        for local in range(n_local):
            value = 0.0
            for power in range(n_local, -1, -1):
                value = value * rest + polynomials[interval, local, power]
            out[row, column + local] += 0.5 * value
        if interval + n_local < n_functions:
            beyond[row, column + n_local] += 0.5
    for row in range(len(out)):
        count = 0.0
        for column in range(out.shape[1]):
            function = column % n_functions
            count = beyond[row, column] + (count if function > 0 else 0.0)
            out[row, column] += count * integrals[function]


@compiled  # type: ignore[untyped-decorator]
def note_distances(
    first: np.ndarray,
    second: np.ndarray,
    vectors: np.ndarray,
    types: np.ndarray,
    cutoff: float,
    shortest: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Update the shortest distance, A, and the number of directed pairs of two types, both (n_types, n_types)."""
    for pair in range(len(first)):
        x, y, z = vectors[pair, 0], vectors[pair, 1], vectors[pair, 2]
        r = np.sqrt(x * x + y * y + z * z)
        if r <= cutoff:
            i, j = types[first[pair]], types[second[pair]]
            counts[i, j] += 1
            shortest[i, j] = min(shortest[i, j], r)
