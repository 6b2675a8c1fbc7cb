"""Command line: summary and verification of a run, LAMMPS plugin, and structure analysis of trajectories."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..core.errors import InputError
from ..core.vocabulary import CURVE_KEY
from ..forcefield.registry import NAMES, architecture
from ..io.csv_tables import read_table
from ..structure.error_tables import overall_of, shown_metrics
from .config_command import add_config
from .structure_commands import add_commands
from .verify_command import add_verify


def summary(folder: Path) -> str:
    """Overall errors of the models of a run as text, and the path of its report.

    Raises
    ------
    InputError
        The run has no summary table.
    """
    path = folder / "tables" / "summary.csv"
    if not path.is_file():
        raise InputError(path, "file", "nothing", "the table of a finished run")
    table = read_table(path, ["label", *CURVE_KEY, "mean", "std", "n", "n_failed"])
    metrics = shown_metrics(table)
    overall = {shown.name: overall_of(table, shown.name).set_index("label") for shown in metrics}
    lines = [" ".join([f"{'model':10s}", *(f"{shown.title:>17s}" for shown in metrics)]) + "   runs"]
    for label in table["label"].unique():
        cells = []
        for shown in metrics:
            row = overall[shown.name].loc[label]
            spread = f" ± {row['std']:.3f}" if row["n"] > 1 else ""
            cells.append(f"{row['mean']:.3f}{spread}" if row["n"] else "none finished")
        failed = f", {int(row['n_failed'])} failed" if row["n_failed"] else ""
        lines.append(f"{label:10s} " + " ".join(f"{cell:>17s}" for cell in cells) + f"   {int(row['n'])}{failed}")
    lines.append("Total absolute error against the all-atom reference, mean ± standard deviation over runs.")
    lines.append(f"Report: {folder / 'report.html'}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Exit status of the command line."""
    parser = argparse.ArgumentParser(
        prog="cgdistill",
        description="Summary and verification of a run, its models in LAMMPS, structure analysis of bead trajectories.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("summary", help="overall errors of a finished run")
    command.add_argument("folder", type=Path, help="results/<run>")
    command.set_defaults(run=lambda chosen: summary(chosen.folder))
    for name in NAMES:
        architecture(name).add_commands(commands)
    add_config(commands)
    add_verify(commands)
    add_commands(commands)
    chosen = parser.parse_args(arguments)
    try:
        found = chosen.run(chosen)
    except InputError as error:
        print(f"cgdistill: {error}", file=sys.stderr)
        return 1
    text, status = found if isinstance(found, tuple) else (found, 0)
    print(text)
    return int(status)
