"""All structure curves of a trajectory as one tidy table.

Columns of a table of curves: ``metric`` (rdf, adf, cdf), ``item`` (``Cho-Cl``, ``Cho-Cl-Urea`` with the
centre in the middle, ``Cho``), ``r_max_A`` (ADF; NaN elsewhere), ``x``, ``x_unit`` (A, deg; bin
centres), ``value``, ``value_unit``. On disk ``variant``, ``member`` and ``replica`` stand in front.
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
from .accumulate import Accumulator
from .adf import ADF
from .cdf import CDF
from .files import (
    CURVE_COLUMNS,
    RUN_COLUMNS,
    label_run,
    read_blocks,
    read_curves,
    read_curves_provenance,
    read_resolved,
    read_series,
    write_blocks,
    write_curves,
    write_resolved,
    write_series,
)
from .pairs import Frame
from .rdf import RDF
from .spec import METRICS, StructureSpec, check_grids

__all__ = [
    "CURVE_COLUMNS",
    "RUN_COLUMNS",
    "StructureSpec",
    "accumulators_of",
    "check_grids",
    "compute_curves",
    "curve_table",
    "holding",
    "label_run",
    "measured_frames",
    "read_blocks",
    "read_curves",
    "read_curves_provenance",
    "read_resolved",
    "read_series",
    "warn_of_gaps",
    "write_blocks",
    "write_curves",
    "write_resolved",
    "write_series",
]

#: Share of the merge distances outside the CDF's grid above which a warning is given.
_MUCH_BEYOND = 1e-3

#: Positions (n_frames, n_beads, 3) and cells (n_frames, 3, 3), or one frame (n_beads, 3) and (3, 3), A.
Chunk = tuple[np.ndarray, np.ndarray]
#: The same behind times (n_frames,) or one time, ps.
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
    metrics: Sequence[str] = METRICS,
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
        Frames looked at side by side.
    metrics:
        Which of rdf, adf and cdf.
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
    accumulators = accumulators_of(type_names, bead_types, spec, metrics)

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


def accumulators_of(
    type_names: Sequence[str], bead_types: np.ndarray, spec: StructureSpec, metrics: Sequence[str] = METRICS
) -> list[Accumulator]:
    """Empty accumulators of the metrics wanted, in the order of `METRICS`; no ADF where there are no triplets."""
    unknown = set(metrics) - set(METRICS)
    if unknown or not metrics:
        raise ValueError(f"metrics {list(metrics)}: some of {METRICS} are needed")
    chosen: list[Accumulator] = []
    if "rdf" in metrics:
        chosen.append(RDF(type_names, bead_types, spec.rdf, spec.convention))
    if "adf" in metrics and spec.triplets:
        triplets = spec.triplet_indices(type_names)
        chosen.append(ADF(type_names, bead_types, spec.adf, triplets, spec.adf_r_max_A, spec.convention))
    if "cdf" in metrics:
        chosen.append(CDF(type_names, bead_types, spec.cdf, spec.convention))
    if not chosen:
        raise InputError(spec.source, "structure.adf.triplets", "none", "at least one, for an ADF")
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


def holding(accumulator: Accumulator, total: np.ndarray, n_frames: int) -> Accumulator:
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
        pd.DataFrame({"item": curve.item, "r_max_A": curve.r_max_A, "x": x, "value": curve.values})
        for curve in accumulator.curves()
    ]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CURVE_COLUMNS)
    table = table.assign(metric=accumulator.metric, x_unit=accumulator.grid.unit, value_unit=accumulator.value_unit)
    return table[CURVE_COLUMNS]


def warn_of_gaps(accumulators: Sequence[Accumulator], source: str | Path) -> None:
    """Say which curves hold less than they should."""
    for accumulator in accumulators:
        if isinstance(accumulator, CDF):
            for item, share in accumulator.beyond().items():
                if share > _MUCH_BEYOND:
                    log.warning(
                        "%s: cdf of %s: %.1f %% of the merge distances lie beyond structure.cdf.r_max_A",
                        source,
                        item,
                        100 * share,
                    )
        if isinstance(accumulator, ADF):
            for curve in accumulator.curves():
                if not curve.values.any():
                    log.warning("%s: no angle %s within %g A", source, curve.item, curve.r_max_A)


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
