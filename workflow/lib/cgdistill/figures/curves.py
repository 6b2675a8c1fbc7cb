"""RDF, ADF and CDF of all models against the reference: one row per item, one column per family.

Lines are means over the finished runs of a variant, bands one standard deviation over them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .style import REFERENCE_COLOUR, REFERENCE_LABEL, SMALL, Model, Palette, new_figure, plain, styled

FINISHED = "finished"
_REFERENCE_WIDTH = 2.2
_X_LABELS = {"rdf": "$r$ / Å", "adf": "angle / degree", "cdf": "merge distance / Å"}
_Y_LABELS = {"rdf": "$g(r)$", "adf": "$P(\\theta)$ / degree$^{-1}$", "cdf": "CDF / Å$^{-1}$"}


def mean_and_spread(curves: pd.DataFrame, runs: pd.DataFrame | None) -> pd.DataFrame:
    """Mean and standard deviation of each curve over the finished runs.

    Parameters
    ----------
    curves: runs of one variant: member, replica, metric, item, r_max_A, x, value.
    runs: columns member, replica, status; all runs count where it is None.

    Returns
    -------
    Columns metric, item, r_max_A, x, mean, std (ddof 1; NaN for one run), n.
    """
    if runs is not None:
        finished = runs.loc[runs["status"] == FINISHED, ["member", "replica"]]
        curves = curves.merge(finished, on=["member", "replica"])
    grouped = curves.groupby(["metric", "item", "r_max_A", "x"], sort=False, dropna=False)["value"]
    return grouped.agg(mean="mean", std="std", n="size").reset_index()


def draw_curve(axes: Axes, curve: pd.DataFrame, colour: str, line: Any = "-", width: float = 1.2) -> None:
    """Draw a mean and its band; ``curve`` has the columns x, mean, std."""
    x, mean, std = (curve[name].to_numpy(dtype=np.float64) for name in ("x", "mean", "std"))
    if np.isfinite(std).any():
        axes.fill_between(x, mean - std, mean + std, color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, mean, color=colour, linestyle=line, linewidth=width)


@styled
def curves_figure(
    metric: str,
    reference: pd.DataFrame,
    curves: Mapping[str, pd.DataFrame],
    palette: Palette,
    n_failed: Mapping[str, int],
    r_max_A: float = math.nan,
) -> Figure:
    """All items of one metric (of one radius for the ADF).

    Parameters
    ----------
    reference: tables of `mean_and_spread` of the reference.
    curves: the same of each variant by name.
    n_failed: failed runs of each variant.
    """
    own = _select(reference, metric, r_max_A)
    items = list(own["item"].unique())
    families = palette.families()
    figure, panels = new_figure(
        len(items), len(families), 3.5 * len(families) + 0.4, 1.75 * len(items) + 1.2, sharex=True, sharey="row"
    )
    for row, item in zip(panels, items, strict=True):
        for axes, (title, members) in zip(row, families, strict=True):
            target = own[own["item"] == item]
            for model in members:
                found = _select(curves[model.name], metric, r_max_A) if model.name in curves else own.iloc[:0]
                draw_curve(axes, found[found["item"] == item], palette.colour(model.name), palette.line(model.name))
            axes.plot(target["x"], target["mean"], color=REFERENCE_COLOUR, linewidth=_REFERENCE_WIDTH, zorder=1.5)
            axes.text(0.97, 0.94, plain(item), transform=axes.transAxes, ha="right", va="top", weight="bold")
            if row is panels[0]:
                axes.set_title(title, pad=8 + 9.5 * _legend_lines(families))
                _family_legend(axes, members, palette, n_failed)
            if row is panels[-1]:
                axes.set_xlabel(_X_LABELS[metric])
        row[0].set_ylabel(_Y_LABELS[metric])
        row[0].set_ylim(0, 1.15 * _highest([own, *(_select(c, metric, r_max_A) for c in curves.values())], item))
    _limit_x(panels[0][0], own, metric)
    return figure


def _select(table: pd.DataFrame, metric: str, r_max_A: float) -> pd.DataFrame:
    chosen = table[table["metric"] == metric]
    return chosen if math.isnan(r_max_A) else chosen[(chosen["r_max_A"] - r_max_A).abs() < 1e-6]


def _highest(tables: list[pd.DataFrame], item: str) -> float:
    """Highest mean of one item over all models; bands may reach beyond."""
    highest = [float(table.loc[table["item"] == item, "mean"].max()) for table in tables if not table.empty]
    return max((value for value in highest if math.isfinite(value) and value > 0), default=1.0)


def _limit_x(axes: Axes, own: pd.DataFrame, metric: str) -> None:
    """Leave out the part of the axis where no reference curve has anything."""
    filled = own.loc[own["mean"] > 1e-6, "x"]
    if metric == "adf" or filled.empty:
        axes.set_xlim(0, own["x"].max())
    elif metric == "rdf":
        axes.set_xlim(max(0.0, float(filled.min()) - 1.0), own["x"].max())
    else:
        axes.set_xlim(0, min(float(own["x"].max()), float(filled.max()) + 2.0))


def _legend_lines(families: list[tuple[str, list[Model]]]) -> int:
    return max(math.ceil((len(members) + 1) / 2) for _, members in families)


def _family_legend(axes: Axes, members: list[Model], palette: Palette, n_failed: Mapping[str, int]) -> None:
    """Legend of one column above its first panel."""
    handles = [Line2D([], [], color=REFERENCE_COLOUR, linewidth=_REFERENCE_WIDTH, label=REFERENCE_LABEL)]
    for model in members:
        failed = n_failed.get(model.name, 0)
        label = palette.label(model.name) + (f" ({failed} failed)" if failed else "")
        handles.append(
            Line2D([], [], color=palette.colour(model.name), linestyle=palette.line(model.name), label=label)
        )
    axes.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=SMALL, handlelength=2.4,
        columnspacing=1.2, labelspacing=0.25, borderaxespad=0.3,
    )  # fmt: skip
