"""R² of each model on the mapped all-atom forces, against the ceiling that the noise of these labels sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..core.vocabulary import ModelKind
from ..io.csv_tables import read_table
from .style import SMALL, Palette, new_figure, plain, styled

if TYPE_CHECKING:
    from .run_files import NetworkFiles

_BAND = "#ead9a8"
_ESTIMATE = "#8a6d0b"


def _with_ensemble(training: pd.DataFrame, ceiling: pd.DataFrame, palette: Palette) -> pd.DataFrame:
    """With rows of the mean of all teachers, which is not trained and has none in the table of trainings."""
    rows = [
        {"variant": model.name, "bead_type": row.bead_type, "r2": row.r2_mean_teacher}
        for model in palette.models
        if model.kind == ModelKind.TEACHER_ENSEMBLE and not (training["variant"] == model.name).any()
        for row in ceiling.itertuples()
    ]
    return pd.concat([training, pd.DataFrame(rows)], ignore_index=True) if rows else training


@styled
def ceiling_figure(ceiling: pd.DataFrame, training: pd.DataFrame, palette: Palette, split: str = "test") -> Figure:
    """One panel for all beads and one per bead type: mean and standard deviation over a variant's members.

    The mean of all teachers is taken from ``ceiling``. The band runs from the lower to the upper bound of the ceiling,
    the line in it is the estimate. Where the table has no upper bound (training cut off), there is the lower bound
    alone, with an arrow.

    Parameters
    ----------
    ceiling: of `noise_ceiling.noise_ceiling`.
    training: columns variant, member, split, target, bead_type, r2; target ``F`` is drawn.
    """
    own = _with_ensemble(training[(training["split"] == split) & (training["target"] == "F")], ceiling, palette)
    names = [model.name for model in palette.models if (own["variant"] == model.name).any()]
    bead_types = list(ceiling["bead_type"])
    figure, panels = new_figure(1, len(bead_types), 2.15 * len(bead_types) + 1.0, 1.5 + 0.24 * len(names), sharey=True)
    bounded = ceiling["upper"].notna()
    for axes, row in zip(panels[0], ceiling.itertuples(), strict=True):
        reach = max(row.estimate, row.lower, row.upper if row.upper == row.upper else 0.0, row.r2_train)
        if row.upper == row.upper:
            axes.axvspan(row.lower, row.upper, color=_BAND, linewidth=0, zorder=0, gid=f"band-{row.bead_type}")
            axes.axvline(row.estimate, color=_ESTIMATE, linewidth=1.4, zorder=3, gid=f"estimate-{row.bead_type}")
            text = f"{row.estimate:.3f}"
        else:
            axes.axvline(
                row.lower, color=_ESTIMATE, linewidth=1.2, linestyle="--", zorder=3, gid=f"lower-{row.bead_type}"
            )
            axes.annotate(
                "", (row.lower + 0.1 * reach, -0.5), (row.lower, -0.5),
                arrowprops={"arrowstyle": "->", "color": _ESTIMATE, "linewidth": 1.2}, zorder=4,
            )  # fmt: skip
            text = f"≥ {row.lower:.3f}"
        for place, name in enumerate(names):
            chosen = own[(own["variant"] == name) & (own["bead_type"] == row.bead_type)]["r2"].dropna()
            if chosen.empty:
                continue
            mean, std = float(chosen.mean()), float(chosen.std(ddof=1)) if len(chosen) > 1 else 0.0
            reach = max(reach, mean + std)
            axes.barh(place, max(mean, 0.0), height=0.66, color=palette.colour(name), gid=f"bar-{name}", zorder=2)
            if std:
                axes.errorbar(mean, place, xerr=std, fmt="none", ecolor="#222222", elinewidth=1.0, zorder=4)
            axes.annotate(
                f"{mean:.3f}",
                (0, place),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL - 1,
                color="white" if mean > 0.3 * reach else "#222222",
                zorder=5,
            )
        axes.set_xlim(0, 1.12 * reach)
        axes.set_ylim(len(names) - 0.4, -0.85)
        axes.set_yticks(range(len(names)), [palette.label(name) for name in names])
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_title(f"{plain('all beads' if row.bead_type == 'all' else row.bead_type)}: {text}")
    notes = sorted({str(text) for text in ceiling["warning"].dropna() if str(text)})
    about = f"R² on the mapped all-atom forces F, {split} frames"
    figure.supxlabel("\n".join([about, *(f"({plain(note)})" for note in notes)]), fontsize=9)
    handles: list[Line2D | Patch] = []
    if bounded.any():
        handles += [
            Patch(color=_BAND, label="noise ceiling: lower to upper bound"),
            Line2D([], [], color=_ESTIMATE, label="estimate"),
        ]
    if not bounded.all():
        handles.append(Line2D([], [], color=_ESTIMATE, linestyle="--", label="noise ceiling: lower bound alone"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def draw(files: NetworkFiles) -> Figure:
    """R² of all models against the ceiling."""
    return ceiling_figure(read_table(files.ceiling, ["bead_type", "estimate"]), files.metrics, files.palette)
