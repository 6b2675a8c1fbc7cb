"""Directed pairs within a cutoff in any periodic cell, from a neighbour list with a skin.

The list is built by vesin, which includes all periodic images: cells smaller than twice the cutoff are treated
correctly. The order of the pairs (first, type of second, second, image) depends only on the positions, not on the step
at which the list was built, so that sums over pairs are reproducible to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import vesin
from numba import get_num_threads, njit, prange

from .cells import wrapped_fractions


@dataclass(frozen=True)
class Candidates:
    """Pairs of a neighbour list, including the skin, each in both directions, in rows of one bead and one type.

    Attributes
    ----------
    starts, ends: (n_beads * n_types,) int64; row i * n_types + t holds the pairs of bead i with beads of type t.
    second: (n_candidates,) int32, the neighbour.
    images: (n_candidates,) int32, row of ``shifts_A``.
    shifts_A: (n_images, 3) lattice vector added to r_second - r_first.
    """

    starts: np.ndarray
    ends: np.ndarray
    second: np.ndarray
    images: np.ndarray
    shifts_A: np.ndarray


class NeighbourList:
    """Neighbour list that is rebuilt only when necessary.

    A list built with ``cutoff_A + skin_A`` contains all pairs within ``cutoff_A`` until a bead has moved by more than
    half the skin (Verlet, Phys. Rev. 159, 98, 1967). It is rebuilt then, and when the cell or the number of beads
    changes. A bead that was wrapped into the cell counts as moved.

    Parameters
    ----------
    cutoff_A:
        Largest distance of the pairs returned.
    skin_A:
        0 or more; with 0 the list is rebuilt at each new configuration.
    bead_types:
        (n_beads,) types by which the pairs of a bead are sorted; None: not sorted by type.
    n_types:
        Number of types.
    """

    def __init__(
        self, cutoff_A: float, skin_A: float = 1.5, bead_types: np.ndarray | None = None, n_types: int = 1
    ) -> None:
        if not cutoff_A > 0 or not skin_A >= 0:
            raise ValueError(f"cutoff {cutoff_A} A must be positive, skin {skin_A} A not negative")
        self.cutoff_A = float(cutoff_A)
        self.skin_A = float(skin_A)
        self.n_types = n_types
        #: Number of times the list was built.
        self.n_builds = 0
        self._types = None if bead_types is None else np.ascontiguousarray(bead_types, dtype=np.int64)
        self._vesin: Any = vesin.NeighborList(
            cutoff=self.cutoff_A + self.skin_A, full_list=True, n_threads=get_num_threads()
        )
        self._positions = np.empty((0, 3))
        self._cell = np.empty((3, 3))
        self._list: Candidates | None = None
        # Allocating arrays at each step would cost more than computing the distances.
        self._buffers = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty((0, 3)))

    def candidates(self, positions_A: np.ndarray, cell_A: np.ndarray) -> Candidates:
        """All pairs of the list, including the skin; the caller tests distances and must not change the arrays."""
        positions = np.ascontiguousarray(positions_A, dtype=np.float64)
        cell = np.ascontiguousarray(cell_A, dtype=np.float64)
        if self._list is None or not self.is_valid(positions, cell):
            self._list = None  # frees the memory of the old list first
            self._list = self._build(positions, cell)
        return self._list

    def forget(self, bead_types: np.ndarray | None = None) -> None:
        """Rebuild the list at the next call, with new bead types if they are given."""
        self._list = None
        if bead_types is not None:
            self._types = np.ascontiguousarray(bead_types, dtype=np.int64)

    def pairs(self, positions_A: np.ndarray, cell_A: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Directed pairs within the cutoff: each pair of beads in both directions, each periodic image separately.

        Parameters
        ----------
        positions_A: (n_beads, 3), not necessarily within the cell.
        cell_A: (3, 3) cell vectors as rows.

        Returns
        -------
        first, second: (n_pairs,) int64 indices, sorted by first, then by the type of second.
        vectors: (n_pairs, 3), r_second - r_first + lattice vector, A.
            The next call overwrites the arrays.
        """
        positions = np.ascontiguousarray(positions_A, dtype=np.float64)
        found = self.candidates(positions, cell_A)
        if len(self._buffers[0]) <= len(found.second):
            size = len(found.second) + 1
            self._buffers = (np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64), np.empty((size, 3)))
        first, second, vectors = self._buffers
        n = _within(
            positions,
            found.starts,
            found.ends,
            self.n_types,
            found.second,
            found.images,
            found.shifts_A,
            self.cutoff_A**2,
            first,
            second,
            vectors,
        )
        return first[:n], second[:n], vectors[:n]

    def is_valid(self, positions: np.ndarray, cell: np.ndarray) -> bool:
        """Whether the current list is valid for these positions (n_beads, 3) and this cell (3, 3), A."""
        if self._list is None or positions.shape != self._positions.shape or not np.array_equal(cell, self._cell):
            return False
        return bool(_largest_move(positions, self._positions) <= (0.5 * self.skin_A) ** 2)

    def _build(self, positions: np.ndarray, cell: np.ndarray) -> Candidates:
        n_beads = len(positions)
        # Views of vesin's memory, valid until its next call.
        first, second, images = self._vesin.compute(
            points=positions, box=cell, periodic=True, quantities="ijS", copy=False
        )
        images = images.reshape(-1, 3)
        types = np.zeros(n_beads, dtype=np.int64) if self._types is None else self._types
        low = images.min(axis=0, initial=0).astype(np.int64)
        span = images.max(axis=0, initial=0).astype(np.int64) - low + 1
        starts, ends, second, codes = _in_rows(first, second, images, low, span, types, self.n_types)
        grid = np.stack(np.meshgrid(*[np.arange(n) for n in span], indexing="ij"), axis=-1).reshape(-1, 3) + low
        self._positions, self._cell = positions.copy(), cell.copy()
        self.n_builds += 1
        return Candidates(starts, ends, second, codes, grid @ cell)


