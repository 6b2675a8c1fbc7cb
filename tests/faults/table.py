"""Tables of the faults for docs/reliability.md: ``python -m tests.faults.table [--write]``."""

from __future__ import annotations

import re
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cases import FAULTS, ROOT
from run_cases import FAULTS as RUNS

DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
#: Marks around the table of simulations.
SIMULATIONS = "<!-- simulations: begin -->", "<!-- simulations: end -->"
_OUTCOMES = {"refused": "refused", "told": "goes on, with a warning", "works": "works"}


def _plain(message: str) -> str:
    """A regular expression as the text that it stands for."""
    text = re.sub(r"\\[dSw][+*]?|\.\*|\(\?:", "…", message)
    text = re.sub(r"\{\d+\}", "…", text)
    text = re.sub(r"\\(.)", r"\1", text)
    return text.replace("|", "\\|")


def table() -> str:
    """The faults by group as Markdown, with counts."""
    counts = Counter(case.outcome for case in FAULTS)
    lines = [
        f"{len(FAULTS)} faults: {counts['refused']} are refused, {counts['told']} named in a warning, "
        f"{counts['works']} do no harm. What stands for a file, a frame or a number is …",
    ]
    for group, cases in groupby(FAULTS, key=lambda case: case.group):
        rows = list(cases)
        lines += ["", f"**{group}** ({len(rows)})", "", "| fault | outcome | what is said |", "|---|---|---|"]
        for case in rows:
            said = case.message if case.outcome == "works" else f"`{_plain(case.message)}`"
            lines.append(f"| {case.title.replace('|', '')} | {_OUTCOMES[case.outcome]} | {said} |")
    return "\n".join(lines) + "\n"


def simulations_table() -> str:
    """What is said of simulations that go wrong, as Markdown."""
    lines = [
        f"{len(RUNS)} faults: each run is stopped, counted as blown up, and leaves its last frames. Behind a reason",
        "that is not about a pair the closest beads are named. What stands for a number or a type is …",
        "",
        "| fault | `failure.kind` | where, at which step | `reason` |",
        "|---|---|---|---|",
    ]
    for run in RUNS:
        said = re.sub(r"\[AB\]|(\\d)+\+?", "…", run.said.split("; closest")[0])
        lines.append(f"| {run.title} | {run.kind} | {run.phase}, {run.step} | `{_plain(said)}` |")
    return "\n".join(lines) + "\n"


def document_part(begin: str, end: str) -> str:
    """What stands between two marks in the document."""
    return DOCUMENT.read_text(encoding="utf-8").split(begin)[1].split(end)[0].lstrip("\n")


def write() -> None:
    """Put the tables between their marks in the document."""
    text = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.is_file() else "# Reliability\n"
    if BEGIN not in text:
        text = text.rstrip("\n") + f"\n\n## Faults of input\n\n{BEGIN}\n{END}\n"
    for marks, lines in (((BEGIN, END), table()), (SIMULATIONS, simulations_table())):
        before, rest = text.split(marks[0])
        text = f"{before}{marks[0]}\n{lines}{marks[1]}{rest.split(marks[1])[1]}"
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    else:
        print(table(), simulations_table(), sep="\n")
