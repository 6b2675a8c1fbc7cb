"""Radial distribution functions of all pairs of bead types.

For types a and b, with n_ab(k) the number of ordered pairs (i of a, j of b, i != j) whose distance
lies in bin k of one frame::

    g_ab(k) = < n_ab(k) V / (N_a (N_b - delta_ab) v_k) >      v_k = 4/3 pi (r_hi^3 - r_lo^3)

The shell volume is exact, not 4 pi r^2 dr. N_b - delta_ab is the number of partners that a bead has, so
the mean of an ideal gas of any size is exactly 1 (Allen and Tildesley, Computer Simulation of Liquids,
2nd ed. 2017, section 8.2 discusses the factor). TRAVIS divides by N_a N_b for one type as well: its g_aa is
(N_a - 1)/N_a times this one, 0.4 % lower for 250 beads; it also shares each pair linearly between the two
nearest bins, which rounds sharp peaks off a little.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .accumulate import Accumulator, Curve
from .grids import Grid
from .pairs import Frame, count_distances


class RDF(Accumulator):
    """Average g(r), dimensionless, of each pair of types that occurs (types in the order of their index).

    A type with a single bead has no g of its own.
    """

    metric = "rdf"
    value_unit = "1"

    def __init__(self, type_names: Sequence[str], bead_types: np.ndarray, grid: Grid) -> None:
        super().__init__(type_names, bead_types, grid)
        if grid.start != 0.0:
            raise ValueError("the distances of an RDF start at 0")
        self._members = [np.flatnonzero(self.bead_types == t) for t in range(len(self.type_names))]

    def measure(self, frame: Frame) -> np.ndarray:
        """(n_types, n_types, n_bins) pairs of one frame times the volume, A^3; each pair once."""
        return count_distances(frame, self._members, self.grid.width, self.grid.n_bins) * frame.volume_A3

    def curves(self) -> list[Curve]:
        """Average g(r) of each pair of types."""
        shells_A3 = 4.0 / 3.0 * np.pi * np.diff(self.grid.edges**3)
        curves = []
        for a, first in enumerate(self.type_names):
            for b in range(a, len(self.type_names)):
                # Pairs of one type were counted once, so partners are counted once too.
                n_pairs = self.type_counts[a] * (self.type_counts[b] - (a == b)) / (2 if a == b else 1)
                if n_pairs > 0:
                    values = self.total[a, b] / (self.n_frames * n_pairs * shells_A3)
                    curves.append(Curve(f"{first}-{self.type_names[b]}", np.nan, values))
        return curves
