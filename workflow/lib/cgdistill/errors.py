"""The one error that bad input raises."""

from __future__ import annotations

from pathlib import Path


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
        super().__init__(f"{self.source}: {item}: found {found}, expected {expected}")
