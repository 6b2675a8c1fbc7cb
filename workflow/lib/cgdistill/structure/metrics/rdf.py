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

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..conventions import CGDISTILL, TRAVIS
from ..grids import Grid
from .accumulator import Accumulator, Curve
from .base import Beads, Metric, check_keys, length_grid
from .presentation import OLOWOOKERE, Command, Presentation, RuleOfThumb, System, plain_number, positive_option

if TYPE_CHECKING:
    import pandas as pd

    from ..pairs import Frame


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
        from ..pairs import count_distances

        if self.shared:
            return self._measure_shared(frame) * frame.volume_A3
        return count_distances(frame, self._members, self.grid.width, self.grid.n_bins) * frame.volume_A3

    def _measure_shared(self, frame: Frame) -> np.ndarray:
        """(n_types, n_types, n_bins) shares of the pairs of one frame, the lower type first."""
        from ..kernels import shared_histogram
        from ..pairs import near

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


@dataclass(frozen=True)
class RDFSettings:
    """Bins of distances, A, from 0."""

    grid: Grid


class RadialDistribution(Metric[RDFSettings]):
    """The metric ``rdf``."""

    name = RDF.metric
    required = True  # drift of a run is judged by its peaks

    def settings(self, section: Mapping[str, Any], source: str) -> RDFSettings:
        """Keys ``r_max_A`` and ``bin_width_A``."""
        check_keys(section, "structure.rdf", ("r_max_A", "bin_width_A"), (), source)
        return RDFSettings(length_grid(section, "structure.rdf", source))

    def accumulator(self, settings: RDFSettings, beads: Beads, convention: str, source: str) -> RDF:
        """g(r) of all pairs of types."""
        return RDF(beads.type_names, beads.types, settings.grid, convention)

    def reach_A(self, settings: RDFSettings) -> float:
        """Beyond half of the cell a shell meets itself across the boundary."""
        return settings.grid.stop


METRIC = RadialDistribution()

#: The RDF goes so far where options do not say, A, or to this share of half of the cell, which may change.
_R_MAX_A, _WITHIN = 20.0, 0.98
_BIN_A = 0.1  # of Olowookere et al., arXiv 2510.26650


class _Command(Command):
    help = "radial distribution functions of all pairs of types: first peak, first minimum, coordination numbers"
    example = "cgdistill rdf run.lammpstrj --types Cho Cl Urea --figure rdf.svg"

    def add_options(self, group: Any, prefix: str) -> None:
        group.add_argument(
            f"--{prefix}r-max", dest="rdf_r_max", type=positive_option, metavar="A",
            help=f"end of the bins (default: half of the cell, at most {_R_MAX_A:g})",
        )  # fmt: skip
        group.add_argument(
            f"--{prefix}bin-width", dest="rdf_bin_width", type=positive_option, default=_BIN_A, metavar="A",
            help=f"default: {_BIN_A:g}",
        )  # fmt: skip

    def settings(self, options: argparse.Namespace, system: System, source: str) -> RDFSettings:
        width, stop = options.rdf_bin_width, options.rdf_r_max
        if stop is None:
            stop = width * float(np.floor(min(_R_MAX_A, _WITHIN * system.half_width_A) / width))
        return RDFSettings(Grid.from_config("bin width of the RDF", 0.0, stop, width, "A", source))

    def settings_of(self, curves: pd.DataFrame, type_names: Sequence[str], source: str) -> RDFSettings:
        return RDFSettings(Grid.of_centres(curves["x"].to_numpy(), "A"))

    def landmarks(self, curves: pd.DataFrame, system: System) -> pd.DataFrame:
        from ..landmarks import rdf_landmarks

        # In the convention of TRAVIS a bead counts among its own partners.
        like_counts = int(not curves["value_unit"].str.contains("TRAVIS").any())
        return rdf_landmarks(curves, system.counts, system.volume_A3, like_counts)


def _x_limits(x: np.ndarray, mean: np.ndarray) -> tuple[float, float]:
    """From shortly before the first distance of the reference."""
    filled = x[mean > 1e-6]
    return (max(0.0, float(filled.min()) - 1.0) if len(filled) else 0.0), float(x.max())


def _methods(settings: RDFSettings) -> str:
    grid = settings.grid
    return f"RDFs to {plain_number(grid.stop)} Å in bins of {plain_number(grid.width)} Å"


def _caption(settings: RDFSettings) -> str:
    grid = settings.grid
    return f"Radial distribution functions in bins of {grid.width:g} Å up to {grid.stop:g} Å."


PRESENTATION = Presentation(
    name=METRIC.name,
    title="RDF",
    long_title="Radial distribution functions",
    item="pair",
    items="pairs",
    x_label="$r$ / Å",
    y_symbol="$g(r)$",
    error_unit="Å",
    methods=_methods,
    caption=_caption,
    rule_of_thumb=RuleOfThumb(1.0, OLOWOOKERE),
    x_limits=_x_limits,
    command=_Command(),
)
