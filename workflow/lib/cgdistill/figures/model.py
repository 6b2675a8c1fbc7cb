"""One model against the reference: all its curves on one sheet, for the model's own page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..core.vocabulary import OVERALL, REFERENCE
from ..structure.error_tables import of_metric, shown_metrics
from ..structure.metrics import PRESENTATIONS
from .bars import intervals
from .curves import by_item, draw_curve, draw_reference, limits_of_x, y_label
from .style import REFERENCE_COLOUR, SMALL, Palette, panel_grid, plain, styled

if TYPE_CHECKING:
    from .run_files import StructureFiles

_COLUMNS = 4


@styled
def model_figure(
    variant: str, reference: pd.DataFrame, curves: pd.DataFrame | None, errors: pd.DataFrame, palette: Palette
) -> Figure:
    """Curves of all items, of the largest value of a parameter, with the TAE of each above its panel.

    Parameters
    ----------
    reference, curves: tables of `curves.mean_and_spread`; None without a finished run.
    errors: rows of the summary of this variant: metric, item, parameter, mean, std, perhaps ci_low and ci_high.
    """
    largest = {
        shown.name: float(reference.loc[reference["metric"] == shown.name, "parameter"].max())
        for shown in shown_metrics(reference)
    }
    blocks = {metric: by_item(reference, metric, value) for metric, value in largest.items()}
    starts: dict[str, int] = {}
    n_rows = 0
    for metric, items in blocks.items():
        starts[metric] = n_rows
        n_rows += math.ceil(len(items) / _COLUMNS)
    figure, panels = panel_grid(
        [1.95] * _COLUMNS, [0.66, *[0.48] * (_COLUMNS - 1)], n_rows, 1.3, 0.72, bottom=0.48, top=0.78
    )
    colour, line = palette.colour(variant), palette.line(variant)
    used = set()
    for metric, items in blocks.items():
        value = largest[metric]
        own = by_item(curves, metric, value) if curves is not None else {}
        limits = limits_of_x(items, metric)
        for number, (item, target) in enumerate(items.items()):
            axes = panels[starts[metric] + number // _COLUMNS][number % _COLUMNS]
            used.add(axes)
            draw_reference(axes, target)
            if item in own:
                draw_curve(axes, own[item], colour, line)
            axes.set_xlim(limits)
            axes.set_ylim(bottom=0)
            axes.set_title(plain(item) + _tae_text(errors, metric, item, value))
            if number % _COLUMNS == 0:
                axes.set_ylabel(y_label(metric, target))
            if number + _COLUMNS >= len(items):
                axes.set_xlabel(PRESENTATIONS[metric].x_label)
    for row in panels:
        for axes in row:
            if axes not in used:
                axes.set_visible(False)
    handles = [
        Line2D([], [], color=REFERENCE_COLOUR, linewidth=2.2, label=REFERENCE),
        Line2D([], [], color=colour, linestyle=line, label=palette.label(variant)),
    ]
    figure.legend(handles=handles, loc="upper center", ncols=2, title=_overall_text(errors), title_fontsize=SMALL)
    return figure


def _row(errors: pd.DataFrame, metric: str, item: str, parameter: float) -> pd.Series | None:
    """Row of one item; None where it is missing or no run finished."""
    own = of_metric(errors, metric, parameter)
    own = own[own["item"] == item]
    return None if own.empty or not math.isfinite(own["mean"].iloc[0]) else own.iloc[0]


def _tae_text(errors: pd.DataFrame, metric: str, item: str, parameter: float) -> str:
    row = _row(errors, metric, item, parameter)
    if row is None:
        return ""
    mark = " !" if row["mean"] > PRESENTATIONS[metric].threshold else ""
    return f", TAE {row['mean']:.2f}{mark}"


def _overall_text(errors: pd.DataFrame) -> str:
    """Overall errors with their intervals."""
    parts = []
    for shown in PRESENTATIONS.values():
        row = _row(errors, shown.name, OVERALL, math.nan)
        if row is None:
            continue
        low, high = (float(end[0]) for end in intervals(pd.DataFrame([row])))
        span = f" ({low:.2f} to {high:.2f})" if math.isfinite(low) and math.isfinite(high) else ""
        parts.append(f"{shown.title} {row['mean']:.2f}{span}")
    return "overall TAE: " + ", ".join(parts) if parts else "no finished run"


def draw(files: StructureFiles, variant: str) -> Figure:
    """The sheet of one model."""
    means = files.means.get(variant)
    own = files.errors[files.errors["variant"] == variant]
    return model_figure(variant, files.target, means if means is not None and len(means) else None, own, files.palette)
