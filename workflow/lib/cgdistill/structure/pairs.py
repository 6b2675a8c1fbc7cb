"""Pairs of beads within a cutoff, in any cell; shared by the metrics of one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import vesin


@dataclass(frozen=True)
class Pairs:
    """Pairs of one frame, each once.

    Attributes
    ----------
    cutoff_A: all pairs below it are there.
    first, second: (n_pairs,) indices of the beads.
    distances_A: (n_pairs,)
    vectors_A: (n_pairs, 3) from the first to the second.
    """

    cutoff_A: float
    first: np.ndarray
    second: np.ndarray
    distances_A: np.ndarray
    vectors_A: np.ndarray


@dataclass(frozen=True)
class Frame:
    """Positions (n_beads, 3), cell (3, 3) and the pairs of one frame."""

    positions_A: np.ndarray
    cell_A: np.ndarray
    pairs: Pairs

    @property
    def volume_A3(self) -> float:
        """Volume of the cell, A^3."""
        return float(abs(np.linalg.det(self.cell_A)))


def find_pairs(positions_A: np.ndarray, cell_A: np.ndarray, cutoff_A: float) -> Pairs:
    """All pairs closer than ``cutoff_A``, periodic in three directions (vesin).

    A cutoff beyond half of the cell is allowed: each image of a pair is then an entry.

    Parameters
    ----------
    positions_A: (n_beads, 3), wrapped or not.
    cell_A: (3, 3) rows are the cell vectors.
    """
    # One thread: frames run side by side, and vesin would otherwise take all cores.
    search = vesin.NeighborList(cutoff=cutoff_A, full_list=False, n_threads=1)
    first, second, distances, vectors = search.compute(
        points=np.ascontiguousarray(positions_A, dtype=np.float64),
        box=np.ascontiguousarray(cell_A, dtype=np.float64),
        periodic=True,
        quantities="ijdD",
    )
    return Pairs(
        cutoff_A=float(cutoff_A),
        first=np.asarray(first).astype(np.int64),
        second=np.asarray(second).astype(np.int64),
        distances_A=np.asarray(distances),
        vectors_A=np.asarray(vectors).reshape(-1, 3),
    )


def make_frame(positions_A: np.ndarray, cell_A: np.ndarray, cutoff_A: float) -> Frame:
    """Frame with its pairs below ``cutoff_A``."""
    positions = np.asarray(positions_A, dtype=np.float64)
    cell = np.asarray(cell_A, dtype=np.float64)
    return Frame(positions, cell, find_pairs(positions, cell, cutoff_A))
