"""All figures of a run, from the files of the run: one function per job of `catalogue.JOBS`.

Every function takes files and the folder for the figures, and returns the stems that it wrote, which are those of
`catalogue.catalogue`. Progress and time of each figure go to the log.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

import pandas as pd
from matplotlib.figure import Figure

from ..config.variants import Variant
from ..core.vocabulary import RunStatus
from ..io.csv_tables import read_table
from ..runtime.job import log
from ..structure.files import read_curves, read_resolved, read_series
from ..structure.metrics import OVERALL
from .boxes import boxes_figure
from .catalogue import groups_of, target_groups
from .ceiling import ceiling_figure
from .comparison import comparison_figure
from .curves import curves_figure, mean_and_spread
from .energy import energy_figure, read_traces
from .members import errors_by_member, members_figure, members_tae_figure
from .model import model_figure
from .parity import parity_figure, read_parities
from .pictures import take_pictures
from .prior import prior_figure
from .resolved import resolved_figure
from .spread import spread_figure
from .stability import stability_figure
from .style import Palette, save
from .tae import item_figure, overall_figure
from .targets import targets_figure
from .teachers import teachers_metrics_figure
from .training import metrics_figure, students_figure, teachers_figure

Paths = Iterable[str | Path]
_RUN = ["variant", "member", "replica"]
_CURVE = ["metric", "item", "r_max_A"]
_SUMMARY = ["variant", "label", *_CURVE, "mean", "std", "n", "n_failed"]


class _Sheets:
    """Writes figures into a folder and remembers their stems."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.stems: list[str] = []
        self._since = perf_counter()

    def add(self, stem: str, figure: Figure) -> None:
        """Write one figure; the time in the log is that since the one before, making it included."""
        save(figure, self.folder / stem)
        self.stems.append(stem)
        now = perf_counter()
        log.info("%s: %.1f s", stem, now - self._since)
        self._since = now


def draw_structure(
    *,
    summary: str | Path,
    tae: str | Path,
    runs: str | Path,
    comparisons: str | Path,
    reference: str | Path,
    curves: Paths,
    students: Sequence[Variant],
    palette: Palette,
    folder: str | Path,
) -> list[str]:
    """Errors and curves of all models, of energy targets and by teacher, and which models can be told apart.

    Parameters
    ----------
    summary, tae, runs, comparisons: ``tables/<name>.csv``.
    reference, curves: ``structure/reference.parquet`` and ``structure/<variant>/curves.parquet`` of all variants.
    students: variants of the table of students.
    """
    sheets = _Sheets(folder)
    errors = read_table(summary, _SUMMARY)
    status = read_table(runs, [*_RUN, "status"])
    target = mean_and_spread(read_curves(reference), None)
    own = {Path(path).parent.name: _finished(read_curves(path), status) for path in curves}
    means = {name: mean_and_spread(table, None) for name, table in own.items()}
    failed = _failed_runs(status)

    sheets.add("tae_overall", overall_figure(errors, palette))
    for metric in target["metric"].unique():
        sheets.add(f"tae_{metric}", item_figure(errors, metric, palette))
    for metric, radius, stem in _metrics(target):
        bars = _errors(errors, metric, radius).rename(columns={"variant": "key"})
        sheets.add(stem, curves_figure(metric, target, means, palette, failed, radius, bars))
        for group in target_groups(students):
            figure = targets_figure(group, metric, target, means, palette, failed, radius, bars)
            sheets.add(f"targets_{group.name}_{stem}", figure)

    by_member = errors_by_member(read_table(tae, [*_RUN, *_CURVE, "tae", "status"]))
    members = {
        model.name: list(dict.fromkeys(status.loc[status["variant"] == model.name, "member"]))
        for model in palette.models
        if model.kind in ("teacher", "single")
    }
    if members:
        sheets.add("members_tae", members_tae_figure(by_member, errors, palette, members))
    for name, names in members.items():
        rows = by_member[by_member["variant"] == name]
        for metric in ("rdf", "cdf"):
            bars = _errors(rows, metric, math.nan)
            sheets.add(f"members_{name}_{metric}", members_figure(metric, target, own[name], names, bars))
    table = read_table(comparisons, ["metric", "variant_a", "variant_b", "outcome"])
    sheets.add("comparison", comparison_figure(table, palette))
    return sheets.stems


def draw_models(
    *,
    summary: str | Path,
    runs: str | Path,
    reference: str | Path,
    curves: Paths,
    palette: Palette,
    folder: str | Path,
) -> list[str]:
    """One sheet per model for its own page; files as of `draw_structure`, ``curves`` perhaps of some models only."""
    sheets = _Sheets(folder)
    errors = read_table(summary, _SUMMARY)
    status = read_table(runs, [*_RUN, "status"])
    target = mean_and_spread(read_curves(reference), None)
    for path in map(Path, curves):
        name = path.parent.name
        own = _finished(read_curves(path), status)
        means = mean_and_spread(own, None) if len(own) else None
        sheets.add(f"model_{name}", model_figure(name, target, means, errors[errors["variant"] == name], palette))
    return sheets.stems


