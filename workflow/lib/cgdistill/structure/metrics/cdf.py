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

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..conventions import CGDISTILL, TRAVIS
from ..grids import Grid
from .accumulator import Accumulator, Curve
from .base import Beads, Metric, check_keys, length_grid, positive_number
from .presentation import OLOWOOKERE, Command, Presentation, RuleOfThumb, System, plain_number, positive_option

if TYPE_CHECKING:
    import pandas as pd

    from ..pairs import Frame

#: Windows of the time-resolved CDF where the section does not say, ps.
RESOLVED_EVERY_PS = 10.0
#: Share of the merge distances outside the grid above which a warning is given.
_MUCH_BEYOND = 1e-3

#: Beads of a random distribution that have no neighbour within the first cutoff, and the factor by which a cutoff that
#: leaves the beads in parts grows.
_LONELY = 0.3
_GROWTH = 1.5
#: TRAVIS gives the mergers in this number of frames.
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
    largest: (n_beads - 1,) beads in the largest cluster after each merger.
    """
    from ..kernels import single_linkage
    from ..pairs import find_pairs

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
            from ..kernels import shared_histogram

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

    def gaps(self) -> list[str]:
        """Types of which more than a few merge distances lie outside the grid."""
        return [
            f"cdf of {item}: {100 * share:.1f} % of the merge distances lie beyond structure.cdf.r_max_A"
            for item, share in self.beyond().items()
            if share > _MUCH_BEYOND
        ]


@dataclass(frozen=True)
class CDFSettings:
    """Bins of distances, A, from 0, and the windows, ps, over which a CDF resolved in time is averaged."""

    grid: Grid
    resolved_every_ps: float = RESOLVED_EVERY_PS


class ClusterDistribution(Metric[CDFSettings]):
    """The metric ``cdf``."""

    name = CDF.metric
    required = True  # drift and clustering of a run are judged by it

    def settings(self, section: Mapping[str, Any], source: str) -> CDFSettings:
        """Keys ``r_max_A``, ``bin_width_A`` and, optional, ``resolved_every_ps``."""
        check_keys(section, "structure.cdf", ("r_max_A", "bin_width_A"), ("resolved_every_ps",), source)
        every = section.get("resolved_every_ps", RESOLVED_EVERY_PS)
        grid = length_grid(section, "structure.cdf", source)
        return CDFSettings(grid, positive_number(every, "structure.cdf.resolved_every_ps", source))

    def accumulator(self, settings: CDFSettings, beads: Beads, convention: str, source: str) -> CDF:
        """C(r) of all types."""
        return CDF(beads.type_names, beads.types, settings.grid, convention)


METRIC = ClusterDistribution()

#: Where options do not say: those of Olowookere et al., arXiv 2510.26650.
_R_MAX_A, _BIN_A = 12.0, 0.1


class _Command(Command):
    help = "cluster distribution functions of each type: peak and mean of the merge distances"
    example = "cgdistill cdf aa.xtc --topology aa.tpr --mapping map.yaml --begin 500 -o cdf.csv"

    def add_options(self, group: Any, prefix: str) -> None:
        group.add_argument(
            f"--{prefix}r-max", dest="cdf_r_max", type=positive_option, default=_R_MAX_A, metavar="A",
            help=f"end of the bins (default: {_R_MAX_A:g})",
        )  # fmt: skip
        group.add_argument(
            f"--{prefix}bin-width", dest="cdf_bin_width", type=positive_option, default=_BIN_A, metavar="A",
            help=f"default: {_BIN_A:g}",
        )  # fmt: skip

    def settings(self, options: argparse.Namespace, system: System, source: str) -> CDFSettings:
        width, stop = options.cdf_bin_width, options.cdf_r_max
        return CDFSettings(Grid.from_config("bin width of the CDF", 0.0, stop, width, "A", source))

    def settings_of(self, curves: pd.DataFrame, type_names: Sequence[str], source: str) -> CDFSettings:
        return CDFSettings(Grid.of_centres(curves["x"].to_numpy(), "A"))

    def landmarks(self, curves: pd.DataFrame, system: System) -> pd.DataFrame:
        from ..landmarks import cdf_landmarks

        return cdf_landmarks(curves)


def _x_limits(x: np.ndarray, mean: np.ndarray) -> tuple[float, float]:
    """To shortly beyond the last distance of the reference."""
    filled, end = x[mean > 1e-6], float(x.max())
    return 0.0, min(end, float(filled.max()) + 2.0) if len(filled) else end


def _methods(settings: CDFSettings) -> str:
    grid = settings.grid
    return (
        f"CDFs (distances at which beads of a type merge into clusters) to {plain_number(grid.stop)} Å in bins of "
        f"{plain_number(grid.width)} Å, resolved in time in windows of {plain_number(settings.resolved_every_ps)} ps"
    )


def _caption(settings: CDFSettings) -> str:
    return (
        f"Cluster distribution functions in bins of {settings.grid.width:g} Å: how the distances are distributed at "
        "which clusters of one bead type merge as a cutoff grows. Peaks at smaller distances than in the reference "
        "mean aggregation."
    )


PRESENTATION = Presentation(
    name=METRIC.name,
    title="CDF",
    long_title="Cluster distribution functions",
    item="bead type",
    items="bead types",
    x_label="merge distance / Å",
    y_symbol="CDF",
    methods=_methods,
    caption=_caption,
    rule_of_thumb=RuleOfThumb(0.5, OLOWOOKERE),
    x_limits=_x_limits,
    open_in_targets=True,
    items_are_types=True,
    command=_Command(),
)
