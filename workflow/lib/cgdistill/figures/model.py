"""One model against the reference: all its curves on one sheet, for the model's own page."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..structure.metrics import METRIC_TITLES, OVERALL, RULES_OF_THUMB
from .bars import intervals
from .curves import X_LABELS, by_item, draw_curve, draw_reference, limits_of_x, y_label
from .style import REFERENCE_COLOUR, REFERENCE_LABEL, SMALL, Palette, panel_grid, plain, styled

_COLUMNS = 4


@styled
def model_figure(
    variant: str, reference: pd.DataFrame, curves: pd.DataFrame | None, errors: pd.DataFrame, palette: Palette
) -> Figure:
    """RDF of all pairs, ADF of the largest radius and CDF, with the TAE of each above its panel.

    Parameters
    ----------
    reference, curves: tables of `curves.mean_and_spread`; None without a finished run.
    errors: rows of the summary of this variant: metric, item, r_max_A, mean, std, perhaps ci_low and ci_high.
    """
    radii = reference.loc[reference["metric"] == "adf", "r_max_A"]
    widest = float(radii.max()) if len(radii) else math.nan
    blocks = {
        metric: by_item(reference, metric, widest if metric == "adf" else math.nan)
        for metric in METRIC_TITLES
        if (reference["metric"] == metric).any()
    }
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
        radius = widest if metric == "adf" else math.nan
        own = by_item(curves, metric, radius) if curves is not None else {}
        limits = limits_of_x(items, metric)
        for number, (item, target) in enumerate(items.items()):
            axes = panels[starts[metric] + number // _COLUMNS][number % _COLUMNS]
            used.add(axes)
            draw_reference(axes, target)
            if item in own:
                draw_curve(axes, own[item], colour, line)
            axes.set_xlim(limits)
            axes.set_ylim(bottom=0)
            axes.set_title(plain(item) + _tae_text(errors, metric, item, radius))
            if number % _COLUMNS == 0:
                axes.set_ylabel(y_label(metric, target))
            if number + _COLUMNS >= len(items):
                axes.set_xlabel(X_LABELS[metric])
    for row in panels:
        for axes in row:
            if axes not in used:
                axes.set_visible(False)
    handles = [
        Line2D([], [], color=REFERENCE_COLOUR, linewidth=2.2, label=REFERENCE_LABEL),
        Line2D([], [], color=colour, linestyle=line, label=palette.label(variant)),
    ]
    figure.legend(handles=handles, loc="upper center", ncols=2, title=_overall_text(errors), title_fontsize=SMALL)
    return figure


def _row(errors: pd.DataFrame, metric: str, item: str, r_max_A: float) -> Mapping[str, float] | None:
    chosen = errors[(errors["metric"] == metric) & (errors["item"] == item)]
    radius = chosen["r_max_A"]
    chosen = chosen[radius.isna() if math.isnan(r_max_A) else (radius - r_max_A).abs() < 1e-6]
    return None if chosen.empty or not math.isfinite(chosen["mean"].iloc[0]) else chosen.iloc[0]  # type: ignore[return-value]


def _tae_text(errors: pd.DataFrame, metric: str, item: str, r_max_A: float) -> str:
    row = _row(errors, metric, item, r_max_A)
    if row is None:
        return ""
    mark = " !" if row["mean"] > RULES_OF_THUMB[metric] else ""
    return f", TAE {row['mean']:.2f}{mark}"


def _overall_text(errors: pd.DataFrame) -> str:
    """Overall errors with their intervals."""
    parts = []
    for metric, title in METRIC_TITLES.items():
        row = _row(errors, metric, OVERALL, math.nan)
        if row is None:
            continue
        low, high = (float(end[0]) for end in intervals(pd.DataFrame([row])))
        span = f" ({low:.2f} to {high:.2f})" if math.isfinite(low) and math.isfinite(high) else ""
        parts.append(f"{title} {row['mean']:.2f}{span}")
    return "overall TAE: " + ", ".join(parts) if parts else "no finished run"
