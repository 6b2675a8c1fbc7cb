"""Total absolute errors of all models: overall, and per pair, triplet and type.

Bars are means over the finished runs of a variant, whiskers their intervals: dark over runs, grey where
one run has none but that of its own sampling. Tables without intervals get one standard deviation over runs. The
grey band reaches up to what sampling alone would make of a perfect model (its upper quantile).
After each bar: the value and the number of runs, and in red how many failed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..core.number_text import decimals_of_mean
from ..core.vocabulary import OVERALL
from ..structure.error_tables import items_of, rows_of, shown_metrics
from ..structure.metrics import PRESENTATIONS
from .bars import NOISE_COLOUR, draw_bars, intervals
from .style import FAILED_COLOUR, NEUTRAL_COLOUR, SMALL, Palette, new_figure, plain, styled

if TYPE_CHECKING:
    from .run_files import StructureFiles

_DASHES = (0, (4, 3))
_WHISKER, _WHISKER_OF_ONE = "#222222", "#8a929b"

#: Keeps lines from running through numbers.
_PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6}


def bar_panel(axes: Axes, rows: pd.DataFrame, palette: Palette, small: bool = False) -> None:
    """Draw one horizontal bar per model into ``axes``.

    Parameters
    ----------
    rows: index ``variant``; columns mean, std, n, n_failed, and where known ci_low, ci_high, noise_high.
    small: leave the numbers of runs out.
    """
    names = [model.name for model in palette.models]
    known = rows.reindex(names)
    draw_bars(axes, known, [palette.label(name) for name in names], [palette.colour(name) for name in names], SMALL)
    low, high = intervals(known)
    places = np.arange(len(names))
    one = ((known["n"] == 1) & np.isfinite(high)).to_numpy()
    axes.hlines(places[one], low[one], high[one], color=_WHISKER_OF_ONE, linewidth=1.1, zorder=3.1)
    noise = known["noise_high"].max() if "noise_high" in known.columns else 0.0
    reach = float(np.nanmax([0.0, *high, *known["mean"], noise])) or 1.0
    for place, name in enumerate(names):
        if name not in rows.index:
            continue
        row, failed = rows.loc[name], int(rows.loc[name, "n_failed"])
        if not math.isfinite(row["mean"]):
            axes.annotate(f"{failed} failed", (0.02 * reach, place), (80, 0), textcoords="offset points", va="center",
                          fontsize=SMALL, color=FAILED_COLOUR)  # fmt: skip
            continue
        end = high[place] if math.isfinite(high[place]) else row["mean"]
        text = f"{row['mean']:.{decimals_of_mean(row['mean'], (high[place] - low[place]) / 2)}f}"
        text += "" if small else f"  ({int(row['n'])})"
        note = axes.annotate(text, (end, place), (4, 0), textcoords="offset points", va="center", fontsize=SMALL,
                             bbox=_PAPER)  # fmt: skip
        if failed:
            axes.annotate(f" {failed} failed", (1, 0.5), xycoords=note, va="center", fontsize=SMALL,
                          color=FAILED_COLOUR, bbox=_PAPER)  # fmt: skip
    axes.set_xlim(0, reach * (1.35 if small else 1.5))


def bar_legend(figure: Figure, rows: pd.DataFrame, limit: bool = False) -> None:
    """Legend of `bar_panel` below the panels.

    Parameters
    ----------
    rows: what was drawn.
    limit: there is a line for the rule of thumb.
    """
    handles: list[Artist] = []
    if "noise_high" in rows.columns and rows["noise_high"].notna().any():
        handles.append(Patch(color=NOISE_COLOUR, label="sampling alone, of a perfect model"))
    if "ci_low" in rows.columns:
        if (rows["n"] > 1).any():
            handles.append(Line2D([], [], color=_WHISKER, label="interval over runs"))
        if (rows["n"] == 1).any():
            handles.append(Line2D([], [], color=_WHISKER_OF_ONE, label="one run: interval of its sampling"))
    elif rows["std"].notna().any():
        handles.append(Line2D([], [], color=_WHISKER, label="standard deviation over runs"))
    if limit:
        handles.append(Line2D([], [], color=NEUTRAL_COLOUR, linestyle=_DASHES, linewidth=1.0, label="rule of thumb"))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


@styled
def overall_figure(summary: pd.DataFrame, palette: Palette) -> Figure:
    """Overall TAE of all models, one panel per metric.

    Parameters
    ----------
    summary: columns of `statistics.SUMMARY_COLUMNS`; those of intervals and noise may be absent.
    """
    metrics = shown_metrics(summary)
    height = 1.5 + 0.27 * len(palette.models)
    figure, panels = new_figure(1, len(metrics), 3.7 * len(metrics) + 0.4, height, sharey=True)
    for axes, shown in zip(panels[0], metrics, strict=True):
        bar_panel(axes, rows_of(summary, shown.name, OVERALL), palette)
        axes.set_title(f"{shown.title}, sum over {shown.items}")
        axes.set_xlabel(shown.long_error_label)
    bar_legend(figure, summary[summary["item"] == OVERALL])
    return figure


@styled
def item_figure(summary: pd.DataFrame, metric: str, palette: Palette) -> Figure:
    """TAE of all models per item and value of the parameter.

    The dashed line is the rule of thumb for a substantial distortion, where there is one.
    """
    shown, own = PRESENTATIONS[metric], items_of(summary, metric)
    keys = list(own[["item", "parameter"]].drop_duplicates().itertuples(index=False, name=None))
    columns = len({value for _, value in keys}) if shown.parameter else min(3, len(keys))
    rows = -(-len(keys) // columns)
    height = rows * (0.75 + 0.2 * len(palette.models)) + 0.5
    figure, panels = new_figure(rows, columns, 3.4 * columns + 0.8, height, sharey=True)
    flat = [axes for row in panels for axes in row]
    for axes, (item, value) in zip(flat, keys, strict=False):
        bar_panel(axes, rows_of(own, metric, item, value), palette, small=True)
        where = f", {shown.parameter.symbol} = {shown.parameter.text(value)}" if shown.parameter else ""
        axes.set_title(plain(item) + where)
        if shown.threshold < axes.get_xlim()[1]:
            axes.axvline(shown.threshold, color=NEUTRAL_COLOUR, linestyle=_DASHES, linewidth=1.0, zorder=0.8)
    for axes in flat[len(keys) :]:
        axes.set_visible(False)
    for axes in flat[max(0, len(keys) - columns) : len(keys)]:
        axes.set_xlabel(shown.long_error_label)
    bar_legend(figure, own, limit=shown.rule_of_thumb is not None)
    return figure


def draw_overall(files: StructureFiles) -> Figure:
    """Overall errors of all models."""
    return overall_figure(files.errors, files.palette)


def draw_items(files: StructureFiles, metric: str) -> Figure:
    """Errors of all models per item of a metric."""
    return item_figure(files.errors, metric, files.palette)
