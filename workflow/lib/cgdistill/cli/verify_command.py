"""Command ``cgdistill verify``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..provenance.compare import compare_runs
from ..provenance.verify import verify

_EPILOG = """\
One line per fault, and a summary; the exit status is 1 if there is a fault. With --against, the products of two runs
are compared value by value.

  cgdistill verify results/demo
  cgdistill verify results/demo --config config/config.yaml
  cgdistill verify results/demo --against ../other/results/demo
"""


def add_verify(commands: Any) -> None:
    """Add the command to the subparsers of argparse."""
    command = commands.add_parser(
        "verify",
        help="check the products of a run against their recorded checksums",
        description="Check every product of a run against its recorded checksum, version and config.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("folder", type=Path, help="results/<run>, or the folder of a sweep")
    command.add_argument("--config", type=Path, metavar="FILE", help="config with which the run should have been made")
    command.add_argument("--against", type=Path, metavar="FOLDER", help="another run, compared value by value")
    command.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="X",
        help="largest relative difference that does not count as a fault (default: 0)",
    )
    command.add_argument("--threads", type=int, default=2, metavar="N", help="for checksums (default: 2)")
    command.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> tuple[str, int]:
    """Text to print, and the exit status."""
    if chosen.against is not None:
        found = [compare_runs(chosen.folder, chosen.against, chosen.tolerance, chosen.threads)]
    else:
        found = verify(chosen.folder, chosen.config, chosen.threads)
    lines = [line for findings in found for line in findings.faults]
    return "\n".join([*lines, *(findings.summary for findings in found)]), int(bool(lines))
