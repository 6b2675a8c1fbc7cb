"""Cells of a study side by side: errors with intervals, forces, stability and speed against what differs.

A model keeps its colour in all cells; all teachers at each step are one model, however many teachers a cell has.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import ScaledTranslation

from ..config.models import Model, models_in_order
from ..core.vocabulary import ModelKind
from ..structure.metrics import PRESENTATIONS
from .style import NEUTRAL_COLOUR, SMALL, Palette, new_figure, plain, styled, text_width

#: Values that span more than this factor get a logarithmic axis: settings, and what is drawn against them.
_LOG_SETTINGS, _LOG_VALUES = 8.0, 30.0
#: Numbers that name something: no axis.
_NAMES = ("seed",)
_UNITS = {"_kcal_mol_bead": "kcal/mol per bead", "_kcal_mol_A": "kcal/mol/Å", "_kcal_mol": "kcal/mol", "_deg": "°",
          "_ps": "ps", "_fs": "fs", "_K": "K", "_A": "Å"}  # fmt: skip
#: Of an error in the summary, and the ending in the table of a study.
_ERRORS = {"mean": "", "ci_low": "_ci_low", "ci_high": "_ci_high", "noise_high": "_noise_high"}
_MARKERS = ("o", "s", "^", "D", "v", "P", "<", "X", ">", "p", "h", "d")
_BAND = "#f1f3f5"
#: Free space beside the outermost values, as a share of the axis.
_MARGIN = 0.07
#: Points between neighbouring models at one value, and at most in all.
_STEP_PT, _WIDEST_PT = 2.2, 16.0
#: Inches of a model within a cell, of the free space beside them, of a panel at least and of the figure at most.
_MODEL_IN, _FREE_IN, _PANEL_IN, _WIDEST_IN = 0.046, 0.18, 3.1, 12.0


@dataclass(frozen=True)
class CellAxis:
    """Where cells stand.

    Attributes
    ----------
    places: x by cell.
    ticks: text of each cell, in the order of ``places``; several values on a line each.
    numeric: x is the value of the one setting that differs; else cells stand one after another.
    log: logarithmic.
    """

    label: str
    places: dict[str, float]
    ticks: tuple[str, ...]
    numeric: bool = False
    log: bool = False


@dataclass(frozen=True)
class _Panel:
    """What one panel shows: a title, the label of y, means, and perhaps ends of intervals, per row of the table."""

    name: str
    title: str
    label: str
    mean: pd.Series
    low: pd.Series | None = None
    high: pd.Series | None = None
    from_zero: bool = True


def tae_columns(metric: str) -> dict[str, str]:
    """Columns of an error in the table of a study by their name in the summary: ``ci_low`` -> ``tae_rdf_ci_low_A``."""
    unit = PRESENTATIONS[metric].error_ending
    return {name: f"tae_{metric}{ending}{unit}" for name, ending in _ERRORS.items()}


def words_and_unit(key: str) -> tuple[str, str]:
    """A setting in words, and its unit: ``network.cutoff_A`` -> ``network: cutoff``, ``Å``."""
    section, _, name = key.rpartition(".")
    unit = next((ending for ending in _UNITS if name.endswith(ending)), "")
    text = name.removesuffix(unit)
    words = f"number of {text[2:]}" if text.startswith("n_") else text
    return (f"{section}: " if section else "").replace(".", ", ").replace("_", " ") + words.replace("_", " "), (
        _UNITS.get(unit, "")
    )


def setting_words(key: str, form: str = "{} / {}") -> str:
    """A setting in words with its unit, if it has one."""
    words, unit = words_and_unit(key)
    return form.format(words, unit) if unit else words


def setting_text(value: Any) -> str:
    """A value of a setting as the config has it."""
    if value is None or value != value:
        return "null"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def varying(table: pd.DataFrame, settings: Sequence[str]) -> list[str]:
    """Settings that are not the same in all cells."""
    return [key for key in settings if len({setting_text(value) for value in table[key]}) > 1]


def models_of(table: pd.DataFrame) -> tuple[list[Model], list[str]]:
    """Models of a study in the order of legends, and the name of the model of each row.

    The same variant under another label, or of another kind, is another model. All teachers at each step are one.
    """
    keys = []
    for name, label, kind in table[["variant", "label", "kind"]].itertuples(index=False, name=None):
        keys.append((kind,) if kind == ModelKind.TEACHER_ENSEMBLE else (kind, name, label))
    names: dict[tuple, str] = {}
    labels: dict[str, str] = {}
    for key in dict.fromkeys(keys):
        if len(key) == 1:
            own = list(dict.fromkeys(table.loc[table["kind"] == key[0], "label"]))
            label = ", ".join(own if len(own) <= 4 else [own[0], "…", own[-1]])
        else:
            label = key[2]
        names[key] = name = str(len(names))
        labels[name] = label if label not in labels.values() else f"{label} ({key[1] if len(key) > 1 else 'all'})"
    kinds = {name: key[0] for key, name in names.items()}
    return models_in_order(list(kinds), labels, kinds), [names[key] for key in keys]


def cell_axis(table: pd.DataFrame, settings: Sequence[str]) -> CellAxis:
    """Where the cells of a table stand.

    Along the setting, if one number alone differs; else one after another, with the values that differ where these
    are several numbers, or with their names.
    """
    cells = table.drop_duplicates("cell").set_index("cell")
    keys = varying(table, settings)
    if len(keys) == 1 and _is_number(keys[0], cells[keys[0]]):
        values = cells[keys[0]].astype(float)
        log = bool(values.min() > 0 and values.max() / values.min() > _LOG_SETTINGS)
        texts = tuple(setting_text(value) for value in cells[keys[0]])
        return CellAxis(setting_words(keys[0]), {str(k): float(v) for k, v in values.items()}, texts, True, log)
    label, texts = "", tuple(str(name) for name in cells.index)
    if len(keys) > 1 and all(_is_number(key, cells[key]) for key in keys):
        label = "from the top:  " + ";  ".join(setting_words(key) for key in keys)
        texts = tuple("\n".join(setting_text(value) for value in row) for row in cells[keys].itertuples(index=False))
    return CellAxis(label, {str(name): float(place) for place, name in enumerate(cells.index)}, texts)


def _is_number(key: str, values: pd.Series) -> bool:
    """Whether a setting is a quantity in all cells."""
    return key not in _NAMES and all(
        isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)
        for value in values
    )


def _panels(table: pd.DataFrame) -> list[_Panel]:
    found = []
    for metric, shown in PRESENTATIONS.items():
        columns = tae_columns(metric)
        if table[columns["mean"]].notna().any():
            mean, low, high = (table[columns[name]].astype(float) for name in ("mean", "ci_low", "ci_high"))
            found.append(_Panel(f"tae_{metric}", shown.title, shown.long_error_label, mean, low, high))
    share = table["n_stable"].astype(float) / table["n_runs"].astype(float)
    return [
        *found,
        _Panel("r2_F", "Forces", "R² on F, test frames", table["r2_F"].astype(float), from_zero=False),
        _Panel("stable", "Stability", "share of stable runs", share),
        _Panel("ns_per_day", "Speed", "ns/day", table["ns_per_day"].astype(float)),
    ]


@styled
def study_figure(table: pd.DataFrame, settings: Sequence[str]) -> Figure:
    """Panels of errors, forces, stability and speed: one mark per cell and model.

    Marks are hollow where some runs did not finish, whose errors are unknown. Along a numeric setting lines connect
    cells that follow each other; a cell without a value interrupts them.

    Parameters
    ----------
    table: of `study.study_table`.
    settings: its columns of settings.
    """
    axis, panels = cell_axis(table, settings), _panels(table)
    models, names = models_of(table)
    palette = Palette(models)
    rows = table.assign(model=names, x=[axis.places[str(cell)] for cell in table["cell"]])
    figure, flat = _sheet(axis, len(panels), len(models))
    for axes, panel in zip(flat, panels, strict=False):
        drawn = rows.assign(mean=panel.mean, low=np.nan, high=np.nan)
        if panel.low is not None and panel.high is not None:
            drawn = drawn.assign(low=panel.low, high=panel.high)
        for place, model in enumerate(models):
            own = drawn[drawn["model"] == model.name]
            _draw_model(axes, own, panel.name, place, len(models), palette, axis)
        _finish(axes, panel, drawn)
        _ticks(axes, axis)
    for axes in flat[len(panels) :]:
        axes.set_visible(False)
    if axis.label:
        figure.supxlabel(plain(axis.label), fontsize=9)
    _legend(figure, rows, panels, models, palette, axis)
    return figure


def _sheet(axis: CellAxis, n_panels: int, n_models: int) -> tuple[Figure, list[Axes]]:
    """A figure of two rows, or of panels below each other where cells need the width."""
    needed = len(axis.places) * (_MODEL_IN * n_models + (_FREE_IN / 2 if axis.numeric else _FREE_IN))
    columns = 3 if needed <= 1.15 * _PANEL_IN else 2 if needed <= 1.9 * _PANEL_IN else 1
    rows = -(-n_panels // columns)
    width = min(columns * max(needed, _PANEL_IN) + 0.9, _WIDEST_IN)
    height = {3: 2.3, 2: 2.1, 1: 1.9}[columns] * rows + 0.7 + 0.17 * -(-n_models // 5)
    if not axis.numeric:
        texts, upright = _tick_texts(axis, width / columns)
        lines = [line for text in texts for line in text.split("\n")]
        height += text_width(lines, SMALL) if upright else 0.14 * max(text.count("\n") for text in texts)
    figure, grid = new_figure(rows, columns, width, height, sharex=True)
    return figure, [axes for row in grid for axes in row]


def _tick_texts(axis: CellAxis, width: float) -> tuple[list[str], bool]:
    """Texts of the cells, in lines that fit below a panel of ``width`` inches; upright where they do not."""
    room = 0.9 * (width - 0.6) / len(axis.places)
    letters = int(room / text_width("x", SMALL))
    if letters:
        lying = [_in_lines(text, letters) for text in axis.ticks]
        if all(lying):
            return ["\n".join(lines) for lines in lying], False
    n_lines = max(1, int(room / (1.25 * SMALL / 72)))
    wrapped = (textwrap.wrap(text, 34, max_lines=min(n_lines, 3), placeholder="…") for text in axis.ticks)
    return ["\n".join(lines) for lines in wrapped], True


def _in_lines(text: str, letters: int) -> list[str]:
    """A text in lines of this number of letters, broken between words; none where that cannot be."""
    if "\n" in text:
        lines = text.split("\n")
    else:
        lines = textwrap.wrap(text, letters, break_long_words=False)
    return lines if all(len(line) <= letters for line in lines) and len(lines) <= 4 else []


def _draw_model(
    axes: Axes, rows: pd.DataFrame, panel: str, place: int, n_models: int, palette: Palette, axis: CellAxis
) -> None:
    """Marks, intervals and line of one model: ``gid`` of each is what it is, the panel and the place of the model."""
    if rows.empty or not rows["mean"].notna().any():
        return
    name = str(rows["model"].iloc[0])
    colour, middle = palette.colour(name), place - (n_models - 1) / 2
    transform, x = axes.transData, rows["x"].to_numpy(dtype=np.float64)
    if axis.numeric:  # beside each other on paper, at their value in the data
        step = min(_STEP_PT, _room_pt(axes, axis) / n_models)
        transform = transform + ScaledTranslation(step * middle / 72, 0, axes.figure.dpi_scale_trans)  # type: ignore[union-attr]
        line = rows.set_index("x")["mean"].groupby(level=0).mean().reindex(sorted(set(axis.places.values())))
        axes.plot(line.index, line, color=colour, linestyle=palette.line(name), linewidth=1.1, transform=transform,
                  gid=f"line-{panel}-{place}")  # fmt: skip
    else:
        x = x + 0.8 * middle / n_models
    mean, low, high = (rows[column].to_numpy(dtype=np.float64) for column in ("mean", "low", "high"))
    known = np.isfinite(mean) & np.isfinite(low) & np.isfinite(high)
    if known.any():
        axes.vlines(x[known], low[known], high[known], color=colour, linewidth=1.1, transform=transform,
                    gid=f"interval-{panel}-{place}")  # fmt: skip
    whole = (rows["n_finished"] == rows["n_runs"]).to_numpy() | (not panel.startswith("tae"))
    size = 4.2 if n_models <= 6 else 3.2
    for chosen, face in ((whole, colour), (~whole, "white")):
        if (chosen & np.isfinite(mean)).any():
            axes.plot(x[chosen], mean[chosen], _MARKERS[place % len(_MARKERS)], color=colour, markerfacecolor=face,
                      markersize=size, markeredgewidth=0.9, transform=transform, zorder=3,
                      gid=f"{'mean' if face == colour else 'partial'}-{panel}-{place}")  # fmt: skip


def _room_pt(axes: Axes, axis: CellAxis) -> float:
    """Points that all models at one value may take together."""
    values = np.array(sorted(set(axis.places.values())))
    if len(values) < 2:
        return _WIDEST_PT
    values = np.log(values) if axis.log else values
    nearest = float(np.diff(values).min() / (values[-1] - values[0]))
    return min(_WIDEST_PT, 0.8 * nearest * _inches(axes) * 72)


def _inches(axes: Axes) -> float:
    """Inches, or a little less, between the least and the largest value of a numeric setting."""
    return (_panel_width(axes) - 0.6) / (1 + 2 * _MARGIN)


def _panel_width(axes: Axes) -> float:
    """Inches of the figure that a panel has."""
    figure, spec = axes.get_figure(root=True), axes.get_subplotspec()
    return 0.0 if figure is None or spec is None else float(figure.get_figwidth()) / spec.get_gridspec().ncols


def _finish(axes: Axes, panel: _Panel, drawn: pd.DataFrame) -> None:
    """Title, label and range of y."""
    axes.set_title(panel.title)
    axes.set_ylabel(panel.label)
    values = drawn[["mean", "low", "high"]].to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    if panel.name == "stable":
        axes.set_ylim(-0.06, 1.06)
    elif not len(values):
        axes.text(0.5, 0.5, "not known", transform=axes.transAxes, ha="center", va="center", color=NEUTRAL_COLOUR)
        axes.set_yticks([])
    elif panel.from_zero and values.min() > 0 and values.max() / values.min() > _LOG_VALUES:
        axes.set_yscale("log")
        axes.set_ylim(values.min() / 1.3, values.max() * 1.3)
    else:
        low = min(0.0, values.min()) if panel.from_zero else values.min()
        margin = 0.07 * (values.max() - low) or 0.05 * abs(values.max()) or 1.0
        axes.set_ylim(low if panel.from_zero and low == 0 else low - margin, values.max() + margin)


def _ticks(axes: Axes, axis: CellAxis) -> None:
    """Range and ticks of x."""
    axes.xaxis.set_minor_locator(NullLocator())
    places = np.array(list(axis.places.values()))
    if not axis.numeric:
        for place in range(0, len(places), 2):
            axes.axvspan(place - 0.5, place + 0.5, color=_BAND, zorder=0, linewidth=0)
        texts, upright = _tick_texts(axis, _panel_width(axes))
        axes.set_xticks(places, [plain(text) for text in texts], rotation=90 if upright else 0)
        axes.set_xlim(-0.5, len(places) - 0.5)
        axes.tick_params(axis="x", length=0)
        axes.grid(visible=False, axis="x")
        return
    forward: Callable[[Any], Any] = np.log if axis.log else np.asarray
    if axis.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    low, high = forward(places.min()), forward(places.max())
    margin = _MARGIN * (high - low) or 0.5
    ends = np.array([low - margin, high + margin])
    axes.set_xlim(*(np.exp(ends) if axis.log else ends))
    values = np.unique(places).tolist()
    nearest = (text_width((f"{value:g}" for value in values), SMALL) + 0.05) / _inches(axes) * (high - low)
    shown: list[float] = []
    for value in values:
        if not shown or forward(value) - forward(shown[-1]) >= nearest:
            shown.append(value)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _legend(
    figure: Figure,
    rows: pd.DataFrame,
    panels: Sequence[_Panel],
    models: Sequence[Model],
    palette: Palette,
    axis: CellAxis,
) -> None:
    """All models once, and what lines and hollow marks stand for."""
    handles: list[Artist] = [
        Line2D([], [], color=palette.colour(model.name), marker=_MARKERS[place % len(_MARKERS)], markersize=4.2,
               linestyle=palette.line(model.name) if axis.numeric else "", linewidth=1.1,
               label=plain(textwrap.shorten(model.label, 40, placeholder="…") or model.label[:40]))
        for place, model in enumerate(models)
    ]  # fmt: skip
    if any(panel.low is not None and panel.low.notna().any() for panel in panels):
        handles.append(Line2D([], [], color=NEUTRAL_COLOUR, marker="|", markersize=9, linestyle="", label="interval"))
    if (rows["n_finished"] != rows["n_runs"]).any():
        handles.append(Line2D([], [], color=NEUTRAL_COLOUR, marker="o", markerfacecolor="white", markersize=4.2,
                              linestyle="", label="not all runs finished"))  # fmt: skip
    widths = [text_width([str(handle.get_label())], SMALL) + 0.45 for handle in handles]
    columns = min(8, len(handles))
    while columns > 1 and _legend_width(widths, columns) > figure.get_figwidth():
        columns -= 1
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _legend_width(widths: Sequence[float], columns: int) -> float:
    """Width of a legend that is filled column by column."""
    rows = -(-len(widths) // columns)
    return sum(max(widths[start : start + rows]) for start in range(0, len(widths), rows))
