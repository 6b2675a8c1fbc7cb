"""Structure tables on disk: Parquet files that declare their format, their units and where they come from.

``curves``, ``blocks`` and ``resolved`` hold curves (`CURVE_COLUMNS`), of whole trajectories, of blocks of frames and of
windows in time; ``series`` holds numbers against time. ``variant``, ``member`` and ``replica`` come first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import InputError
from ..core.vocabulary import CURVE_KEY, RUN_KEY
from ..runtime.atomic_files import whole_file

CURVE_COLUMNS = [*CURVE_KEY, "x", "x_unit", "value", "value_unit"]
BLOCK_COLUMNS = ["block", "n_frames", "first_ps", "last_ps", "statistical_inefficiency"]
SERIES_COLUMNS = ["time_ps", "phase", "quantity", "item", "value", "unit"]
_METADATA_KEY = b"cgdistill"
#: Columns with a unit, as declared in the file; those of x and value are in the rows, that of the parameter is the
#: metric's (`structure.metrics`).
_CURVE_UNITS = {"parameter": "metric", "x": "x_unit", "value": "value_unit"}


@dataclass(frozen=True)
class _Format:
    """Format of a table: its name in the file, its columns after `RUN_KEY`, and their units."""

    name: str
    columns: list[str]
    units: dict[str, str]


_CURVES = _Format("cgdistill-curves-2", CURVE_COLUMNS, _CURVE_UNITS)
_BLOCKS = _Format(
    "cgdistill-blocks-2",
    BLOCK_COLUMNS + CURVE_COLUMNS,
    {**_CURVE_UNITS, "first_ps": "ps", "last_ps": "ps", "statistical_inefficiency": "frames"},
)
_RESOLVED = _Format("cgdistill-resolved-2", ["time_ps", *CURVE_COLUMNS], {**_CURVE_UNITS, "time_ps": "ps"})
_SERIES = _Format("cgdistill-series-1", SERIES_COLUMNS, {"time_ps": "ps", "value": "unit"})


def label_run(table: pd.DataFrame, variant: str, member: str, replica: int) -> pd.DataFrame:
    """Put the columns that name a run in front of one of its tables."""
    labelled = table.assign(variant=variant, member=member, replica=int(replica))
    return labelled[RUN_KEY + [column for column in table.columns if column not in RUN_KEY]]


def write_curves(path: str | Path, curves: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write curves of whole trajectories, whole or not at all.

    Parameters
    ----------
    curves: columns `RUN_KEY` and `CURVE_COLUMNS`; further columns are kept.
    """
    _write(path, curves, _CURVES, provenance)


def write_blocks(path: str | Path, blocks: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write curves of blocks of frames: `RUN_KEY`, `BLOCK_COLUMNS`, `CURVE_COLUMNS`."""
    _write(path, blocks, _BLOCKS, provenance)


def write_resolved(path: str | Path, resolved: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write curves of windows in time: `RUN_KEY`, ``time_ps``, `CURVE_COLUMNS`."""
    _write(path, resolved, _RESOLVED, provenance)


def write_series(path: str | Path, series: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write numbers against time: `RUN_KEY`, `SERIES_COLUMNS`."""
    _write(path, series, _SERIES, provenance)


def read_curves(path: str | Path) -> pd.DataFrame:
    """Read the curves of `write_curves`.

    Raises
    ------
    InputError
        Not a Parquet file, no declaration of format and units, or a column missing. So do the other readers.
    """
    return _read(path, _CURVES)


def read_blocks(path: str | Path) -> pd.DataFrame:
    """Read the table of `write_blocks`."""
    return _read(path, _BLOCKS)


def read_resolved(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read the table of `write_resolved`, or some of its columns: of many runs it is large."""
    return _read(path, _RESOLVED, columns)


def read_series(path: str | Path) -> pd.DataFrame:
    """Read the table of `write_series`."""
    return _read(path, _SERIES)


def _write(path: str | Path, table: pd.DataFrame, format: _Format, provenance: Mapping[str, Any]) -> None:
    missing = [column for column in RUN_KEY + format.columns if column not in table.columns]
    if missing:
        raise ValueError(f"{format.name} without the columns {missing}")
    declaration = {"format": format.name, "units": format.units, "provenance": dict(provenance)}
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {**(arrow.schema.metadata or {}), _METADATA_KEY: json.dumps(declaration, ensure_ascii=False)}
    with whole_file(path) as partial:
        pq.write_table(arrow.replace_schema_metadata(metadata), partial)


def _read(path: str | Path, format: _Format, columns: Sequence[str] | None = None) -> pd.DataFrame:
    _declaration(path, format)
    names = pq.read_schema(path).names
    for column in RUN_KEY + format.columns:
        if column not in names:
            raise InputError(path, "columns", names, f"a column '{column}'")
    table: pd.DataFrame = pq.read_table(path, columns=columns).to_pandas()
    return table


def _declaration(path: str | Path, format: _Format) -> dict[str, Any]:
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(path, "file", error, f"a Parquet file of format {format.name}") from None
    if _METADATA_KEY not in metadata:
        raise InputError(path, "metadata", "no declaration of cgdistill", f"format {format.name} with units")
    declaration: dict[str, Any] = json.loads(metadata[_METADATA_KEY])
    for key, expected in (("format", format.name), ("units", format.units)):
        if declaration.get(key) != expected:
            raise InputError(path, f"metadata '{key}'", declaration.get(key), expected)
    return declaration
