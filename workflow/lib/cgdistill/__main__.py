"""Command line: ``cgdistill summary results/<run>``, and the structure analysis of any trajectory of beads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .analysis_cli import add_commands
from .errors import InputError
from .tables import read_table


def summary(folder: Path) -> str:
    """The overall errors of a run's variants as text, and where its report is.

    Raises
    ------
    InputError
        The run has no summary table.
    """
    path = folder / "tables" / "summary.csv"
    if not path.is_file():
        raise InputError(path, "file", "nothing", "the table of a finished run")
    table = read_table(path, ["label", "metric", "item", "r_max_A", "mean", "std", "n", "n_failed"])
    overall = table[(table["item"] == "overall") & table["r_max_A"].isna()]
    lines = [f"{'model':10s} {'RDF':>17s} {'ADF':>17s} {'CDF':>17s}   runs"]
    for label, rows in overall.groupby("label", sort=False):
        cells = []
        for metric in ("rdf", "adf", "cdf"):
            row = rows[rows["metric"] == metric].iloc[0]
            spread = f" ± {row['std']:.3f}" if row["n"] > 1 else ""
            cells.append(f"{row['mean']:.3f}{spread}" if row["n"] else "none finished")
        failed = f", {int(row['n_failed'])} blown up" if row["n_failed"] else ""
        lines.append(f"{label:10s} " + " ".join(f"{cell:>17s}" for cell in cells) + f"   {int(row['n'])}{failed}")
    lines.append("Total absolute error against the all-atom reference, mean ± standard deviation over runs.")
    lines.append(f"Report: {folder / 'report.html'}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="cgdistill", description="Errors of a finished run, and the structure of any trajectory of beads."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("summary", help="overall errors of a finished run")
    command.add_argument("folder", type=Path, help="results/<run>")
    command.set_defaults(run=lambda chosen: summary(chosen.folder))
    add_commands(commands)
    chosen = parser.parse_args(arguments)
    try:
        print(chosen.run(chosen))
    except InputError as error:
        print(f"cgdistill: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
