"""The one error that bad input raises."""

from __future__ import annotations

import re
from pathlib import Path

#: No part of a message is longer.
_LONGEST = 400


class InputError(Exception):
    """Input that cannot be used: a file, a config key or a frame.

    The message has one fixed form, ``<source>: <item>: found <found>, expected <expected>``,
    so that a user sees at once what to mend and a test can look for it.

    Parameters
    ----------
    source:
        The file (or ``config``) that holds the fault.
    item:
        The key, frame, residue or column inside it.
    found, expected:
        What is there and what should be there.
    """

    def __init__(self, source: str | Path, item: str, found: object, expected: object) -> None:
        self.source = str(source)
        self.item = item
        self.found = found
        self.expected = expected
        super().__init__(f"{self.source}: {item}: found {_line(found)}, expected {_line(expected)}")


def _line(text: object) -> str:
    """What a library says in many lines, or at length, as one."""
    words = re.sub(r"\s*\n\s*", " ", str(text)).strip()
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
