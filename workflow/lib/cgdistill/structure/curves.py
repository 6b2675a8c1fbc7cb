"""All structure curves of a trajectory as one tidy table, and that table on disk.

Columns of a table of curves: ``metric`` (rdf, adf, cdf), ``item`` (``Cho-Cl``, ``Cho-Cl-Urea`` with the
centre in the middle, ``Cho``), ``r_max_A`` (ADF; NaN elsewhere), ``x``, ``x_unit`` (A, deg; bin
centres), ``value``, ``value_unit``. On disk ``variant``, ``member`` and ``replica`` stand in front.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..console import Progress, log
from ..errors import InputError
from ..provenance import whole_file
from .accumulate import Accumulator
from .adf import ADF
from .cdf import CDF
from .pairs import Frame
from .rdf import RDF
from .spec import METRICS, StructureSpec, check_grids

__all__ = [
    "CURVE_COLUMNS",
    "RUN_COLUMNS",
    "StructureSpec",
    "check_grids",
    "compute_curves",
    "label_run",
    "read_curves",
    "read_curves_provenance",
    "resolve_cdf",
    "write_curves",
]

FORMAT = "cgdistill-curves-1"
RUN_COLUMNS = ["variant", "member", "replica"]
CURVE_COLUMNS = ["metric", "item", "r_max_A", "x", "x_unit", "value", "value_unit"]
#: Columns with a unit, as declared in the file; those of x and value stand in the rows.
_UNITS = {"r_max_A": "A", "x": "x_unit", "value": "value_unit"}
_METADATA_KEY = b"cgdistill"
#: Share of the merge distances outside the CDF's grid above which a warning is given.
_MUCH_BEYOND = 1e-3

#: Positions (n_frames, n_beads, 3) and cells (n_frames, 3, 3), or one frame (n_beads, 3) and (3, 3), A.
Chunk = tuple[np.ndarray, np.ndarray]


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
    """Structure curves averaged over a trajectory.

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
    bead_types = np.asarray(bead_types, dtype=np.int64)
    accumulators = _accumulators(type_names, bead_types, spec, metrics)

    def measure(chunk: Chunk) -> list[np.ndarray]:
        frame = Frame.of(*chunk)
        return [accumulator.measure(frame) for accumulator in accumulators]

    checked = _checked_frames(frames, type_names, bead_types, spec, source)
    bar = Progress(n_frames, f"structure of {source}", "frames") if n_frames else None
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        while batch := list(islice(checked, 4 * max(1, threads))):
            for measured in pool.map(measure, batch):
                for accumulator, part in zip(accumulators, measured, strict=True):
                    accumulator.accumulate(part)
            if bar is not None:
                bar.update(len(batch))
    if bar is not None:
        bar.close()
    if accumulators[0].n_frames == 0:
        raise InputError(source, "frames", 0, "at least one frame")
    _warn(accumulators, source)
    return pd.concat([_table(accumulator) for accumulator in accumulators], ignore_index=True)


def resolve_cdf(
    frames: Iterable[tuple[float, np.ndarray, np.ndarray]],
    type_names: Sequence[str],
    bead_types: np.ndarray,
    spec: StructureSpec,
    source: str | Path = "trajectory",
) -> pd.DataFrame:
    """CDF of single frames, where drift in time shows aggregation.

    Parameters
    ----------
    frames: ``(time_ps, positions_A, cell_A)`` of the frames wanted, (n_beads, 3) and (3, 3).

    Returns
    -------
    The table of `compute_curves` with a column ``time_ps`` in front.
    """
    tables = []
    for time_ps, positions, cell in frames:
        table = compute_curves([(positions, cell)], type_names, bead_types, spec, 1, ("cdf",), source)
        table.insert(0, "time_ps", float(time_ps))
        tables.append(table)
    if not tables:
        raise InputError(source, "frames", 0, "at least one frame")
    return pd.concat(tables, ignore_index=True)


def label_run(curves: pd.DataFrame, variant: str, member: str, replica: int) -> pd.DataFrame:
    """Put the columns that name a run in front of its curves."""
    labelled = curves.assign(variant=variant, member=member, replica=int(replica))
    return labelled[RUN_COLUMNS + [column for column in curves.columns if column not in RUN_COLUMNS]]


