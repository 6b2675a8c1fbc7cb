"""A study: finished runs that differ in some settings, its cells, side by side in one table, one figure and one page.

Every number is one of a cell's own tables; nothing is computed anew but means over networks and runs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ..analysis.stability import STABLE
from ..config.targets import ALL_ATOM_FORCES, TARGETS
from ..core.errors import InputError
from ..core.vocabulary import CURVE_KEY, ENSEMBLE, TEACHERS, ModelKind, RunStatus
from ..figures.study import study_figure, tae_columns
from ..figures.style import save
from ..io.csv_tables import read_table, write_table
from ..provenance.record import stamp
from ..structure.error_tables import overall_of
from ..structure.metrics import PRESENTATIONS
from .study import write_page

#: Setting that is shown by its length, and the column of that.
_SEEDS, _N_TEACHERS = "teachers.seeds", "n_teachers"
#: Columns needed of each table of a cell.
_COLUMNS: Mapping[str, Sequence[str]] = {
    "summary": ["variant", "label", *CURVE_KEY, "mean", "ci_low", "ci_high", "noise_high"],
    "runs": ["variant", "label", "member", "replica", "status", "stability"],
    "performance": ["variant", "label", "member", "replica", "ns_per_day"],
    "training": ["variant", "label", "member", "split", "target", "bead_type", "unit", "rmse", "r2"],
    "ceiling": ["bead_type", "r2_mean_teacher"],
}


@dataclass(frozen=True)
class StudyCell:
    """One run of a study.

    Attributes
    ----------
    settings: value by dotted key of the config; the same keys in every cell.
    folder: of the finished run, with ``tables/`` and ``report.html``.
    """

    name: str
    settings: Mapping[str, Any]
    folder: Path

    @property
    def tables(self) -> dict[str, Path]:
        """Tables that the study is made from, by name."""
        return {name: Path(self.folder) / "tables" / f"{name}.csv" for name in _COLUMNS}

    @property
    def report(self) -> Path:
        """The cell's own page."""
        return Path(self.folder) / "report.html"


def result_columns() -> list[str]:
    """Columns after the settings."""
    errors = [column for metric in PRESENTATIONS for column in tae_columns(metric).values()]
    return ["variant", "label", "kind", *errors, "n_runs", "n_finished", "n_stable", "r2_F", "rmse_F_kcal_mol_A",
            "ns_per_day"]  # fmt: skip


def setting_columns(cells: Sequence[StudyCell]) -> dict[str, list[Any]]:
    """Values of the settings by column of the table, one per cell: numbers and text, None for null.

    ``teachers.seeds`` becomes the number of teachers, and stays beside it where that does not tell cells apart.

    Raises
    ------
    InputError
        No cell, a name that two have, or other settings than the first one's.
    """
    if not cells:
        raise InputError("study", "cells", "none", "at least one")
    names = [cell.name for cell in cells]
    for cell in cells:
        if names.count(cell.name) > 1:
            raise InputError("study", "cells", f"{cell.name} twice", "each name once")
        if set(cell.settings) != set(cells[0].settings):
            found = ", ".join(cell.settings) or "none"
            raise InputError("study", f"settings of {cell.name}", found, ", ".join(cells[0].settings) or "none")
    columns: dict[str, list[Any]] = {}
    for key in cells[0].settings:
        values = [_plain(cell.settings[key]) for cell in cells]
        if key == _SEEDS:
            columns[_N_TEACHERS] = [len(cell.settings[key]) for cell in cells]
            if len(set(columns[_N_TEACHERS])) == len(set(values)):
                continue
        columns[key] = values
    return columns


