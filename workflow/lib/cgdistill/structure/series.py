"""Numbers of a trajectory against time: distances, clusters, peaks; they show drift and aggregation.

Of each frame: ``min_distance``, the smallest distance of two beads; ``largest_cluster``, the share of a type's beads in
its largest cluster by single linkage below a cutoff, which is the median merge distance of that type in the reference.
Of each window in time: ``cdf_peak``, where C(r) of a type is highest; ``rdf_peak`` and ``rdf_peak_height``, the
first maximum of a pair's g(r).

Few frames make noisy curves. They are smoothed with a Gaussian of `SMOOTHING_A`, and a peak stands at the centroid of
its upper part, all around the maximum that is above `_UPPER` of its height: that scatters half as much as the maximum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from .curves import curve_table, with_total
from .files import CURVE_COLUMNS, SERIES_COLUMNS
from .metrics.accumulator import Accumulator
from .metrics.cdf import CDF, merge_distances_A, mergers
from .metrics.rdf import RDF
from .pairs import Frame, find_pairs

EQUILIBRATION, PRODUCTION = "equilibration", "production"
ALL = "all"
MIN_DISTANCE, LARGEST_CLUSTER, CUTOFF = "min_distance", "largest_cluster", "cluster_cutoff"
CDF_PEAK, RDF_PEAK, RDF_PEAK_HEIGHT = "cdf_peak", "rdf_peak", "rdf_peak_height"
#: Standard deviation of the Gaussian by which curves are smoothed for their peaks, A.
SMOOTHING_A = 0.3
#: Height, as a share of the highest, from which a maximum of g(r) counts.
_HIGH = 0.8
#: Share of the height above which a peak is averaged over.
_UPPER = 0.7
#: Smallest radius of a search for the nearest pair, in units of the mean distance of beads: bounds the grid of cells.
_SEARCH = 0.5


def highest_peak(x: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Place and height of the highest peak of a curve on a uniform grid; NaN where it is 0 throughout."""
    smooth = _smoothed(x, values)
    return _centroid(x, smooth, int(smooth.argmax()))


