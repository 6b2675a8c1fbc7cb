"""Memory of every stage over long runs: the figure and the numbers of docs/memory.md.

``python -m benchmarks.memory [--only mapping,structure] [--scale 1]`` runs each stage in a process of its own
(`benchmarks.memory_stages`), writes ``benchmarks/results/memory.csv``, and draws docs/memory.svg and .png. Stages that
are not chosen stay as they were. Linux alone.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cgdistill.figures.style import NEUTRAL_COLOUR, SMALL, new_figure, save, styled
from cgdistill.io.csv_tables import read_table, write_table
from cgdistill.runtime.atomic_files import whole_file

from .resources import slope

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "memory.csv"
DOCUMENT = ROOT / "docs" / "memory.md"
BEGIN, END = "<!-- made by benchmarks.memory: begin -->", "<!-- made by benchmarks.memory: end -->"
#: Share of a run that is behind warming up: imports, compiled loops, buffers that find their size.
_WARM = 0.5


@dataclass(frozen=True)
class Case:
    """A stage in figure and table.

    Attributes
    ----------
    title: what it is.
    unit: what is counted, and along which memory is shown.
    sizes: of one process each; with one size memory is shown along its run, with more the largest of each process.
    per: memory is given per so many units.
    note: what was done, for the table.
    """

    title: str
    unit: str
    sizes: tuple[int, ...]
    per: int
    note: str

    @property
    def course(self) -> bool:
        """Whether memory is shown along one run."""
        return len(self.sizes) == 1


CASES = {
    "mapping": Case("mapping", "frames", (20_000,), 1000, "reader and writer, {atoms} atoms"),
    "prior": Case("split and prior", "training frames", (20_000,), 1000, "of the bead file of 20,000 frames"),
    "training": Case("training, along epochs", "epochs", (400,), 100, "20 frames, checkpoints"),
    "training_frames": Case("training, more frames", "frames", (200, 400, 800), 1000, "largest memory of two epochs"),
    "predictions": Case("predictions of teachers", "frames", (4000,), 1000, "three teachers in a job"),
    "average": Case("mean of the teachers", "frames", (2000, 8000), 1000, "of three teachers"),
    "ceiling": Case("noise ceiling", "frames", (2000, 8000), 1000, "of three teachers, 1,000 resamples"),
    "spread": Case("spread of the teachers", "frames", (2000, 8000), 1000, "a tenth of the frames are test frames"),
    "simulation": Case("MD, 8 runs in lockstep", "steps", (100_000,), 1_000_000, "network; dumps, thermo, checkpoints"),
    "structure": Case("structure", "frames", (20_000,), 1000, "RDF, ADF, CDF, blocks, series"),
    "tables": Case("curves of all runs", "runs", (25, 100, 200), 100, "one table of all"),
    "replicas": Case("short simulations, one process", "simulations", (1000,), 1000, "in all ways in which they end"),
}


def run(stage: str, size: int) -> dict[str, Any]:
    """What `benchmarks.memory_stages` prints of one stage."""
    with tempfile.TemporaryDirectory(prefix="cgdistill-memory-") as folder:
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.memory_stages", folder, stage, str(size)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{stage}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def rows_of(stage: str, found: Mapping[int, Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of the table: ``stage, kind, count, memory_MB``, what else is held in columns of its own.

    ``kind`` is ``course`` (along a run) or ``peak`` (the largest of a run of this size).
    """
    rows = [{"stage": stage, "kind": "peak", "count": size, "memory_MB": one["peak_MB"]} for size, one in found.items()]
    if CASES[stage].course:
        (one,) = found.values()
        held = [dict(zip(one["names"][1:], values[1:], strict=True)) for values in one.get("held", [])]
        for number, (count, memory) in enumerate(one["points"]):
            more = {name.replace(" ", "_"): value for name, value in held[number].items()} if held else {}
            rows.append({"stage": stage, "kind": "course", "count": count, "memory_MB": memory, **more})
    return pd.DataFrame(rows).round({"memory_MB": 3})


