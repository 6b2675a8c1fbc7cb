"""The record of a simulation, ``run.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable
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


def run_folders(folders: Iterable[str | Path]) -> list[Path]:
    """Folders of the runs in folders of members, ``replica-<n>``, in the order of the members and of n."""
    return [
        run
        for folder in folders
        for run in sorted(Path(folder).glob("replica-*"), key=lambda path: int(path.name.removeprefix("replica-")))
    ]
