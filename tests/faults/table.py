"""Tables of docs/faults.md: ``python -m tests.faults.table [--write]``."""

from __future__ import annotations

import re
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cases import FAULTS, ROOT
from run_cases import FAULTS as RUNS
from running_cases import CLOCK, CRASH, DISK, ELSEWHERE, GPU, MEMORY, RUNNING, STAGES, TWINS
from training_faults import TRAINING_FAULTS

DOCUMENT = ROOT / "docs" / "faults.md"
_OUTCOMES = {"refused": "refused", "warning": "warning", "works": "works"}


def _plain(message: str) -> str:
    """A regular expression as the text that it matches."""
    text = re.sub(r"\\[dSw][+*]?|\.\*|\(\?:", "…", message)
    text = re.sub(r"\{\d+\}", "…", text)
    text = re.sub(r"\\(.)", r"\1", text)
    return text.replace("|", "\\|")


def table() -> str:
    """The faults by group as Markdown, with counts."""
    counts = Counter(case.outcome for case in FAULTS)
    lines = [
        f"{len(FAULTS)} faults: {counts['refused']} are refused, {counts['warning']} cause a warning, "
        f"{counts['works']} are handled.",
    ]
    for group, cases in groupby(FAULTS, key=lambda case: case.group):
        rows = list(cases)
        lines += ["", f"**{group}** ({len(rows)})", "", "| fault | outcome | message |", "|---|---|---|"]
        for case in rows:
            said = case.message if case.outcome == "works" else f"`{_plain(case.message)}`"
            lines.append(f"| {case.title.replace('|', '')} | {_OUTCOMES[case.outcome]} | {said} |")
    return "\n".join(lines) + "\n"


def simulations_table() -> str:
    """Messages about simulations that blow up, as Markdown."""
    lines = [
        f"{len(RUNS)} faults: each run is stopped, counted as blown up, and keeps its last frames. Where the reason",
        "is not a pair of beads, the closest pair is named after it.",
        "",
        "| fault | `failure.kind` | where, at which step | `reason` |",
        "|---|---|---|---|",
    ]
    for run in RUNS:
        said = re.sub(r"\[AB\]|(\\d)+\+?", "…", run.said.split("; closest")[0])
        lines.append(f"| {run.title} | {run.kind} | {run.phase}, {run.step} | `{_plain(said)}` |")
    return "\n".join(lines) + "\n"


def training_table() -> str:
    """Messages about trainings that fail, as Markdown."""
    lines = [
        f"{len(TRAINING_FAULTS)} faults, each in one model of a job; the job's other models are not affected.",
        "",
        "| fault | kind | message | a retry |",
        "|---|---|---|---|",
    ]
    for fault in TRAINING_FAULTS:
        again = "fails again" if fault.again else "equals a training with the lower rate"
        said = re.sub(r"(-\?)?(\[\\d[^]]*\]\+?|\\d\\\.\\d\+|\\d\+?)", "…", fault.message)
        lines.append(f"| {fault.title} | {fault.reason} | `{_plain(said)}` | {again} |")
    return "\n".join(lines) + "\n"


def running_table() -> str:
    """The faults while a job runs, by group, as Markdown, with counts."""
    rows = [(case.group, case.title, STAGES[case.stage], case.message, case.rerun) for case in RUNNING]
    rows += [(row.group, row.title, row.where, row.message, row.rerun) for row in ELSEWHERE.values()]
    n_named = sum(bool(row[3]) for row in rows)
    lines = [f"{len(rows)} faults; the log names {n_named} of them."]
    for group in (MEMORY, DISK, TWINS, GPU, CRASH, CLOCK):
        of_group = [row for row in rows if row[0] == group]
        lines += [
            "",
            f"**{group}** ({len(of_group)})",
            "",
            "| fault | stage | message in the log | the same command afterwards |",
            "|---|---|---|---|",
        ]
        for _, title, stage, message, rerun in of_group:
            words = f"`{_plain(message)}`" if message else "none" if rerun else "none; no harm is done"
            lines.append(f"| {title} | {stage} | {words} | {rerun or 'not needed; the same bytes'} |")
    return "\n".join(lines) + "\n"


def overview() -> str:
    """Number of faults by group, as Markdown."""
    kinds = [
        ("of input", "faults-of-input", len(FAULTS), "inputs"),
        ("while a job runs", "faults-while-running", len(RUNNING) + len(ELSEWHERE), "running"),
        ("of training", "training-that-fails", len(TRAINING_FAULTS), "failed_training"),
        ("of simulations", "simulations-that-blow-up", len(RUNS), "simulations"),
    ]
    lines = ["| faults | number | tests |", "|---|---|---|"]
    lines += [f"| [{what}](#{link}) | {n} | `tests/faults/test_{test}.py` |" for what, link, n, test in kinds]
    return "\n".join([*lines, f"| in all | {sum(n for _, _, n, _ in kinds)} | |"]) + "\n"


#: What makes each table of the document, by the name in the marks around it.
TABLES = {
    "overview": overview,
    "faults": table,
    "running": running_table,
    "training": training_table,
    "simulations": simulations_table,
}


def document_part(name: str) -> str:
    """Text between the marks of a table in the document."""
    begin, end = _marks(name)
    return DOCUMENT.read_text(encoding="utf-8").split(begin)[1].split(end)[0].lstrip("\n")


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def write() -> None:
    """Put the tables between their marks in the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, make in TABLES.items():
        begin, end = _marks(name)
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{make()}{end}{rest.split(end)[1]}"
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    else:
        print(*(make() for make in TABLES.values()), sep="\n")
