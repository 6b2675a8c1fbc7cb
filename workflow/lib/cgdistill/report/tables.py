"""Tables of the report page over all models and runs: errors, comparisons, noise, stability."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from ..analysis.stability import CLUSTERED, DRIFTING, STATES
from ..core.vocabulary import OVERALL, RunStatus
from ..structure.error_tables import items_of, overall_of, rows_of, shown_metrics
from ..structure.metrics import PRESENTATIONS
from .data import ReportData
from .networks import force_r2, share_of_ceiling
from .parts import NOTHING, Cell, Range, Row, Table, cell, interval, known, mean_and_std, model_cell, number, p_value

_LOWEST, _LIKE_LOWEST = "★", "≈"
#: Columns of numbers in tables of runs: head, the column of its error, and that of what it belongs to.
_RUN_NUMBERS = {
    "cdf_peak_drift_A": ("Drift of a CDF peak (Å)", "cdf_peak_drift_error_A", "cdf_peak_drift_item"),
    "rdf_peak_drift_A": ("Drift of an RDF peak (Å)", "rdf_peak_drift_error_A", "rdf_peak_drift_item"),
    "energy_drift_kcal_mol_bead": (
        "Drift of the energy (kcal/mol per bead)", "energy_drift_error_kcal_mol_bead", ""),
    "temperature_drift_K": ("Drift of the temperature (K)", "temperature_drift_error_K", ""),
    "largest_cluster": ("Largest cluster (share of a type)", "", "largest_cluster_item"),
    "min_distance_A": ("Smallest distance (Å)", "", ""),
    "n_frames": ("Frames", "", ""),
    "equilibrated_ps": ("Energy equilibrated (ps)", "", ""),
    "n_effective": ("Independent energies", "", ""),
    "mean_temperature_K": ("Temperature (K)", "", ""),
    "ns_per_day": ("ns/day", "", ""),
}  # fmt: skip


def metric_head(metric: str, prefix: str = "") -> str:
    """Head of a column of errors."""
    shown = PRESENTATIONS[metric]
    return f"{prefix}{shown.title}" + (f" ({shown.error_unit})" if shown.error_unit else "")


def metrics_of(data: ReportData) -> list[str]:
    """Metrics that the run has errors of."""
    return [shown.name for shown in shown_metrics(data.summary)]


def error_cell(row: pd.Series, reach: float, mark: str = "") -> Cell:
    """Mean error of a row of the summary with its interval and level of noise, drawn over 0 to ``reach``."""
    if not known(row["mean"]):
        return Cell(NOTHING)
    mean, low, high, noise = (float(row[name]) for name in ("mean", "ci_low", "ci_high", "noise_high"))
    notes = [interval(low, high) or "no interval"]
    if known(noise):
        notes.append(f"noise {number(noise, 2)}")
    drawn = None
    if reach > 0 and known(low) and known(high):
        part = 100.0 / reach
        drawn = Range(*(min(100.0, value * part) for value in (low, high, mean, noise if known(noise) else 0.0)))
    return Cell(f"{number(mean)}{' ' + mark if mark else ''}", mean, tuple(notes), range=drawn)


def main_table(data: ReportData) -> Table:
    """All models: errors with interval and noise, finished runs, stability, forces and speed."""
    metrics = metrics_of(data)
    rows_by = {metric: rows_of(data.summary, metric, OVERALL) for metric in metrics}
    reach = {metric: float(rows[["mean", "ci_high", "noise_high"]].max().max()) for metric, rows in rows_by.items()}
    marks = {metric: _marks(data, metric, rows_by[metric]) for metric in metrics}
    reached = force_r2(data)
    rows = []
    for model in data.palette.models:
        cells = [model_cell(model)]
        for metric in metrics:
            own = rows_by[metric]
            there = model.name in own.index
            cells.append(
                error_cell(own.loc[model.name], reach[metric], marks[metric].get(model.name, ""))
                if there
                else Cell(NOTHING)
            )
        runs = data.runs[data.runs["variant"] == model.name]
        finished = int((runs["status"] == RunStatus.FINISHED).sum())
        r2 = reached.get(model.name, math.nan)
        share = share_of_ceiling(data, r2)
        speed = data.performance.loc[data.performance["variant"] == model.name, "ns_per_day"].mean()
        cells += [
            Cell(f"{finished} of {len(runs)}", finished / len(runs) if len(runs) else math.nan,
                 tone="bad" if finished < len(runs) else ""),
            stability_cell(runs),
            Cell(number(r2), r2, (share,) if share else ()),
            Cell(number(speed), float(speed)),
        ]  # fmt: skip
        rows.append(Row(cells, data.palette.colour(model.name), bad=not finished))
    heads = [metric_head(metric, "TAE ") for metric in metrics]
    return Table("All models", ["Model", *heads, "Finished runs", "Stability", "R² on F", "ns/day"], rows)


def _marks(data: ReportData, metric: str, rows: pd.DataFrame) -> dict[str, str]:
    """Lowest mean, and those that the tests cannot tell from it."""
    if not rows["mean"].notna().any():
        return {}
    lowest = str(rows["mean"].idxmin())
    marks = {lowest: _LOWEST}
    pairs = data.tables.get("comparisons")
    if pairs is not None:
        same = (pairs["outcome"] == "not distinguishable") & pairs["p"].notna()
        own = pairs[(pairs["metric"] == metric) & same]
        marks |= {str(b): _LIKE_LOWEST for b in own.loc[own["variant_a"] == lowest, "variant_b"]}
        marks |= {str(a): _LIKE_LOWEST for a in own.loc[own["variant_b"] == lowest, "variant_a"]}
    return marks


def stability_cell(runs: pd.DataFrame) -> Cell:
    """How many of some runs are stable, drifting, clustered, blown up, excluded."""
    if runs.empty:
        return Cell(NOTHING)
    counts = runs["stability"].value_counts()
    found = [(state, int(counts.get(state, 0))) for state in STATES]
    texts = [f"{count} {state}" for state, count in found if count]
    score = sum(count * 1000.0**-place for place, (_, count) in enumerate(found)) / len(runs)
    return Cell(texts[0] if texts else NOTHING, score, tuple(texts[1:]), tone="" if found[0][1] == len(runs) else "bad")


def item_table(data: ReportData, metric: str) -> Table | None:
    """Errors per pair, triplet and radius, or type: one column per model."""
    own = items_of(data.summary, metric)
    rows = []
    for item, parameter in own[["item", "parameter"]].drop_duplicates().itertuples(index=False, name=None):
        found = rows_of(own, metric, item, parameter)
        cells = [Cell(item_words(metric, item, parameter))]
        for model in data.palette.models:
            mean, std = found.loc[model.name, ["mean", "std"]] if model.name in found.index else (math.nan, math.nan)
            cells.append(Cell(mean_and_std(mean, std), float(mean)))
        rows.append(Row(cells))
    heads = ["Item", *(model.label for model in data.palette.models)]
    return Table(f"Errors of the {PRESENTATIONS[metric].title} per item", heads, rows) if rows else None


def item_words(metric: str, item: str, parameter: float) -> str:
    """An item as the reader sees it."""
    return PRESENTATIONS[metric].item_text("all" if item == OVERALL else item, parameter)


def comparison_table(data: ReportData) -> Table | None:
    """Every pair of models that was compared."""
    table = data.tables.get("comparisons")
    if table is None or table.empty:
        return None
    rows = []
    for row in table.itertuples():
        rows.append(
            Row([
                Cell(f"{row.label_a} – {row.label_b}"),
                Cell(PRESENTATIONS[row.metric].title),
                Cell(number(row.mean_a), float(row.mean_a)),
                Cell(number(row.mean_b), float(row.mean_b)),
                Cell(number(row.difference), float(row.difference), (interval(row.ci_low, row.ci_high),)),
                Cell(p_value(row.p_holm), float(row.p_holm), (f"uncorrected {p_value(row.p)}",)),
                Cell(str(row.outcome)),
                Cell(str(row.test), None, (f"{row.n_a} and {row.n_b}",)),
                Cell(str(row.reason) if known(row.reason) else NOTHING, wrap=True),
            ])
        )  # fmt: skip
    heads = ["First and second model", "Metric", "TAE of the first", "TAE of the second", "Difference", "p (Holm)",
             "The first is", "Test", "Reason"]  # fmt: skip
    return Table("Comparisons of models in pairs", heads, rows, texts=True)


def noise_table(data: ReportData) -> Table | None:
    """What sampling alone makes of the reference's own errors."""
    table = data.tables.get("noise")
    if table is None or table.empty:
        return None
    rows = []
    for row in table.itertuples():
        rows.append(
            Row([
                Cell(f"{PRESENTATIONS[row.metric].title} {item_words(row.metric, row.item, row.parameter)}"),
                *(Cell(number(value), float(value)) for value in (row.halves, row.random_halves,
                                                                  row.random_halves_high)),
                cell(row.n_frames),
                Cell(number(row.statistical_inefficiency, 2), float(row.statistical_inefficiency)),
            ])
        )  # fmt: skip
    heads = ["Curve", "TAE between halves", "between random halves", "upper bound of these", "Frames",
             "Frames per independent one"]  # fmt: skip
    return Table("Noise of the all-atom reference", heads, rows)


