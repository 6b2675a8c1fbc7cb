"""What became of a run: stable, drifting, clustered, blown up or excluded, and since when.

*Drifting*: over production, the peak of a CDF, the first peak of an RDF, the potential energy or the temperature moved
by more than its threshold, and by more than chance explains. A line and steps at tenths of production are fitted by
least squares; the best of them gives the shift, what it leaves gives the error (t-test). The level `LEVEL` is shared by
the fits and by all quantities of the run (Bonferroni), so that a stationary run is called drifting in 5 % of cases at
most, however noisy, as long as neighbouring points (windows in time; energies are averaged over `_POINTS` parts)
correlate by no more than `_CORRELATION`. A shift within its error is not seen: short runs of few beads hide drifts.

*Clustered*: over the last third of the run, the median share of a type's beads in its largest cluster is above a limit.
*Blown up*: the simulation ended so. *Excluded*: there was none, since the training of its model failed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.ndimage import median_filter

from ..core.errors import InputError
from ..core.vocabulary import RunStatus
from ..structure.series import CDF_PEAK, LARGEST_CLUSTER, MIN_DISTANCE, PRODUCTION, RDF_PEAK

STABLE, DRIFTING, CLUSTERED = "stable", "drifting", "clustered"
STATES = (STABLE, DRIFTING, CLUSTERED, RunStatus.BLOWN_UP, RunStatus.EXCLUDED)
#: Chance of calling a stationary run drifting.
LEVEL = 0.05
#: Points from which a drift is judged.
MIN_POINTS = 5
#: Parts of production over which energy and temperature are averaged.
_POINTS = 20
#: Correlation of neighbouring points that the errors allow for.
_CORRELATION = 0.2
#: Where steps are looked for, as a share of production.
_STEPS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
#: Share of a run's frames that the running median behind the onset of clustering covers.
_MEDIAN = 0.2
_NAMES = {CDF_PEAK: "CDF peak", RDF_PEAK: "RDF peak"}
_ENERGY, _TEMPERATURE = "potential energy", "temperature"


@dataclass(frozen=True)
class StabilitySpec:
    """Thresholds: shifts over production, and the share of a type's beads in its largest cluster."""

    cdf_shift_A: float = 0.5
    rdf_shift_A: float = 0.3
    energy_drift_kcal_mol_bead: float = 0.1
    temperature_drift_K: float = 15.0
    largest_cluster: float = 0.5

    @classmethod
    def from_config(cls, section: Mapping[str, Any], source: str = "config") -> StabilitySpec:
        """Parse the config section ``stability``.

        Raises
        ------
        InputError
            A key missing or unknown, a value that is not a number above 0, a share above 1.
        """
        names = [item.name for item in fields(cls)]
        if not isinstance(section, Mapping) or set(section) != set(names):
            raise InputError(source, "stability", f"the keys {', '.join(map(str, section))}", ", ".join(names))
        for name in names:
            value, most = section[name], 1.0 if name == "largest_cluster" else math.inf
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
                expected = "a share above 0, up to 1" if name == "largest_cluster" else "a number above 0"
                raise InputError(source, f"stability.{name}", value, expected)
        return cls(**{name: float(section[name]) for name in names})


@dataclass(frozen=True)
class Drift:
    """A shift over production, its standard error, and whether it counts; NaN where it cannot be told."""

    quantity: str
    item: str
    shift: float
    error: float
    drifting: bool
    onset_ps: float
    unit: str

    @property
    def evidence(self) -> float:
        """The shift in units of its error."""
        if self.error > 0:
            return abs(self.shift) / self.error
        return math.inf if self.shift else 0.0

    def sentence(self) -> str:
        """What moved by how much."""
        name = f"{self.quantity} of {self.item}" if self.item else self.quantity
        return f"{name} moved by {self.shift:+.3g} ± {self.error:.1g} {self.unit} over production"


