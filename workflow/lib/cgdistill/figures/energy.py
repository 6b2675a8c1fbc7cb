"""Potential energy of the simulations against time, with the detected equilibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..core.vocabulary import RunStatus
from ..io.csv_tables import read_table
from ..md.run_record import read_record
from ..runtime.job import log
from .style import FAILED_COLOUR, Palette, new_figure, styled

if TYPE_CHECKING:
    from .run_files import StabilityFiles

_MAX_POINTS = 400
#: With more runs the lines of an SVG are an image: paths of all samples would make megabytes.
_MAX_VECTOR_RUNS = 60


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


def read_traces(records: Sequence[str | Path], runs: pd.DataFrame) -> list[EnergyTrace]:
    """Potential energies of the runs that wrote any.

    Parameters
    ----------
    records: ``run.json`` of the runs, ``thermo.csv`` beside each.
    runs: columns variant, member, replica, equilibrated_ps.
    """
    detected = runs.set_index(["variant", "member", "replica"])["equilibrated_ps"].to_dict()
    traces = []
    for path in map(Path, records):
        record = read_record(path)
        thermo = read_table(path.with_name("thermo.csv"), ["time_ps", "potential_energy_kcal_mol"])
        if thermo.empty:
            log.warning("%s: no thermo output, left out of the figure of energies", path)
            continue
        key = (record["variant"], record["member"], record["replica"])
        traces.append(
            EnergyTrace(
                variant=record["variant"],
                times_ps=thermo["time_ps"].to_numpy(dtype=np.float64),
                energies_kcal_mol_bead=thermo["potential_energy_kcal_mol"].to_numpy(np.float64) / record["n_beads"],
                equilibrated_ps=float(detected.get(key, np.nan)),
                finished=record["status"] == RunStatus.FINISHED,
            )
        )
    return traces


@styled
def energy_figure(traces: Sequence[EnergyTrace], palette: Palette) -> Figure:
    """One panel per variant, one line per run; a dot marks the detected equilibration, a cross the end of a
    run that blew up. Energies are relative to the mean over the second half of each run: models differ
    by a constant. Of long runs means over consecutive samples are drawn, `_MAX_POINTS` of them.
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
        _draw(axes, own, palette.colour(name), limits, rasterized=len(traces) > _MAX_VECTOR_RUNS)
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


def _draw(
    axes: Axes, traces: Sequence[EnergyTrace], colour: str, limits: tuple[float, float], rasterized: bool
) -> None:
    """All runs of one panel: one collection of lines, one of dots, one of crosses."""
    lines: dict[bool, list[np.ndarray]] = {True: [], False: []}
    marks: dict[str, list[tuple[float, float]]] = {"o": [], "X": []}
    for trace in traces:
        energies = relative_energies(trace)
        drawn = _thinned(energies)
        lines[trace.finished].append(np.column_stack([_thinned(trace.times_ps), drawn]))
        place = _mark(trace, energies)
        if place is not None:
            height = drawn[min(place // _stride(energies), len(drawn) - 1)] if trace.finished else energies[place]
            marks["o" if trace.finished else "X"].append((trace.times_ps[place], height))
    alpha = max(0.12, min(0.7, 5 / len(traces)))  # many runs make a density, not a block of colour
    for finished, segments in lines.items():
        style = "-" if finished else (0, (4, 2))
        axes.add_collection(
            LineCollection(
                segments, colors=colour, linewidths=0.8, alpha=alpha, linestyles=style, rasterized=rasterized
            )
        )
    low, high = limits
    margin = 0.04 * (high - low)  # marks beyond the range stand at its edge
    for marker, points in marks.items():
        if points:
            times, heights = np.array(points).T
            colour_of_mark, size = ("#111111", 3.5) if marker == "o" else (FAILED_COLOUR, 5)
            heights = np.clip(heights, low + margin, high - margin)
            axes.plot(times, heights, marker, color=colour_of_mark, markersize=size, zorder=4)
    axes.set_xlim(_reach(traces))


def _stride(samples: np.ndarray) -> int:
    return max(1, len(samples) // _MAX_POINTS)


def _thinned(samples: np.ndarray) -> np.ndarray:
    """Means over consecutive samples, as many as leave `_MAX_POINTS` of a long run."""
    stride = _stride(samples)
    return np.asarray(samples[: len(samples) // stride * stride].reshape(-1, stride).mean(axis=1))


def _mark(trace: EnergyTrace, energies: np.ndarray) -> int | None:
    """Sample at which a run has equilibrated, or ended if it blew up."""
    if not trace.finished:
        finite = np.flatnonzero(np.isfinite(energies))
        return int(finite[-1]) if len(finite) else None
    if not math.isfinite(trace.equilibrated_ps):
        return None
    index = int(np.searchsorted(trace.times_ps - trace.times_ps[0], trace.equilibrated_ps))
    return min(index, len(energies) - 1)


def _reach(traces: Sequence[EnergyTrace]) -> tuple[float, float]:
    first = min(float(trace.times_ps[0]) for trace in traces)
    last = max(float(trace.times_ps[-1]) for trace in traces)
    margin = 0.02 * (last - first) or 0.5
    return first - margin, last + margin


def _limits(traces: Sequence[EnergyTrace]) -> tuple[float, float]:
    """Range of the finished runs' energies (of all runs where none finished), without single spikes."""
    kept = [trace for trace in traces if trace.finished] or list(traces)
    values = np.concatenate([_thinned(relative_energies(trace)) for trace in kept])
    values = values[np.isfinite(values)]
    if not len(values):
        return -1.0, 1.0
    low, high = (float(value) for value in np.percentile(values, [0.2, 99.8]))
    margin = 0.12 * (high - low) or 1.0
    return low - margin, high + margin


def draw(files: StabilityFiles) -> Figure:
    """Energies of all simulations."""
    return energy_figure(read_traces(files.records, files.run_table), files.palette)
