"""Angular distribution functions: the angle that two neighbours span at a central bead.

For a triplet A-B-C (B in the middle) and a radius r_max, n(k) counts over all frames the angles i-j-l
(i of A, j of B, l of C, i != l) with both neighbours closer than r_max to j; where A = C each unordered
pair of neighbours counts once. A bin of angles is a belt on the unit sphere, and neighbours without
any angular order fill it in proportion to its area, so counts are divided by it (the cone
correction, "sin theta")::

    w(k) = n(k) / (cos theta_lo - cos theta_hi)        P(k) = w(k) / (sum_k w(k) dtheta)

P is a density per degree and integrates to 1: isotropic neighbours give 1/180 everywhere, curves of
different r_max, bin width and number of angles compare directly, and a total absolute error between two of
them lies between 0 and 2. That makes the rule of thumb of Olowookere et al. (arXiv 2510.26650), 0.2 for a
substantial distortion, mean that a tenth of the distribution sits at other angles. Bins near 0 and 180
degrees are small belts with few counts and a large weight, hence noisy. In the convention ``travis`` each angle is
shared linearly between the two nearest bins before the same correction, and the mean over bins is 100
(docs/structure.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from .accumulate import Accumulator, Curve
from .grids import Grid
from .kernels import angle_histogram
from .pairs import Frame, near
from .spec import CGDISTILL, TRAVIS

#: Mean over the bins of a curve of TRAVIS.
_TRAVIS_MEAN = 100.0


class ADF(Accumulator):
    """Average P(theta), 1/deg, of triplets of types at one or more radii.

    Parameters
    ----------
    triplets: (n_triplets, 3) indices of types, the middle one is the centre.
    r_max_A: radii within which both neighbours lie; each is exclusive.
    grid: angles from 0 to 180 degrees. In the convention ``travis`` they may start above 0: what is below is left out.

    A triplet of which no angle was found has P = 0 everywhere.
    """

    metric = "adf"
    _VALUE_UNITS: ClassVar = {CGDISTILL: "1/deg", TRAVIS: "1 (TRAVIS, mean 100)"}

    def __init__(
        self,
        type_names: Sequence[str],
        bead_types: np.ndarray,
        grid: Grid,
        triplets: Sequence[Sequence[int]] | np.ndarray,
        r_max_A: Sequence[float],
        convention: str = CGDISTILL,
    ) -> None:
        super().__init__(type_names, bead_types, grid, convention)
        if (grid.start != 0.0 and not self.shared) or grid.stop != 180.0:
            raise ValueError("the angles of an ADF go from 0 to 180 degrees")
        self.triplets = np.asarray(triplets, dtype=np.int64).reshape(-1, 3)
        self.r_max_A = np.sort(np.asarray(r_max_A, dtype=np.float64))
        self._cosines = np.cos(np.radians(grid.edges))

    def measure(self, frame: Frame) -> np.ndarray:
        """(n_triplets, n_r_max, n_bins) angles of one frame."""
        pairs = near(frame, float(self.r_max_A[-1]))
        shells = angle_histogram(
            pairs.first,
            pairs.second,
            pairs.distances_A,
            pairs.vectors_A,
            self.bead_types,
            len(self.type_names),
            self.triplets,
            self.r_max_A,
            self.grid.edges,
            self.shared,
        )
        return shells.cumsum(axis=1)  # a radius holds all angles of the smaller ones

    def curves(self) -> list[Curve]:
        """Average P(theta) of each triplet and radius."""
        weighted = self.total / (self._cosines[:-1] - self._cosines[1:])
        areas = weighted.sum(axis=-1, keepdims=True)
        areas *= 1.0 / (_TRAVIS_MEAN * self.grid.n_bins) if self.shared else self.grid.width
        densities = np.divide(weighted, areas, out=np.zeros_like(weighted), where=areas > 0)
        return [
            Curve("-".join(self.type_names[index] for index in triplet), float(radius), densities[t, m])
            for t, triplet in enumerate(self.triplets)
            for m, radius in enumerate(self.r_max_A)
        ]
