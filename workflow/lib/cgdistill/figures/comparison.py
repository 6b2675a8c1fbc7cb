"""Every model against every other: how their errors differ, and whether the tests tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..io.csv_tables import read_table
from ..statistics.comparison import BETTER, NO_TEST, SAME, WORSE
from ..structure.error_tables import shown_metrics
from .style import NEUTRAL_COLOUR, Palette, new_figure, styled

if TYPE_CHECKING:
    from .run_files import StructureFiles

#: Marks of the model of the row against that of the column.
MARKS = {BETTER: "v", WORSE: "^", SAME: "_", NO_TEST: "x"}
_TEXTS = {BETTER: "lower error", WORSE: "higher error", SAME: "not distinguishable", NO_TEST: "not tested"}
_COLOURS = "RdBu_r"


@styled
def comparison_figure(comparisons: pd.DataFrame, palette: Palette) -> Figure:
    """Matrix of models per metric.

    Colour: difference of the overall TAE of row and column relative to the mean of both (blue: the row's is
    lower). Mark: outcome of the test, of the row against the column.

    Parameters
    ----------
    comparisons: columns of `statistics.COMPARISON_COLUMNS`.
    """
    metrics = shown_metrics(comparisons)
    n_models = len(palette.models)
    side = 0.6 + 0.24 * n_models
    figure, panels = new_figure(1, max(len(metrics), 1), max(len(metrics), 1) * side + 1.7, side + 1.3, sharey=True)
    matrices = [matrices_of(comparisons[comparisons["metric"] == shown.name], palette) for shown in metrics]
    largest = [np.nanmax(np.abs(differences), initial=0.0) for differences, _ in matrices]
    scale = ScalarMappable(Normalize(-100 * max(largest, default=0), 100 * max(largest, default=0)), _COLOURS)
    for axes, shown, matrix in zip(panels[0], metrics, matrices, strict=False):
        _matrix(axes, *matrix, palette, scale)
        axes.set_title(shown.title)
    figure.colorbar(scale, ax=panels[0], label="row less column / %", shrink=0.8, pad=0.01)
    handles = [
        Line2D([], [], linestyle="none", marker=mark, color="#222222", markersize=5, label=_TEXTS[outcome])
        for outcome, mark in MARKS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), title="Model of the row:")
    return figure


def matrices_of(comparisons: pd.DataFrame, palette: Palette) -> tuple[np.ndarray, np.ndarray]:
    """Relative differences (n, n) and outcomes (n, n; empty on the diagonal) of one metric, rows against columns."""
    places = {model.name: place for place, model in enumerate(palette.models)}
    differences = np.full((len(places), len(places)), np.nan)
    outcomes = np.full(differences.shape, "", dtype=object)
    opposite = {BETTER: WORSE, WORSE: BETTER}
    for row in comparisons.itertuples():
        if row.variant_a not in places or row.variant_b not in places:
            continue
        a, b = places[row.variant_a], places[row.variant_b]
        mean = (row.mean_a + row.mean_b) / 2
        relative = row.difference / mean if mean > 0 else np.nan
        outcome = NO_TEST if row.test == NO_TEST else str(row.outcome)
        differences[a, b], differences[b, a] = relative, -relative
        outcomes[a, b], outcomes[b, a] = outcome, opposite.get(outcome, outcome)
    return differences, outcomes


def _matrix(axes: Axes, differences: np.ndarray, outcomes: np.ndarray, palette: Palette, scale: ScalarMappable) -> None:
    n_models = len(differences)
    colours = scale.to_rgba(100 * np.nan_to_num(differences))
    colours[np.isnan(differences)] = (0.93, 0.94, 0.95, 1.0)
    axes.imshow(colours, aspect="equal", interpolation="nearest")
    for outcome, mark in MARKS.items():
        rows, columns = np.nonzero(outcomes == outcome)
        dark = np.abs(100 * np.nan_to_num(differences[rows, columns])) > 0.6 * scale.norm.vmax  # type: ignore[operator]
        for chosen, colour in ((dark, "white"), (~dark, "#222222")):
            size, width = (16, 0) if outcome in (BETTER, WORSE) else (12, 0.9)
            axes.scatter(columns[chosen], rows[chosen], s=size, marker=mark, color=colour, linewidths=width)
    labels = [palette.label(model.name) for model in palette.models]
    axes.set_xticks(range(n_models), labels, rotation=90)
    axes.set_yticks(range(n_models), labels)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.set_xticks(np.arange(0.5, n_models - 1), minor=True)
    axes.set_yticks(np.arange(0.5, n_models - 1), minor=True)
    axes.grid(visible=True, which="minor", color="white", linewidth=1.0)
    axes.tick_params(which="minor", length=0)
    for edge in axes.spines.values():
        edge.set_color(NEUTRAL_COLOUR)
        edge.set_visible(False)


def draw(files: StructureFiles) -> Figure:
    """All pairs of models."""
    table = read_table(files.comparisons, ["metric", "variant_a", "variant_b", "outcome"])
    return comparison_figure(table, files.palette)
