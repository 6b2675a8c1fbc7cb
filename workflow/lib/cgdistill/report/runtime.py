"""Run time of each stage, from the benchmark files that Snakemake leaves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ..core.errors import InputError
from .parts import NOTHING, Cell, Row, Table, number

#: Rules in the order of the workflow; others come after them.
_ORDER = (
    "minimise_aa", "equilibrate_aa", "produce_aa", "map_trajectory", "split_frames", "fit_prior", "train_teacher",
    "train_teachers_together", "predict_teacher", "train_student", "train_students_together", "simulate",
    "compute_reference", "compute_structure", "compute_tae",
)  # fmt: skip


def read_runtime(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Time and memory by rule.

    Parameters
    ----------
    paths:
        Benchmark files ``<rule>.tsv``, each with columns ``s`` (wall time, s),
        ``max_rss`` (MB) and ``cpu_time`` (s); a job that was repeated has several rows, of which the last counts.

    Returns
    -------
    One row per rule: rule, jobs, total_s, longest_s, cpu_s, max_rss_mb.

    Raises
    ------
    InputError
        A file without those columns.
    """
    rows = []
    for path in sorted(map(Path, paths)):
        table = pd.read_csv(path, sep="\t", na_values=["-", "NA"])
        for column in ("s", "max_rss", "cpu_time"):
            if column not in table.columns or table.empty:
                raise InputError(path, "columns", list(table.columns), f"a benchmark of Snakemake with '{column}'")
        last = table.iloc[-1]
        rows.append({"rule": path.stem, "s": last["s"], "max_rss": last["max_rss"], "cpu_s": last["cpu_time"]})
    jobs = pd.DataFrame(rows, columns=["rule", "s", "max_rss", "cpu_s"])
    grouped = jobs.groupby("rule", sort=False).agg(
        jobs=("s", "size"), total_s=("s", "sum"), longest_s=("s", "max"), cpu_s=("cpu_s", "sum"),
        max_rss_mb=("max_rss", "max"),
    )  # fmt: skip
    places = {rule: place for place, rule in enumerate(_ORDER)}
    order = sorted(grouped.index, key=lambda rule: (places.get(rule, len(places)), rule))
    return grouped.loc[order].reset_index()


def clock(seconds: float) -> str:
    """A time as people say it: ``7 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if not seconds == seconds:
        return NOTHING
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def runtime_table(runtime: pd.DataFrame) -> Table | None:
    """Stages with their jobs, times and memory, and the sum; None where nothing was measured."""
    if runtime.empty:
        return None
    rows = [
        Row([
            Cell(row.rule.replace("_", " ")), Cell(str(row.jobs), float(row.jobs)), _time(row.total_s),
            _time(row.longest_s), _time(row.cpu_s), Cell(number(row.max_rss_mb), float(row.max_rss_mb)),
        ])
        for row in runtime.itertuples()
    ]  # fmt: skip
    rows.append(Row([Cell("all", "~"), Cell(str(runtime["jobs"].sum()), float(runtime["jobs"].sum())),
                     _time(runtime["total_s"].sum()), _time(runtime["longest_s"].max()),
                     _time(runtime["cpu_s"].sum()),
                     Cell(number(runtime["max_rss_mb"].max()), float(runtime["max_rss_mb"].max()))]))  # fmt: skip
    columns = ["Stage", "Jobs", "Time of all jobs", "Longest job", "Processor time", "Largest memory (MB)"]
    return Table("Run time by stage", columns, rows)


def _time(seconds: float) -> Cell:
    return Cell(clock(float(seconds)), float(seconds))
