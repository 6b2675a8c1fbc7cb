"""The error that invalid input raises."""

from __future__ import annotations

import re
from pathlib import Path

#: Longest part of a message, characters.
_MAX_LENGTH = 400


class InputError(Exception):
    """Invalid input: a file, a config key or a frame.

    The message has one fixed form, ``<source>: <item>: found <found>, expected <expected>``, so that a user sees what
    to correct, and a test can search for it.

    Parameters
    ----------
    source:
        File, or ``config``.
    item:
        Key, frame, residue or column of the source.
    found, expected:
        Invalid value, and the values that are valid.
    """

    def __init__(self, source: str | Path, item: str, found: object, expected: object) -> None:
        self.source = str(source)
        self.item = item
        self.found = found
        self.expected = expected
        super().__init__(f"{self.source}: {item}: found {_line(found)}, expected {_line(expected)}")


def _line(text: object) -> str:
    """Text without line breaks, shortened; messages of other libraries can have many lines."""
    words = re.sub(r"\s*\n\s*", " ", str(text)).strip()
    return words if len(words) <= _MAX_LENGTH else words[: _MAX_LENGTH - 1] + "…"
