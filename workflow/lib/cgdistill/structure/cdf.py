"""Cluster distribution functions: the distances at which clusters of one bead type merge.

Let a cutoff grow from zero and call beads closer than it connected. Clusters merge one by one until a
single one is left; the N - 1 distances of the mergers are those of single linkage, and they are the edge
lengths of the minimum spanning tree of the beads under periodic boundaries (Gower and Ross,
Appl. Stat. 1969, 18, 54; as structure analysis: Froembgen et al., J. Chem. Inf. Model. 2022, 62, 5634).
With m(k) of them in bin k over F frames::

    C(k) = m(k) / (F (N - 1) dr)

a density per Angstrom that integrates to 1 where the grid holds all distances (what lies beyond the grid
is missing from the integral, and `CDF.beyond` says how much). The tree is exact: every pair's nearest image is
considered, at any distance. In the convention ``travis`` the curve is 100 m(k)/F, where m(k) shares each distance
linearly between the two nearest bins (docs/structure.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from .accumulate import Accumulator, Curve
from .grids import Grid
from .kernels import shared_histogram, single_linkage
from .pairs import Frame, find_pairs
from .spec import CGDISTILL, TRAVIS

#: Beads of a random distribution that have no neighbour within the first cutoff, and the factor by which a cutoff that
#: leaves the beads in parts grows.
_LONELY = 0.3
_GROWTH = 1.5
#: TRAVIS gives the mergers in so many frames.
_TRAVIS_FRAMES = 100.0


def merge_distances_A(frame: Frame) -> np.ndarray:
    """Single-linkage merge distances of the beads of one frame, A: (n_beads - 1,) ascending."""
    return mergers(frame)[0]


def mergers(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Single linkage of the beads of one frame.

    The pairs below a cutoff that connects all beads contain the tree; the cutoff grows until they do.

    Returns
    -------
    lengths_A: (n_beads - 1,) merge distances, ascending.
    largest: (n_beads - 1,) beads in the largest cluster behind each merger.
    """
    n_beads = frame.n_beads
    if n_beads < 2:
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    sphere_A3 = frame.volume_A3 / n_beads * np.log(n_beads / _LONELY)
    cutoff_A = float((sphere_A3 / (4.0 / 3.0 * np.pi)) ** (1.0 / 3.0))
    while True:
        pairs = find_pairs(frame, cutoff_A)
        order = np.argsort(pairs.distances_A)
        lengths, largest = single_linkage(order, pairs.first, pairs.second, pairs.distances_A, n_beads)
        if len(lengths) == n_beads - 1:
            return lengths, largest
        cutoff_A *= _GROWTH


class CDF(Accumulator):
    """Average C(r), 1/A, of each bead type with two beads or more."""

    metric = "cdf"
    _VALUE_UNITS: ClassVar = {CGDISTILL: "1/A", TRAVIS: "1 (TRAVIS, in 100 frames)"}

    def __init__(
        self, type_names: Sequence[str], bead_types: np.ndarray, grid: Grid, convention: str = CGDISTILL
    ) -> None:
        super().__init__(type_names, bead_types, grid, convention)
        self.members = [np.flatnonzero(self.bead_types == t) for t in range(len(self.type_names))]

    def measure(self, frame: Frame) -> np.ndarray:
        """(n_types, n_bins) merge distances of one frame."""
        return self.count([merge_distances_A(frame.part(members)) for members in self.members])

    def count(self, lengths_A: Sequence[np.ndarray]) -> np.ndarray:
        """(n_types, n_bins) merge distances of one frame, given those of each type."""
        return np.stack([self._histogram(lengths) for lengths in lengths_A])

    def _histogram(self, lengths: np.ndarray) -> np.ndarray:
        """(n_bins,) merge distances of one type."""
        grid = self.grid
        if self.shared:
            rows = np.zeros(len(lengths), dtype=np.int64)
            return np.asarray(shared_histogram(lengths, rows, 1, grid.start, grid.width, grid.n_bins)[0])
        bins = np.floor((lengths - grid.start) / grid.width).astype(np.int64)
        return np.bincount(bins[(bins >= 0) & (bins < grid.n_bins)], minlength=grid.n_bins)

    def curves(self) -> list[Curve]:
        """Average C(r) of each type."""
        per_frame = self.total / self.n_frames
        return [
            Curve(
                self.type_names[t],
                np.nan,
                per_frame[t] * (_TRAVIS_FRAMES if self.shared else 1.0 / (n_mergers * self.grid.width)),
            )
            for t, n_mergers in self._n_mergers()
        ]

    def beyond(self) -> dict[str, float]:
        """Fraction of the merge distances of each type that lies outside the grid."""
        inside = self.total.sum(axis=-1) / self.n_frames
        return {self.type_names[t]: 1.0 - float(inside[t]) / n_mergers for t, n_mergers in self._n_mergers()}

    def _n_mergers(self) -> list[tuple[int, int]]:
        """Types of two beads or more and their mergers in a frame."""
        return [(t, count - 1) for t, count in enumerate(self.type_counts.tolist()) if count > 1]
