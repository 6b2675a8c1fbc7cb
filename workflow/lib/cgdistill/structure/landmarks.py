"""What a reader looks for first in a structure curve: peaks, minima, coordination numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

#: Width, A, of the Gaussian that takes the noise of single bins from an RDF before peaks are sought.
_SMOOTHING_A = 0.15
#: A peak stands out from its surroundings by this share of the curve's highest value.
_PROMINENCE = 0.1


def rdf_landmarks(curves: pd.DataFrame, counts: Mapping[str, int], volume_A3: float, like_counts: int) -> pd.DataFrame:
    """First peak, first minimum and coordination numbers of each RDF.

    The first peak is the first that stands out by a tenth of the highest value, the first minimum the lowest
    place between it and the next such peak; both are sought on a smoothed curve and given with the value of the
    bin. The coordination number is the mean number of partners up to the minimum, ``sum g rho v`` over the shells.

    Parameters
    ----------
    curves: rows of the metric rdf of one run, columns of `structure.curves`; bins from 0.
    counts: beads of each type.
    volume_A3: mean volume of the cell.
    like_counts: partners that a bead has not among its own type, in the normalisation of the curves (1, itself;
        0 in the convention ``travis``).

    Returns
    -------
    Columns item, peak_A, peak, minimum_A, minimum, neighbours (of the second type around one of the first),
    neighbours_reverse; NaN where there is no minimum before the end.
    """
    rows = []
    for item, curve in curves.groupby("item", sort=False):
        x, g = curve["x"].to_numpy(), curve["value"].to_numpy()
        width = 2.0 * x[0]
        peak, minimum = _first_shell(g, _SMOOTHING_A / width)
        first, second = _types(str(item), counts)
        around = [np.nan, np.nan]
        if minimum is not None:
            shells_A3 = 4.0 / 3.0 * np.pi * np.diff((width * np.arange(minimum + 2)) ** 3)
            within = float((g[: minimum + 1] * shells_A3).sum()) / volume_A3
            around = [within * (counts[name] - like_counts * (first == second)) for name in (second, first)]
        at = [x[minimum], g[minimum]] if minimum is not None else [np.nan, np.nan]
        rows.append((item, *([np.nan, np.nan] if peak is None else [x[peak], g[peak]]), *at, *around))
    columns = ["item", "peak_A", "peak", "minimum_A", "minimum", "neighbours", "neighbours_reverse"]
    return pd.DataFrame(rows, columns=columns)


def _first_shell(g: np.ndarray, sigma_bins: float) -> tuple[int | None, int | None]:
    """Bins of the first peak and of the minimum after it."""
    smooth = gaussian_filter1d(g, sigma_bins, mode="nearest")
    peaks, _ = find_peaks(smooth, prominence=_PROMINENCE * max(smooth.max(), np.finfo(float).tiny))
    if len(peaks) == 0:
        return None, None
    near = max(1, round(2.0 * sigma_bins))
    low = max(0, peaks[0] - near)
    peak = low + int(g[low : peaks[0] + near + 1].argmax())
    end = peaks[1] if len(peaks) > 1 else len(g)
    minimum = int(peaks[0] + smooth[peaks[0] : end].argmin())
    return peak, minimum if minimum < len(g) - 1 else None


def _types(item: str, counts: Mapping[str, int]) -> tuple[str, str]:
    """The two types of an item; names may hold hyphens themselves."""
    for first in counts:
        for second in counts:
            if item == f"{first}-{second}":
                return first, second
    raise ValueError(f"{item}: not a pair of {', '.join(counts)}")


def adf_landmarks(curves: pd.DataFrame) -> pd.DataFrame:
    """Angle at which each ADF is highest, and how many times that is what isotropic neighbours have.

    Returns
    -------
    Columns item, parameter, peak_deg, peak, times_isotropic (the mean over bins is what isotropic neighbours have).
    """
    rows = []
    for (item, radius), curve in curves.groupby(["item", "parameter"], sort=False):
        value = curve["value"].to_numpy()
        mean = value.mean()
        top = int(value.argmax())
        rows.append((item, radius, curve["x"].iloc[top], value[top], value[top] / mean if mean > 0 else np.nan))
    return pd.DataFrame(rows, columns=["item", "parameter", "peak_deg", "peak", "times_isotropic"])


def cdf_landmarks(curves: pd.DataFrame) -> pd.DataFrame:
    """Most frequent and mean merge distance of each CDF, and their spread.

    Returns
    -------
    Columns item, peak_A, peak, mean_A, std_A; NaN where nothing merges within the grid.
    """
    rows = []
    for item, curve in curves.groupby("item", sort=False):
        x, value = curve["x"].to_numpy(), curve["value"].to_numpy()
        total, top = value.sum(), int(value.argmax())
        if not total > 0:
            rows.append((item, np.nan, np.nan, np.nan, np.nan))
            continue
        mean = (x * value).sum() / total
        spread = np.sqrt(((x - mean) ** 2 * value).sum() / total)
        rows.append((item, x[top], value[top], mean, spread))
    return pd.DataFrame(rows, columns=["item", "peak_A", "peak", "mean_A", "std_A"])
