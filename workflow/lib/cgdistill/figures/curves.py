"""Curves of models against the reference, with the errors beside them: one row per item, one column per group.

The figure of all models (families side by side), that of energy targets and that of single teachers share this form.
Lines are means over the finished runs, bands one standard deviation over them; bars are means of the TAE.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..core.vocabulary import REFERENCE, RunStatus
from ..structure.error_tables import of_metric
from ..structure.metrics import PRESENTATIONS
from .bars import draw_bars
from .style import FONT_SIZE, REFERENCE_COLOUR, SMALL, Palette, panel_grid, plain, styled, text_width

if TYPE_CHECKING:
    from .run_files import StructureFiles

_REFERENCE_WIDTH = 2.2
_NONE = pd.DataFrame(columns=["x", "mean", "std"], dtype=np.float64)

#: Curves of one metric and value of its parameter by item.
ByItem = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Line:
    """One curve in every row: how it looks, and ``by_item`` with columns x, mean, std (items may be missing).

    ``note`` follows the label in legends.
    """

    key: str
    label: str
    colour: str
    style: Any
    by_item: ByItem
    note: str = ""


@dataclass(frozen=True)
class Column:
    """A column of panels."""

    title: str
    lines: Sequence[Line]


def mean_and_spread(curves: pd.DataFrame, runs: pd.DataFrame | None) -> pd.DataFrame:
    """Mean and standard deviation of each curve over the finished runs.

    Parameters
    ----------
    curves: runs of one variant: member, replica, metric, item, parameter, x, value, value_unit.
    runs: columns member, replica, status; all runs count where it is None.

    Returns
    -------
    Columns metric, item, parameter, x, mean, std (ddof 1; NaN for one run), n, value_unit.
    """
    if runs is not None:
        finished = runs.loc[runs["status"] == RunStatus.FINISHED, ["member", "replica"]]
        curves = curves.merge(finished, on=["member", "replica"])
    names = [name for name in ("metric", "item", "value_unit") if name in curves.columns]
    keys = curves.assign(**{name: curves[name].astype("category") for name in names})  # text is slow to group by
    by = [*names, "parameter", "x"]
    grouped = keys.groupby(by, sort=False, dropna=False, observed=True)["value"]
    table: pd.DataFrame = grouped.agg(mean="mean", std="std", n="size").reset_index()
    return table.astype({name: "object" for name in names})


def by_item(table: pd.DataFrame, metric: str, parameter: float = math.nan) -> ByItem:
    """Curves of one metric and value of its parameter out of a table of `mean_and_spread`, in its order."""
    chosen = of_metric(table, metric, parameter)
    return {str(item): part for item, part in chosen.groupby("item", sort=False)}


def draw_curve(axes: Axes, curve: pd.DataFrame, colour: str, line: Any = "-", width: float = 1.2) -> None:
    """Draw a mean and its band; ``curve`` has the columns x, mean, std."""
    x, mean, std = (curve[name].to_numpy(dtype=np.float64) for name in ("x", "mean", "std"))
    if np.isfinite(std).any():
        axes.fill_between(x, mean - std, mean + std, color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, mean, color=colour, linestyle=line, linewidth=width)


def draw_reference(axes: Axes, curve: pd.DataFrame) -> None:
    """Draw the curve of the reference, behind those of the models."""
    axes.plot(curve["x"], curve["mean"], color=REFERENCE_COLOUR, linewidth=_REFERENCE_WIDTH, zorder=1.5)


@styled
def curves_figure(
    metric: str,
    reference: pd.DataFrame,
    curves: Mapping[str, pd.DataFrame],
    palette: Palette,
    n_failed: Mapping[str, int],
    parameter: float = math.nan,
    errors: pd.DataFrame | None = None,
) -> Figure:
    """All items of one metric and value of its parameter, families of models side by side.

    Parameters
    ----------
    reference: tables of `mean_and_spread` of the reference.
    curves: the same of each variant by name.
    n_failed: failed runs of each variant.
    errors: rows of the summary of this metric and parameter, as of `grid_figure`, with ``key`` the variant.
    """
    columns = []
    for title, models in palette.families():
        lines = [
            Line(model.name, palette.label(model.name), palette.colour(model.name), palette.line(model.name),
                 by_item(curves[model.name], metric, parameter) if model.name in curves else {},
                 failed_note(n_failed.get(model.name, 0)))
            for model in models
        ]  # fmt: skip
        columns.append(Column(title, lines))
    return grid_figure(metric, by_item(reference, metric, parameter), columns, errors)


@styled
def grid_figure(
    metric: str, reference: ByItem, columns: Sequence[Column], errors: pd.DataFrame | None = None, width: float = 3.1
) -> Figure:
    """One row per item, one column per group of lines, and at the right the errors of all lines.

    Parameters
    ----------
    errors:
        TAE by line and item: columns key (of the line), item, mean, std, and where known ci_low, ci_high (drawn
        instead of std) and noise_high (level up to which an error may be sampling noise). None: no bars.
    width: of a column of curves, inches.
    """
    items = list(reference)
    lines = [line for column in columns for line in column.lines]
    height = 1.45 if errors is None else max(1.45, 0.3 + 0.12 * len(lines))
    size = 6.5 if len(lines) > 6 else SMALL
    widths, gaps = [width] * len(columns), [0.66, *[0.14] * (len(columns) - 1)]
    if errors is not None:
        widths.append(0.7 * max(2.8, width))
        gaps.append(0.2 + text_width((line.label for line in lines), size))
    legend = 0.32 + 0.15 * max(math.ceil((len(column.lines) + 1) / 2) for column in columns)
    figure, panels = panel_grid(
        widths, gaps, len(items), height, 0.3 if errors is not None else 0.14, bottom=0.48, top=legend
    )
    x_limits = limits_of_x(reference, metric)
    for row, item in zip(panels, items, strict=True):
        top = 1.15 * _highest([reference, *(line.by_item for line in lines)], item)
        for axes, column in zip(row, columns, strict=False):
            for line in column.lines:
                draw_curve(axes, line.by_item.get(item, _NONE), line.colour, line.style)
            draw_reference(axes, reference[item])
            axes.set_xlim(x_limits)
            axes.set_ylim(0, top)
            axes.text(0.97, 0.94, plain(item), transform=axes.transAxes, ha="right", va="top", weight="bold")
            if row is panels[0]:
                _legend(axes, column)
            _label_axes(axes, metric, reference[item], first=axes is row[0], last=row is panels[-1])
        if errors is not None:
            rows = errors_of(errors[errors["item"] == item], [line.key for line in lines])
            draw_bars(row[-1], rows, [line.label for line in lines], [line.colour for line in lines], size)
            if row is panels[0]:
                row[-1].set_title("Total absolute error")
            if row is panels[-1]:
                row[-1].set_xlabel(PRESENTATIONS[metric].error_label)
    return figure


def limits_of_x(reference: ByItem, metric: str) -> tuple[float, float]:
    """Range of the axis, without the parts where no curve of the reference has anything."""
    x = np.concatenate([curve["x"].to_numpy(dtype=np.float64) for curve in reference.values()])
    mean = np.concatenate([curve["mean"].to_numpy(dtype=np.float64) for curve in reference.values()])
    return PRESENTATIONS[metric].x_limits(x, mean)


def failed_note(number: int) -> str:
    """What legends say of failed runs."""
    return f" ({number} failed)" if number else ""


def y_label(metric: str, curve: pd.DataFrame) -> str:
    """Label of the axis of values, with the unit that the curve says."""
    unit = str(curve["value_unit"].iloc[0]) if "value_unit" in curve.columns and len(curve) else "1"
    return PRESENTATIONS[metric].y_label(unit)


def _label_axes(axes: Axes, metric: str, curve: pd.DataFrame, first: bool, last: bool) -> None:
    """Labels at the edge of the grid only."""
    if first:
        axes.set_ylabel(y_label(metric, curve))
    else:
        axes.tick_params(labelleft=False)
    if last:
        axes.set_xlabel(PRESENTATIONS[metric].x_label)
    else:
        axes.tick_params(labelbottom=False)


def errors_of(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Rows of one item in the order of the keys; empty where one is missing."""
    return rows.set_index("key").reindex(list(keys))


def _highest(tables: Sequence[ByItem], item: str) -> float:
    """Highest mean of one item over all models; bands may reach beyond."""
    highest = [float(table[item]["mean"].max()) for table in tables if item in table]
    return max((value for value in highest if math.isfinite(value) and value > 0), default=1.0)


def _legend(axes: Axes, column: Column) -> None:
    """Legend of one column above its first panel."""
    handles = [Line2D([], [], color=REFERENCE_COLOUR, linewidth=_REFERENCE_WIDTH, label=REFERENCE)]
    handles += [
        Line2D([], [], color=line.colour, linestyle=line.style, label=line.label + line.note) for line in column.lines
    ]
    axes.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=SMALL, handlelength=2.4,
        columnspacing=1.2, labelspacing=0.25, borderaxespad=0.3, title=column.title or None,
        title_fontproperties={"weight": "bold", "size": FONT_SIZE},
    )  # fmt: skip


def draw(files: StructureFiles, metric: str, parameter: float) -> Figure:
    """Curves of all models of one metric and parameter."""
    bars = files.bars(metric, parameter)
    return curves_figure(metric, files.target, files.means, files.palette, files.n_failed, parameter, bars)
