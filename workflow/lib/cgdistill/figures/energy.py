"""Potential energy of the simulations against time, with the detected equilibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .style import FAILED_COLOUR, Palette, new_figure, styled

_MAX_POINTS = 400


@dataclass(frozen=True)
class EnergyTrace:
    """One run.

    Attributes
    ----------
    times_ps, energies_kcal_mol_bead: (n,) potential energy per bead.
    equilibrated_ps: detected, from the first sample; NaN where unknown.
    finished: False for a run that blew up.
    """

    variant: str
    times_ps: np.ndarray
    energies_kcal_mol_bead: np.ndarray
    equilibrated_ps: float
    finished: bool


@styled
def energy_figure(traces: Sequence[EnergyTrace], palette: Palette) -> Figure:
    """One panel per variant, one line per run; a dot marks the detected equilibration, a cross the end of a
    run that blew up. Energies are relative to the mean over the second half of each run: models differ
    by a constant.
    """
    names = [model.name for model in palette.models if any(trace.variant == model.name for trace in traces)]
    columns = min(3, max(1, len(names)))
    rows = max(1, math.ceil(len(names) / columns))
    figure, panels = new_figure(rows, columns, 3.4 * columns + 0.4, 1.9 * rows + 0.8)
    flat = [axes for row in panels for axes in row]
    for axes, name in zip(flat, names, strict=False):
        own = [trace for trace in traces if trace.variant == name]
        limits = _limits(own)
        axes.set_ylim(limits)
        for trace in own:
            _draw(axes, trace, palette.colour(name), limits)
        failed = sum(not trace.finished for trace in own)
        runs = f"{len(own)} run" + ("s" if len(own) > 1 else "")
        axes.set_title(f"{palette.label(name)}, {runs}" + (f", {failed} failed" if failed else ""))
    for axes in flat[len(names) :]:
        axes.set_visible(False)
    figure.supxlabel("time / ps", fontsize=9)
    figure.supylabel("potential energy per bead / (kcal/mol)", fontsize=9)
    handles = [
        Line2D([], [], linestyle="", markersize=4.5, marker=marker, color=colour, label=label)
        for marker, colour, label in (
            ("o", "#111111", "equilibrated from here (detected)"),
            ("X", FAILED_COLOUR, "blew up"),
        )
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def relative_energies(trace: EnergyTrace) -> np.ndarray:
    """(n,) energies per bead less their mean over the second half of the run (finite ones)."""
    energies = trace.energies_kcal_mol_bead
    late = energies[len(energies) // 2 :]
    late = late[np.isfinite(late)]
    level = late.mean() if len(late) and trace.finished else np.nanmedian(energies)
    return np.asarray(energies - level)


def _draw(axes: Axes, trace: EnergyTrace, colour: str, limits: tuple[float, float]) -> None:
    low, high = limits
    energies = relative_energies(trace)
    stride = max(1, len(energies) // _MAX_POINTS)
    style = "-" if trace.finished else "--"
    axes.plot(trace.times_ps[::stride], energies[::stride], color=colour, linewidth=0.8, alpha=0.7, linestyle=style)
    if not trace.finished:
        finite = np.flatnonzero(np.isfinite(energies))
        if len(finite):
            end = finite[-1]
            height = np.clip(energies[end], low + 0.05 * (high - low), high - 0.05 * (high - low))
            axes.plot(trace.times_ps[end], height, "X", color=FAILED_COLOUR, markersize=5, zorder=4)
    elif math.isfinite(trace.equilibrated_ps):
        index = int(np.searchsorted(trace.times_ps - trace.times_ps[0], trace.equilibrated_ps))
        index = min(index, len(energies) - 1)
        axes.plot(trace.times_ps[index], energies[index], "o", color="#111111", markersize=3.5, zorder=4)


def _limits(traces: Sequence[EnergyTrace]) -> tuple[float, float]:
    """Range of the finished runs' energies (of all runs where none finished), without single spikes."""
    kept = [trace for trace in traces if trace.finished] or list(traces)
    values = np.concatenate([relative_energies(trace) for trace in kept])
    values = values[np.isfinite(values)]
    if not len(values):
        return -1.0, 1.0
    low, high = (float(value) for value in np.percentile(values, [0.2, 99.8]))
    margin = 0.12 * (high - low) or 1.0
    return low - margin, high + margin
