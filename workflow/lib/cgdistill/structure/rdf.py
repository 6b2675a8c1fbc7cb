"""Radial distribution functions of all pairs of bead types.

For types a and b, with n_ab(k) the number of ordered pairs (i of a, j of b, i != j) whose distance
lies in bin k of one frame::

    g_ab(k) = < n_ab(k) V / (N_a (N_b - delta_ab) v_k) >      v_k = 4/3 pi (r_hi^3 - r_lo^3)

The shell volume is exact, not 4 pi r^2 dr. N_b - delta_ab is the number of partners that a bead has, so
the mean of an ideal gas of any size is exactly 1 (Allen and Tildesley, Computer Simulation of Liquids,
2nd ed. 2017, section 8.2 discusses the factor). In the convention ``travis`` the factor is N_a N_b for one type as
well, and n_ab(k) shares each pair linearly between the two nearest bins (docs/structure.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from .accumulate import Accumulator, Curve
from .grids import Grid
from .kernels import shared_histogram
from .pairs import Frame, count_distances, near
from .spec import CGDISTILL, TRAVIS


class RDF(Accumulator):
    """Average g(r), dimensionless, of each pair of types that occurs (types in the order of their index).

    A type with a single bead has no g of its own.
    """

    metric = "rdf"
    _VALUE_UNITS: ClassVar = {CGDISTILL: "1", TRAVIS: "1 (TRAVIS)"}

    def __init__(
        self, type_names: Sequence[str], bead_types: np.ndarray, grid: Grid, convention: str = CGDISTILL
    ) -> None:
        super().__init__(type_names, bead_types, grid, convention)
        if grid.start != 0.0:
            raise ValueError("the distances of an RDF start at 0")
        self._members = [np.flatnonzero(self.bead_types == t) for t in range(len(self.type_names))]

    def measure(self, frame: Frame) -> np.ndarray:
        """(n_types, n_types, n_bins) pairs of one frame times the volume, A^3; each pair once."""
        if self.shared:
            return self._measure_shared(frame) * frame.volume_A3
        return count_distances(frame, self._members, self.grid.width, self.grid.n_bins) * frame.volume_A3

    def _measure_shared(self, frame: Frame) -> np.ndarray:
        """(n_types, n_types, n_bins) shares of the pairs of one frame, the lower type first."""
        n_types, pairs = len(self.type_names), near(frame, self.grid.stop)
        first, second = self.bead_types[pairs.first], self.bead_types[pairs.second]
        rows = np.minimum(first, second) * n_types + np.maximum(first, second)
        grid = self.grid.start, self.grid.width, self.grid.n_bins
        return shared_histogram(pairs.distances_A, rows, n_types**2, *grid).reshape(n_types, n_types, -1)

    def curves(self) -> list[Curve]:
        """Average g(r) of each pair of types."""
        shells_A3 = 4.0 / 3.0 * np.pi * np.diff(self.grid.edges**3)
        curves = []
        for a, first in enumerate(self.type_names):
            for b in range(a, len(self.type_names)):
                # Pairs of one type were counted once, so partners are counted once too.
                n_partners = self.type_counts[b] - (a == b and not self.shared)
                n_pairs = self.type_counts[a] * n_partners / (2 if a == b else 1)
                if n_pairs > 0 and (a != b or self.type_counts[a] > 1):
                    values = self.total[a, b] / (self.n_frames * n_pairs * shells_A3)
                    curves.append(Curve(f"{first}-{self.type_names[b]}", np.nan, values))
        return curves
