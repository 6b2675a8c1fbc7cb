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
from .curves import X_LABELS, y_label
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
    # Of one trajectory the radii of an ADF share a panel.
    radii = first["r_max_A"].fillna(0.0) * several
    panels = list(dict.fromkeys(zip(first["metric"], first["item"], radii, strict=True)))
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure, grid = new_figure(rows, columns, 3.0 * columns + 0.6, 2.2 * rows + 0.6)
    axes_of = [axes for row in grid for axes in row]
    colours = iter(sns.color_palette("colorblind", len(curves)))
    looks = {label: REFERENCE_COLOUR if label == reference else next(colours) for label in curves}
    for axes, (metric, item, radius) in zip(axes_of, panels, strict=False):
        for label, table in curves.items():
            chosen = table[(table["metric"] == metric) & (table["item"] == item)]
            if several:
                chosen = chosen[chosen["r_max_A"].fillna(0.0) == radius]
                axes.plot(chosen["x"], chosen["value"], color=looks[label], label=plain(label))
            else:
                _draw_radii(axes, chosen)
        axes.set_title(plain(item) + (f", {radius:g} Å" if radius else ""))
        axes.set_xlabel(X_LABELS[metric])
        axes.set_ylabel(y_label(metric, first[first["metric"] == metric]))
        axes.set_ylim(bottom=0)
        if metric == "adf":
            axes.set_xticks(range(0, 181, 60))
    for axes in axes_of[len(panels) :]:
        axes.set_axis_off()
    if several or panels[0][0] == "adf":
        axes_of[0].legend(fontsize=SMALL, handlelength=1.6)
    return figure


def _draw_radii(axes: Axes, table: pd.DataFrame) -> None:
    """A curve without a radius, or one for each."""
    radii = table["r_max_A"].fillna(0.0)
    for radius, colour in zip(radii.unique(), sns.color_palette("colorblind", radii.nunique()), strict=True):
        curve = table[radii == radius]
        axes.plot(curve["x"], curve["value"], color=colour, label=f"{radius:g} Å")


def write_figure(figure: Figure, path: str | Path) -> None:
    """Write to a file whose suffix says the format: svg, png or pdf."""
    path = Path(path)
    creator = {".svg": {"Date": None, "Creator": "cgdistill"}, ".pdf": {"Creator": "cgdistill", "CreationDate": None}}
    with mpl.rc_context(RC), whole_file(path) as partial:
        metadata = creator.get(path.suffix, {"Software": "cgdistill"})
        figure.savefig(partial, format=path.suffix[1:], dpi=_DPI, metadata=metadata)
