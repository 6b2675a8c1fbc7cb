"""Files of a run that figures are drawn from, one class per job of `catalogue.JOBS`; each is read once, when asked for.

Files are named as in ``results/<run>``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ..core.vocabulary import CURVE_KEY, OVERALL, RUN_KEY, ModelKind, RunStatus
from ..io.csv_tables import read_table
from ..structure.error_tables import of_metric
from ..structure.files import read_curves, read_resolved, read_series
from .curves import mean_and_spread
from .members import errors_by_member
from .parity import Parity, read_parities
from .resolved import resolved_figure
from .style import Palette

Paths = Sequence[str | Path]
_SUMMARY = ["variant", "label", *CURVE_KEY, "mean", "std", "n", "n_failed"]
_HISTORY = ["epoch", "train_loss", "valid_loss"]


@dataclass
class RunFiles:
    """What all figures need: colours and labels of the models."""

    palette: Palette


@dataclass
class StructureFiles(RunFiles):
    """Errors and curves.

    Attributes
    ----------
    summary, runs, tae, comparisons: ``tables/<name>.csv``; the last two may be missing where no figure needs them.
    reference, curves: ``structure/reference.parquet`` and ``structure/<variant>/curves.parquet`` of all variants.
    """

    summary: str | Path
    runs: str | Path
    reference: str | Path
    curves: Paths
    tae: str | Path = ""
    comparisons: str | Path = ""

    @cached_property
    def errors(self) -> pd.DataFrame:
        """Errors by model."""
        return read_table(self.summary, _SUMMARY)

    @cached_property
    def status(self) -> pd.DataFrame:
        """Status of all runs."""
        return read_table(self.runs, [*RUN_KEY, "status"])

    @cached_property
    def target(self) -> pd.DataFrame:
        """Curves of the reference, as of `curves.mean_and_spread`."""
        return mean_and_spread(read_curves(self.reference), None)

    @cached_property
    def finished(self) -> dict[str, pd.DataFrame]:
        """Curves of the finished runs by variant."""
        runs = self.status.loc[self.status["status"] == RunStatus.FINISHED, RUN_KEY]
        return {Path(path).parent.name: read_curves(path).merge(runs, on=RUN_KEY) for path in self.curves}

    @cached_property
    def means(self) -> dict[str, pd.DataFrame]:
        """Curves by variant, as of `curves.mean_and_spread`; without rows where no run finished."""
        return {name: mean_and_spread(table, None) for name, table in self.finished.items()}

    @cached_property
    def n_failed(self) -> dict[str, int]:
        """Number of runs that did not finish by variant."""
        counts = (self.status["status"] != RunStatus.FINISHED).groupby(self.status["variant"]).sum()
        return {str(name): int(count) for name, count in counts.items()}

    @cached_property
    def errors_by_member(self) -> pd.DataFrame:
        """Errors by variant and member, as of `members.errors_by_member`."""
        return errors_by_member(read_table(self.tae, [*RUN_KEY, *CURVE_KEY, "tae", "status"]))

    @cached_property
    def members(self) -> dict[str, list[str]]:
        """Members of the variants that have one per teacher."""
        chosen = [model.name for model in self.palette.models if ModelKind(model.kind).per_teacher]
        own = {name: self.status.loc[self.status["variant"] == name, "member"] for name in chosen}
        return {name: list(dict.fromkeys(members)) for name, members in own.items()}

    def bars(self, metric: str, parameter: float, key: str = "variant") -> pd.DataFrame:
        """Errors of the items of one metric and parameter, by variant or by member, as of `curves.grid_figure`."""
        table = self.errors if key == "variant" else self.errors_by_member
        own = of_metric(table, metric, parameter)
        return own[own["item"] != OVERALL].rename(columns={key: "key"})


@dataclass
class StabilityFiles(RunFiles):
    """The course of the runs.

    Attributes
    ----------
    records: ``run.json`` of all simulations, ``thermo.csv`` beside each.
    runs: ``tables/runs.csv`` with stability and the detected equilibration.
    resolved, series: ``structure/<variant>/<name>.parquet`` of all variants, and those of the reference.
    """

    records: Paths
    runs: str | Path
    reference_resolved: str | Path
    resolved: Paths
    reference_series: str | Path
    series: Paths

    @cached_property
    def run_table(self) -> pd.DataFrame:
        """All runs."""
        return read_table(self.runs, [*RUN_KEY, "status", "equilibrated_ps", "stability"])

    @cached_property
    def series_by_variant(self) -> dict[str, pd.DataFrame]:
        """Numbers against time."""
        return {Path(path).parent.name: read_series(path) for path in self.series}

    @cached_property
    def resolved_figures(self) -> dict[str, Figure]:
        """Cluster distribution functions in time by group of models: they share the range of time."""
        # All columns of hundreds of runs fill the memory.
        columns = ["member", "replica", "item", "time_ps", "x", "value"]
        by_variant = {Path(path).parent.name: read_resolved(path)[columns].copy() for path in self.resolved}
        return resolved_figure(by_variant, read_resolved(self.reference_resolved, columns), self.palette)


@dataclass
class NetworkFiles(RunFiles):
    """Labels, training and forces.

    Attributes
    ----------
    teachers: ``teachers/<teacher>/history.csv``.
    students: ``students/<variant>/<member>/history.csv``; may be none.
    training, ceiling, spread: ``tables/<name>.csv``.
    teacher, mean: predictions of one teacher and of the ensemble.
    predictions: those of students for the test frames alone, by variant, to be compared with the ensemble's mean.
    prior, reference: ``prior/prior.csv`` and ``structure/reference.parquet``.
    """

    teachers: Paths
    students: Paths
    training: str | Path
    ceiling: str | Path
    spread: str | Path
    beads: str | Path
    split: str | Path
    teacher: str | Path
    mean: str | Path
    prior: str | Path
    reference: str | Path
    temperature_K: float
    predictions: Mapping[str, str | Path] = field(default_factory=dict)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Metrics of all networks."""
        return read_table(self.training, ["variant", "member", "split", "target", "bead_type", "unit", "rmse", "r2"])

    @cached_property
    def parities(self) -> tuple[list[Parity], list[Parity]]:
        """Teachers against the all-atom forces, and students against the teachers' mean."""
        return read_parities(self.beads, self.split, self.teacher, self.mean, self.predictions, self.palette)

    @cached_property
    def teacher_histories(self) -> dict[str, pd.DataFrame]:
        """Losses by epoch, by teacher."""
        return {Path(path).parent.name: read_table(path, _HISTORY) for path in self.teachers}

    @cached_property
    def student_histories(self) -> dict[str, dict[str, pd.DataFrame]]:
        """Losses by epoch, by variant and member."""
        found: dict[str, dict[str, pd.DataFrame]] = {}
        for path in map(Path, self.students):
            found.setdefault(path.parent.parent.name, {})[path.parent.name] = read_table(path, _HISTORY)
        return found


@dataclass
class BoxFiles(RunFiles):
    """Frames to be rendered.

    Attributes
    ----------
    beads, reference: ``mapped/beads.h5`` and ``structure/reference.parquet``.
    trajectories: by variant (as of `catalogue.box_variants`), the dumps of one run: equilibration, production.
    """

    beads: str | Path
    reference: str | Path
    trajectories: Mapping[str, Sequence[str | Path]]