def points_of(table: pd.DataFrame, stage: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts and MB of a stage, as they are shown."""
    own = table[(table["stage"] == stage) & (table["kind"] == ("course" if CASES[stage].course else "peak"))]
    return own["count"].to_numpy(), own["memory_MB"].to_numpy()


def slope_MB(table: pd.DataFrame, stage: str) -> float:
    """MB per unit of a stage, behind warming up (`resources.slope`)."""
    count, memory = points_of(table, stage)
    warm = count >= _WARM * count[-1] if CASES[stage].course else np.full(len(count), True)
    return slope(count[warm], memory[warm])


def _number(value: float) -> str:
    """With two decimals, or one valid digit where it is smaller; -0 is 0."""
    text = f"{value:.2f}" if abs(value) >= 0.095 else f"{value:.3f}"
    return "0" if float(text) == 0 else text


def summary(table: pd.DataFrame) -> str:
    """Markdown: a line per stage."""
    lines = ["| stage | | largest, MB above its start | grows by |", "|---|---|---|---|"]
    for stage, case in CASES.items():
        own = table[(table["stage"] == stage) & (table["kind"] == "peak")]
        if not len(own):
            continue
        largest = own.iloc[-1]
        growth = f"{_number(slope_MB(table, stage) * case.per)} MB per {case.per:,} {case.unit}"
        size = f"{int(largest['count']):,} {case.unit.removeprefix('training ')}"
        note = case.note.format(atoms="1,216")
        lines.append(f"| {case.title} | {size}; {note} | {largest['memory_MB']:.0f} | {growth} |")
    return "\n".join(lines) + "\n"


def held(table: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Least and most that the process of the short simulations held behind warming up, by name."""
    own = table[(table["stage"] == "replicas") & (table["kind"] == "course")]
    own = own[own["count"] >= _WARM * own["count"].max()]
    names = [name for name in own.columns if name not in ("stage", "kind", "count", "memory_MB")]
    return {name: (int(own[name].min()), int(own[name].max())) for name in names}


@styled
def draw(table: pd.DataFrame, stem: Path) -> tuple[Path, Path]:
    """One panel per stage: MB above its start against what it counts."""
    stages = [stage for stage in CASES if len(points_of(table, stage)[0])]
    columns = 3
    n_rows = -(-len(stages) // columns)
    figure, panels = new_figure(n_rows, columns, 7.6, 1.75 * n_rows + 0.2)
    flat = [axes for row in panels for axes in row]
    for axes, stage in zip(flat, stages, strict=False):
        case = CASES[stage]
        count, memory = points_of(table, stage)
        thousand = count.max() >= 5000
        x = count / 1000.0 if thousand else count
        colour = "#1f5fd0" if case.course else NEUTRAL_COLOUR
        axes.plot(x, memory, "-" if case.course else "o--", color=colour, markersize=4, linewidth=1.2)
        axes.set_xlim(0.0, 1.03 * x.max())
        axes.set_ylim(0.0, max(10.0, 1.25 * memory.max()))
        axes.set_title(case.title, fontsize=SMALL + 0.5)
        axes.set_xlabel(f"{'thousand ' if thousand else ''}{case.unit}", fontsize=SMALL)
        growth = f"{_number(slope_MB(table, stage) * case.per)} MB per {case.per:,}"
        axes.text(0.97, 0.06, growth, transform=axes.transAxes, ha="right", va="bottom", fontsize=SMALL)
    for row in panels:
        row[0].set_ylabel("MB above start", fontsize=SMALL)
    for axes in flat[len(stages) :]:
        axes.set_visible(False)
    return save(figure, stem)


def write(table: pd.DataFrame, facts: Mapping[str, Any]) -> None:
    """Table, figure, and the numbers in the document."""
    write_table(RESULTS, table, facts)
    draw(table, ROOT / "docs" / "memory")
    text = DOCUMENT.read_text(encoding="utf-8")
    counts = ", ".join(
        f"{name.replace('_', ' ')} {low if low == high else f'{low} to {high}'}"
        for name, (low, high) in (held(table) if "files" in table else {}).items()
    )
    block = f"{BEGIN}\n{summary(table)}"
    if counts:
        block += f"\nHeld by the process of the short simulations, from the {_WARM:.0%} mark to its end: {counts}.\n"
    found = re.sub(f"{BEGIN}.*{END}", lambda _: block + END, text, flags=re.DOTALL)
    with whole_file(DOCUMENT) as partial:
        partial.write_text(found, encoding="utf-8")


def _stages(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if not names or set(names) - set(CASES):
        raise argparse.ArgumentTypeError(f"{text!r}: some of {','.join(CASES)}")
    return names


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the chosen stages, write table, figure and numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--only", type=_stages, default=list(CASES), help=f"stages, by commas: {','.join(CASES)}")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the frames, steps, ... (for a trial)")
    chosen = parser.parse_args(arguments)
    from .report import commit, machine

    before = read_table(RESULTS) if RESULTS.exists() else pd.DataFrame()
    tables = [before[~before["stage"].isin(chosen.only)]] if len(before) else []
    for stage in chosen.only:
        found = {}
        for size in (max(1, round(size * chosen.scale)) for size in CASES[stage].sizes):
            found[size] = run(stage, size)
            print(f"{stage}, {size:,} {CASES[stage].unit}: {found[size]['peak_MB']:.1f} MB", flush=True)
        tables.append(rows_of(stage, found))
    write(pd.concat(tables, ignore_index=True), {"machine": machine(1, "cpu"), "commit": commit(ROOT)})


if __name__ == "__main__":
    main()
