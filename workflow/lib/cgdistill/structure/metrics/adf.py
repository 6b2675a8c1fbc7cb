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

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.errors import InputError
from ..conventions import CGDISTILL, TRAVIS
from ..grids import Grid
from .accumulator import Accumulator, Curve
from .base import Beads, Metric, check_keys, positive_number
from .presentation import (
    OLOWOOKERE,
    Command,
    Parameter,
    Presentation,
    RuleOfThumb,
    System,
    plain_number,
    positive_option,
)

if TYPE_CHECKING:
    import pandas as pd

    from ..pairs import Frame

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
        from ..kernels import angle_histogram
        from ..pairs import near

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

    def gaps(self) -> list[str]:
        """Triplets and radii without any angle."""
        found = [curve for curve in self.curves() if not curve.values.any()]
        return [f"no angle {curve.item} within {curve.parameter:g} A" for curve in found]


Triplet = tuple[str, str, str]


@dataclass(frozen=True)
class ADFSettings:
    """What is counted.

    Attributes
    ----------
    grid: bins of angles, degrees.
    triplets: names of bead types, the middle one is the centre.
    r_max_A: radii, ascending.
    """

    grid: Grid
    triplets: tuple[Triplet, ...]
    r_max_A: tuple[float, ...]


class AngularDistribution(Metric[ADFSettings]):
    """The metric ``adf``."""

    name = ADF.metric
    required = True

    def settings(self, section: Mapping[str, Any], source: str) -> ADFSettings:
        """Keys ``triplets``, ``r_max_A`` (a list) and ``bin_width_deg``."""
        check_keys(section, "structure.adf", ("triplets", "r_max_A", "bin_width_deg"), (), source)
        key = "structure.adf.bin_width_deg"
        width = positive_number(section["bin_width_deg"], key, source)
        grid = Grid.from_config(key, 0.0, 180.0, width, "deg", source)
        return ADFSettings(grid, _triplets(section["triplets"], source), _radii(section["r_max_A"], source))

    def accumulator(self, settings: ADFSettings, beads: Beads, convention: str, source: str) -> ADF | None:
        """P(theta) of all triplets and radii; None without triplets."""
        if not settings.triplets:
            return None
        triplets = triplet_indices(settings, beads.type_names, source)
        return ADF(beads.type_names, beads.types, settings.grid, triplets, settings.r_max_A, convention)

    def reach_A(self, settings: ADFSettings) -> float:
        """The largest radius; beyond half of the cell a shell meets itself across the boundary."""
        return max(settings.r_max_A) if settings.triplets else 0.0

    def parameters(self, settings: ADFSettings) -> tuple[float, ...]:
        """The radii; none without triplets."""
        return settings.r_max_A if settings.triplets else ()

    def check(self, settings: ADFSettings, beads: Beads, source: str) -> None:
        """Refuse triplets that the beads cannot form."""
        for number, triplet in enumerate(triplet_indices(settings, beads.type_names, source)):
            needed = np.bincount(triplet, minlength=len(beads.type_names))
            for index in np.flatnonzero(beads.counts < needed).tolist():
                found = f"{beads.counts[index]} bead(s) of type {beads.type_names[index]}"
                raise InputError(source, f"structure.adf.triplets[{number}]", found, f"at least {needed[index]}")


def triplet_indices(settings: ADFSettings, type_names: Sequence[str], source: str) -> np.ndarray:
    """(n_triplets, 3) indices of the types of each triplet.

    Raises
    ------
    InputError
        A triplet names a type that does not exist.
    """
    names = list(type_names)
    for number, triplet in enumerate(settings.triplets):
        for name in triplet:
            if name not in names:
                raise InputError(source, f"structure.adf.triplets[{number}]", name, f"one of {', '.join(names)}")
    indices = [[names.index(name) for name in triplet] for triplet in settings.triplets]
    return np.array(indices, dtype=np.int64).reshape(-1, 3)


def _radii(value: Any, source: str) -> tuple[float, ...]:
    key = "structure.adf.r_max_A"
    if not isinstance(value, list | tuple) or not value:
        raise InputError(source, key, value, "a list of radii, A")
    radii = sorted(positive_number(radius, key, source) for radius in value)
    if len(set(radii)) != len(radii):
        raise InputError(source, key, value, "each radius once")
    return tuple(radii)


