"""The command `cgdistill config`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..config.complete import read_config
from ..config.reference import as_commented_yaml, with_reference
from ..core.errors import InputError

_EPILOG = """\
The output is a valid config: every key with its value, or its default, after a comment with meaning and unit.

  cgdistill config config/my-run.yaml
  cgdistill config config/my-run.yaml > complete.yaml
"""


def add_config(commands: Any) -> None:
    """Add the command to subparsers of argparse."""
    command = commands.add_parser(
        "config",
        help="check a config and print it with all defaults",
        description="Check a config and print it with all defaults.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("file", type=Path, metavar="FILE", help="config of a run")
    command.add_argument(
        "--reference",
        action="store_true",
        help="FILE is a document (config/README.md): update the tables of keys between its markers",
    )
    command.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> str:
    """What is printed."""
    if not chosen.reference:
        return as_commented_yaml(read_config(chosen.file)).removesuffix("\n")
    if not chosen.file.is_file():
        raise InputError(chosen.file, "file", "nothing", "a document with markers")
    old = chosen.file.read_text(encoding="utf-8")
    new = with_reference(old, chosen.file)
    if new == old:
        return f"{chosen.file}: up to date"
    chosen.file.write_text(new, encoding="utf-8")
    return f"{chosen.file}: updated"
