"""Pairs of beads in any periodic cell: their distances counted, or the near ones listed.

A vector shorter than half of the smallest width of the cell has fractional coordinates within half a cell, so up to
there the nearest image is found by rounding; beads are sorted into a grid of cells, and cells out of reach left out.
Beyond half the width a pair may have several images, and vesin lists them all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .kernels import Cell, near_pairs, pair_histogram, sort_into_cells

#: Beads in a grid cell of half the cutoff from which such cells pay; else cells are as wide as the cutoff.
_MANY = 4.0
#: What rounding may add to a cutoff of exactly half of the width.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Pairs:
    """Pairs of one frame, each once.

    Attributes
    ----------
    first, second: (n_pairs,) indices of the beads.
    distances_A: (n_pairs,)
    vectors_A: (n_pairs, 3) from the first to the second.
    """

    first: np.ndarray
    second: np.ndarray
    distances_A: np.ndarray
    vectors_A: np.ndarray


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes
    ----------
    cell_A: (3, 3) rows are the cell vectors.
    widths_A: (3,) distances between opposite faces.
    fractions: (3, n_beads) positions in units of the cell vectors, 0 to 1.
    """

    cell_A: np.ndarray
    widths_A: np.ndarray
    fractions: np.ndarray

    @classmethod
    def of(cls, positions_A: np.ndarray, cell_A: np.ndarray) -> Frame:
        """Frame of positions (n_beads, 3), wrapped or not, and a cell (3, 3)."""
        cell = np.asarray(cell_A, dtype=np.float64)
        inverse = np.linalg.inv(cell)
        fractions = (np.asarray(positions_A, dtype=np.float64) @ inverse).T
        widths_A = 1.0 / np.sqrt((inverse * inverse).sum(axis=0))
        return cls(cell, widths_A, np.ascontiguousarray(fractions - np.floor(fractions)))

    def part(self, members: np.ndarray) -> Frame:
        """The frame with some of the beads."""
        return Frame(self.cell_A, self.widths_A, np.ascontiguousarray(self.fractions[:, members]))

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return int(self.fractions.shape[1])

    @property
    def volume_A3(self) -> float:
        """Volume of the cell, A^3."""
        return float(abs(np.linalg.det(self.cell_A)))

    def holds(self, cutoff_A: float) -> bool:
        """Whether a pair has one image at most within the cutoff."""
        return bool(cutoff_A <= 0.5 * self.widths_A.min() * (1.0 + _ROUNDING))


@dataclass(frozen=True)
class _Sorted:
    """Beads of a frame on a grid of cells; see the kernels for the arrays."""

    beads: np.ndarray
    order: np.ndarray
    starts: np.ndarray
    n_cells: np.ndarray
    reach: np.ndarray

    @classmethod
    def of(cls, frame: Frame, cutoff_A: float) -> _Sorted:
        density = frame.n_beads / frame.volume_A3
        fineness = 2 if density * (0.5 * cutoff_A) ** 3 > _MANY else 1
        n_cells = np.maximum(np.floor(frame.widths_A * fineness / cutoff_A), 1.0).astype(np.int64)
        # Where all cells of a direction are within reach, one does.
        n_cells[n_cells <= 2 * fineness + 1] = 1
        reach = np.where(n_cells > 1, fineness, 0)
        order, starts = sort_into_cells(frame.fractions, n_cells)
        return cls(np.ascontiguousarray(frame.fractions[:, order]), order, starts, n_cells, reach)


def _numbers(cell_A: np.ndarray) -> Cell:
    a, b, c, d, e, f, g, h, i = cell_A.ravel().tolist()
    return a, b, c, d, e, f, g, h, i


def count_distances(frame: Frame, groups: list[np.ndarray], width_A: float, n_bins: int) -> np.ndarray:
    """Pairs of beads by their groups (lower index first) and distance: (n_groups, n_groups, n_bins), each pair once.

    Parameters
    ----------
    groups: indices of the beads of each group.
    width_A, n_bins: bins from 0.

    Raises
    ------
    ValueError
        The bins reach beyond half of the smallest width of the cell.
    """
    _check(frame, n_bins * width_A)
    grids = [_Sorted.of(frame.part(members), n_bins * width_A) for members in groups]
    cell = _numbers(frame.cell_A)
    counts = np.zeros((len(groups), len(groups), n_bins), dtype=np.int64)
    for b, second in enumerate(grids):
        for a, first in enumerate(grids[: b + 1]):
            grid = second.starts, second.n_cells, second.reach
            counts[a, b] = pair_histogram(first.beads, second.beads, *grid, cell, a == b, width_A, n_bins)
    return counts


def find_pairs(frame: Frame, cutoff_A: float) -> Pairs:
    """All pairs closer than ``cutoff_A``; beyond half of the cell, each image of a pair is an entry."""
    if not frame.holds(cutoff_A):
        return _all_images(frame, cutoff_A)
    grid = _Sorted.of(frame, cutoff_A)
    cell = _numbers(frame.cell_A)
    return Pairs(*near_pairs(grid.beads, grid.order, grid.starts, grid.n_cells, grid.reach, cell, cutoff_A))


def near(frame: Frame, cutoff_A: float) -> Pairs:
    """Pairs closer than ``cutoff_A``, at most one image each.

    Raises
    ------
    ValueError
        A cutoff beyond half of the smallest width of the cell.
    """
    _check(frame, cutoff_A)
    return find_pairs(frame, cutoff_A)


def _check(frame: Frame, cutoff_A: float) -> None:
    if not frame.holds(cutoff_A):
        raise ValueError(f"{cutoff_A:g} A is more than half of the cell, {0.5 * frame.widths_A.min():g} A")


def _all_images(frame: Frame, cutoff_A: float) -> Pairs:
    # Needed for sparse or small systems alone, and its import takes seconds (it loads torch).
    import vesin

    # One thread: frames run side by side, and vesin would otherwise take all cores.
    search = vesin.NeighborList(cutoff=cutoff_A, full_list=False, n_threads=1)
    first, second, distances, vectors = search.compute(
        points=np.ascontiguousarray(frame.fractions.T @ frame.cell_A),
        box=np.ascontiguousarray(frame.cell_A),
        periodic=True,
        quantities="ijdD",
    )
    return Pairs(
        first=np.asarray(first).astype(np.int64),
        second=np.asarray(second).astype(np.int64),
        distances_A=np.asarray(distances),
        vectors_A=np.asarray(vectors).reshape(-1, 3),
    )
