"""Training curves of teachers and students, and what they reach on each target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..config.targets import TARGETS
from .style import NEUTRAL_COLOUR, SMALL, Palette, new_figure, plain, styled

if TYPE_CHECKING:
    from .run_files import NetworkFiles

Histories = Mapping[str, pd.DataFrame]


@styled
def teachers_figure(histories: Histories, palette: Palette) -> Figure:
    """Loss against epoch, one panel per teacher.

    Parameters
    ----------
    histories: by teacher; columns epoch, train_loss, valid_loss, best (1 where the best so far). Without rows where
        training failed in the first epoch.
    """
    columns = min(4, len(histories))
    rows = math.ceil(len(histories) / columns)
    figure, panels = new_figure(rows, columns, 2.6 * columns + 0.4, 1.9 * rows + 0.7, sharex=True, sharey=True)
    flat = [axes for row in panels for axes in row]
    colour = palette.colour("T")
    for axes, (name, history) in zip(flat, histories.items(), strict=False):
        axes.plot(history["epoch"], history["train_loss"], color=NEUTRAL_COLOUR, linewidth=0.9, linestyle="--")
        axes.plot(history["epoch"], history["valid_loss"], color=colour)
        if history.empty:
            axes.set_title(plain(f"{name}, failed"))
            continue
        best = history.loc[history["valid_loss"].idxmin()]
        axes.plot(best["epoch"], best["valid_loss"], "o", markersize=4.5, color="#111111")
        axes.set_title(plain(f"{name}, best epoch {int(best['epoch'])}"))
    for axes in flat[len(histories) :]:
        axes.set_visible(False)
    _robust_y(flat[0], [history[c] for history in histories.values() for c in ("train_loss", "valid_loss")])
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("loss / (kcal/mol/Å)", fontsize=9)
    handles = [
        Line2D([], [], color=NEUTRAL_COLOUR, linestyle="--", linewidth=0.9, label="training"),
        Line2D([], [], color=colour, label="validation"),
        Line2D([], [], color="#111111", marker="o", markersize=4.5, linestyle="", label="model kept"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _robust_y(axes: Axes, losses: list[pd.Series]) -> None:
    """Y range without the first epochs' spikes (axes are shared)."""
    values = np.concatenate([series.to_numpy(dtype=np.float64) for series in losses])
    values = values[np.isfinite(values)]
    if len(values):
        low, high = values.min(), np.percentile(values, 98)
        margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
        axes.set_ylim(low - margin, high + margin)


@styled
def students_figure(histories: Mapping[str, Histories], palette: Palette) -> Figure:
    """Validation loss relative to its first value, one panel per student variant, one line per member.

    Losses of variants differ in their terms, so only their course can be compared.
    """
    names = [model.name for model in palette.models if histories.get(model.name)]
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure, panels = new_figure(rows, columns, 3.2 * columns + 0.4, 1.9 * rows + 0.5, sharey=True)
    flat = [axes for row in panels for axes in row]
    for axes, name in zip(flat, names, strict=False):
        members = {member: history for member, history in histories[name].items() if len(history)}
        for history in members.values():
            relative = history["valid_loss"] / history["valid_loss"].iloc[0]
            axes.plot(history["epoch"], relative, color=palette.colour(name), linewidth=1.1, alpha=0.85)
            best = int(history["valid_loss"].to_numpy().argmin())
            axes.plot(history["epoch"].iloc[best], relative.iloc[best], "o", markersize=3.5, color="#111111")
        plural = "student" if len(members) == 1 else "students"
        lost = len(histories[name]) - len(members)
        axes.set_title(f"{palette.label(name)}, {len(members)} {plural}" + (f", {lost} failed" if lost else ""))
        axes.set_ylim(0, 1.05)
    for axes in flat[len(names) :]:
        axes.set_visible(False)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("validation loss / its first value", fontsize=9)
    return figure


@styled
def metrics_figure(training: pd.DataFrame, palette: Palette, split: str = "test") -> Figure:
    """R² and RMSE on each target, one column per target: bars are means over the networks of a variant, dots networks.

    Parameters
    ----------
    training: columns variant, member, split, target, unit, rmse, r2 (and bead_type, of which ``all`` is taken).
    """
    own = training[training["split"] == split]
    if "bead_type" in own.columns:
        own = own[own["bead_type"] == "all"]
    targets = [target for target in TARGETS.values() if (own["target"] == target.name).any()]
    names = [model.name for model in palette.models if (own["variant"] == model.name).any()]
    height = 1.6 + 0.42 * len(names)
    figure, panels = new_figure(2, len(targets), 2.5 * len(targets) + 0.8, height)
    for column, target in enumerate(targets):
        chosen = own[own["target"] == target.name]
        for row, (measure, label) in enumerate((("r2", "R²"), ("rmse", f"RMSE / ({target.unit_symbol})"))):
            axes = panels[row][column]
            _measure_panel(axes, chosen, measure, names, palette)
            axes.set_xlabel(plain(label))
            if column:
                axes.tick_params(labelleft=False)
        panels[0][column].set_title(target.label)
    return figure


def _measure_panel(axes: Axes, own: pd.DataFrame, measure: str, names: Sequence[str], palette: Palette) -> None:
    """Bars of one measure of one target; R² below 0 is drawn as 0 and written out."""
    values = {name: own.loc[own["variant"] == name, measure].dropna().to_numpy(dtype=np.float64) for name in names}
    highest = max((float(found.max()) for found in values.values() if len(found)), default=1.0)
    reach = 1.0 if measure == "r2" else highest or 1.0
    for place, (name, found) in enumerate(values.items()):
        if not len(found):
            continue
        mean, std = float(found.mean()), float(found.std(ddof=1)) if len(found) > 1 else 0.0
        shown = max(mean, 0.0)
        axes.barh(place, shown, height=0.72, color=palette.colour(name), gid=f"bar-{name}")
        end = shown
        if len(found) > 1 and mean > 0:
            axes.errorbar(mean, place, xerr=std, fmt="none", ecolor="#222222", elinewidth=1.1, gid=f"std-{name}")
            shift = place + 0.3 * np.linspace(-1, 1, len(found))
            axes.plot(np.clip(found, 0, None), shift, ".", color="#222222", markersize=2.2, alpha=0.7)
            end = max(mean + std, float(found.max()))
        text = f"{mean:.3f}" if measure == "r2" else f"{mean:#.3g}"
        axes.annotate(text, (end, place), (4, 0), textcoords="offset points", va="center", fontsize=SMALL)
    axes.set_xlim(0, 1.35 * reach)
    if measure == "r2":
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
    else:
        axes.locator_params(axis="x", nbins=5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), [palette.label(name) for name in names])
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def draw_metrics(files: NetworkFiles) -> Figure:
    """Metrics of all models by target."""
    return metrics_figure(files.metrics, files.palette)


def draw_teachers(files: NetworkFiles) -> Figure:
    """Losses of the teachers."""
    return teachers_figure(files.teacher_histories, files.palette)


def draw_students(files: NetworkFiles) -> Figure:
    """Losses of the students."""
    return students_figure(files.student_histories, files.palette)