@dataclass(frozen=True)
class Stability:
    """The verdict of one run; ``onset_ps`` is NaN for a stable one, drifts are NaN where they cannot be told.

    Drifts of peaks are those of the item that stands out most from its noise.
    """

    stability: str
    onset_ps: float
    stability_reason: str
    cdf_peak_drift_A: float
    cdf_peak_drift_error_A: float
    cdf_peak_drift_item: str
    rdf_peak_drift_A: float
    rdf_peak_drift_error_A: float
    rdf_peak_drift_item: str
    energy_drift_kcal_mol_bead: float
    energy_drift_error_kcal_mol_bead: float
    temperature_drift_K: float
    temperature_drift_error_K: float
    min_distance_A: float
    largest_cluster: float
    largest_cluster_item: str

    def columns(self) -> dict[str, Any]:
        """The columns of runs.csv."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def judge_run(
    series: pd.DataFrame,
    thermo: pd.DataFrame,
    spec: StabilitySpec,
    *,
    n_beads: int,
    ended: tuple[str, str] | None = None,
    end_ps: float = math.nan,
) -> Stability:
    """The verdict of one run.

    Parameters
    ----------
    series: of `structure.trajectory.analyse_trajectory`.
    thermo: thermo.csv of the run.
    ended: how the run ended (blown up, excluded), and why; None where it finished.
    end_ps: when it did.

    Returns
    -------
    Stability
        ``largest_cluster`` is the median of the last third of the frames of the type where that is largest.
    """
    production = thermo[thermo["phase"] == PRODUCTION]
    windows = series[series["phase"] == PRODUCTION]
    samples = [
        *((name, item, values, spec.cdf_shift_A, "A") for name, item, values in _by_item(windows, CDF_PEAK)),
        *((name, item, values, spec.rdf_shift_A, "A") for name, item, values in _by_item(windows, RDF_PEAK)),
    ]
    times = production["time_ps"].to_numpy(dtype=np.float64)
    energies = production["potential_energy_kcal_mol"].to_numpy(dtype=np.float64) / n_beads
    temperatures = production["temperature_K"].to_numpy(dtype=np.float64)
    samples += [
        (_ENERGY, "", _averaged(times, energies), spec.energy_drift_kcal_mol_bead, "kcal/mol per bead"),
        (_TEMPERATURE, "", _averaged(times, temperatures), spec.temperature_drift_K, "K"),
    ]
    level = LEVEL / len(samples)
    drifts = [
        drift_of(*values, threshold, level, quantity=name, item=item, unit=unit)
        for name, item, values, threshold, unit in samples
    ]
    clusters = [(item, *values) for _, item, values in _by_item(series, LARGEST_CLUSTER)]
    share, share_item = max(((_late_median(shares), item) for item, _, shares in clusters), default=(math.nan, ""))
    state, onset_ps, reason = _verdict(drifts, clusters, spec.largest_cluster, ended, end_ps)
    cdf, rdf = (_strongest([d for d in drifts if d.quantity == name]) for name in (_NAMES[CDF_PEAK], _NAMES[RDF_PEAK]))
    energy, temperature = drifts[-2:]
    return Stability(
        stability=state,
        onset_ps=onset_ps,
        stability_reason=reason,
        cdf_peak_drift_A=cdf.shift,
        cdf_peak_drift_error_A=cdf.error,
        cdf_peak_drift_item=cdf.item,
        rdf_peak_drift_A=rdf.shift,
        rdf_peak_drift_error_A=rdf.error,
        rdf_peak_drift_item=rdf.item,
        energy_drift_kcal_mol_bead=energy.shift,
        energy_drift_error_kcal_mol_bead=energy.error,
        temperature_drift_K=temperature.shift,
        temperature_drift_error_K=temperature.error,
        min_distance_A=float(series.loc[series["quantity"] == MIN_DISTANCE, "value"].min()),
        largest_cluster=share,
        largest_cluster_item=share_item,
    )


def drift_of(
    times_ps: np.ndarray,
    values: np.ndarray,
    threshold: float,
    level: float = LEVEL,
    *,
    quantity: str = "",
    item: str = "",
    unit: str = "",
) -> Drift:
    """Shift of a series over its length, against a threshold and against chance.

    Parameters
    ----------
    times_ps, values: (n,) evenly spaced in time; values that are not finite are left out.
    level: chance at which a stationary series counts as drifting.

    Returns
    -------
    Drift
        NaN and not drifting with fewer than `MIN_POINTS` values. ``onset_ps`` is the first time at which the fit has
        left its start by more than the threshold.
    """
    finite = np.isfinite(values)
    times, values = times_ps[finite], values[finite]
    n = len(values)
    if n < MIN_POINTS:
        return Drift(quantity, item, math.nan, math.nan, False, math.nan, unit)
    # Each shape rises by one over the length of the series.
    shapes = [np.arange(n) / n, *((np.arange(n) >= round(share * n)).astype(np.float64) for share in _STEPS)]
    centred = np.stack([shape - shape.mean() for shape in shapes])
    squares = (centred**2).sum(axis=1)
    shifts = centred @ values / squares
    left = ((values - values.mean() - shifts[:, None] * centred) ** 2).sum(axis=1)
    best = int(left.argmin())
    shift = float(shifts[best])
    allowance = (1.0 + _CORRELATION) / (1.0 - _CORRELATION)
    error = math.sqrt(allowance * float(left[best]) / (n - 2) / float(squares[best]))
    quantile = float(stats.t.ppf(1.0 - 0.5 * level / len(shapes), n - 2))
    drifting = abs(shift) > threshold and abs(shift) > quantile * error
    beyond = np.flatnonzero(abs(shift) * (shapes[best] - shapes[best][0]) > threshold)
    onset_ps = float(times[beyond[0] if len(beyond) else -1]) if drifting else math.nan
    return Drift(quantity, item, shift, error, drifting, onset_ps, unit)


def _averaged(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times and means of up to `_POINTS` consecutive parts; time is that of the first sample of a part."""
    parts = np.array_split(np.arange(len(values)), min(_POINTS, max(1, len(values))))
    parts = [part for part in parts if len(part)]
    return np.array([times[part[0]] for part in parts]), np.array([values[part].mean() for part in parts])