def _triplets(value: Any, source: str) -> tuple[Triplet, ...]:
    key = "structure.adf.triplets"
    if not isinstance(value, list | tuple):
        raise InputError(source, key, value, "a list of triplets of bead types")
    triplets: list[Triplet] = []
    for number, triplet in enumerate(value):
        if not isinstance(triplet, list | tuple) or len(triplet) != 3:
            raise InputError(source, f"{key}[{number}]", triplet, "three bead types, the centre in the middle")
        a, b, c = (str(name) for name in triplet)
        if (a, b, c) in triplets or (c, b, a) in triplets:
            raise InputError(source, f"{key}[{number}]", "-".join((a, b, c)), "each triplet once")
        triplets.append((a, b, c))
    return tuple(triplets)


METRIC = AngularDistribution()

#: Where options do not say: those of Olowookere et al., arXiv 2510.26650.
_R_MAX_A, _BIN_DEG = (6.0, 6.5, 7.5), 2.0


class _Command(Command):
    help = "angular distribution functions of triplets of types: peaks"
    example = "cgdistill adf conf.gro traj.xtc --topology conf.gro --triplets A-B-C --r-max 6 7.5"

    def add_options(self, group: Any, prefix: str) -> None:
        group.add_argument(
            "--triplets", nargs="+", metavar="A-B-C", help="types, the centre in the middle (default: A-A-A of each)"
        )
        group.add_argument(
            f"--{prefix}r-max", dest="adf_r_max", nargs="+", type=positive_option, default=list(_R_MAX_A), metavar="A",
            help=f"radii within which both neighbours lie (default: {' '.join(map('{:g}'.format, _R_MAX_A))})",
        )  # fmt: skip
        group.add_argument(
            f"--{prefix}bin-width", dest="adf_bin_width", type=positive_option, default=_BIN_DEG, metavar="DEG",
            help=f"default: {_BIN_DEG:g}",
        )  # fmt: skip

    def settings(self, options: argparse.Namespace, system: System, source: str) -> ADFSettings:
        grid = Grid.from_config("bin width of the ADF", 0.0, 180.0, options.adf_bin_width, "deg", source)
        names = system.beads.type_names
        if options.triplets is None:
            triplets = tuple((name, name, name) for name, count in system.counts.items() if count > 2)
        else:
            triplets = tuple(_triplet(text, names, source) for text in dict.fromkeys(options.triplets))
        return ADFSettings(grid, triplets, tuple(sorted(set(options.adf_r_max))))

    def settings_of(self, curves: pd.DataFrame, type_names: Sequence[str], source: str) -> ADFSettings:
        triplets = tuple(_triplet(item, type_names, source) for item in curves["item"].unique()) if type_names else ()
        radii = tuple(sorted(curves["parameter"].unique().tolist()))
        return ADFSettings(Grid.of_centres(curves["x"].to_numpy(), "deg"), triplets, radii)

    def landmarks(self, curves: pd.DataFrame, system: System) -> pd.DataFrame:
        from ..landmarks import adf_landmarks

        return adf_landmarks(curves)


def _triplet(text: str, names: Sequence[str], source: str) -> Triplet:
    """Three types joined by hyphens; a name may hold hyphens itself."""
    for a, b, c in product(names, repeat=3):
        if text == f"{a}-{b}-{c}":
            return a, b, c
    expected = f"three of {', '.join(names)} joined by hyphens, the centre in the middle"
    raise InputError(source, "triplet", text, expected)


def _methods(settings: ADFSettings) -> str:
    triplets = ", ".join(map("-".join, settings.triplets))
    radii = ", ".join(map(plain_number, settings.r_max_A))
    return (
        f"ADFs of {triplets} (the middle bead is the centre), both neighbours within {radii} Å, in bins of "
        f"{plain_number(settings.grid.width)}°"
    )


def _caption(settings: ADFSettings) -> str:
    return (
        f"Angular distribution functions in bins of {settings.grid.width:g}°; the middle bead is the centre and both "
        "neighbours lie within the radius named. Corrected for the solid angle: neighbours without angular order give "
        "a flat line."
    )


PRESENTATION = Presentation(
    name=METRIC.name,
    title="ADF",
    long_title="Angular distribution functions",
    item="triplet and radius",
    items="triplets and radii",
    x_label="angle / degree",
    y_symbol="$P(\\theta)$",
    methods=_methods,
    caption=_caption,
    parameter=Parameter("$r_{max}$", "Å", "A", "both neighbours within {}"),
    rule_of_thumb=RuleOfThumb(0.2, OLOWOOKERE),
    x_ticks=range(0, 181, 60),
    command=_Command(),
)
