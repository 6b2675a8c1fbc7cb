"""What counts as a training that failed, and what is done about it; which teachers may be averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import InputError
from ..core.vocabulary import NetworkStatus
from ..io.csv_tables import read_table
from ..io.untrusted import read_json

STOP, EXCLUDE = "stop", "exclude"
#: Kinds of failure: a loss or gradient that is not finite, a loss that grows, a network that has learned nothing.
NOT_FINITE, EXPLODING, DEAD = "not finite", "exploding", "dead"
#: Columns of ``teachers/health.csv``.
HEALTH_COLUMNS = ["teacher", "status", "retries", "learning_rate", "r2_valid_F", "r2_peers", "reason"]


@dataclass(frozen=True)
class FailurePolicy:
    """Limits of a sound training, and what is done beyond them.

    Attributes
    ----------
    max_loss_ratio: the loss of an epoch beyond so many times that of the best epoch explodes.
    min_r2_gain: a network whose R² of the forces on the validation frames does not end so far above that of the prior
        alone is dead; None: not looked at.
    retries: trainings from the same initial weights, each with a lower learning rate.
    retry_factor: of the learning rate, for each retry.
    then: ``stop`` with an error, or ``exclude`` the model from all that follows.
    """

    max_loss_ratio: float = 10.0
    min_r2_gain: float | None = None
    retries: int = 0
    retry_factor: float = 0.3
    then: str = STOP


@dataclass(frozen=True)
class Failure:
    """One training that failed.

    Attributes
    ----------
    kind: see above.
    text: what was seen, where.
    epoch, batch: from 1; the batch is None where it was not one of them.
    frames: numbers of the batch's frames in the bead file.
    learning_rate: at that time.
    """

    kind: str
    text: str
    epoch: int
    batch: int | None
    frames: tuple[int, ...]
    learning_rate: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON files and checkpoints."""
        return asdict(self) | {"frames": list(self.frames)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Failure:
        """Of `as_dict`."""
        return cls(**{**values, "frames": tuple(values["frames"])})


def training_of(folder: str | Path) -> dict[str, Any]:
    """How the training of a network went, from its ``network.json``.

    Raises
    ------
    InputError
        No such file, or one that says nothing about it.
    """
    path = Path(folder) / "network.json"
    training = read_json(path, "the settings of a network").get("training")
    if not isinstance(training, dict) or "excluded" not in training:
        found = sorted(training) if isinstance(training, dict) else training
        raise InputError(path, "training", found, "settings and course of the training, as this version writes them")
    return training


def sound_networks(networks: Mapping[str, Path], health: Mapping[str, str]) -> tuple[dict[str, Path], dict[str, str]]:
    """Those of a model's networks that are sound, and why the others are not, by name.

    A single network stays, sound or not: there would be no model without.

    Parameters
    ----------
    networks: trained model folders by name.
    health: of `read_health`, for the teachers among them.
    """
    reasons = {name: training_of(folder)["excluded"] or health.get(name, "") for name, folder in networks.items()}
    left_out = {name: reason for name, reason in reasons.items() if reason}
    if len(networks) == 1:
        return dict(networks), left_out
    return {name: folder for name, folder in networks.items() if name not in left_out}, left_out


def judge_teachers(folders: Sequence[str | Path], min_share: float, then: str) -> pd.DataFrame:
    """Which teachers may be averaged and learned from.

    Left out are those whose training failed, and those that have learned far less than the others: R² of the forces
    on the validation frames below ``min_share`` of the median of the others. Labels are noise to all teachers alike,
    so R² is small, but sound teachers differ little. Where the median is not above 0, nobody has learned anything,
    and they are not held against each other.

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
        # A comparison with NaN is false: R² that is not a number is no sound one.
        if not row["reason"] and row["r2_peers"] > 0 and not row["r2_valid_F"] >= min_share * row["r2_peers"]:
            row["reason"] = (
                f"R2 of its forces on the validation frames is {row['r2_valid_F']:.3f}, "
                f"the median of the other teachers {row['r2_peers']:.3f}"
            )
    for row in rows:
        row["status"] = NetworkStatus.EXCLUDED if row["reason"] else NetworkStatus.USED
    bad = [row for row in rows if row["reason"]]
    found = "; ".join(f"{row['teacher']} {row['reason']}" for row in bad)
    if len(bad) == len(rows):
        raise InputError("teachers", "trainings", found, "at least one sound teacher")
    if bad and then == STOP:
        expected = (
            f"R2 of at least {min_share:g} of that of the others (failures.min_teacher_r2_share); "
            "failures.then: exclude goes on without"
        )
        raise InputError("teachers", "trainings", found, expected)
    return pd.DataFrame(rows)[HEALTH_COLUMNS]


def _row(folder: Path) -> dict[str, Any]:
    metrics = read_table(folder / "metrics.csv", ["split", "target", "bead_type", "r2"])
    own = metrics[(metrics["split"] == "valid") & (metrics["target"] == "F") & (metrics["bead_type"] == "all")]
    if len(own) != 1:
        raise InputError(folder / "metrics.csv", "rows", len(own), "one of the forces F on the validation frames")
    training = training_of(folder)
    course = {name: training[name] for name in ("retries", "learning_rate")}
    return {
        "teacher": folder.name,
        "r2_valid_F": float(own["r2"].iloc[0]),
        **course,
        "reason": str(training["excluded"]),
    }


def read_health(path: str | Path) -> dict[str, str]:
    """Why a teacher is left out, by teacher; empty text for one that is used. From ``teachers/health.csv``.

    Raises
    ------
    InputError
        A column is missing, or a status is unknown.
    """
    table = read_table(path, HEALTH_COLUMNS)
    odd = set(table["status"]) - {NetworkStatus.USED, NetworkStatus.EXCLUDED}
    if odd:
        raise InputError(path, "status", ", ".join(map(str, odd)), f"{NetworkStatus.USED} or {NetworkStatus.EXCLUDED}")
    reasons = table["reason"].fillna("").where(table["status"] == NetworkStatus.EXCLUDED, "")
    return dict(zip(table["teacher"].astype(str), reasons.astype(str), strict=True))


def sound_files(paths: Sequence[str | Path], health: str | Path) -> list[str]:
    """Files of the teachers that are used, ``<teacher>/<file>``, by ``teachers/health.csv``."""
    reasons = read_health(health)
    return [str(path) for path in paths if not reasons[Path(path).parent.name]]
