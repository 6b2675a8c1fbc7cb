"""Curves of one analysis, a panel for each item; a reference in black where there is one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..runtime.atomic_files import whole_file
from ..structure.metrics import PRESENTATIONS
from ..structure.metrics.presentation import Parameter
from .curves import y_label
from .style import RC, REFERENCE_COLOUR, SMALL, new_figure, plain, styled

_COLUMNS = 3
_DPI = 160


@styled
def analysis_figure(curves: Mapping[str, pd.DataFrame], reference: str | None = None) -> Figure:
    """Draw curves of one trajectory or of several.

    Parameters
    ----------
    curves: by label, columns of `structure.curves`, one run each, with the same items.
    reference: label of the one that is drawn in black.
    """
    first = next(iter(curves.values()))
    several = len(curves) > 1
    # Of one trajectory the curves of one item share a panel.
    values = first["parameter"].fillna(0.0) * several
    panels = list(dict.fromkeys(zip(first["metric"], first["item"], values, strict=True)))
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure, grid = new_figure(rows, columns, 3.0 * columns + 0.6, 2.2 * rows + 0.6)
    axes_of = [axes for row in grid for axes in row]
    colours = iter(sns.color_palette("colorblind", len(curves)))
    looks = {label: REFERENCE_COLOUR if label == reference else next(colours) for label in curves}
    for axes, (metric, item, value) in zip(axes_of, panels, strict=False):
        shown = PRESENTATIONS[metric]
        for label, table in curves.items():
            chosen = table[(table["metric"] == metric) & (table["item"] == item)]
            if several:
                chosen = chosen[chosen["parameter"].fillna(0.0) == value]
                axes.plot(chosen["x"], chosen["value"], color=looks[label], label=plain(label))
            else:
                _draw_parameters(axes, chosen, shown.parameter)
        axes.set_title(plain(item) + (f", {shown.parameter.text(value)}" if value and shown.parameter else ""))
        axes.set_xlabel(shown.x_label)
        axes.set_ylabel(y_label(metric, first[first["metric"] == metric]))
        axes.set_ylim(bottom=0)
        if shown.x_ticks is not None:
            axes.set_xticks(shown.x_ticks)
    for axes in axes_of[len(panels) :]:
        axes.set_axis_off()
    if several or PRESENTATIONS[panels[0][0]].parameter:
        axes_of[0].legend(fontsize=SMALL, handlelength=1.6)
    return figure


def _draw_parameters(axes: Axes, table: pd.DataFrame, parameter: Parameter | None) -> None:
    """A curve without a parameter, or one for each of its values."""
    values = table["parameter"].fillna(0.0)
    for value, colour in zip(values.unique(), sns.color_palette("colorblind", values.nunique()), strict=True):
        curve = table[values == value]
        axes.plot(curve["x"], curve["value"], color=colour, label=parameter.text(value) if parameter else None)


def write_figure(figure: Figure, path: str | Path) -> None:
    """Write to a file whose suffix says the format: svg, png or pdf."""
    path = Path(path)
    creator = {".svg": {"Date": None, "Creator": "cgdistill"}, ".pdf": {"Creator": "cgdistill", "CreationDate": None}}
    with mpl.rc_context(RC), whole_file(path) as partial:
        metadata = creator.get(path.suffix, {"Software": "cgdistill"})
        figure.savefig(partial, format=path.suffix[1:], dpi=_DPI, metadata=metadata)
