"""Directed pairs within a cutoff in any periodic cell, from a list with a skin.

The list is built by vesin, which counts all periodic images: cells smaller than twice the cutoff are
right too. The order of the pairs (first, second, image) depends on the positions alone, not on when
the list was built, so sums over pairs are reproducible to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import vesin
from numba import njit


class NeighbourList:
    """Pair list that is rebuilt only when it must be.

    A list built with ``cutoff_A + skin_A`` holds all pairs within ``cutoff_A`` until a bead has moved
    by more than half the skin (Verlet, Phys. Rev. 159, 98, 1967). It is rebuilt then, when the cell
    changes, and when the number of beads does. A bead that was put back into the cell by a lattice
    vector counts as moved.

    Parameters
    ----------
    cutoff_A:
        Pairs up to this distance are returned.
    skin_A:
        0 or more; with 0 the list is rebuilt at each new configuration.
    """

    def __init__(self, cutoff_A: float, skin_A: float = 1.5) -> None:
        if not cutoff_A > 0 or not skin_A >= 0:
            raise ValueError(f"cutoff {cutoff_A} A must be positive, skin {skin_A} A not negative")
        self.cutoff_A = float(cutoff_A)
        self.skin_A = float(skin_A)
        #: How often the list was built.
        self.n_builds = 0
        self._vesin: Any = vesin.NeighborList(cutoff=self.cutoff_A + self.skin_A, full_list=True)
        self._positions = np.empty((0, 3))
        self._cell = np.empty((3, 3))
        self._first = self._second = np.empty(0, dtype=np.int64)
        self._shifts = np.empty((0, 3))
        # Fresh arrays at each step would cost more than the distances.
        self._buffers = (self._first, self._second, self._shifts)

    def candidates(self, positions_A: np.ndarray, cell_A: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All pairs of the list, those in the skin included, for loops that test the distance themselves.

        Returns
        -------
        first, second: (n_candidates,) int64 indices, sorted by first; each pair in both directions.
        shifts_A: (n_candidates, 3) lattice vector to be added to r_second - r_first.
            The arrays belong to the list: do not change them.
        """
        positions = np.ascontiguousarray(positions_A, dtype=np.float64)
        cell = np.ascontiguousarray(cell_A, dtype=np.float64)
        if not self._is_valid(positions, cell):
            self._build(positions, cell)
        return self._first, self._second, self._shifts

    def pairs(self, positions_A: np.ndarray, cell_A: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Directed pairs within the cutoff: each pair of beads in both directions, each image of its own.

        Parameters
        ----------
        positions_A: (n_beads, 3), not necessarily within the cell.
        cell_A: (3, 3) cell vectors as rows.

        Returns
        -------
        first, second: (n_pairs,) int64 indices, sorted by first.
        vectors: (n_pairs, 3), r_second - r_first + lattice vector, A.
            The arrays are overwritten by the next call: copy what must outlive it.
        """
        positions = np.ascontiguousarray(positions_A, dtype=np.float64)
        first, second, shifts = self.candidates(positions, cell_A)
        kept_first, kept_second, vectors = self._buffers
        n = _within(positions, first, second, shifts, self.cutoff_A**2, kept_first, kept_second, vectors)
        return kept_first[:n], kept_second[:n], vectors[:n]

    def _is_valid(self, positions: np.ndarray, cell: np.ndarray) -> bool:
        if self.n_builds == 0 or positions.shape != self._positions.shape:
            return False
        if not np.array_equal(cell, self._cell):
            return False
        moved = positions - self._positions
        return bool(np.einsum("ij,ij->i", moved, moved).max(initial=0.0) <= (0.5 * self.skin_A) ** 2)

    def _build(self, positions: np.ndarray, cell: np.ndarray) -> None:
        first, second, images = self._vesin.compute(
            points=positions, box=cell, periodic=True, quantities="ijS", copy=True
        )
        self._first, self._second, self._shifts = _in_order(
            first.astype(np.int64), second.astype(np.int64), images.astype(np.int64), cell, len(positions)
        )
        self._buffers = (np.empty_like(self._first), np.empty_like(self._second), np.empty((len(first), 3)))
        self._positions, self._cell = positions.copy(), cell.copy()
        self.n_builds += 1


@njit(cache=True)  # type: ignore[misc]
def _within(
    positions: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    shifts: np.ndarray,
    squared_cutoff: float,
    kept_first: np.ndarray,
    kept_second: np.ndarray,
    vectors: np.ndarray,
) -> int:
    """Write the pairs within the cutoff to the last three arrays and return their number."""
    n = 0
    for pair in range(len(first)):
        i, j = first[pair], second[pair]
        x = positions[j, 0] - positions[i, 0] + shifts[pair, 0]
        y = positions[j, 1] - positions[i, 1] + shifts[pair, 1]
        z = positions[j, 2] - positions[i, 2] + shifts[pair, 2]
        # Written in any case and overwritten by the next pair if too far: no branch to mispredict.
        kept_first[n], kept_second[n] = i, j
        vectors[n, 0], vectors[n, 1], vectors[n, 2] = x, y, z
        n += x * x + y * y + z * z <= squared_cutoff
    return n


@njit(cache=True)  # type: ignore[misc]
def _stable_order(keys: np.ndarray, order: np.ndarray, n_keys: int) -> np.ndarray:
    """``order`` sorted by ``keys[order]`` (counting sort, stable); keys are below ``n_keys``."""
    starts = np.zeros(n_keys + 1, dtype=np.int64)
    for key in keys:
        starts[key + 1] += 1
    for key in range(n_keys):
        starts[key + 1] += starts[key]
    result = np.empty_like(order)
    for item in order:
        key = keys[item]
        result[starts[key]] = item
        starts[key] += 1
    return result


@njit(cache=True)  # type: ignore[misc]
def _in_order(
    first: np.ndarray, second: np.ndarray, images: np.ndarray, cell: np.ndarray, n_beads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs sorted by first, second and image, with the lattice vectors of their images."""
    low, high = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    for pair in range(len(images)):
        for axis in range(3):
            low[axis] = min(low[axis], images[pair, axis])
            high[axis] = max(high[axis], images[pair, axis])
    span = high - low + 1
    code = np.empty_like(first)
    for pair in range(len(images)):
        a, b, c = images[pair, 0] - low[0], images[pair, 1] - low[1], images[pair, 2] - low[2]
        code[pair] = (a * span[1] + b) * span[2] + c
    order = _stable_order(code, np.arange(len(first)), span[0] * span[1] * span[2])
    order = _stable_order(second, order, n_beads)
    order = _stable_order(first, order, n_beads)
    shifts = np.empty((len(first), 3))
    for row in range(len(order)):
        a, b, c = images[order[row], 0], images[order[row], 1], images[order[row], 2]
        for axis in range(3):
            shifts[row, axis] = a * cell[0, axis] + b * cell[1, axis] + c * cell[2, axis]
    return first[order], second[order], shifts
