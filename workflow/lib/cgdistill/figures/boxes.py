"""Pictures of the box side by side: first and last frame of one run per model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..structure.files import read_curves
from .pictures import Picture, take_pictures, type_colours
from .style import FONT_SIZE, SMALL, new_figure, plain, styled

if TYPE_CHECKING:
    from .run_files import BoxFiles

_WHEN = ("first", "last")
_LONG = 9


@styled
def boxes_figure(pictures: Sequence[Picture], type_names: Sequence[str]) -> Figure:
    """One row per model in the order given, first and last frame side by side with their times; legend of the types.

    Many models are drawn in two columns of such pairs.
    """
    models = list(dict.fromkeys(picture.model for picture in pictures))
    shown = {(picture.model, picture.when): picture for picture in pictures}
    # Long names get a line of their own.
    above = "\n" if max((len(picture.label) for picture in pictures), default=0) > _LONG else ""
    pairs = 2 if len(models) > 2 else 1
    rows = -(-len(models) // pairs)
    figure, panels = new_figure(rows, 2 * pairs, 1.95 * 2 * pairs + 0.3, 2.15 * rows + 0.4)
    for axes in (axes for row in panels for axes in row):
        axes.set_axis_off()
    for place, model in enumerate(models):
        row, pair = place // pairs, place % pairs
        for column, when in enumerate(_WHEN):
            picture = shown.get((model, when))
            if picture is None:
                continue
            axes = panels[row][2 * pair + column]
            axes.imshow(picture.image, interpolation="lanczos", gid=f"box-{model}-{when}")
            time = "" if np.isnan(picture.time_ps) else f", {picture.time_ps:g} ps"
            axes.set_title(f"{when} frame{time}", fontsize=SMALL, fontweight="normal", loc="right", color="#444444")
            if column == 0:
                axes.set_title(plain(picture.label) + above, fontsize=FONT_SIZE, loc="left")
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=8, color=colour, markeredgecolor="#333333",
               markeredgewidth=0.5, label=plain(name))
        for name, colour in type_colours(type_names).items()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def draw(files: BoxFiles) -> Figure:
    """First and last frames of the reference and of one run per kind of model."""
    labels = {model.name: model.label for model in files.palette.models}
    return boxes_figure(*take_pictures(files.beads, files.trajectories, read_curves(files.reference), labels=labels))
