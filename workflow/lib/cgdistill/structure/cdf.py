"""Cluster distribution functions: the distances at which clusters of one bead type merge.

Let a cutoff grow from zero and call beads closer than it connected. Clusters merge one by one until a
single one is left; the N - 1 distances of the mergers are those of single linkage, and they are the edge
lengths of the minimum spanning tree of the beads under periodic boundaries (Gower and Ross,
Appl. Stat. 1969, 18, 54; as structure analysis: Froembgen et al., J. Chem. Inf. Model. 2022, 62, 5634).
With m(k) of them in bin k over F frames::

    C(k) = m(k) / (F (N - 1) dr)

a density per Angstrom that integrates to 1 where the grid holds all distances (what lies beyond the grid
is missing from the integral, and `CDF.beyond` says how much). TRAVIS gives 100 m(k)/F: 100 (N - 1) dr times
this. The tree is exact: every pair's nearest image is considered, at any distance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .accumulate import Accumulator, Curve
from .grids import Grid
from .kernels import tree_lengths
from .pairs import Frame, find_pairs

#: Beads of a random distribution that have no neighbour within the first cutoff, and the factor by which a cutoff that
#: leaves the beads in parts grows.
_LONELY = 0.3
_GROWTH = 1.5


def merge_distances_A(frame: Frame) -> np.ndarray:
    """Single-linkage merge distances of the beads of one frame, A.

    The pairs below a cutoff that connects all beads contain the tree; the cutoff grows until they do.

    Returns
    -------
    (n_beads - 1,) ascending.
    """
    n_beads = frame.n_beads
    if n_beads < 2:
        return np.zeros(0)
    sphere_A3 = frame.volume_A3 / n_beads * np.log(n_beads / _LONELY)
    cutoff_A = float((sphere_A3 / (4.0 / 3.0 * np.pi)) ** (1.0 / 3.0))
    while True:
        pairs = find_pairs(frame, cutoff_A)
        order = np.argsort(pairs.distances_A)
        lengths = tree_lengths(order, pairs.first, pairs.second, pairs.distances_A, n_beads)
        if len(lengths) == n_beads - 1:
            return lengths
        cutoff_A *= _GROWTH


class CDF(Accumulator):
    """Average C(r), 1/A, of each bead type with two beads or more."""

    metric = "cdf"
    value_unit = "1/A"

    def __init__(self, type_names: Sequence[str], bead_types: np.ndarray, grid: Grid) -> None:
        super().__init__(type_names, bead_types, grid)
        self._members = [np.flatnonzero(self.bead_types == t) for t in range(len(self.type_names))]

    def measure(self, frame: Frame) -> np.ndarray:
        """(n_types, n_bins) merge distances of one frame."""
        counts = np.zeros((len(self.type_names), self.grid.n_bins), dtype=np.int64)
        for index, members in enumerate(self._members):
            lengths = merge_distances_A(frame.part(members))
            bins = np.floor((lengths - self.grid.start) / self.grid.width).astype(np.int64)
            inside = bins[(bins >= 0) & (bins < self.grid.n_bins)]
            counts[index] = np.bincount(inside, minlength=self.grid.n_bins)
        return counts

    def curves(self) -> list[Curve]:
        """Average C(r) of each type."""
        return [
            Curve(name, np.nan, self.total[t] / (self.n_frames * (count - 1) * self.grid.width))
            for t, (name, count) in enumerate(zip(self.type_names, self.type_counts, strict=True))
            if count > 1
        ]

    def beyond(self) -> dict[str, float]:
        """Fraction of the merge distances of each type that lies outside the grid."""
        return {curve.item: 1.0 - float(curve.values.sum() * self.grid.width) for curve in self.curves()}
