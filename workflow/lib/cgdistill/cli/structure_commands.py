"""A command for each structural metric, and ``tae``: the structure analysis of any trajectory of beads.

They take what `data.cg_trajectory` reads and print a table; curves go to a file, a figure to another.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..data.cg_trajectory import TYPE_ATTRIBUTES
from ..structure.conventions import CONVENTIONS
from ..structure.metrics import PRESENTATIONS
from ..structure.metrics.presentation import Command, positive_option

FIGURES = (".svg", ".png", ".pdf")
TABLES = (".csv", ".parquet")
TAE = "tae"
_TAE_EXAMPLE = "cgdistill tae run.lammpstrj --reference results/demo/mapped/beads.h5"


def metric_commands() -> dict[str, Command]:
    """Commands by metric, of the metrics that have one."""
    return {name: shown.command for name, shown in PRESENTATIONS.items() if shown.command is not None}


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command of each metric, and ``tae``, to a parser's."""
    metrics = metric_commands()
    for name, own in metrics.items():
        command = _command(commands, name, own.help, own.example)
        _add_trajectory(command, "", False)
        _add_bins(command, name, own, "")
        _add_output(command, "curves: .csv, or .parquet for the command tae")
    *first, last = (PRESENTATIONS[name].title for name in metrics)
    text = f"total absolute error of {', '.join(first)} and {last} against a reference"
    command = _command(commands, TAE, text, _TAE_EXAMPLE)
    _add_trajectory(command, "", True)
    _add_trajectory(command, "reference-", True)
    command.add_argument("--metrics", nargs="+", choices=list(metrics), default=list(metrics), help="default: all")
    for name, own in metrics.items():
        _add_bins(command, name, own, f"{name}-")
    _add_output(command, "errors, .csv")


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, example: str
) -> argparse.ArgumentParser:
    """A command with its help."""
    description = f"{text[0].upper()}{text[1:]}."
    command = commands.add_parser(name, help=text, description=description, epilog=f"Example: {example}")
    command.set_defaults(run=run)
    return command


def _add_bins(command: argparse.ArgumentParser, name: str, own: Command, prefix: str) -> None:
    """Options of the bins of a metric."""
    own.add_options(command.add_argument_group(f"bins of the {PRESENTATIONS[name].title}"), prefix)


def _add_output(command: argparse.ArgumentParser, table: str) -> None:
    """Options on normalisation, files and threads."""
    command.add_argument("--convention", choices=CONVENTIONS, default=CONVENTIONS[0], help="docs/structure.md")
    command.add_argument("--output", "-o", type=_path(TABLES), metavar="FILE", help=table)
    command.add_argument("--figure", type=_path(FIGURES), metavar="FILE", help="curves: .svg, .png or .pdf")
    command.add_argument("--threads", type=_positive, default=1, help="frames analysed at the same time (default: 1)")


def run(options: argparse.Namespace) -> str:
    """Do what one of the commands asks for; returns the text to print.

    Raises
    ------
    InputError
        Whatever cannot be used.
    """
    from .structure_analysis import run_metric, run_tae

    return run_tae(options) if options.command == TAE else run_metric(options)


def _add_trajectory(command: argparse.ArgumentParser, prefix: str, curves: bool) -> None:
    """Options of a trajectory: the one analysed, or with a prefix that of the reference."""
    files = (
        "files in order: bead file (.h5), LAMMPS dump (.lammpstrj, .dump, also .gz), or .gro, .xtc, .trr, .dcd, "
        ".pdb, ... of beads, or of atoms with a mapping" + ("; or curves (.parquet, .csv) of one run" * curves)
    )
    if prefix:
        command.add_argument("--reference", nargs="+", type=Path, required=True, metavar="FILE", help=files)
    else:
        command.add_argument("trajectory", nargs="+", type=Path, metavar="TRAJ", help=files)
    group = command.add_argument_group("the reference" if prefix else "the trajectory")
    group.add_argument(f"--{prefix}topology", type=Path, metavar="FILE", help="names of the beads or atoms, in order")
    group.add_argument(f"--{prefix}mapping", type=Path, metavar="FILE", help="mapping of atoms to beads (YAML)")
    group.add_argument(f"--{prefix}masses", type=Path, metavar="FILE", help="topology with masses (.top, .tpr, ...)")
    group.add_argument(f"--{prefix}units", choices=("real", "metal"), help="of LAMMPS dumps that do not say")
    group.add_argument(
        f"--{prefix}types", nargs="+", default=[], metavar="NAME", help="names of the LAMMPS types 1, 2, ...; "
        "elsewhere their order",
    )  # fmt: skip
    group.add_argument(
        f"--{prefix}types-from", choices=TYPE_ATTRIBUTES, help="what of the topology is a bead's type (default: the "
        "first that it has)",
    )  # fmt: skip
    group.add_argument(
        f"--{prefix}cell", nargs=3, type=positive_option, metavar="A", help="edges of the cell where the file has none"
    )
    group.add_argument(f"--{prefix}begin", type=float, metavar="PS", help="leave out earlier frames")
    group.add_argument(f"--{prefix}end", type=float, metavar="PS", help="leave out later frames")
    group.add_argument(f"--{prefix}stride", type=_positive, default=1, metavar="N", help="use every N-th frame")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


class _path:
    """A file with one of some suffixes."""

    def __init__(self, suffixes: Sequence[str]) -> None:
        self.suffixes = suffixes

    def __call__(self, text: str) -> Path:
        if Path(text).suffix not in self.suffixes:
            raise argparse.ArgumentTypeError(f"{text} ends in none of {', '.join(self.suffixes)}")
        return Path(text)
