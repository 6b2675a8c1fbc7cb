"""All structure curves of a trajectory as one tidy table.

Columns of a table of curves: ``metric`` (rdf, adf, cdf, ...), ``item`` (``Cho-Cl``, ``Cho-Cl-Urea`` with the centre in
the middle, ``Cho``), ``parameter`` (what the metric says tells curves of one item apart, as the radius of an ADF in A;
NaN elsewhere), ``x``, ``x_unit`` (A, deg; bin centres), ``value``, ``value_unit``. On disk ``variant``, ``member`` and
``replica`` come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from ..core.errors import InputError
from ..runtime.job import Progress, log
from .files import CURVE_COLUMNS
from .metrics import METRICS
from .metrics.accumulator import Accumulator
from .metrics.base import Beads
from .pairs import Frame
from .spec import StructureSpec, check_grids

#: Positions (n_frames, n_beads, 3) and cells (n_frames, 3, 3), or one frame (n_beads, 3) and (3, 3), A.
Chunk = tuple[np.ndarray, np.ndarray]
#: The same after times (n_frames,) or one time, ps.
TimedChunk = tuple[np.ndarray | float, np.ndarray, np.ndarray]
#: Time, ps, positions and cell of one frame.
Single = tuple[float, np.ndarray, np.ndarray]
Measured = TypeVar("Measured")


def compute_curves(
    frames: Iterable[Chunk],
    type_names: Sequence[str],
    bead_types: np.ndarray,
    spec: StructureSpec,
    threads: int = 1,
    source: str | Path = "trajectory",
    n_frames: int | None = None,
) -> pd.DataFrame:
    """Structure curves averaged over a trajectory (`trajectory.analyse_trajectory` gives more).

    The result depends neither on ``threads`` nor on how the frames are cut into chunks; memory does not
    grow with the number of frames.

    Parameters
    ----------
    frames:
        Chunks ``(positions_A, cells_A)``: (n, n_beads, 3) and (n, 3, 3), or single frames
        (n_beads, 3) and (3, 3). Positions may be wrapped or not.
    type_names, bead_types:
        Names of the bead types, and (n_beads,) index of the type of each bead.
    threads:
        Frames measured at the same time.
    source:
        Name of the trajectory in messages.
    n_frames:
        Number of frames to come, where known, for the progress bar.

    Returns
    -------
    Tidy table with the columns `CURVE_COLUMNS`.

    Raises
    ------
    InputError
        What `check_grids` refuses, no frames, another number of beads, positions that are not finite.
    """
    accumulators = list(accumulators_of(type_names, bead_types, spec).values())

    def measure(frame: Frame) -> list[np.ndarray]:
        return [accumulator.measure(frame) for accumulator in accumulators]

    timed = ((np.nan, *chunk) for chunk in frames)
    for _, measured in measured_frames(timed, measure, type_names, bead_types, spec, threads, source, n_frames):
        for accumulator, part in zip(accumulators, measured, strict=True):
            accumulator.accumulate(part)
    if accumulators[0].n_frames == 0:
        raise InputError(source, "frames", 0, "at least one frame")
    warn_of_gaps(accumulators, source)
    return pd.concat([curve_table(accumulator) for accumulator in accumulators], ignore_index=True)


def accumulators_of(type_names: Sequence[str], bead_types: np.ndarray, spec: StructureSpec) -> dict[str, Accumulator]:
    """Empty accumulators by name of the metric, of all metrics of the spec that have curves.

    Raises
    ------
    InputError
        No metric has a curve.
    """
    beads = Beads.of(type_names, bead_types)
    found = {
        name: METRICS[name].accumulator(settings, beads, spec.convention, spec.source)
        for name, settings in spec.settings.items()
    }
    chosen = {name: accumulator for name, accumulator in found.items() if accumulator is not None}
    if not chosen:
        raise InputError(spec.source, "structure", f"no curve of {', '.join(found) or 'any metric'}", "at least one")
    return chosen


def measured_frames(
    frames: Iterable[TimedChunk],
    measure: Callable[[Frame], Measured],
    type_names: Sequence[str],
    bead_types: np.ndarray,
    spec: StructureSpec,
    threads: int = 1,
    source: str | Path = "trajectory",
    n_frames: int | None = None,
) -> Iterator[tuple[float, Measured]]:
    """Time, ps, and what ``measure`` makes of each frame, in their order; few frames are held at a time.

    Raises
    ------
    InputError
        See `compute_curves`; no frames are no error here.
    """
    checked = _checked_frames(frames, type_names, np.asarray(bead_types), spec, source)

    def measured(single: Single) -> tuple[float, Measured]:
        time_ps, positions, cell = single
        return time_ps, measure(Frame.of(positions, cell))

    bar = Progress(n_frames, f"structure of {source}", "frames") if n_frames else None
    try:
        with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
            while batch := list(islice(checked, 4 * max(1, threads))):
                yield from pool.map(measured, batch)
                if bar is not None:
                    bar.update(len(batch))
    finally:
        if bar is not None:
            bar.close()


def with_total(accumulator: Accumulator, total: np.ndarray, n_frames: int) -> Accumulator:
    """An accumulator of the same curves with another sum, over ``n_frames`` frames, of what `measure` returns."""
    other = copy(accumulator)
    other.n_frames = 0
    other.accumulate(total)
    other.n_frames = n_frames
    return other


def curve_table(accumulator: Accumulator) -> pd.DataFrame:
    """The curves of one metric, columns `CURVE_COLUMNS`."""
    x = accumulator.grid.centres
    parts = [
        pd.DataFrame({"item": curve.item, "parameter": curve.parameter, "x": x, "value": curve.values})
        for curve in accumulator.curves()
    ]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CURVE_COLUMNS)
    table = table.assign(metric=accumulator.metric, x_unit=accumulator.grid.unit, value_unit=accumulator.value_unit)
    return table[CURVE_COLUMNS]


def warn_of_gaps(accumulators: Iterable[Accumulator], source: str | Path) -> None:
    """Log which curves hold less than they should."""
    for accumulator in accumulators:
        for gap in accumulator.gaps():
            log.warning("%s: %s", source, gap)


def _checked_frames(
    frames: Iterable[TimedChunk],
    type_names: Sequence[str],
    bead_types: np.ndarray,
    spec: StructureSpec,
    source: str | Path,
) -> Iterator[Single]:
    """Single frames of the chunks, each checked."""
    number = 0
    for chunk_times, chunk_positions, chunk_cells in frames:
        cells = np.asarray(chunk_cells, dtype=np.float64).reshape(-1, 3, 3)
        positions = np.asarray(chunk_positions, dtype=np.float64)
        positions = positions.reshape(-1, *positions.shape[-2:])
        times = np.broadcast_to(np.asarray(chunk_times, dtype=np.float64), len(positions))
        check_grids(spec, type_names, bead_types, cells)
        for time, one, cell in zip(times.tolist(), positions, cells, strict=True):
            if one.shape != (len(bead_types), 3):
                raise InputError(source, f"frame {number}", f"shape {one.shape}", (len(bead_types), 3))
            if not np.isfinite(one).all():
                raise InputError(source, f"frame {number}", "positions that are not finite", "finite ones")
            number += 1
            yield time, one, cell
