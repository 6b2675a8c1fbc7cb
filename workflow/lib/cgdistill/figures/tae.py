"""Total absolute errors of all models: overall, and per pair, triplet and type.

Bars are means over the finished runs of a variant, whiskers their intervals: dark over runs, grey where
one run has none but that of its own sampling. Tables without intervals get one standard deviation over runs. The
grey band reaches up to what sampling alone would make of a perfect model (its upper quantile).
Behind each bar: the value and the number of runs, and in red how many failed.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..structure.metrics import METRIC_TITLES, OVERALL, RULES_OF_THUMB, TAE_UNITS, rows_of, value_text
from .bars import NOISE_COLOUR, draw_bars, intervals
from .style import FAILED_COLOUR, NEUTRAL_COLOUR, SMALL, Palette, new_figure, plain, styled

_DASHES = (0, (4, 3))
_WHISKER, _WHISKER_OF_ONE = "#222222", "#8a929b"

#: Keeps lines from running through numbers.
_PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6}


def axis_label(metric: str) -> str:
    """Label of an axis of TAE."""
    unit = f" / {TAE_UNITS[metric]}" if TAE_UNITS[metric] else ""
    return f"TAE of the {METRIC_TITLES[metric]}{unit}"


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
        text = value_text(row["mean"], (high[place] - low[place]) / 2).split(" ±")[0]
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
    metrics = [metric for metric in METRIC_TITLES if (summary["metric"] == metric).any()]
    height = 1.5 + 0.27 * len(palette.models)
    figure, panels = new_figure(1, len(metrics), 3.7 * len(metrics) + 0.4, height, sharey=True)
    for axes, metric in zip(panels[0], metrics, strict=True):
        bar_panel(axes, rows_of(summary, metric, OVERALL), palette)
        axes.set_title(f"{METRIC_TITLES[metric]}, sum over {_items(metric)}")
        axes.set_xlabel(axis_label(metric))
    bar_legend(figure, summary[summary["item"] == OVERALL])
    return figure


def _items(metric: str) -> str:
    return {"rdf": "pairs", "adf": "triplets and radii", "cdf": "types"}[metric]


@styled
def item_figure(summary: pd.DataFrame, metric: str, palette: Palette) -> Figure:
    """TAE of all models per item: pairs (rdf), triplets by r_max (adf), types (cdf).

    The dashed line is the rule of thumb for a substantial distortion.
    """
    own = summary[(summary["metric"] == metric) & (summary["item"] != OVERALL)]
    keys = list(own[["item", "r_max_A"]].drop_duplicates().itertuples(index=False, name=None))
    columns = len({radius for _, radius in keys}) if metric == "adf" else min(3, len(keys))
    rows = -(-len(keys) // columns)
    height = rows * (0.75 + 0.2 * len(palette.models)) + 0.5
    figure, panels = new_figure(rows, columns, 3.4 * columns + 0.8, height, sharey=True)
    flat = [axes for row in panels for axes in row]
    for axes, (item, radius) in zip(flat, keys, strict=False):
        bar_panel(axes, rows_of(own, metric, item, radius), palette, small=True)
        where = f", $r_{{max}}$ = {radius:g} Å" if metric == "adf" else ""
        axes.set_title(plain(item) + where)
        if RULES_OF_THUMB[metric] < axes.get_xlim()[1]:
            axes.axvline(RULES_OF_THUMB[metric], color=NEUTRAL_COLOUR, linestyle=_DASHES, linewidth=1.0, zorder=0.8)
    for axes in flat[len(keys) :]:
        axes.set_visible(False)
    for axes in flat[max(0, len(keys) - columns) : len(keys)]:
        axes.set_xlabel(axis_label(metric))
    bar_legend(figure, own, limit=True)
    return figure
