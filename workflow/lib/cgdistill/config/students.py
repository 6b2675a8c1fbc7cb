"""Table of student variants: read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..io.text import table_rows
from .targets import TARGETS
from .validate import validate
from .variants import Variant, check_variants

#: Columns that every table has, with the schema of their values.
_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "name": {"type": "string", "maxLength": 60, "pattern": "^[A-Za-z0-9][A-Za-z0-9-]*$"},
    # matplotlib takes what is between two $ for mathematics, and \ for the start of a command.
    "label": {"type": "string", "minLength": 1, "maxLength": 40, "pattern": r"^[^$\\]*$"},
    "teacher": {"enum": ["single", "ensemble"]},
}
#: Column of the weight of each target; a column that a table lacks counts as 0.
_WEIGHTS = {target.weight_column: target.name for target in TARGETS.values()}
#: Schema of a row.
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": list(_COLUMNS),
    "properties": {**_COLUMNS, **{column: {"type": "number", "minimum": 0} for column in _WEIGHTS}},
}


def read_students(path: str | Path) -> list[Variant]:
    """Student variants from their table (tab-separated, one row per variant).

    Raises
    ------
    InputError
        Missing, repeated or unknown column, a value that does not fit, no weight above 0, or names that differ
        in case only or not at all.
    """
    header, rows = table_rows(path)
    columns = list(SCHEMA["properties"])
    if len(set(header)) < len(header) or not set(_COLUMNS) <= set(header) <= set(columns):
        expected = f"the columns {', '.join(_COLUMNS)}, and weights {', '.join(_WEIGHTS)}, separated by tabs"
        raise InputError(path, "header", f"columns {header}", expected)
    variants = []
    for number, row in enumerate(rows, start=1):
        where = f"row {number} ({row['name']})"
        if None in row or None in row.values():
            raise InputError(path, where, "another number of cells", f"{len(header)} cells")
        values: dict[str, Any] = dict(row)
        for column in _WEIGHTS:
            try:
                values[column] = float(row.get(column, 0.0))
            except ValueError:
                raise InputError(path, f"{where}.{column}", repr(row[column]), "a number") from None
        validate(values, SCHEMA, path, f"{where}.")
        weights = {target: values[column] for column, target in _WEIGHTS.items()}
        variants.append(Variant(values["name"], values["label"], values["teacher"], weights))
    check_variants(variants, path)
    return variants


def student_row(variant: Variant) -> dict[str, Any]:
    """A student variant as a row of the table, with all columns."""
    row = {"name": variant.name, "label": variant.label, "teacher": variant.kind}
    return row | {column: variant.weights.get(target, 0.0) for column, target in _WEIGHTS.items()}
