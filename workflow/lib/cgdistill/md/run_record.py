"""The record of a simulation, ``run.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..core.vocabulary import RUN_KEY


def read_record(path: str | Path) -> dict[str, Any]:
    """A ``run.json``.

    Raises
    ------
    InputError
        Not JSON, or a field that names the run is missing.
    """
    try:
        record: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, "file", repr(error), "JSON of a simulation") from None
    for field in (*RUN_KEY, "status"):
        if field not in record:
            raise InputError(path, "fields", sorted(record), f"a field '{field}'")
    return record
