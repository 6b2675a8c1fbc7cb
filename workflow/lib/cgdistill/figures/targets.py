"""Students that differ in their energy targets alone, side by side: none, E, ε, both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from .catalogue import TargetGroup
from .curves import Column, Line, by_item, failed_note, grid_figure
from .style import Palette

if TYPE_CHECKING:
    from .run_files import StructureFiles


def targets_figure(
    group: TargetGroup,
    metric: str,
    reference: pd.DataFrame,
    curves: Mapping[str, pd.DataFrame],
    palette: Palette,
    n_failed: Mapping[str, int],
    parameter: float = math.nan,
    errors: pd.DataFrame | None = None,
) -> Figure:
    """One column per energy target, one row per item, errors at the right.

    Parameters
    ----------
    reference, curves: tables of `curves.mean_and_spread`, those of models by variant.
    n_failed: failed runs by variant.
    errors: as of `curves.grid_figure`, with ``key`` the variant.
    """
    columns = []
    for label, names in group.columns.items():
        title = "no energy target" if label == "none" else f"energy target {label}"
        lines = [
            Line(name, palette.label(name), palette.colour(name), palette.line(name),
                 by_item(curves[name], metric, parameter) if name in curves else {}, failed_note(n_failed.get(name, 0)))
            for name in names
        ]  # fmt: skip
        columns.append(Column(title, lines))
    return grid_figure(metric, by_item(reference, metric, parameter), columns, errors, width=2.5)


def draw(files: StructureFiles, group: TargetGroup, metric: str, parameter: float) -> Figure:
    """Curves of one group of one metric and parameter."""
    bars = files.bars(metric, parameter)
    return targets_figure(group, metric, files.target, files.means, files.palette, files.n_failed, parameter, bars)
