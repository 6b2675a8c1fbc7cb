"""Tidy tables as CSV files whose first line, a comment, holds the provenance.

``pandas.read_csv(path, skiprows=1)`` reads any of them. Units are part of the column names, or a column ``unit``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.errors import InputError
from ..runtime.atomic_files import whole_file

_MARK = "# cgdistill "


def write_table(path: str | Path, table: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write a table with its provenance in the first line, atomically."""
    with whole_file(path) as partial:
        with open(partial, "w", encoding="utf-8", newline="") as stream:
            stream.write(_MARK + json.dumps(dict(provenance), ensure_ascii=False) + "\n")
            table.to_csv(stream, index=False, float_format="%.10g")


def read_table(path: str | Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Table written by `write_table`.

    Raises
    ------
    InputError
        No such file, no provenance in its first line, no table after it, or one of ``columns`` is missing.
    """
    read_provenance(path)
    try:
        # Not comment="#", which would cut off values that contain it.
        table = pd.read_csv(path, skiprows=1, keep_default_na=False, na_values=["", "nan"])
    except (ValueError, OSError, OverflowError) as error:  # ValueError: pandas' errors, and text that is not UTF-8
        raise InputError(path, "table", " ".join(str(error).split()), "comma-separated values in UTF-8") from None
    for column in columns:
        if column not in table.columns:
            raise InputError(path, "columns", list(table.columns), f"a column '{column}'")
    return table


def read_provenance(path: str | Path) -> dict[str, Any]:
    """Provenance record of a table.

    Raises
    ------
    InputError
        See `read_table`.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            first = stream.readline()
    except (OSError, ValueError) as error:
        raise InputError(path, "line 1", error, "a table of cgdistill in UTF-8") from None
    if not first.startswith(_MARK):
        raise InputError(path, "line 1", repr(first[:40]), f"a line starting with '{_MARK.strip()}'")
    try:
        record = json.loads(first[len(_MARK) :])
    except (ValueError, RecursionError) as error:
        raise InputError(path, "line 1", error, "the provenance as JSON") from None
    if not isinstance(record, dict):
        raise InputError(path, "line 1", type(record).__name__, "the provenance as a JSON object")
    return record