def first_peak(x: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Place and height of the first peak of at least `_HIGH` of the highest; NaN where the curve is 0 throughout."""
    smooth = _smoothed(x, values)
    padded = np.concatenate([[-np.inf], smooth, [-np.inf]])
    maxima = (padded[1:-1] >= padded[2:]) & (padded[1:-1] > padded[:-2]) & (smooth >= _HIGH * smooth.max())
    return _centroid(x, smooth, int(np.flatnonzero(maxima)[0]))


def _smoothed(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    width = (x[-1] - x[0]) / (len(x) - 1) if len(x) > 1 else 1.0
    return np.asarray(gaussian_filter1d(np.asarray(values, dtype=np.float64), SMOOTHING_A / width, mode="nearest"))


def _centroid(x: np.ndarray, values: np.ndarray, index: int) -> tuple[float, float]:
    """Centroid of what stands above `_UPPER` of a maximum around it, and its height."""
    height = float(values[index])
    if not height > 0:
        return math.nan, math.nan
    low = np.flatnonzero(values <= _UPPER * height)
    start = int(low[low < index].max(initial=-1)) + 1
    stop = int(low[low > index].min(initial=len(values)))
    weights = values[start:stop] - _UPPER * height
    return float(x[start:stop] @ weights / weights.sum()), height


def min_distance_A(frame: Frame, bound_A: float = math.inf) -> float:
    """Smallest distance of two beads, A; NaN for a single bead.

    Parameters
    ----------
    bound_A: a distance that some pair is known to have.
    """
    if frame.n_beads < 2:
        return math.nan
    floor_A = _SEARCH * (frame.volume_A3 / frame.n_beads) ** (1.0 / 3.0)
    cutoff_A = min(max(1.001 * bound_A, floor_A), 0.5 * float(frame.widths_A.min()))
    distances = find_pairs(frame, cutoff_A).distances_A
    return float(distances.min() if len(distances) else merge_distances_A(frame)[0])


def largest_share(lengths_A: np.ndarray, largest: np.ndarray, cutoff_A: float) -> float:
    """Share of beads in the largest cluster of beads connected below a cutoff, from `cdf.mergers`."""
    n_mergers = int(np.searchsorted(lengths_A, cutoff_A))
    return float(largest[n_mergers - 1] if n_mergers else 1) / (len(lengths_A) + 1)


def cluster_cutoffs(
    frames: Iterable[tuple[np.ndarray, np.ndarray]], type_names: Sequence[str], bead_types: np.ndarray
) -> dict[str, float]:
    """Median merge distance, A, of each type with two beads or more, over some frames.

    Parameters
    ----------
    frames: ``(positions_A, cell_A)``, (n_beads, 3) and (3, 3).
    """
    members = {name: np.flatnonzero(np.asarray(bead_types) == t) for t, name in enumerate(type_names)}
    found: dict[str, list[np.ndarray]] = {name: [] for name, beads in members.items() if len(beads) > 1}
    for positions, cell in frames:
        frame = Frame.of(positions, cell)
        for name, lengths in found.items():
            lengths.append(merge_distances_A(frame.part(members[name])))
    return {name: float(np.median(np.concatenate(lengths))) for name, lengths in found.items() if lengths}


class FrameMeasures:
    """Numbers of single frames.

    Parameters
    ----------
    cdf: says which beads are of which type.
    cutoffs_A: of the clusters, by type; types without one are left out.
    """

    def __init__(self, cdf: CDF, cutoffs_A: Mapping[str, float]) -> None:
        self.cdf = cdf
        self.cutoffs_A = [cutoffs_A.get(name) for name in cdf.type_names]
        shares = [name for name, c in zip(cdf.type_names, self.cutoffs_A, strict=True) if c is not None]
        self.rows = [(MIN_DISTANCE, ALL, "A"), *((LARGEST_CLUSTER, name, "1") for name in shares)]

    def measure(self, frame: Frame) -> tuple[np.ndarray, list[float]]:
        """What the CDF measures, and a value of each of ``rows``."""
        trees = [mergers(frame.part(members)) for members in self.cdf.members]
        bound_A = min((float(lengths[0]) for lengths, _ in trees if len(lengths)), default=math.inf)
        values = [min_distance_A(frame, bound_A)]
        for tree, cutoff_A in zip(trees, self.cutoffs_A, strict=True):
            if cutoff_A is not None:
                values.append(largest_share(*tree, cutoff_A))
        return self.cdf.count([lengths for lengths, _ in trees]), values


class Windows:
    """Averages over windows in time; a window holds the frames behind its start up to its end.

    Windows start at multiples of ``every_ps``; the first frame of a trajectory that stands at such a time belongs to
    the window that starts there. A window is of production where all of its frames are.

    Parameters
    ----------
    rdf, cdf: of the same types as what is added.
    """

    def __init__(self, rdf: RDF, cdf: CDF, every_ps: float) -> None:
        self.rdf, self.cdf, self.every_ps = rdf, cdf, every_ps
        self._index = self._n_frames = 0
        self._phase = PRODUCTION
        self._sums: tuple[np.ndarray, np.ndarray] | None = None
        self._cdf_table = pd.DataFrame(columns=CURVE_COLUMNS)
        self._curves: list[tuple[float, np.ndarray]] = []
        self.series: list[tuple[float, str, str, str, float, str]] = []

    def add(self, time_ps: float, phase: str, rdf: np.ndarray, cdf: np.ndarray) -> None:
        """Add what `RDF.measure` and `CDF.measure` gave of one frame; times ascend."""
        place = time_ps / self.every_ps
        index = math.ceil(place - 1e-6) - 1
        if self._sums is None and not self._curves:
            index = math.floor(place + 1e-6)
        elif self._sums is not None:
            index = max(index, self._index)
        if self._sums is None or index != self._index:
            self._close()
            self._index, self._n_frames, self._phase, self._sums = index, 0, PRODUCTION, (rdf, cdf)
        else:
            self._sums = self._sums[0] + rdf, self._sums[1] + cdf
        self._n_frames += 1
        if phase != PRODUCTION:
            self._phase = phase

    def _close(self) -> None:
        """End the current window."""
        if self._sums is None:
            return
        time_ps = self._index * self.every_ps
        rdf, cdf = (
            with_total(accumulator, total, self._n_frames)
            for accumulator, total in zip((self.rdf, self.cdf), self._sums, strict=True)
        )
        self._series_of(time_ps, rdf, cdf)
        if not self._curves:
            self._cdf_table = curve_table(cdf)
        self._curves.append((time_ps, np.concatenate([curve.values for curve in cdf.curves()] or [np.zeros(0)])))
        self._sums = None

    def _series_of(self, time_ps: float, rdf: Accumulator, cdf: Accumulator) -> None:
        for curve in cdf.curves():
            place, _ = highest_peak(cdf.grid.centres, curve.values)
            self.series.append((time_ps, self._phase, CDF_PEAK, curve.item, place, "A"))
        for curve in rdf.curves():
            place, height = first_peak(rdf.grid.centres, curve.values)
            self.series.append((time_ps, self._phase, RDF_PEAK, curve.item, place, "A"))
            self.series.append((time_ps, self._phase, RDF_PEAK_HEIGHT, curve.item, height, rdf.value_unit))

    def resolved(self) -> pd.DataFrame:
        """CDFs of the windows: ``time_ps`` (start of the window) and `CURVE_COLUMNS`; ends the last window."""
        self._close()
        times, values = [time for time, _ in self._curves], [value for _, value in self._curves]
        table = pd.concat([self._cdf_table] * max(1, len(times)), ignore_index=True)
        table = table.assign(value=np.concatenate(values) if values else 0.0)
        # Such tables are long: text is kept once.
        table = table.astype(dict.fromkeys(("metric", "item", "x_unit", "value_unit"), "category"))
        table.insert(0, "time_ps", np.repeat(np.array(times, dtype=np.float64), len(self._cdf_table)))
        return table


def series_table(rows: Sequence[tuple[float, str, str, str, float, str]]) -> pd.DataFrame:
    """Rows as a table with the columns `SERIES_COLUMNS`."""
    table = pd.DataFrame(list(rows), columns=SERIES_COLUMNS)
    return table.astype({"time_ps": np.float64, "value": np.float64})
