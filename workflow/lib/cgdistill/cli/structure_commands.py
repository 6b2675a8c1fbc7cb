"""The commands ``rdf``, ``adf``, ``cdf`` and ``tae``: the structure analysis of any trajectory of beads.

They take what `bead_input` reads and print a table; curves go to a file, a figure to another.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..data.cg_trajectory import TYPE_ATTRIBUTES
from ..structure.spec import CONVENTIONS, METRICS

FIGURES = (".svg", ".png", ".pdf")
TABLES = (".csv", ".parquet")
HELP = {
    "rdf": "radial distribution functions of all pairs of types: first peak, first minimum, coordination numbers",
    "adf": "angular distribution functions of triplets of types: peaks",
    "cdf": "cluster distribution functions of each type: peak and mean of the merge distances",
    "tae": "total absolute error of RDF, ADF and CDF against a reference",
}
#: Bins where the options do not say, those of Olowookere et al., arXiv 2510.26650.
_ADF_R_MAX_A, _ADF_BIN_DEG = (6.0, 6.5, 7.5), 2.0
_CDF_R_MAX_A = 12.0
_BIN_A = 0.1
_EXAMPLES = {
    "rdf": "cgdistill rdf run.lammpstrj --types Cho Cl Urea --figure rdf.svg",
    "adf": "cgdistill adf conf.gro traj.xtc --topology conf.gro --triplets A-B-C --r-max 6 7.5",
    "cdf": "cgdistill cdf aa.xtc --topology aa.tpr --mapping map.yaml --begin 500 -o cdf.csv",
    "tae": "cgdistill tae run.lammpstrj --reference results/demo/mapped/beads.h5",
}


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the four commands to a parser's."""
    for name, text in HELP.items():
        command = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"Example: {_EXAMPLES[name]}",
        )
        _add_trajectory(command, "", name == "tae")
        if name == "tae":
            _add_trajectory(command, "reference-", True)
            command.add_argument("--metrics", nargs="+", choices=METRICS, default=list(METRICS), help="default: all")
        for metric in METRICS if name == "tae" else (name,):
            _add_bins(command, metric, f"{metric}-" if name == "tae" else "")
        command.add_argument("--convention", choices=CONVENTIONS, default=CONVENTIONS[0], help="docs/structure.md")
        command.add_argument(
            "--output", "-o", type=_path(TABLES), metavar="FILE", help="errors, .csv" if name == "tae" else
            "curves: .csv, or .parquet for the command tae",
        )  # fmt: skip
        command.add_argument("--figure", type=_path(FIGURES), metavar="FILE", help="curves: .svg, .png or .pdf")
        command.add_argument("--threads", type=_positive, default=1, help="frames side by side (default: 1)")
        command.set_defaults(run=run)


def run(options: argparse.Namespace) -> str:
    """Do what one of the commands asks for; returns the text to print.

    Raises
    ------
    InputError
        Whatever cannot be used.
    """
    from .structure_analysis import run_metric, run_tae

    return run_tae(options) if options.command == "tae" else run_metric(options)


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
        f"--{prefix}cell", nargs=3, type=_positive_number, metavar="A", help="edges of the cell where the file has none"
    )
    group.add_argument(f"--{prefix}begin", type=float, metavar="PS", help="leave out earlier frames")
    group.add_argument(f"--{prefix}end", type=float, metavar="PS", help="leave out later frames")
    group.add_argument(f"--{prefix}stride", type=_positive, default=1, metavar="N", help="every so manieth frame")


def _add_bins(command: argparse.ArgumentParser, metric: str, prefix: str) -> None:
    """Options of the bins of a metric."""
    group = command.add_argument_group(f"bins of the {metric.upper()}")
    if metric == "adf":
        group.add_argument(
            "--triplets", nargs="+", metavar="A-B-C", help="types, the centre in the middle (default: A-A-A of each)"
        )
        group.add_argument(
            f"--{prefix}r-max", dest="adf_r_max", nargs="+", type=_positive_number, default=list(_ADF_R_MAX_A),
            metavar="A", help="radii within which both neighbours lie (default: 6 6.5 7.5)",
        )  # fmt: skip
        width, unit = _ADF_BIN_DEG, "DEG"
    else:
        default = None if metric == "rdf" else _CDF_R_MAX_A
        shown = "half of the cell, at most 20" if metric == "rdf" else f"{_CDF_R_MAX_A:g}"
        group.add_argument(
            f"--{prefix}r-max", dest=f"{metric}_r_max", type=_positive_number, default=default, metavar="A",
            help=f"end of the bins (default: {shown})",
        )  # fmt: skip
        width, unit = _BIN_A, "A"
    group.add_argument(
        f"--{prefix}bin-width", dest=f"{metric}_bin_width", type=_positive_number, default=width, metavar=unit,
        help=f"default: {width:g}",
    )  # fmt: skip


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _positive_number(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
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