def _plain(value: Any) -> int | float | str | None:
    """A value as a table holds it: what is neither number nor text is written as in YAML."""
    if value is None or isinstance(value, int | float | str) and not isinstance(value, bool):
        return value
    text: str = yaml.safe_dump(value, default_flow_style=True, width=1_000_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def study_table(cells: Sequence[StudyCell]) -> pd.DataFrame:
    """All cells in one table.

    Returns
    -------
    One row per cell and variant, in the order of the cells and of their tables. Columns: ``cell``, one per setting
    (`setting_columns`), `result_columns`. Errors: mean over finished runs, its interval, and the upper bound of the
    noise; R² and RMSE on the all-atom forces of the test frames: means over networks, R² of all teachers at each step
    from the table of the ceiling; ``ns_per_day``: mean over runs. NaN: not in the cell's tables.

    Raises
    ------
    InputError
        As `setting_columns`; a table of a cell that is missing, lacks a column or has other units.
    """
    settings = setting_columns(cells)
    rows = []
    for place, cell in enumerate(cells):
        own = {key: values[place] for key, values in settings.items()}
        rows += [{"cell": cell.name, **own, **row} for row in _cell_rows(_read(cell), cell)]
    table = pd.DataFrame(rows, columns=["cell", *settings, *result_columns()])
    for key, values in settings.items():
        # Not as pandas chooses: a whole number beside a null would become a float.
        by_cell = dict(zip((cell.name for cell in cells), values, strict=True))
        table[key] = pd.Series([by_cell[name] for name in table["cell"]], dtype=object)
    return table


def _read(cell: StudyCell) -> dict[str, pd.DataFrame]:
    """Tables of a cell, checked."""
    tables = {}
    for name, path in cell.tables.items():
        if not path.is_file():
            raise InputError(path, "file", "none", f"a table of the finished run {cell.name}")
        tables[name] = read_table(path, _COLUMNS[name])
    forces = TARGETS[ALL_ATOM_FORCES]
    units = set(tables["training"].loc[tables["training"]["target"] == forces.name, "unit"])
    if units - {forces.unit}:
        raise InputError(cell.tables["training"], f"unit of {forces.name}", ", ".join(map(str, units)), forces.unit)
    return tables


def _cell_rows(tables: Mapping[str, pd.DataFrame], cell: StudyCell) -> list[dict[str, Any]]:
    """Rows of one cell without its settings; columns `result_columns`."""
    labels: dict[str, str] = {}
    for part in ("runs", "summary", "performance", "training"):
        for name, label in zip(tables[part]["variant"], tables[part]["label"], strict=True):
            labels.setdefault(str(name), str(label))
    errors = {metric: _overall(tables["summary"], metric, cell) for metric in PRESENTATIONS}
    training = tables["training"]
    training = training[
        (training["split"] == "test") & (training["target"] == "F") & (training["bead_type"] == "all")
    ].set_index("variant")
    ceiling = tables["ceiling"].set_index("bead_type")["r2_mean_teacher"]
    rows = []
    for name, label in labels.items():
        own = {part: tables[part][tables[part]["variant"] == name] for part in ("runs", "performance", "training")}
        kind = _kind(name, {str(member) for table in own.values() for member in table["member"]}, cell)
        row: dict[str, Any] = {"variant": name, "label": label, "kind": kind}
        for metric, table in errors.items():
            if name in table.index:
                row |= {column: table.loc[name, source] for source, column in tae_columns(metric).items()}
        if len(own["runs"]):
            row["n_runs"] = len(own["runs"])
            row["n_finished"] = int((own["runs"]["status"] == RunStatus.FINISHED).sum())
            row["n_stable"] = int((own["runs"]["stability"] == STABLE).sum())
        if name in training.index:
            row["r2_F"] = training.loc[[name], "r2"].mean()
            row["rmse_F_kcal_mol_A"] = training.loc[[name], "rmse"].mean()
        elif kind == ModelKind.TEACHER_ENSEMBLE:
            row["r2_F"] = ceiling.get("all", math.nan)
        row["ns_per_day"] = own["performance"]["ns_per_day"].mean()
        rows.append(row)
    return rows


def _overall(summary: pd.DataFrame, metric: str, cell: StudyCell) -> pd.DataFrame:
    """Errors over all items of a metric by variant."""
    rows = overall_of(summary, metric).set_index("variant")
    if not rows.index.is_unique:
        twice = ", ".join(rows.index[rows.index.duplicated()].unique())
        raise InputError(cell.tables["summary"], f"overall {metric}", f"{twice} twice", "each variant once")
    return rows


def _kind(name: str, members: set[str], cell: StudyCell) -> str:
    """Kind of a variant, as `variants` names variants and members."""
    if name == TEACHERS:
        return ModelKind.TEACHER.value
    together = members <= {ENSEMBLE}
    if not together and ENSEMBLE in members:
        found = f"members {', '.join(sorted(members))} of {name}"
        raise InputError(cell.tables["runs"], "member", found, f"{ENSEMBLE} alone, or one per teacher")
    if name.startswith(TEACHERS) and name.removeprefix(TEACHERS).isdigit():
        return ModelKind.TEACHER_ENSEMBLE.value
    return (ModelKind.ENSEMBLE if together else ModelKind.SINGLE).value


def write_study(
    study: str,
    cells: Sequence[StudyCell],
    base: Mapping[str, Any],
    out_dir: str | Path,
    command: str,
) -> None:
    """Write ``study.csv``, ``study.svg``, ``study.png`` and ``index.html``.

    Parameters
    ----------
    study: its name.
    base: config that the cells' settings replace values of.
    command: what a user types to make one cell again, shown as it is.

    Raises
    ------
    InputError
        As `study_table`.
    """
    table, settings = study_table(cells), setting_columns(cells)
    out_dir = Path(out_dir)
    record = {"study": study, "base": dict(base), "cells": [[cell.name, dict(cell.settings)] for cell in cells]}
    inputs = {f"{cell.name}/tables/{path.name}": path for cell in cells for path in cell.tables.values()}
    write_table(out_dir / "study.csv", table, stamp(record, inputs))
    figure = save(study_figure(table, list(settings)), out_dir / "study")
    write_page(
        out_dir / "index.html",
        study=study,
        table=table,
        settings={column: _SEEDS if column == _N_TEACHERS else column for column in settings},
        reports={cell.name: cell.report for cell in cells},
        shared=shared_config(base, cells),
        figure=figure,
        command=command,
    )


def shared_config(base: Mapping[str, Any], cells: Sequence[StudyCell]) -> dict[str, Any]:
    """The config as far as it is the same in all cells: without the keys that differ, with their common values."""
    shared = {key: copy.deepcopy(value) for key, value in base.items() if key != "run"}
    for key in cells[0].settings:
        values = [cell.settings[key] for cell in cells]
        *parents, last = key.split(".")
        part = shared
        for name in parents:
            part = part.setdefault(name, {})
        if all(value == values[0] for value in values):
            part[last] = copy.deepcopy(values[0])
        else:
            part.pop(last, None)
    return shared
