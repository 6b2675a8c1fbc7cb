"""Selection of trained networks: which teachers are averaged and learned from, and which networks make a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config.targets import ALL_ATOM_FORCES
from ..core.errors import InputError
from ..core.vocabulary import NetworkStatus
from ..io.csv_tables import read_table
from ..io.untrusted import read_json
from .failure_policy import STOP

#: Columns of ``teachers/health.csv``.
HEALTH_COLUMNS = ["teacher", "status", "retries", "learning_rate", "r2_valid_F", "r2_peers", "reason"]


def training_record(folder: str | Path) -> dict[str, Any]:
    """Settings and outcome of the training of a network, from its ``network.json``.

    Raises
    ------
    InputError
        No such file, or one without them.
    """
    path = Path(folder) / "network.json"
    training = read_json(path, "the settings of a network").get("training")
    if not isinstance(training, dict) or "excluded" not in training:
        found = sorted(training) if isinstance(training, dict) else training
        raise InputError(path, "training", found, "settings and outcome of the training, as this version writes them")
    return training


def sound_networks(networks: Mapping[str, Path], health: Mapping[str, str]) -> tuple[dict[str, Path], dict[str, str]]:
    """Networks of a model that are sound, and why the others are excluded, by name.

    A single network is kept, sound or not: there would be no model without it.

    Parameters
    ----------
    networks: trained model folders by name.
    health: of `read_health`, for the teachers among them.
    """
    reasons = {name: training_record(folder)["excluded"] or health.get(name, "") for name, folder in networks.items()}
    excluded = {name: reason for name, reason in reasons.items() if reason}
    if len(networks) == 1:
        return dict(networks), excluded
    return {name: folder for name, folder in networks.items() if name not in excluded}, excluded


def judge_teachers(folders: Sequence[str | Path], min_share: float, then: str) -> pd.DataFrame:
    """Table of the teachers and whether each may be averaged and learned from.

    Teachers are excluded if their training failed, or if they have learned far less than the others: R² of the forces
    on the validation frames below ``min_share`` of the median of the others. The labels are equally noisy for all
    teachers, so R² is small, but sound teachers differ little. Where the median is not above 0, no teacher has learned
    anything, and they are not compared.

    Parameters
    ----------
    folders: of trained networks, with ``metrics.csv``; the folder's name is the teacher's.
    then: ``stop`` or ``exclude``.

    Returns
    -------
    `HEALTH_COLUMNS`, a row per teacher in order; ``r2_peers`` is the median of the other sound ones (NaN where there
    are none).

    Raises
    ------
    InputError
        No sound teacher; or one that is not sound, where that stops the run.
    """
    rows = [_row(Path(folder)) for folder in folders]
    for row in rows:
        others = [other["r2_valid_F"] for other in rows if other is not row and not other["reason"]]
        row["r2_peers"] = float(np.median(others)) if others else np.nan
    for row in rows:
        # A comparison with NaN is false: a teacher whose R² is not a number is excluded.
        if not row["reason"] and row["r2_peers"] > 0 and not row["r2_valid_F"] >= min_share * row["r2_peers"]:
            row["reason"] = (
                f"R2 of its forces on the validation frames is {row['r2_valid_F']:.3f}, "
                f"the median of the other teachers {row['r2_peers']:.3f}"
            )
    for row in rows:
        row["status"] = NetworkStatus.EXCLUDED if row["reason"] else NetworkStatus.USED
    excluded = [row for row in rows if row["reason"]]
    found = "; ".join(f"{row['teacher']} {row['reason']}" for row in excluded)
    if len(excluded) == len(rows):
        raise InputError("teachers", "trainings", found, "at least one sound teacher")
    if excluded and then == STOP:
        expected = (
            f"R2 of at least {min_share:g} of that of the others (failures.min_teacher_r2_share); "
            "failures.then: exclude goes on without"
        )
        raise InputError("teachers", "trainings", found, expected)
    return pd.DataFrame(rows)[HEALTH_COLUMNS]


def _row(folder: Path) -> dict[str, Any]:
    metrics = read_table(folder / "metrics.csv", ["split", "target", "bead_type", "r2"])
    of_forces = (metrics["target"] == ALL_ATOM_FORCES) & (metrics["bead_type"] == "all")
    rows = metrics[of_forces & (metrics["split"] == "valid")]
    if len(rows) != 1:
        raise InputError(folder / "metrics.csv", "rows", len(rows), "one of the forces F on the validation frames")
    training = training_record(folder)
    return {
        "teacher": folder.name,
        "r2_valid_F": float(rows["r2"].iloc[0]),
        "retries": training["retries"],
        "learning_rate": training["learning_rate"],
        "reason": str(training["excluded"]),
    }


def read_health(path: str | Path) -> dict[str, str]:
    """Why a teacher is excluded, by teacher, from ``teachers/health.csv``; empty text for one that is used.

    Raises
    ------
    InputError
        A column is missing, or a status is unknown.
    """
    table = read_table(path, HEALTH_COLUMNS)
    unexpected = set(table["status"]) - {NetworkStatus.USED, NetworkStatus.EXCLUDED}
    if unexpected:
        raise InputError(
            path, "status", ", ".join(map(str, unexpected)), f"{NetworkStatus.USED} or {NetworkStatus.EXCLUDED}"
        )
    reasons = table["reason"].fillna("").where(table["status"] == NetworkStatus.EXCLUDED, "")
    return dict(zip(table["teacher"].astype(str), reasons.astype(str), strict=True))


def sound_files(paths: Sequence[str | Path], health: str | Path) -> list[str]:
    """Files of the teachers that are used, ``<teacher>/<file>``, by ``teachers/health.csv``."""
    reasons = read_health(health)
    return [str(path) for path in paths if not reasons[Path(path).parent.name]]
