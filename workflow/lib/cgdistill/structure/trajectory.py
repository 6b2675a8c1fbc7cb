"""All that the structure analysis takes from a trajectory, in one pass over its frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .blocks import FineBlocks, block_table
from .curves import TimedChunk, accumulators_of, curve_table, measured_frames, warn_of_gaps
from .files import BLOCK_COLUMNS, CURVE_COLUMNS
from .metrics.cdf import CDF
from .metrics.rdf import RDF
from .pairs import Frame
from .series import EQUILIBRATION, PRODUCTION, FrameMeasures, Windows, series_table
from .spec import StructureSpec

#: What rounding may do to the time of a frame, ps.
_ROUNDING_PS = 1e-6
#: Rows of series that wait as tuples, which take ten times the memory of a table.
_ROWS = 4096


@dataclass(frozen=True)
class TrajectoryStructure:
    """Tables of one trajectory.

    Attributes
    ----------
    curves: averages over production, columns `CURVE_COLUMNS`; empty where there is no frame of production.
    blocks: the same of contiguous blocks of it, columns `BLOCK_COLUMNS` first.
    resolved: CDFs of windows in time over all frames, ``time_ps`` (start of the window) first.
    series: see `structure.series`, columns `SERIES_COLUMNS`.
    n_frames: frames of production.
    """

    curves: pd.DataFrame
    blocks: pd.DataFrame
    resolved: pd.DataFrame
    series: pd.DataFrame
    n_frames: int


def analyse_trajectory(
    frames: Iterable[TimedChunk],
    type_names: Sequence[str],
    bead_types: np.ndarray,
    spec: StructureSpec,
    *,
    n_blocks: int,
    threads: int = 1,
    source: str | Path = "trajectory",
    n_frames: int | None = None,
    production_after_ps: float = -math.inf,
    cluster_cutoffs_A: Mapping[str, float] | None = None,
) -> TrajectoryStructure:
    """Curves, their blocks, CDFs resolved in time, and series of a trajectory.

    The result depends neither on ``threads`` nor on how the frames are cut into chunks. Memory grows with the tables
    alone.

    Parameters
    ----------
    frames:
        Chunks ``(times_ps, positions_A, cells_A)``: (n,), (n, n_beads, 3) and (n, 3, 3), or single frames; times
        ascend.
    type_names, bead_types, threads, source, n_frames:
        As in `compute_curves`.
    n_blocks:
        Blocks wanted; fewer where there are fewer frames.
    production_after_ps:
        Frames up to this time count for what is resolved in time alone.
    cluster_cutoffs_A:
        Cutoff of the clusters of each type; without it there is no ``largest_cluster``.

    Raises
    ------
    InputError
        As in `compute_curves`; a trajectory without frames gives empty tables.
    """
    bead_types = np.asarray(bead_types, dtype=np.int64)
    accumulators = accumulators_of(type_names, bead_types, spec)
    rdf, cdf = accumulators[RDF.metric], accumulators[CDF.metric]
    assert isinstance(rdf, RDF) and isinstance(cdf, CDF)
    measures = FrameMeasures(cdf, cluster_cutoffs_A or {})
    windows = Windows(rdf, cdf, spec.settings[CDF.metric].resolved_every_ps)
    others = {name: accumulator for name, accumulator in accumulators.items() if accumulator is not cdf}
    fine = FineBlocks(n_blocks)
    rows: list[tuple[float, str, str, str, float, str]] = []
    series: list[pd.DataFrame] = []

    def measure(frame: Frame) -> tuple[dict[str, np.ndarray], list[float]]:
        merged, values = measures.measure(frame)
        return {name: other.measure(frame) for name, other in others.items()} | {CDF.metric: merged}, values

    for time_ps, (parts, values) in measured_frames(
        frames, measure, type_names, bead_types, spec, threads, source, n_frames
    ):
        produced = time_ps > production_after_ps + _ROUNDING_PS
        phase = PRODUCTION if produced else EQUILIBRATION
        if produced:
            fine.add(time_ps, [parts[name] for name in accumulators])
            for name, accumulator in accumulators.items():
                accumulator.accumulate(parts[name])
        windows.add(time_ps, phase, parts[RDF.metric], parts[CDF.metric])
        for (quantity, item, unit), value in zip(measures.rows, values, strict=True):
            rows.append((time_ps, phase, quantity, item, value, unit))
        if len(rows) >= _ROWS:
            series.append(series_table(rows))
            rows = []
    resolved = windows.resolved()
    joined = pd.concat([*series, series_table(rows + windows.series)], ignore_index=True)
    if not fine.blocks:
        empty = _empty(CURVE_COLUMNS), _empty(BLOCK_COLUMNS + CURVE_COLUMNS)
        return TrajectoryStructure(*empty, resolved, joined, 0)
    warn_of_gaps(accumulators.values(), source)
    curves = pd.concat([curve_table(accumulator) for accumulator in accumulators.values()], ignore_index=True)
    blocks = block_table(list(accumulators.values()), fine, n_blocks)
    return TrajectoryStructure(curves, blocks, resolved, joined, rdf.n_frames)


def _empty(columns: Sequence[str]) -> pd.DataFrame:
    """A table without rows whose columns have the types that they have elsewhere."""
    text = ("metric", "item", "x_unit", "value_unit")
    whole = ("block", "n_frames")
    types = {name: str if name in text else np.int64 if name in whole else np.float64 for name in columns}
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in types.items()})
