"""How much of a run is equilibrated, judged from its potential energy.

pymbar's `timeseries.detect_equilibration` (Chodera, J. Chem. Theory Comput. 2016, 12, 1799) picks the start
that leaves the most uncorrelated samples. A few samples far off at the start, such as those of a minimised
configuration, mislead it: they add variance without correlation, the statistical inefficiency falls, and the start
comes out as 0. So the samples before the series first comes within `_BAND` standard deviations of its second half are
left out before pymbar looks. What a series that is coarse against its relaxation holds cannot be found: with samples
every 0.2 ps a relaxation within 0.2 ps has no start but 0.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.errors import InputError

logging.getLogger("pymbar").setLevel(logging.ERROR)  # at import it warns of what does not matter here
from pymbar import timeseries  # noqa: E402

#: Below this number of samples a correlation time means nothing.
MIN_SAMPLES = 10
#: Width of the band, in standard deviations of the second half to either side of its median, that ends the approach.
_BAND = 2.0
#: Starts tried at most; pymbar looks at the whole rest of the series for each.
_MAX_STARTS = 500


@dataclass(frozen=True)
class Equilibration:
    """What was detected.

    Attributes
    ----------
    start: index of the first equilibrated sample.
    time_ps: its time from the first sample.
    statistical_inefficiency: samples per uncorrelated sample in what follows, at least 1.
    n_effective: number of uncorrelated samples in what follows.
    """

    start: int
    time_ps: float
    statistical_inefficiency: float
    n_effective: float


def detect_equilibration(times_ps: np.ndarray, energies_kcal_mol: np.ndarray) -> Equilibration:
    """Detect the equilibrated part of a series of potential energies.

    Long series are tried at `_MAX_STARTS` starts, evenly spaced. The series ends at the first energy that
    is not finite (a run that blew up). A constant series is equilibrated from its start and holds one
    effective sample. With fewer than `MIN_SAMPLES` samples nothing can be said: start 0 and NaN for
    everything else.

    Parameters
    ----------
    times_ps: (n_samples,) ascending.
    energies_kcal_mol: (n_samples,)

    Raises
    ------
    InputError
        Other lengths, or times that do not ascend.
    """
    times = np.asarray(times_ps, dtype=np.float64)
    energies = np.asarray(energies_kcal_mol, dtype=np.float64)
    if times.shape != energies.shape or times.ndim != 1:
        raise InputError("thermo", "time_ps", f"{times.shape} times", f"one per energy, {energies.shape}")
    if (np.diff(times) <= 0).any():
        row = int(np.flatnonzero(np.diff(times) <= 0)[0]) + 1
        raise InputError("thermo", f"time_ps, row {row}", times[row], f"more than {times[row - 1]:g} ps")
    finite = np.isfinite(energies)
    n_samples = len(energies) if finite.all() else int(np.argmin(finite))
    if n_samples < MIN_SAMPLES:
        return Equilibration(0, np.nan, np.nan, np.nan)
    energies = energies[:n_samples]
    if np.ptp(energies) <= 1e-12 * np.abs(energies).max():  # equal but for rounding
        return Equilibration(0, 0.0, 1.0, 1.0)
    approach = _approach(energies)
    stride = -(-(n_samples - approach) // _MAX_STARTS)
    start, inefficiency, n_effective = timeseries.detect_equilibration(energies[approach:], fast=True, nskip=stride)
    start = approach + int(start)
    return Equilibration(start, float(times[start] - times[0]), float(inefficiency), float(n_effective))


def _approach(energies: np.ndarray) -> int:
    """Samples before the series first comes within the band of its second half; 0 where hardly any would be left."""
    late = energies[len(energies) // 2 :]
    within = np.flatnonzero(np.abs(energies - np.median(late)) <= _BAND * late.std())
    first = int(within[0]) if len(within) else 0
    return first if len(energies) - first >= MIN_SAMPLES else 0


def equilibration_of_run(thermo: pd.DataFrame, source: str | Path = "thermo") -> Equilibration:
    """Detect the equilibrated part of a run from its thermo table, all phases together.

    Where the last row of one phase and the first of the next are the same step, one of them is used.

    Parameters
    ----------
    thermo: columns ``time_ps`` and ``potential_energy_kcal_mol``, rows in the order of time.

    Raises
    ------
    InputError
        A column missing or times that go backwards.
    """
    for column in ("time_ps", "potential_energy_kcal_mol"):
        if column not in thermo.columns:
            raise InputError(source, "columns", list(thermo.columns), f"a column '{column}'")
    once = thermo.loc[thermo["time_ps"].diff() != 0]
    return detect_equilibration(
        once["time_ps"].to_numpy(dtype=np.float64),
        once["potential_energy_kcal_mol"].to_numpy(dtype=np.float64),
    )