def _onset_of_cluster(shares: np.ndarray, limit: float) -> int:
    """Index of the frame from which the running median stays above the limit; the last third begins there or later."""
    smooth = median_filter(shares, size=2 * math.ceil(0.5 * _MEDIAN * len(shares)) + 1, mode="nearest")
    first = _stays(smooth > limit)
    latest = len(shares) - max(1, len(shares) // 3)
    return latest if first is None else min(first, latest)


def _stays(beyond: np.ndarray) -> int | None:
    """First index from which all are true up to the end; None where the last is not."""
    if not len(beyond) or not beyond[-1]:
        return None
    within = np.flatnonzero(~beyond)
    return int(within[-1]) + 1 if len(within) else 0


def _by_item(series: pd.DataFrame, quantity: str) -> list[tuple[str, str, tuple[np.ndarray, np.ndarray]]]:
    """Name, item, times and values of a quantity."""
    rows = series[series["quantity"] == quantity]
    return [
        (_NAMES.get(quantity, quantity), str(item), (part["time_ps"].to_numpy(), part["value"].to_numpy()))
        for item, part in rows.groupby("item", sort=False)
    ]


def _late_median(values: np.ndarray) -> float:
    return float(np.median(values[-max(1, len(values) // 3) :]))


def _strongest(drifts: list[Drift]) -> Drift:
    """The shift that stands out most from its noise, one that counts before one that does not."""
    known = [drift for drift in drifts if math.isfinite(drift.shift)]
    unknown = Drift("", "", math.nan, math.nan, False, math.nan, "")
    return max(known, key=lambda drift: (drift.drifting, drift.evidence), default=unknown)


def _verdict(
    drifts: list[Drift],
    clusters: list[tuple[str, np.ndarray, np.ndarray]],
    limit: float,
    ended: tuple[str, str] | None,
    end_ps: float,
) -> tuple[str, float, str]:
    """State, onset and reason: the worst state, with all reasons for it."""
    if ended is not None:
        return ended[0], end_ps, ended[1]
    found = []
    for item, times, shares in clusters:
        if _late_median(shares) > limit:
            text = f"{_late_median(shares):.0%} of the {item} beads are in one cluster"
            found.append((float(times[_onset_of_cluster(shares, limit)]), text))
    if found:
        onset_ps, _ = min(found)
        return CLUSTERED, onset_ps, "; ".join(text for _, text in found)
    moved = [drift for drift in drifts if drift.drifting]
    if moved:
        return DRIFTING, min(drift.onset_ps for drift in moved), "; ".join(drift.sentence() for drift in moved)
    return STABLE, math.nan, ""
