"""A model after its training, however that went."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from ..data.pair_frames import PairFrames
from ..forcefield.trainable import Model
from .failure_policy import Failure
from .trainer import Trainer, history_of


@dataclass(frozen=True)
class Course:
    """Course of a training.

    Attributes
    ----------
    learning_rate: at the start of the last attempt; None for a model that is found in one step.
    retries: number of attempts after the first.
    best_epoch, epochs: epoch that was kept, from 1, and their number.
    failures: of all attempts, in order.
    excluded: why the model is not to be used; empty for a sound one.
    """

    learning_rate: float | None = None
    retries: int = 0
    best_epoch: int = 0
    epochs: int = 0
    failures: tuple[Failure, ...] = field(default_factory=tuple)
    excluded: str = ""

    def record(self) -> dict[str, Any]:
        """Values for JSON files."""
        return asdict(self) | {"failures": [failure.as_dict() for failure in self.failures]}


@dataclass(frozen=True)
class TrainedModel:
    """A model with the course of its training.

    Attributes
    ----------
    model: with the weights of its best epoch.
    frames: that it was trained and is tested on.
    history: a row per epoch, with the columns of `trainer.history_of`.
    course: summary of the training.
    """

    model: Model
    frames: PairFrames
    history: pd.DataFrame
    course: Course

    @classmethod
    def by_epochs(cls, trainer: Trainer[Any]) -> TrainedModel:
        """The model of a finished `Trainer`."""
        course = Course(
            trainer.initial_learning_rate,
            trainer.attempt,
            trainer.best_epoch,
            trainer.epoch,
            tuple(trainer.failures),
            trainer.excluded,
        )
        return cls(trainer.model, trainer.data.frames, history_of(trainer), course)
