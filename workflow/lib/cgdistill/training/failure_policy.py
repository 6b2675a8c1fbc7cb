"""Failures of a training, and the limits and retries by which they are found and handled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

#: Value of `FailurePolicy.then`: stop the run with an error.
STOP = "stop"


class FailureReason(StrEnum):
    """Why a training failed."""

    #: A loss or a gradient is not a finite number.
    NOT_FINITE = "not finite"
    #: The loss of an epoch is far above the lowest before.
    DIVERGED = "diverged"
    #: The trained network is no better than the prior alone.
    UNTRAINED = "untrained"


@dataclass(frozen=True)
class FailurePolicy:
    """Limits beyond which a training has failed, and what is done then.

    Attributes
    ----------
    max_loss_ratio: an epoch whose loss exceeds this multiple of the lowest so far has diverged.
    min_r2_gain: a network counts as untrained unless its final R² of the forces on the validation frames exceeds that
        of the prior alone by at least this; None disables the check.
    retries: number of further trainings from the same initial weights, each with a lower learning rate.
    retry_factor: factor of the learning rate for each retry.
    then: after the last retry, ``stop`` with an error, or ``exclude`` the model from all that follows.
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
    reason: why.
    text: what was found, and where.
    epoch, batch: from 1; the batch is None where the failure is not that of a batch.
    frames: numbers of the batch's frames in the bead file.
    learning_rate: at that time.
    """

    reason: FailureReason
    text: str
    epoch: int
    batch: int | None
    frames: tuple[int, ...]
    learning_rate: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON files and checkpoints."""
        return asdict(self) | {"reason": str(self.reason), "frames": list(self.frames)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Failure:
        """The failure of `as_dict`."""
        return cls(**{**values, "reason": FailureReason(values["reason"]), "frames": tuple(values["frames"])})