def draw_stability(
    *,
    records: Sequence[str | Path],
    runs: str | Path,
    reference_resolved: str | Path,
    resolved: Paths,
    reference_series: str | Path,
    series: Paths,
    palette: Palette,
    folder: str | Path,
) -> list[str]:
    """Peaks and clusters in the course of the runs, cluster distribution functions in time, potential energies.

    Parameters
    ----------
    records: ``run.json`` of all simulations, ``thermo.csv`` beside each.
    runs: ``tables/runs.csv`` with stability and the detected equilibration.
    resolved, series: ``structure/<variant>/<name>.parquet`` of all variants, and those of the reference.
    """
    sheets = _Sheets(folder)
    table = read_table(runs, [*_RUN, "status", "equilibrated_ps", "stability"])
    by_variant = {Path(path).parent.name: read_series(path) for path in series}
    sheets.add("stability", stability_figure(by_variant, table, palette, read_series(reference_series)))
    columns = ["member", "replica", "item", "time_ps", "x", "value"]  # all columns of hundreds of runs fill the memory
    by_variant = {Path(path).parent.name: read_resolved(path)[columns].copy() for path in resolved}
    kinds = {model.name: model.kind for model in palette.models}
    figures = resolved_figure(by_variant, read_resolved(reference_resolved, columns), palette)
    for group in groups_of(kinds):
        sheets.add(f"resolved_{group}", figures[group])
    sheets.add("energy", energy_figure(read_traces(records, table), palette))
    return sheets.stems


def draw_networks(
    *,
    teachers: Paths,
    students: Paths,
    training: str | Path,
    ceiling: str | Path,
    spread: str | Path,
    beads: str | Path,
    split: str | Path,
    teacher: str | Path,
    mean: str | Path,
    predictions: Mapping[str, str | Path],
    prior: str | Path,
    reference: str | Path,
    temperature_K: float,
    palette: Palette,
    folder: str | Path,
) -> list[str]:
    """Noise ceiling, spread of the teachers, training, parity of forces, prior.

    Parameters
    ----------
    teachers: ``teachers/<teacher>/history.csv``.
    students: ``students/<variant>/<member>/history.csv``; may be none.
    training, ceiling, spread: ``tables/<name>.csv``.
    teacher, mean: predictions of one teacher and of the ensemble.
    predictions: those of students for the test frames alone, by variant, to be compared with the ensemble's mean.
    prior, reference: ``prior/prior.csv`` and ``structure/reference.parquet``.
    """
    sheets = _Sheets(folder)
    metrics = read_table(training, ["variant", "member", "split", "target", "bead_type", "unit", "rmse", "r2"])
    sheets.add("ceiling", ceiling_figure(read_table(ceiling, ["bead_type", "estimate"]), metrics, palette))
    sheets.add("spread", spread_figure(read_table(spread, ["source", "bead_type"]), palette))
    on_labels, on_mean = read_parities(beads, split, teacher, mean, predictions, palette)
    own = metrics[metrics["variant"].isin([model.name for model in palette.models if model.kind == "teacher"])]
    sheets.add("teacher_metrics", teachers_metrics_figure(own, on_labels))
    sheets.add("training_metrics", metrics_figure(metrics, palette))
    columns = ["epoch", "train_loss", "valid_loss"]
    histories = {Path(path).parent.name: read_table(path, columns) for path in teachers}
    sheets.add("training_teachers", teachers_figure(histories, palette))
    by_variant: dict[str, dict[str, pd.DataFrame]] = {}
    for path in map(Path, students):
        by_variant.setdefault(path.parent.parent.name, {})[path.parent.name] = read_table(path, columns)
    if by_variant:
        sheets.add("training_students", students_figure(by_variant, palette))
    if on_mean:
        sheets.add("parity_students", parity_figure(on_mean))
    repulsion = read_table(prior, ["bead_1", "bead_2", "E0_kcal_mol", "a_per_A", "lowest_distance_A"])
    sheets.add("prior", prior_figure(repulsion, mean_and_spread(read_curves(reference), None), temperature_K))
    return sheets.stems


def draw_boxes(
    *,
    beads: str | Path,
    trajectories: Mapping[str, Sequence[str | Path]],
    reference: str | Path,
    palette: Palette,
    folder: str | Path,
) -> list[str]:
    """First and last frames of the reference and of one run per model, rendered.

    Parameters
    ----------
    trajectories: by variant (as of `catalogue.box_variants`), the dumps of one run: equilibration, production.
    """
    sheets = _Sheets(folder)
    labels = {model.name: model.label for model in palette.models}
    pictures, type_names = take_pictures(beads, trajectories, read_curves(reference), labels=labels)
    sheets.add("boxes", boxes_figure(pictures, type_names))
    return sheets.stems


def _finished(curves: pd.DataFrame, status: pd.DataFrame) -> pd.DataFrame:
    """Curves of the finished runs."""
    finished = status.loc[status["status"] == RunStatus.FINISHED, _RUN]
    return curves.merge(finished, on=_RUN)


def _failed_runs(status: pd.DataFrame) -> dict[str, int]:
    counts = (status["status"] != RunStatus.FINISHED).groupby(status["variant"]).sum()
    return {str(name): int(count) for name, count in counts.items()}


def _metrics(target: pd.DataFrame) -> list[tuple[str, float, str]]:
    """Metric, radius and stem of each figure of curves."""
    found = target[["metric", "r_max_A"]].drop_duplicates().itertuples(index=False, name=None)
    return [(metric, radius, f"adf_{radius:g}A" if metric == "adf" else metric) for metric, radius in found]


def _errors(table: pd.DataFrame, metric: str, r_max_A: float) -> pd.DataFrame:
    """Rows of the items of one metric and radius."""
    chosen = table[(table["metric"] == metric) & (table["item"] != OVERALL)]
    radius = chosen["r_max_A"]
    return chosen[radius.isna() if math.isnan(r_max_A) else (radius - r_max_A).abs() < 1e-6]
