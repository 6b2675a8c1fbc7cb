"""What each teacher reaches on the all-atom forces, beside the parity of one teacher and of their mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..core.vocabulary import ModelKind
from .parity import Parity, draw_parities
from .style import new_figure, plain, styled

if TYPE_CHECKING:
    from .run_files import NetworkFiles

#: Marker and colour of each part of the split.
_SPLITS = {"train": ("s", "#9aa5b1"), "valid": ("^", "#e0a100"), "test": ("o", "#111111")}
_MEASURES = {"r2": "R² on F", "rmse": "RMSE on F\n/ (kcal/mol/Å)"}
_MEAN = "mean ± std"


@styled
def teachers_metrics_figure(training: pd.DataFrame, parities: Sequence[Parity]) -> Figure:
    """R² and RMSE of every teacher on training, validation and test frames, and parity plots.

    Parameters
    ----------
    training: columns member, split, target, bead_type, r2, rmse of the teachers alone; F of all beads is shown.
    parities: panels at the right, on the test frames.
    """
    own = training[(training["target"] == "F") & (training["bead_type"] == "all")]
    names = list(dict.fromkeys(own["member"]))
    height = max(3.3, 1.0 + 0.2 * (len(names) + 1))
    widths = [1.9, 1.9, *[2.9] * len(parities)]
    figure, panels = new_figure(1, len(widths), sum(widths) + 1.6, height, gridspec_kw={"width_ratios": widths})
    first, second, *rest = panels[0]
    for axes, measure in ((first, "r2"), (second, "rmse")):
        _dots(axes, own, names, measure)
    second.tick_params(labelleft=False)
    handles = [
        Line2D([], [], linestyle="", marker=marker, color=colour, markersize=4.5, label=split)
        for split, (marker, colour) in _SPLITS.items()
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, handletextpad=0.2)
    draw_parities(figure, rest, parities)
    return figure


def _dots(axes: Axes, own: pd.DataFrame, names: Sequence[str], measure: str) -> None:
    """One row per teacher, one marker per part of the split; the last row is their mean and standard deviation."""
    for split, (marker, colour) in _SPLITS.items():
        values = own[own["split"] == split].set_index("member")[measure].reindex(list(names)).to_numpy(np.float64)
        known = np.isfinite(values)
        if not known.any():
            continue
        axes.plot(values, np.arange(len(names)), marker, color=colour, markersize=4.5, gid=f"{measure}-{split}")
        std = float(values[known].std(ddof=1)) if known.sum() > 1 else 0.0
        axes.errorbar(float(values[known].mean()), len(names), xerr=std or None, fmt=marker, color=colour,
                      markersize=4.5, elinewidth=1.1)  # fmt: skip
    axes.axhline(len(names) - 0.5, color="#333333", linewidth=0.8)
    axes.set_ylim(len(names) + 0.5, -0.5)
    axes.set_yticks(range(len(names) + 1), [*map(plain, names), _MEAN])
    axes.margins(x=0.12)
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel(_MEASURES[measure])


def draw(files: NetworkFiles) -> Figure:
    """Metrics and parity of the teachers."""
    names = [model.name for model in files.palette.models if model.kind == ModelKind.TEACHER]
    return teachers_metrics_figure(files.metrics[files.metrics["variant"].isin(names)], files.parities[0])
