"""Structure in the course of the simulations: clusters and peaks against time, and which runs are still stable.

Columns are groups of models. Lines are means over the runs of a model, bands hold the middle 80 % of the runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..config.models import Model
from ..core.vocabulary import REFERENCE
from ..structure.files import read_series
from ..structure.series import CDF_PEAK, LARGEST_CLUSTER, PRODUCTION, RDF_PEAK, RDF_PEAK_HEIGHT
from .style import NEUTRAL_COLOUR, REFERENCE_COLOUR, SMALL, Palette, panel_grid, plain, styled

if TYPE_CHECKING:
    from .run_files import StabilityFiles

_TITLES = {
    LARGEST_CLUSTER: "share in\nlargest cluster",
    CDF_PEAK: "CDF peak / Å",
    RDF_PEAK: "RDF peak / Å",
}
#: Points of a line, and pairs whose peaks are drawn, at most: those with the highest peaks in the reference.
_MOST_POINTS = 40
_MOST_PAIRS = 6
_BAND = (0.1, 0.9)
_WIDTH, _HEIGHT, _GAP = 3.1, 0.92, 0.13


@dataclass(frozen=True)
class _Rows:
    """What stands in a row: a quantity of an item."""

    quantity: str
    item: str


@styled
def stability_figure(
    series_by_variant: Mapping[str, pd.DataFrame],
    runs: pd.DataFrame,
    palette: Palette,
    reference: pd.DataFrame | None = None,
) -> Figure:
    """One row for the share of stable runs, one per quantity and item; one column per group of models.

    Parameters
    ----------
    series_by_variant: ``series.parquet`` by variant.
    runs: columns variant, stability, onset_ps.
    reference: the series of the reference, whose means are drawn as levels.
    """
    tracks = {name: tracks_of(table) for name, table in series_by_variant.items() if len(table)}
    rows = _rows(tracks, reference)
    families = palette.families()
    gaps = [0.85] + [0.3] * (len(families) - 1)
    lines = max(-(-len(members) // 2) for _, members in families)
    figure, panels = panel_grid([_WIDTH] * len(families), gaps, len(rows) + 1, _HEIGHT, _GAP, 0.5, 0.5 + 0.17 * lines)
    end_ps = max((float(track["time_ps"].max()) for track in tracks.values()), default=1.0)
    produced_ps = _start_of_production(series_by_variant)
    for column, (title, members) in enumerate(families):
        _survivors(panels[0][column], members, runs, palette, end_ps)
        _legend(panels[0][column], title, members, palette, reference is not None)
        for line, row in enumerate(rows, start=1):
            axes = panels[line][column]
            for model in members:
                if model.name in tracks:
                    _draw(axes, tracks[model.name], row, palette, model)
            _level(axes, reference, row)
    for line, panel_row in enumerate(panels):
        _share_y(panel_row, None if line == 0 else rows[line - 1])
        for axes in panel_row:
            axes.set_xlim(0.0, end_ps)
            axes.tick_params(labelbottom=line == len(rows), labelleft=axes is panel_row[0])
            if produced_ps > 0:
                axes.axvline(produced_ps, color=NEUTRAL_COLOUR, linewidth=0.7, linestyle=":")
    for row, panel_row in zip(rows, panels[1:], strict=True):
        panel_row[0].set_ylabel(f"{plain(row.item)}\n{_TITLES[row.quantity]}", fontsize=SMALL)
    panels[0][0].set_ylabel("share of\nstable runs", fontsize=SMALL)
    time = "time / ps (production begins at the dotted line)" if produced_ps > 0 else "time / ps"
    figure.text(0.5, 0.12 / figure.get_figheight(), time, ha="center", va="center")
    return figure


def tracks_of(series: pd.DataFrame) -> pd.DataFrame:
    """Mean over the runs of a model of each quantity, item and part of time, with the band of the runs.

    Parameters
    ----------
    series: rows of any number of runs.

    Returns
    -------
    Columns quantity, item, time_ps, mean, low, high.
    """
    rows = series[series["quantity"].isin(_TITLES)].dropna(subset=["time_ps", "value"])
    parts = []
    for (quantity, item), own in rows.groupby(["quantity", "item"], sort=False):
        times = np.sort(own["time_ps"].unique())
        groups = np.array_split(times, min(_MOST_POINTS, len(times)))
        centre = {time: float(group.mean()) for group in groups for time in group}
        by_run = (
            own.assign(time_ps=own["time_ps"].map(centre)).groupby(["time_ps", "member", "replica"])["value"].mean()
        )
        over = by_run.groupby(level="time_ps")
        low, high = over.quantile(_BAND[0]), over.quantile(_BAND[1])
        track = pd.DataFrame({"mean": over.mean(), "low": low, "high": high}).reset_index()
        parts.append(track.assign(quantity=quantity, item=item))
    columns = ["quantity", "item", "time_ps", "mean", "low", "high"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def share_stable(runs: pd.DataFrame, end_ps: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and the share of runs that are stable from each on (a step function) of one model."""
    onsets = np.sort(runs.loc[runs["stability"] != "stable", "onset_ps"].to_numpy(dtype=np.float64))
    onsets = np.where(np.isfinite(onsets), onsets, end_ps)
    shares = 1.0 - np.arange(len(onsets) + 1) / max(1, len(runs))
    return np.concatenate([[0.0], onsets, [end_ps]]), np.concatenate([shares, shares[-1:]])