def runs_table(data: ReportData, variant: str = "") -> Table:
    """Every simulation, or those of one model; runs that blew up stand out."""
    runs = data.runs[data.runs["variant"] == variant] if variant else data.runs
    numbers = {name: entry for name, entry in _RUN_NUMBERS.items() if name in runs.columns}
    errors, metrics = _errors_by_run(data), metrics_of(data)
    rows = []
    for row in runs.to_dict(orient="records"):
        own = errors.get((row["variant"], row["member"], row["replica"]), {})
        name = f"{row['member']}, {row['replica']}"
        rank = STATES.index(row["stability"]) if row["stability"] in STATES else None
        onset = (f"from {number(row['onset_ps'])} ps",) if known(row["onset_ps"]) else ()
        cells = [
            Cell(name if variant else f"{row['label']}, {name}"),
            Cell(str(row["status"]), notes=_there(row.get("reason"))),
            Cell(str(row["stability"]), rank, onset, tone="bad" if rank else ""),
            *(Cell(number(own.get(metric)), own.get(metric)) for metric in metrics if errors),
            *(_run_cell(row, name, *rest) for name, (_, *rest) in numbers.items()),
            Cell(str(row["stability_reason"]) if known(row["stability_reason"]) else NOTHING, wrap=True),
        ]  # fmt: skip
        rows.append(Row(cells, bad=row["status"] != RunStatus.FINISHED))
    heads = ["Member, replica" if variant else "Run", "Status", "Stability"]
    heads += [metric_head(metric, "TAE ") for metric in metrics if errors]
    heads += [*(head for head, *_ in numbers.values()), "Why"]
    return Table("Simulations" if variant else "All simulations", heads, rows, texts=True)


