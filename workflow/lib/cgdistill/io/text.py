"""YAML files and tab-separated tables written by users."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from .strict_yaml import load


def read_yaml(path: str | Path) -> Any:
    """Contents of a YAML file.

    Raises
    ------
    InputError
        Missing, not UTF-8, or not YAML (see `strict_yaml.load`); the line is named.
    """
    return load(_text(path, "a readable YAML file"), path)


def _text(path: str | Path, expected: str) -> str:
    """Text of a UTF-8 file, with or without a byte-order mark."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(path, f"byte {error.start}", "text that is not UTF-8", "UTF-8") from None
    except (OSError, ValueError) as error:  # ValueError: an impossible path
        raise InputError(path, "file", getattr(error, "strerror", None) or error, expected) from None


def table_rows(path: str | Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Header and rows, as text, of a tab-separated table; empty lines and lines that start with # are skipped.

    Raises
    ------
    InputError
        Missing or not UTF-8.
    """
    text = _text(path, "a tab-separated table")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        # Quotes are plain characters: one that is never closed would swallow the rows after it.
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    except csv.Error as error:
        raise InputError(path, "table", error, "cells separated by tabs") from None
    return (lines[0].split("\t") if lines else []), rows
