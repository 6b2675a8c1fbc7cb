"""Horizontal bars of errors, small enough to stand beside curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .style import FAILED_COLOUR

NOISE_COLOUR = "#d5dae0"
WHISKER = "#222222"
#: Of one run: the interval holds the noise of its frames alone.
WHISKER_OF_ONE = "#8a929b"


def intervals(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(n,) ends of the error bars: the confidence interval where there is one, else mean ± standard deviation.

    Parameters
    ----------
    rows: columns mean, std, and perhaps ci_low and ci_high.
    """
    mean, std = (rows[name].to_numpy(dtype=np.float64) for name in ("mean", "std"))
    low, high = mean - std, mean + std
    if {"ci_low", "ci_high"} <= set(rows.columns):
        ends = [rows[name].to_numpy(dtype=np.float64) for name in ("ci_low", "ci_high")]
        known = np.isfinite(ends[0]) & np.isfinite(ends[1])
        low, high = np.where(known, ends[0], low), np.where(known, ends[1], high)
    return low, high


def draw_bars(
    axes: Axes, rows: pd.DataFrame, labels: Sequence[str], colours: Sequence[str], fontsize: float = 7.0
) -> None:
    """One bar per row from top to bottom with its error bar, on a grey band up to the noise level of each.

    Parameters
    ----------
    rows: index: what goes into the artists' names; columns mean (NaN: no finished run), std, and perhaps
        ci_low, ci_high, noise_high and n (number of runs).
    """
    mean = rows["mean"].to_numpy(dtype=np.float64)
    low, high = intervals(rows)
    places, shown = np.arange(len(rows)), np.isfinite(mean)
    known = shown & np.isfinite(low) & np.isfinite(high)
    ends = np.where(known, high, mean)
    reach = float(np.nanmax(ends, initial=0.0)) if shown.any() else 0.0
    reach = reach or 1.0
    if "noise_high" in rows.columns:
        noise = np.nan_to_num(rows["noise_high"].to_numpy(dtype=np.float64))
        axes.barh(places, noise, height=1.0, color=NOISE_COLOUR, zorder=0.6, linewidth=0)
        within = noise > 0  # the end of the band shows through bars that cover it
        axes.vlines(noise[within], places[within] - 0.5, places[within] + 0.5, color="#6b7480", linewidth=0.8, zorder=2)
    bars = axes.barh(places, np.where(shown, mean, 0.0), height=0.72, color=list(colours))
    for bar, name in zip(bars, rows.index, strict=True):
        bar.set_gid(f"bar-{name}")
    one = (rows["n"] == 1).to_numpy() if "n" in rows.columns else np.zeros(len(rows), dtype=bool)
    for chosen, colour in ((known & ~one, WHISKER), (known & one, WHISKER_OF_ONE)):
        if chosen.any():
            axes.hlines(places[chosen], low[chosen], high[chosen], color=colour, linewidth=1.1, zorder=3)
    for place in places[~shown]:
        axes.text(0.02 * reach, place, "no finished run", va="center", fontsize=fontsize, color=FAILED_COLOUR)
    axes.set_xlim(0, 1.05 * reach)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(places, list(labels), fontsize=fontsize)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0, pad=1)
