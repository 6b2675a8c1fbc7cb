"""Structure tables on disk: Parquet files that declare their format, their units and where they come from.

``curves``, ``blocks`` and ``resolved`` hold curves (`CURVE_COLUMNS`), of whole trajectories, of blocks of frames and of
windows in time; ``series`` holds numbers against time. ``variant``, ``member`` and ``replica`` stand in front.
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
from ..runtime.atomic_files import whole_file

RUN_COLUMNS = ["variant", "member", "replica"]
CURVE_COLUMNS = ["metric", "item", "r_max_A", "x", "x_unit", "value", "value_unit"]
BLOCK_COLUMNS = ["block", "n_frames", "first_ps", "last_ps", "statistical_inefficiency"]
SERIES_COLUMNS = ["time_ps", "phase", "quantity", "item", "value", "unit"]
_METADATA_KEY = b"cgdistill"
#: Columns with a unit, as declared in the file; those of x and value stand in the rows.
_CURVE_UNITS = {"r_max_A": "A", "x": "x_unit", "value": "value_unit"}


@dataclass(frozen=True)
class _Kind:
    """One kind of table: its name in the file, its columns behind `RUN_COLUMNS`, and their units."""

    format: str
    columns: list[str]
    units: dict[str, str]


_CURVES = _Kind("cgdistill-curves-1", CURVE_COLUMNS, _CURVE_UNITS)
_BLOCKS = _Kind(
    "cgdistill-blocks-1",
    BLOCK_COLUMNS + CURVE_COLUMNS,
    {**_CURVE_UNITS, "first_ps": "ps", "last_ps": "ps", "statistical_inefficiency": "frames"},
)
_RESOLVED = _Kind("cgdistill-resolved-1", ["time_ps", *CURVE_COLUMNS], {**_CURVE_UNITS, "time_ps": "ps"})
_SERIES = _Kind("cgdistill-series-1", SERIES_COLUMNS, {"time_ps": "ps", "value": "unit"})


def label_run(table: pd.DataFrame, variant: str, member: str, replica: int) -> pd.DataFrame:
    """Put the columns that name a run in front of one of its tables."""
    labelled = table.assign(variant=variant, member=member, replica=int(replica))
    return labelled[RUN_COLUMNS + [column for column in table.columns if column not in RUN_COLUMNS]]


def write_curves(path: str | Path, curves: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write curves of whole trajectories, whole or not at all.

    Parameters
    ----------
    curves: columns `RUN_COLUMNS` and `CURVE_COLUMNS`; further columns are kept.
    """
    _write(path, curves, _CURVES, provenance)


def write_blocks(path: str | Path, blocks: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write curves of blocks of frames: `RUN_COLUMNS`, `BLOCK_COLUMNS`, `CURVE_COLUMNS`."""
    _write(path, blocks, _BLOCKS, provenance)


def write_resolved(path: str | Path, resolved: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write curves of windows in time: `RUN_COLUMNS`, ``time_ps``, `CURVE_COLUMNS`."""
    _write(path, resolved, _RESOLVED, provenance)


def write_series(path: str | Path, series: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write numbers against time: `RUN_COLUMNS`, `SERIES_COLUMNS`."""
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


def read_curves_provenance(path: str | Path) -> dict[str, Any]:
    """Provenance record of a file of curves."""
    record: dict[str, Any] = _declaration(path, _CURVES)["provenance"]
    return record


def _write(path: str | Path, table: pd.DataFrame, kind: _Kind, provenance: Mapping[str, Any]) -> None:
    missing = [column for column in RUN_COLUMNS + kind.columns if column not in table.columns]
    if missing:
        raise ValueError(f"{kind.format} without the columns {missing}")
    declaration = {"format": kind.format, "units": kind.units, "provenance": dict(provenance)}
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {**(arrow.schema.metadata or {}), _METADATA_KEY: json.dumps(declaration, ensure_ascii=False)}
    with whole_file(path) as partial:
        pq.write_table(arrow.replace_schema_metadata(metadata), partial)


def _read(path: str | Path, kind: _Kind, columns: Sequence[str] | None = None) -> pd.DataFrame:
    _declaration(path, kind)
    names = pq.read_schema(path).names
    for column in RUN_COLUMNS + kind.columns:
        if column not in names:
            raise InputError(path, "columns", names, f"a column '{column}'")
    table: pd.DataFrame = pq.read_table(path, columns=columns).to_pandas()
    return table


def _declaration(path: str | Path, kind: _Kind) -> dict[str, Any]:
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(path, "file", error, f"a Parquet file of format {kind.format}") from None
    if _METADATA_KEY not in metadata:
        raise InputError(path, "metadata", "no declaration of cgdistill", f"format {kind.format} with units")
    declaration: dict[str, Any] = json.loads(metadata[_METADATA_KEY])
    for key, expected in (("format", kind.format), ("units", kind.units)):
        if declaration.get(key) != expected:
            raise InputError(path, f"metadata '{key}'", declaration.get(key), expected)
    return declaration
