"""Tidy tables on disk: CSV with one comment line that holds the provenance.

``pandas.read_csv(path, skiprows=1)`` reads any of them. Units are in the column names or in a
column ``unit``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .errors import InputError
from .provenance import whole_file

_MARK = "# cgdistill "


def write_table(path: str | Path, table: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write a table with its provenance in the first line, whole or not at all."""
    with whole_file(path) as partial:
        with open(partial, "w", encoding="utf-8", newline="") as stream:
            stream.write(_MARK + json.dumps(dict(provenance), ensure_ascii=False) + "\n")
            table.to_csv(stream, index=False, float_format="%.10g")


def read_table(path: str | Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table of `write_table`.

    Raises
    ------
    InputError
        The file does not start with the provenance line, or one of ``columns`` is missing.
    """
    read_provenance(path)
    # Not comment="#", which would cut a value that holds one.
    table = pd.read_csv(path, skiprows=1, keep_default_na=False, na_values=["", "nan"])
    for column in columns:
        if column not in table.columns:
            raise InputError(path, "columns", list(table.columns), f"a column '{column}'")
    return table


def read_provenance(path: str | Path) -> dict[str, Any]:
    """Provenance record of a table."""
    with open(path, encoding="utf-8") as stream:
        first = stream.readline()
    if not first.startswith(_MARK):
        raise InputError(path, "line 1", repr(first[:40]), f"a line starting with '{_MARK.strip()}'")
    record: dict[str, Any] = json.loads(first[len(_MARK) :])
    return record
