"""Disagreement of the teachers against the distance to the nearest bead, where AA and where simulations go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..core.vocabulary import REFERENCE
from ..io.csv_tables import read_table
from .style import REFERENCE_COLOUR, Palette, new_figure, plain, styled

if TYPE_CHECKING:
    from .run_files import NetworkFiles

#: Smallest number of beads of a point.
_FEWEST = 10


@styled
def spread_figure(spread: pd.DataFrame, palette: Palette, fewest: int = _FEWEST) -> Figure:
    """Relative spread of the forces: rows are bead types, columns families of models, the reference in black.

    Spread over the teachers divided by the magnitude of their mean force (both root mean squares over the beads
    of a bin), at the distance of a bead to its nearest neighbour of any type. Bins of few beads are left out.
    Lines end where a model's simulation has no such distances.

    Parameters
    ----------
    spread: of `ensemble_spread.compute_spread`.
    """
    binned = spread[
        (spread["neighbour_type"] == "any")
        & spread["r_low_A"].notna()
        & (spread["bead_type"] != "all")
        & (spread["n"] >= fewest)
    ]
    bead_types = list(dict.fromkeys(binned["bead_type"]))
    present = set(binned["source"])
    columns = [(title, [model for model in models if model.name in present]) for title, models in palette.families()]
    columns = [(title, models) for title, models in columns if models] or [("", [])]
    figure, panels = new_figure(
        max(len(bead_types), 1),
        len(columns),
        2.75 * len(columns) + 0.5,
        1.75 * max(len(bead_types), 1) + 1.1,
        sharey=True,
        sharex=True,
    )
    for row, bead_type in zip(panels, bead_types, strict=False):
        own = binned[binned["bead_type"] == bead_type]
        for axes, (title, models) in zip(row, columns, strict=True):
            _line(axes, own[own["source"] == REFERENCE], REFERENCE_COLOUR, "-", f"spread-{REFERENCE}")
            for model in models:
                table = own[own["source"] == model.name]
                _line(axes, table, palette.colour(model.name), palette.line(model.name), f"spread-{model.name}")
            if row is panels[0]:
                axes.set_title(plain(title))
        row[0].set_ylabel(plain(bead_type))
    panels[0][0].set_ylim(bottom=0)
    figure.supxlabel("distance to the nearest bead / Å", fontsize=9)
    figure.supylabel("spread of the teachers' forces / their mean force", fontsize=9)
    handles = [Line2D([], [], color=REFERENCE_COLOUR, label=f"{REFERENCE} (test frames)")]
    handles += [
        Line2D([], [], color=palette.colour(model.name), linestyle=palette.line(model.name), marker="o", markersize=3,
               label=palette.label(model.name))
        for _, models in columns
        for model in models
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=6)
    return figure


def _line(axes: object, table: pd.DataFrame, colour: str, style: object, gid: str) -> None:
    if table.empty:
        return
    table = table.sort_values("r_low_A")
    middle = (table["r_low_A"] + table["r_high_A"]) / 2
    relative = table["force_spread_kcal_mol_A"] / table["force_rms_kcal_mol_A"]
    axes.plot(middle, relative, color=colour, linestyle=style, marker="o", markersize=3, linewidth=1.2, gid=gid)  # type: ignore[attr-defined]


def draw(files: NetworkFiles) -> Figure:
    """Spread of the teachers by distance."""
    return spread_figure(read_table(files.spread, ["source", "bead_type"]), files.palette)
