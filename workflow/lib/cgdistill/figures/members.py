"""Teachers one by one, and the students of each teacher: curves and errors by teacher."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..core.vocabulary import CURVE_KEY, RunStatus
from ..structure.error_tables import overall_of, shown_metrics
from .bars import intervals
from .curves import Column, Line, by_item, grid_figure, mean_and_spread
from .style import Palette, member_looks, new_figure, plain, styled

if TYPE_CHECKING:
    from .run_files import StructureFiles

_PER_COLUMN = 4
_KEYS = ["variant", "member", *CURVE_KEY]
#: Row below the teachers.
_ALL = "all"


def errors_by_member(tae: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation of the TAE over the finished runs of each member.

    Parameters
    ----------
    tae: columns variant, member, metric, item, parameter, tae, status.

    Returns
    -------
    Columns variant, member, metric, item, parameter, mean, std (NaN for one run), n.
    """
    finished = tae[tae["status"] == RunStatus.FINISHED]
    grouped = finished.groupby(_KEYS, sort=False, dropna=False)["tae"]
    return grouped.agg(mean="mean", std="std", n="count").reset_index()


def members_figure(
    metric: str,
    reference: pd.DataFrame,
    curves: pd.DataFrame,
    members: Sequence[str],
    errors: pd.DataFrame,
) -> Figure:
    """Curves of one variant by teacher, at most four teachers in a column, errors at the right.

    Parameters
    ----------
    reference: table of `curves.mean_and_spread`.
    curves: those of the finished runs of the variant: member, replica, metric, item, parameter, x, value, value_unit.
    members: all members, also those without a finished run.
    errors: rows of `errors_by_member` of this variant and metric.
    """
    looks = member_looks(members)
    chosen = curves[curves["metric"] == metric]
    own = {str(name): part for name, part in chosen.groupby("member", sort=False)}
    lines = [
        Line(name, plain(name), *looks[name],
             by_item(mean_and_spread(own[name], None), metric) if name in own else {})
        for name in members
    ]  # fmt: skip
    starts = range(0, len(lines), _PER_COLUMN)
    columns = [Column("", lines[start : start + _PER_COLUMN]) for start in starts]
    return grid_figure(metric, by_item(reference, metric), columns, errors.rename(columns={"member": "key"}), width=3.4)


@styled
def members_tae_figure(
    errors: pd.DataFrame, summary: pd.DataFrame, palette: Palette, members: Mapping[str, Sequence[str]]
) -> Figure:
    """Overall TAE by teacher, one panel per metric: one row per teacher, one dot per variant; below, all teachers.

    Parameters
    ----------
    errors: of `errors_by_member`, all variants.
    summary: columns variant, metric, item, parameter, mean, std, and perhaps ci_low and ci_high: the row of all.
    members: members of the variants to show, in order.
    """
    metrics = shown_metrics(summary)
    teachers = list(dict.fromkeys(name for names in members.values() for name in names))
    variants = [model.name for model in palette.models if model.name in members]
    height = 1.2 + (0.12 + 0.085 * len(variants)) * (len(teachers) + 1)
    figure, panels = new_figure(1, len(metrics), 3.3 * len(metrics) + 0.6, height, sharey=True)
    rows = [*teachers, _ALL]
    for axes, shown in zip(panels[0], metrics, strict=True):
        own = overall_of(errors, shown.name).set_index(["variant", "member"])
        total = overall_of(summary, shown.name).assign(member=_ALL).set_index(["variant", "member"])
        for number, variant in enumerate(variants):
            shift = 0.8 * ((number + 0.5) / len(variants) - 0.5)
            index = pd.MultiIndex.from_product([[variant], rows], names=["variant", "member"])
            _dots(axes, pd.concat([own, total]).reindex(index), shift, palette.colour(variant))
        axes.axhline(len(teachers) - 0.5, color="#333333", linewidth=0.8)
        for place in range(0, len(rows), 2):
            axes.axhspan(place - 0.5, place + 0.5, color="#f1f3f5", zorder=0, linewidth=0)
        axes.grid(visible=False, axis="y")
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [plain(name) for name in rows])
        axes.set_title(f"{shown.title}, overall")
        axes.set_xlabel(shown.long_error_label)
    handles = [
        Line2D([], [], color=palette.colour(name), marker="o", markersize=4, linestyle="", label=palette.label(name))
        for name in variants
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(6, len(handles)))
    return figure


def _dots(axes: Axes, rows: pd.DataFrame, shift: float, colour: str) -> None:
    low, high = intervals(rows)
    places = np.arange(len(rows)) + shift
    known = np.isfinite(low) & np.isfinite(high)
    axes.hlines(places[known], low[known], high[known], color=colour, linewidth=1.2)
    axes.plot(rows["mean"].to_numpy(dtype=np.float64), places, "o", color=colour, markersize=3.6)


def draw(files: StructureFiles, variant: str, metric: str) -> Figure:
    """Curves of one variant by teacher."""
    bars = files.bars(metric, math.nan, "member")
    own = bars[bars["variant"] == variant]
    return members_figure(metric, files.target, files.finished[variant], files.members[variant], own)


def draw_errors(files: StructureFiles) -> Figure:
    """Overall errors by teacher."""
    return members_tae_figure(files.errors_by_member, files.errors, files.palette, files.members)