def write_curves(path: str | Path, curves: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write curves as Parquet with format, units and provenance in the metadata, whole or not at all.

    Parameters
    ----------
    curves: columns `RUN_COLUMNS` and `CURVE_COLUMNS`; further columns are kept.
    """
    missing = [column for column in RUN_COLUMNS + CURVE_COLUMNS if column not in curves.columns]
    if missing:
        raise ValueError(f"curves without the columns {missing}")
    declaration = {"format": FORMAT, "units": _UNITS, "provenance": dict(provenance)}
    table = pa.Table.from_pandas(curves, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), _METADATA_KEY: json.dumps(declaration, ensure_ascii=False)}
    with whole_file(path) as partial:
        pq.write_table(table.replace_schema_metadata(metadata), partial)


def read_curves(path: str | Path) -> pd.DataFrame:
    """Read the curves of `write_curves`.

    Raises
    ------
    InputError
        Not a Parquet file, no declaration of format and units, or a column missing.
    """
    _declaration(path)
    curves: pd.DataFrame = pq.read_table(path).to_pandas()
    for column in RUN_COLUMNS + CURVE_COLUMNS:
        if column not in curves.columns:
            raise InputError(path, "columns", list(curves.columns), f"a column '{column}'")
    return curves


def read_curves_provenance(path: str | Path) -> dict[str, Any]:
    """Provenance record of a file of curves."""
    record: dict[str, Any] = _declaration(path)["provenance"]
    return record


def _declaration(path: str | Path) -> dict[str, Any]:
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(path, "file", error, f"a Parquet file of format {FORMAT}") from None
    if _METADATA_KEY not in metadata:
        raise InputError(path, "metadata", "no declaration of cgdistill", f"format {FORMAT} with units")
    declaration: dict[str, Any] = json.loads(metadata[_METADATA_KEY])
    for key, expected in (("format", FORMAT), ("units", _UNITS)):
        if declaration.get(key) != expected:
            raise InputError(path, f"metadata '{key}'", declaration.get(key), expected)
    return declaration


def _accumulators(
    type_names: Sequence[str], bead_types: np.ndarray, spec: StructureSpec, metrics: Sequence[str]
) -> list[Accumulator]:
    """Accumulators of the metrics wanted, in the order of `METRICS`."""
    unknown = set(metrics) - set(METRICS)
    if unknown or not metrics:
        raise ValueError(f"metrics {list(metrics)}: some of {METRICS} are needed")
    chosen: list[Accumulator] = []
    if "rdf" in metrics:
        chosen.append(RDF(type_names, bead_types, spec.rdf))
    if "adf" in metrics and spec.triplets:
        triplets = spec.triplet_indices(type_names)
        chosen.append(ADF(type_names, bead_types, spec.adf, triplets, spec.adf_r_max_A))
    if "cdf" in metrics:
        chosen.append(CDF(type_names, bead_types, spec.cdf))
    return chosen


def _checked_frames(
    frames: Iterable[Chunk],
    type_names: Sequence[str],
    bead_types: np.ndarray,
    spec: StructureSpec,
    source: str | Path,
) -> Iterator[Chunk]:
    """Single frames of the chunks, each checked."""
    number = 0
    for chunk_positions, chunk_cells in frames:
        cells = np.asarray(chunk_cells, dtype=np.float64).reshape(-1, 3, 3)
        positions = np.asarray(chunk_positions, dtype=np.float64)
        positions = positions.reshape(-1, *positions.shape[-2:])
        check_grids(spec, type_names, bead_types, cells)
        for one, cell in zip(positions, cells, strict=True):
            if one.shape != (len(bead_types), 3):
                raise InputError(source, f"frame {number}", f"shape {one.shape}", (len(bead_types), 3))
            if not np.isfinite(one).all():
                raise InputError(source, f"frame {number}", "positions that are not finite", "finite ones")
            number += 1
            yield one, cell


def _table(accumulator: Accumulator) -> pd.DataFrame:
    """Tidy table of one metric."""
    x = accumulator.grid.centres
    parts = [
        pd.DataFrame({"item": curve.item, "r_max_A": curve.r_max_A, "x": x, "value": curve.values})
        for curve in accumulator.curves()
    ]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CURVE_COLUMNS)
    table = table.assign(metric=accumulator.metric, x_unit=accumulator.grid.unit, value_unit=accumulator.value_unit)
    return table[CURVE_COLUMNS]


def _warn(accumulators: Sequence[Accumulator], source: str | Path) -> None:
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
