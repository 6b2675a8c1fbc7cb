"""Tables of a whole run from the tables of its variants, trainings and simulations.

Every function checks that nothing is there twice, so that no run is counted or averaged twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.errors import InputError
from ..core.vocabulary import CURVE_KEY, RUN_KEY, TEACHERS, NetworkStatus, RunStatus
from ..structure.files import read_curves
from ..md.run_record import read_record
from ..io.csv_tables import read_table
from ..training.teacher_selection import training_record

PERFORMANCE_COLUMNS = [
    "variant", "label", "member", "replica", "n_beads", "timestep_fs", "threads", "device", "ns_per_day", "wall_s",
    "runs_together", "ns_per_day_together",
]  # fmt: skip
TRAINING_COLUMNS = [
    "variant", "label", "member", "split", "target", "bead_type", "unit", "mae", "rmse", "r2", "n",
]  # fmt: skip
NETWORK_COLUMNS = [
    "variant", "label", "member", "status", "retries", "learning_rate", "best_epoch", "epochs", "reason", "failures",
]  # fmt: skip
_METRIC_COLUMNS = ["split", "target", "bead_type", "unit", "mae", "rmse", "r2", "n"]


def concatenate(paths: Iterable[str | Path], keys: Sequence[str]) -> pd.DataFrame:
    """One table of many, in the order of the files.

    Parameters
    ----------
    keys: columns that together name a row.

    Raises
    ------
    InputError
        A column missing, no file at all, or a row that is there twice.
    """
    paths = list(paths)
    if not paths:
        raise InputError("tables", "files", "none", "at least one")
    table = pd.concat([read_table(path, keys) for path in paths], ignore_index=True)
    return _unique(table, keys, f"{paths[0]} and {len(paths) - 1} more")


def _unique(table: pd.DataFrame, keys: Sequence[str], source: str) -> pd.DataFrame:
    twice = table.duplicated(list(keys))
    if twice.any():
        row = "/".join(str(value) for value in table.loc[twice, list(keys)].iloc[0])
        raise InputError(source, "rows", f"{row} twice", "each row once")
    return table


def tae_of(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Errors of every run: ``structure/<variant>/tae.csv`` of all variants."""
    return concatenate(paths, [*RUN_KEY, *CURVE_KEY])


def summary_of(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Means over runs: ``structure/<variant>/summary.csv`` of all variants."""
    return concatenate(paths, ["variant", *CURVE_KEY])


def runs_of(paths: Iterable[str | Path], labels: Mapping[str, str]) -> pd.DataFrame:
    """Every run with its status: ``structure/<variant>/runs.csv`` of all variants, with the labels."""
    runs = concatenate(paths, RUN_KEY)
    if "label" not in runs.columns:
        runs.insert(1, "label", [labels.get(name, name) for name in runs["variant"]])
    return runs


def curves_of(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Curves of every run: ``structure/reference.parquet`` and ``structure/<variant>/curves.parquet`` of all variants.

    Raises
    ------
    InputError
        No file at all, or a run that two files hold.
    """
    tables: list[pd.DataFrame] = []
    seen: set[tuple] = set()
    for path in paths:
        table = read_curves(path)
        runs = set(table[RUN_KEY].drop_duplicates().itertuples(index=False, name=None))
        if runs & seen:
            raise InputError(path, "runs", f"{'/'.join(map(str, min(runs & seen)))} again", "each run once")
        seen |= runs
        tables.append(table)
    if not tables:
        raise InputError("curves", "files", "none", "at least one")
    return pd.concat(tables, ignore_index=True)


def performance_of(paths: Iterable[str | Path], labels: Mapping[str, str]) -> pd.DataFrame:
    """Speed of every simulation from its ``run.json``; columns `PERFORMANCE_COLUMNS`.

    Failed runs are listed too: what they ran, they ran at that speed; excluded ones did not run. ``ns_per_day`` is of
    the run by the clock, ``ns_per_day_together`` of all ``runs_together`` that shared its job.
    """
    records = [record for record in map(read_record, paths) if record["status"] != RunStatus.EXCLUDED]
    rows = [{**record, "label": labels.get(record["variant"], record["variant"])} for record in records]
    table = pd.DataFrame(rows).reindex(columns=PERFORMANCE_COLUMNS)
    return _unique(table, RUN_KEY, "simulations")


def training_of(
    teachers: Iterable[str | Path],
    students: Iterable[str | Path],
    labels: Mapping[str, str],
    networks: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """What every network that is used reaches on every target; columns `TRAINING_COLUMNS`.

    Parameters
    ----------
    teachers: ``teachers/<teacher>/metrics.csv``; their variant is `TEACHERS`.
    students: ``students/<variant>/<member>/metrics.csv``.
    networks: of `networks_of`; those that are excluded are left out. Without it, all are used.
    """
    tables = []
    for variant, path in _networks(teachers, students):
        table = read_table(path, _METRIC_COLUMNS)
        tables.append(table.assign(variant=variant, label=labels.get(variant, variant), member=path.parent.name))
    joined = pd.concat(tables, ignore_index=True)[TRAINING_COLUMNS]
    if networks is not None:
        left_out = networks.loc[networks["status"] == NetworkStatus.EXCLUDED, ["variant", "member"]]
        keys = pd.MultiIndex.from_frame(joined[["variant", "member"]])
        joined = joined[~keys.isin(pd.MultiIndex.from_frame(left_out))].reset_index(drop=True)
    return _unique(joined, ["variant", "member", "split", "target", "bead_type"], "metrics")


def networks_of(
    teachers: Iterable[str | Path],
    students: Iterable[str | Path],
    health: Mapping[str, str],
    labels: Mapping[str, str],
) -> pd.DataFrame:
    """How the training of every network went, and whether it is used; columns `NETWORK_COLUMNS`.

    Parameters
    ----------
    teachers, students: ``network.json`` in the folders of `training_of`.
    health: why a teacher is left out, by name (`training.teacher_selection.read_health`).

    Raises
    ------
    InputError
        A file that is missing or damaged.
    """
    rows = []
    for variant, path in _networks(teachers, students):
        record, member = training_record(path.parent), path.parent.name
        reason = record["excluded"] or (health.get(member, "") if variant == TEACHERS else "")
        rows.append(
            {
                "variant": variant,
                "label": labels.get(variant, variant),
                "member": member,
                "status": NetworkStatus.EXCLUDED if reason else NetworkStatus.USED,
                "reason": reason,
                "failures": "; ".join(str(failure["text"]) for failure in record["failures"]),
                **{name: record[name] for name in ("retries", "learning_rate", "best_epoch", "epochs")},
            }
        )
    return _unique(pd.DataFrame(rows)[NETWORK_COLUMNS], ["variant", "member"], "networks")


def _networks(teachers: Iterable[str | Path], students: Iterable[str | Path]) -> list[tuple[str, Path]]:
    """Variant and file of each network."""
    return [(TEACHERS, Path(path)) for path in teachers] + [(Path(p).parent.parent.name, Path(p)) for p in students]


def versions_of(paths: Iterable[str | Path]) -> dict[str, list[str]]:
    """Versions of programs over all ``run.json`` files; more than one where runs differ."""
    found: dict[str, set[str]] = {}
    for path in paths:
        for program, version in (read_record(path).get("versions") or {}).items():
            found.setdefault(str(program), set()).add(str(version))
    return {program: sorted(versions) for program, versions in sorted(found.items())}
