"""Cluster distribution functions in the course of the simulations: one figure per group of models.

Rows are bead types, columns models; lines go from the start of equilibration to the end, coloured by time. Each line is
the mean over all runs of a model, and over neighbouring windows in time where there are too many to tell their lines
apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..config.models import Model, in_groups
from ..core.vocabulary import REFERENCE
from .style import FONT_SIZE, REFERENCE_COLOUR, SMALL, Palette, panel_grid, plain, styled

if TYPE_CHECKING:
    from .run_files import StabilityFiles

#: Lines in a panel at most: those of Olowookere et al. (arXiv 2510.26650), every 10 ps from 0 to 300 ps.
_MOST_LINES = 31
#: Dark early, light late; the lightest part is left out.
_COLOURS = ListedColormap(sns.color_palette("viridis", 256)[:236])
#: Share of the highest value below which a curve is as good as zero.
_EMPTY = 0.01
#: Inches: left of the first panel, and widths of panels by their number in a row (else `_NARROW`).
_LEFT, _NARROW = 0.82, 1.95
_WIDTHS = {1: 3.4, 2: 3.2, 3: 2.6, 4: 2.2}


@styled
def resolved_figure(
    resolved_by_variant: Mapping[str, pd.DataFrame], reference: pd.DataFrame | None, palette: Palette
) -> dict[str, Figure]:
    """A figure for each group of models of the palette.

    Parameters
    ----------
    resolved_by_variant: ``resolved.parquet`` by variant.
    reference: that of the reference: its mean over time is drawn; None leaves it out.

    Returns
    -------
    Figures by name of the group (T, S1, S8).
    """
    means = {name: in_time(table) for name, table in resolved_by_variant.items()}
    found = pd.concat([table["time_ps"] for table in means.values()] or [pd.Series(dtype=float)])
    end_ps = float(found.max()) if len(found) else 1.0
    target = None if reference is None else reference.groupby(["item", "x"], sort=False)["value"].mean().reset_index()
    figures = {}
    for group, members in in_groups(palette.models).items():
        figures[group] = _figure(members, means, resolved_by_variant, target, palette, end_ps)
    return figures


def in_time(resolved: pd.DataFrame, most: int = _MOST_LINES) -> pd.DataFrame:
    """Mean over runs and over neighbouring windows, so that at most ``most`` times are left.

    Returns
    -------
    Columns item, time_ps (start of the first window), x, value.
    """
    times = np.sort(resolved["time_ps"].unique())
    parts = np.array_split(times, min(most, len(times))) if len(times) else []
    first = {time: part[0] for part in parts for time in part}
    grouped = resolved.assign(time_ps=resolved["time_ps"].map(first)).groupby(["item", "time_ps", "x"], sort=False)
    return grouped["value"].mean().reset_index()


def _figure(
    members: list[Model],
    means: Mapping[str, pd.DataFrame],
    resolved: Mapping[str, pd.DataFrame],
    target: pd.DataFrame | None,
    palette: Palette,
    end_ps: float,
) -> Figure:
    shown = [means[model.name] for model in members if model.name in means]
    tables = ([] if target is None else [target]) + [table for table in shown if len(table)]
    items = list(dict.fromkeys(item for table in tables for item in table["item"])) or [""]
    width = _WIDTHS.get(len(members), _NARROW)
    gaps = [_LEFT] + [0.14] * (len(members) - 1)
    figure, panels = panel_grid([width] * len(members), gaps, len(items), 1.6, 0.28, 0.5, 0.95)
    norm = Normalize(0.0, end_ps)
    for row, item in zip(panels, items, strict=True):
        own = [table[table["item"] == item] for table in tables]
        limits = _x_limits(own)
        top = 1.06 * max((float(table["value"].max()) for table in own if len(table)), default=1.0)
        for axes, model in zip(row, members, strict=True):
            if model.name in means:
                _draw(axes, means[model.name], item, norm)
            if target is not None:
                curve = target[target["item"] == item]
                axes.plot(curve["x"], curve["value"], color=REFERENCE_COLOUR, linewidth=1.8, zorder=5)
            axes.set_xlim(limits)
            axes.set_ylim(0.0, top)
            axes.tick_params(labelleft=axes is row[0], labelbottom=True)
        row[0].set_ylabel(f"{plain(item)}\nCDF / Å$^{{-1}}$")
    for axes, model in zip(panels[0], members, strict=True):
        axes.set_title(f"{palette.label(model.name)}\n{_runs(resolved.get(model.name))}", fontsize=FONT_SIZE)
    figure.text(0.5, 0.12 / figure.get_figheight(), "merge distance / Å", ha="center", va="center", fontsize=FONT_SIZE)
    _colour_bar(figure, norm, target is not None)
    return figure


def _draw(axes: Axes, table: pd.DataFrame, item: str, norm: Normalize) -> None:
    for time, curve in table[table["item"] == item].groupby("time_ps"):
        axes.plot(curve["x"], curve["value"], color=_COLOURS(norm(float(time))), linewidth=0.9)  # type: ignore[arg-type]


def _runs(resolved: pd.DataFrame | None) -> str:
    n = 0 if resolved is None else len(resolved[["member", "replica"]].drop_duplicates())
    return "no run" if n == 0 else "1 run" if n == 1 else f"mean of {n} runs"


def _x_limits(tables: list[pd.DataFrame]) -> tuple[float, float]:
    """Where any of the curves is more than nearly zero."""
    filled = [table.loc[table["value"] > _EMPTY * table["value"].max(), "x"] for table in tables if len(table)]
    filled = [x for x in filled if len(x)]
    if not filled:
        return 0.0, 1.0
    return max(0.0, min(float(x.min()) for x in filled) - 0.5), max(float(x.max()) for x in filled) + 0.5


def _colour_bar(figure: Figure, norm: Normalize, reference: bool) -> None:
    """Colour bar of time in the strip above the panels, and the reference's line beside it."""
    width, height = figure.get_size_inches()
    length = min(2.6, 0.4 * width)
    bar = figure.add_axes((_LEFT / width, 1.0 - 0.25 / height, length / width, 0.09 / height))
    figure.colorbar(ScalarMappable(norm, _COLOURS), cax=bar, orientation="horizontal")
    bar.tick_params(labelsize=SMALL, length=2, pad=1)
    figure.text((_LEFT + 0.1 + length) / width, 1.0 - 0.21 / height, "time / ps", va="center", fontsize=SMALL)
    if reference:
        line = Line2D([], [], color=REFERENCE_COLOUR, linewidth=1.8, label=REFERENCE)
        place = ((_LEFT + 0.9 + length) / width, 1.0 - 0.21 / height)
        figure.legend(handles=[line], loc="center left", bbox_to_anchor=place, fontsize=SMALL)


def draw(files: StabilityFiles, group: str) -> Figure:
    """Cluster distribution functions in time of one group of models."""
    return files.resolved_figures[group]