def spatial_order(positions_A: np.ndarray, cell_A: np.ndarray, edge_A: float) -> np.ndarray:
    """(n_beads,) indices of the beads along a space-filling curve through boxes of about ``edge_A`` (Morton, 1966).

    In this order neighbours in space are close in memory, without which large systems lose speed to cache misses.
    """
    fractions, _ = wrapped_fractions(positions_A, cell_A)
    counts = np.clip(np.linalg.norm(cell_A, axis=1) / edge_A, 1, 1024).astype(np.int64)
    boxes = (fractions * counts).astype(np.int64)
    code = np.zeros(len(positions_A), dtype=np.int64)
    for bit in range(10):
        for axis in range(3):
            code |= ((boxes[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")


@njit(cache=True, fastmath={"nsz"})  # type: ignore[untyped-decorator]
def _largest_move(positions: np.ndarray, before: np.ndarray) -> float:
    """Largest squared displacement of any bead."""
    largest = 0.0
    for bead in range(len(positions)):
        x = positions[bead, 0] - before[bead, 0]
        y = positions[bead, 1] - before[bead, 1]
        z = positions[bead, 2] - before[bead, 2]
        largest = max(largest, x * x + y * y + z * z)
    return largest


@njit(cache=True)  # type: ignore[untyped-decorator]
def _within(
    positions: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    n_types: int,
    neighbours: np.ndarray,
    images: np.ndarray,
    shifts: np.ndarray,
    squared_cutoff: float,
    first: np.ndarray,
    second: np.ndarray,
    vectors: np.ndarray,
) -> int:
    """Write the pairs within the cutoff to the last three arrays and return their number."""
    n = 0
    for row in range(len(starts)):
        i = row // n_types
        for pair in range(starts[row], ends[row]):
            j, image = neighbours[pair], images[pair]
            x = positions[j, 0] - positions[i, 0] + shifts[image, 0]
            y = positions[j, 1] - positions[i, 1] + shifts[image, 1]
            z = positions[j, 2] - positions[i, 2] + shifts[image, 2]
            # Written in any case, and overwritten by the next pair if too far: no branch that is often mispredicted.
            first[n], second[n] = i, j
            vectors[n, 0], vectors[n, 1], vectors[n, 2] = x, y, z
            n += x * x + y * y + z * z <= squared_cutoff
    return n


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def _in_rows(
    first: np.ndarray,
    second: np.ndarray,
    images: np.ndarray,
    low: np.ndarray,
    span: np.ndarray,
    types: np.ndarray,
    n_types: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Starts and ends of the rows, neighbours and image codes; each row is sorted by neighbour and image."""
    n_beads = len(types)
    n_images = span[0] * span[1] * span[2]
    starts = np.zeros(n_beads * n_types, dtype=np.int64)
    for pair in range(len(first)):
        starts[np.int64(first[pair]) * n_types + types[second[pair]]] += 1
    begin = 0
    for row in range(len(starts)):
        count = starts[row]
        starts[row] = begin
        begin += count
    ends = starts.copy()
    # One number per pair encodes neighbour and image, so that both are sorted at once.
    keys = np.empty(len(first), dtype=np.int64)
    for pair in range(len(first)):
        row = np.int64(first[pair]) * n_types + types[second[pair]]
        a, b, c = images[pair, 0] - low[0], images[pair, 1] - low[1], images[pair, 2] - low[2]
        keys[ends[row]] = np.int64(second[pair]) * n_images + (a * span[1] + b) * span[2] + c
        ends[row] += 1
    neighbours = np.empty(len(first), dtype=np.int32)
    codes = np.empty(len(first), dtype=np.int32)
    for row in prange(len(starts)):
        # Insertion sort: rows are short, and numba takes seconds to compile its general sort.
        for pair in range(starts[row] + 1, ends[row]):
            key, place = keys[pair], pair
            while place > starts[row] and keys[place - 1] > key:
                keys[place] = keys[place - 1]
                place -= 1
            keys[place] = key
        for pair in range(starts[row], ends[row]):
            neighbours[pair] = keys[pair] // n_images
            codes[pair] = keys[pair] % n_images
    return starts, ends, neighbours, codes