def unstable_table(data: ReportData) -> Table | None:
    """Every simulation that drifts, has clustered or blew up: since when, why, and the frames to look at."""
    rows = []
    for row in data.runs.to_dict(orient="records"):
        if row["stability"] not in (DRIFTING, CLUSTERED, RunStatus.BLOWN_UP):
            continue
        lost = row["stability"] == RunStatus.BLOWN_UP
        reason, pair = (_there(row.get(name)) for name in ("failure_kind", "closest_pair"))
        distance_A = row.get("closest_pair_distance_A")
        frames = "last_frames.lammpstrj" if lost else "trajectory.lammpstrj"
        folder = f"simulations/{row['variant']}/{row['member']}/replica-{row['replica']}"
        step = row.get("step")
        rows.append(
            Row([
                Cell(f"{row['label']}, {row['member']}, {row['replica']}"),
                Cell(str(row["stability"]), STATES.index(row["stability"]), reason, tone="bad"),
                Cell(number(row["onset_ps"]), row["onset_ps"], (f"step {step}",) if lost and known(step) else ()),
                Cell(str(row["stability_reason"]) if known(row["stability_reason"]) else NOTHING, wrap=True),
                Cell(pair[0] if pair else NOTHING, notes=(f"{distance_A:.2f} Å",) if known(distance_A) else ()),
                Cell(f"{folder}/{frames}"),
            ], bad=lost)
        )  # fmt: skip
    heads = ["Run", "Stability", "Since (ps)", "Why", "Closest beads", "Frames to look at"]
    return Table("Simulations that went wrong", heads, rows, texts=True) if rows else None


def _run_cell(row: Mapping[Hashable, Any], name: str, error: str, item: str) -> Cell:
    """A number of a run with its error, and what it belongs to as a note."""
    found = cell(row[name])
    if known(row.get(error)):
        found = replace(found, text=mean_and_std(row[name], row[error]))
    return replace(found, notes=_there(row.get(item)))


def _there(text: object) -> tuple[str, ...]:
    """A note, if there is one."""
    return (str(text),) if known(text) and text != "" else ()


def _errors_by_run(data: ReportData) -> Mapping[tuple[str, str, int], dict[str, float]]:
    """Overall errors of each run by metric."""
    table = data.tables.get("tae")
    found: dict[tuple[str, str, int], dict[str, float]] = {}
    if table is not None:
        for metric in PRESENTATIONS:
            for row in overall_of(table, metric).itertuples():
                found.setdefault((row.variant, row.member, row.replica), {})[metric] = float(row.tae)
    return found