def _rows(tracks: Mapping[str, pd.DataFrame], reference: pd.DataFrame | None) -> list[_Rows]:
    """Items in their order, RDFs with the highest peaks in the reference alone."""
    items: dict[str, list[str]] = {quantity: [] for quantity in _TITLES}
    for track in tracks.values():
        for quantity, item in track[["quantity", "item"]].drop_duplicates().itertuples(index=False):
            if item not in items[quantity]:
                items[quantity].append(item)
    pairs = items[RDF_PEAK]
    if reference is not None and len(pairs) > _MOST_PAIRS:
        heights = reference[reference["quantity"] == RDF_PEAK_HEIGHT].groupby("item")["value"].mean()
        highest = set(heights.nlargest(_MOST_PAIRS).index)
        pairs = [pair for pair in pairs if pair in highest]
    items[RDF_PEAK] = pairs[:_MOST_PAIRS]
    return [_Rows(quantity, item) for quantity in _TITLES for item in items[quantity]]


def _draw(axes: Axes, track: pd.DataFrame, row: _Rows, palette: Palette, model: Model) -> None:
    own = track[(track["quantity"] == row.quantity) & (track["item"] == row.item)]
    colour = palette.colour(model.name)
    axes.fill_between(own["time_ps"], own["low"], own["high"], color=colour, alpha=0.13, linewidth=0)
    axes.plot(own["time_ps"], own["mean"], color=colour, linestyle=palette.line(model.name), linewidth=1.1)


def _level(axes: Axes, reference: pd.DataFrame | None, row: _Rows) -> None:
    """Mean of the reference."""
    if reference is None:
        return
    own = reference.loc[(reference["quantity"] == row.quantity) & (reference["item"] == row.item), "value"].dropna()
    if len(own):
        axes.axhline(float(own.mean()), color=REFERENCE_COLOUR, linewidth=1.2, zorder=1.5)


def _survivors(axes: Axes, members: list[Model], runs: pd.DataFrame, palette: Palette, end_ps: float) -> None:
    for model in members:
        own = runs[runs["variant"] == model.name]
        if len(own):
            times, shares = share_stable(own, end_ps)
            axes.step(times, shares, where="post", color=palette.colour(model.name), linestyle=palette.line(model.name))


def _share_y(row: list[Axes], what: _Rows | None) -> None:
    """One range for a row of panels; shares go from 0 to 1."""
    if what is None or what.quantity == LARGEST_CLUSTER:
        low, high = 0.0, 1.05
    else:
        limits = [axes.get_ylim() for axes in row if axes.lines]
        low, high = min(a for a, _ in limits), max(b for _, b in limits)
        if high - low < 1.0:  # half an Angstrom to either side: noise shall not fill the panel
            low, high = 0.5 * (low + high) - 0.5, 0.5 * (low + high) + 0.5
    for axes in row:
        axes.set_ylim(low, high)


def _start_of_production(series_by_variant: Mapping[str, pd.DataFrame]) -> float:
    """First time of production among all runs; 0 where none has frames before."""
    starts = []
    for table in series_by_variant.values():
        times = table.loc[table["quantity"] == LARGEST_CLUSTER, ["time_ps", "phase"]]
        if (times["phase"] != PRODUCTION).any():
            starts.append(float(times.loc[times["phase"] != PRODUCTION, "time_ps"].max()))
    return max(starts, default=0.0)


def _legend(axes: Axes, title: str, members: list[Model], palette: Palette, reference: bool) -> None:
    level = Line2D([], [], color=REFERENCE_COLOUR, linewidth=1.2, label=f"{REFERENCE} (mean)")
    handles = [level] if reference else []
    for model in members:
        look = {"color": palette.colour(model.name), "linestyle": palette.line(model.name)}
        handles.append(Line2D([], [], label=palette.label(model.name), **look))
    axes.legend(
        handles=handles, title=title, title_fontproperties={"weight": "bold"}, loc="lower center",
        bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=SMALL, handlelength=2.2, columnspacing=1.0, labelspacing=0.25,
        borderaxespad=0.3,
    )  # fmt: skip


def draw(files: StabilityFiles) -> Figure:
    """Peaks and clusters of all models."""
    reference = read_series(files.reference_series)
    return stability_figure(files.series_by_variant, files.run_table, files.palette, reference)
