"""Training of one model by epochs: state, judgement of each epoch, failures and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
import torch

from ..config.targets import ALL_ATOM_FORCES
from ..core.errors import InputError
from ..core.seeds import derive
from ..data.pair_frames import Batch, PairFrames
from ..forcefield.trainable import ModelOutput, TrainableModel
from ..runtime.job import log
from .adam import Adam
from .checkpoint import Checkpoint
from .failure_monitor import FailureMonitor, Finding
from .failure_policy import STOP, Failure, FailurePolicy, FailureReason
from .loss import Objective
from .metrics import error_measures
from .schedule import PlateauSchedule, TrainingSpec

#: Class of the model that is trained.
Model = TypeVar("Model", bound=TrainableModel)
#: Columns of a history, without the terms of the criterion.
HISTORY_COLUMNS = [
    "epoch", "learning_rate", "batch_size", "train_loss", "valid_loss", "valid_r2_F", "best", "seconds",
]  # fmt: skip
#: Frames of a batch that a message names, at most.
_NAMED_FRAMES = 8


@dataclass(frozen=True)
class TrainingData:
    """Frames of one training.

    Attributes
    ----------
    frames: with reference values of every target of the objective.
    train, valid: places of the frames of each set within ``frames``.
    seed: of the order of the frames, epoch by epoch.
    device: of the batches.
    frame_numbers: (n_frames,) numbers of the frames in the bead file, for messages; default: their places.
    """

    frames: PairFrames
    train: np.ndarray
    valid: np.ndarray
    seed: int
    device: torch.device | str = "cpu"
    frame_numbers: np.ndarray | None = None

    def order(self, epoch: int) -> np.ndarray:
        """Training frames in the order of an epoch, counted from 0."""
        return np.random.default_rng(derive(self.seed, "epoch", epoch)).permutation(self.train)

    def batches(self, order: np.ndarray, size: int) -> Iterator[Batch]:
        """Batches of frames in an order."""
        return self.frames.batches(order, size, self.device)

    def valid_targets(self, name: str) -> np.ndarray:
        """Reference values of a target for the validation frames."""
        values: np.ndarray = self.frames.targets[name][self.valid].numpy()
        return values

    def numbers(self, places: np.ndarray) -> list[int]:
        """Numbers in the bead file of frames at some places."""
        chosen = places if self.frame_numbers is None else np.asarray(self.frame_numbers)[places]
        return [int(number) for number in chosen]


class Trainer(Generic[Model]):
    """Training of one model; `training_loop.train` runs it, alone or together with others.

    Parameters
    ----------
    model:
        With its initial weights.
    data:
        Frames, their sets and their order.
    objective:
        Loss and criterion.
    spec:
        Optimiser, schedule and stopping.
    name:
        In messages.
    policy:
        Limits beyond which the training has failed, and what is done then.
    checkpoint:
        File to resume from and to write after each epoch; None for neither.
    excluded:
        Why this model is not to be trained at all; empty otherwise.

    Attributes
    ----------
    epoch: number of finished epochs.
    best_epoch, best_loss: epoch (from 1) of the lowest criterion on the validation frames, and its value.
    history: a row per finished epoch of the current attempt.
    """

    def __init__(
        self,
        model: Model,
        data: TrainingData,
        objective: Objective,
        spec: TrainingSpec,
        name: str = "model",
        policy: FailurePolicy | None = None,
        checkpoint: Checkpoint | None = None,
        excluded: str = "",
    ) -> None:
        targets = objective.targets
        missing = [target for target in targets if target not in data.frames.targets]
        if missing or not targets:
            raise InputError("config", "loss weights", f"targets {missing or 'none'}", "a target for each weight")
        self.model, self.data, self.objective, self.spec = model.to(data.device), data, objective, spec
        self.name, self.policy, self.checkpoint = name, policy or FailurePolicy(), checkpoint
        self.monitor = FailureMonitor(self.policy)
        self._excluded = excluded
        self._initial_weights = model.weights()
        self._begin()

    def _begin(self) -> None:
        """Reset to the initial weights; after failures, with a lower learning rate."""
        self.attempt = len(self.failures)
        self.model.load_weights(self._initial_weights, "initial weights")
        self.schedule = PlateauSchedule(self.spec, self.initial_learning_rate)
        self.optimiser = Adam(self.model.parameters(), self.schedule.learning_rate)
        self.epoch = 0
        self.best_loss = float("inf")
        self.best_epoch = 0
        self.best_weights = self._initial_weights
        self.history: list[dict[str, float]] = []
        self._order = self.data.train

    @property
    def failures(self) -> list[Failure]:
        """Failures of all attempts so far."""
        return self.monitor.failures

    @property
    def initial_learning_rate(self) -> float:
        """Learning rate at the start of the current attempt."""
        return self.spec.learning_rate * self.policy.retry_factor**self.attempt

    @property
    def has_failed(self) -> bool:
        """Whether it has failed more often than it may be retried."""
        return self.monitor.has_failed

    @property
    def excluded(self) -> str:
        """Why the model is not to be used; empty for a sound one."""
        return self.failures[-1].text if self.has_failed else self._excluded

    @property
    def finished(self) -> bool:
        """Whether no epoch is left, the last better validation loss is too long ago, or the model is excluded."""
        ended = self.epoch >= self.spec.max_epochs or self.epoch - self.best_epoch >= self.spec.stop_epochs
        return ended or bool(self.excluded)

    @property
    def best_r2(self) -> float:
        """R² of the forces against F on the validation frames in the best epoch; NaN where not known."""
        return self.history[self.best_epoch - 1].get("valid_r2_F", np.nan) if self.best_epoch else np.nan

    def prior_r2(self) -> float:
        """R² of the forces of the prior alone against F on the validation frames."""
        prior = self.data.frames.prior_forces
        if prior is None:
            return self._force_r2(np.zeros(self.data.valid_targets(ALL_ATOM_FORCES).shape))
        return self._force_r2(prior[self.data.valid].numpy())

    def _force_r2(self, forces_kcal_mol_A: np.ndarray) -> float:
        """R² of forces on the validation frames against F."""
        labels = self.data.valid_targets(ALL_ATOM_FORCES).astype(np.float64)
        return float(error_measures(labels, forces_kcal_mol_A)["r2"])

    def batches(self) -> Iterator[Batch]:
        """Batches of the coming epoch, in its own order."""
        self._order = self.data.order(self.epoch)
        return self.data.batches(self._order, self.schedule.batch_size)

    def fails_in(self, steps: np.ndarray) -> bool:
        """Whether the current epoch has failed by its steps (`FailureMonitor.check_steps`); the failure is handled."""
        return self._handle(self.monitor.check_steps(steps), self.epoch + 1)

    def end_epoch(
        self, terms: Mapping[str, float], steps: np.ndarray, output: ModelOutput[np.ndarray], start_s: float
    ) -> None:
        """Add the epoch to the history, act on its losses, write the checkpoint.

        Parameters
        ----------
        terms: mean over the training frames of each term of the criterion.
        steps: as in `fails_in`.
        output: of the model for the validation frames.
        start_s: when the epoch began, by `time.perf_counter`.
        """
        targets = {name: self.data.valid_targets(name) for name in self.objective.criterion.active}
        losses = {
            "train_loss": sum(terms.values()),
            "valid_loss": self.objective.criterion.value(output, targets),
        }
        if self._handle(self.monitor.check_losses(losses, self.history, steps[:, 0]), self.epoch + 1):
            return
        self.epoch += 1
        row = {
            "epoch": self.epoch,
            "learning_rate": self.schedule.learning_rate,
            "batch_size": self.schedule.batch_size,
            **losses,
            **{f"train_{name}": value for name, value in terms.items()},
        }
        if ALL_ATOM_FORCES in self.data.frames.targets:
            row["valid_r2_F"] = self._force_r2(output.forces_kcal_mol_A)
        self._check_epoch(row["valid_loss"])
        row["best"] = float(self.best_epoch == self.epoch)
        row["seconds"] = time.perf_counter() - start_s
        self.history.append(row)
        if self.finished and self._is_untrained():
            return
        self._save()

    def _check_epoch(self, valid_loss: float) -> None:
        """Keep the weights of the best epoch; let the schedule act on a plateau."""
        improved = valid_loss < self.best_loss
        if improved:
            self.best_loss, self.best_epoch = valid_loss, self.epoch
            self.best_weights = self.model.weights()
        self.schedule.end_epoch(improved)
        self.optimiser.learning_rate = self.schedule.learning_rate

    def _is_untrained(self) -> bool:
        """Whether the finished model is no better than the prior alone; the failure is handled."""
        if self.policy.min_r2_gain is None:
            return False
        return self._handle(self.monitor.check_gain(self.best_r2, self.prior_r2()), self.epoch)

    def _handle(self, finding: Finding | None, epoch: int) -> bool:
        """Record a failure, if there is one, and start again with a lower learning rate if a retry is left."""
        if finding is None:
            return False
        text, frames = f"{finding.text} in epoch {epoch}", []
        number = None
        if finding.batch is not None:
            size, number = self.schedule.batch_size, finding.batch + 1
            frames = self.data.numbers(self._order[finding.batch * size : number * size])
            named = ", ".join(map(str, frames[:_NAMED_FRAMES])) + (", ..." if len(frames) > _NAMED_FRAMES else "")
            worst = "largest in batch" if finding.reason == FailureReason.DIVERGED else "batch"
            text += f", {worst} {number} of {-(-len(self._order) // size)} (frames {named})"
        rate = self.schedule.learning_rate
        self.failures.append(Failure(finding.reason, text, epoch, number, tuple(frames), rate))
        n_failures, retries = len(self.failures), self.policy.retries
        if self.has_failed:
            log.error("%s: %s; failed after %d retries", self.name, text, n_failures - 1)
        else:
            self._begin()
            rate = self.schedule.learning_rate
            log.warning("%s: %s; retry %d of %d, learning rate %g", self.name, text, n_failures, retries, rate)
        self._save()
        return True

    def load_best(self) -> None:
        """Give the model the weights of the best epoch."""
        self.model.load_weights({k: v.to(self.data.device) for k, v in self.best_weights.items()}, "best epoch")
        if self.excluded:
            if self._excluded or self.policy.then != STOP:
                log.warning("%s: excluded: %s", self.name, self.excluded)
            return
        log.info("%s: best epoch %d of %d, loss %.5f", self.name, self.best_epoch, self.epoch, self.best_loss)

    def _state(self) -> dict[str, Any]:
        """Contents of a checkpoint."""
        return {
            "weights": self.model.weights(),
            "best_weights": self.best_weights,
            "optimiser": self.optimiser.state(),
            "schedule": self.schedule.state(),
            "numbers": {"epoch": self.epoch, "best_epoch": self.best_epoch, "best_loss": self.best_loss},
            "history": self.history,
            "failures": [failure.as_dict() for failure in self.failures],
            "attempt": self.attempt,
        }

    def _save(self) -> None:
        if self.checkpoint is not None:
            self.checkpoint.save(self._state())

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one of this training."""
        state = self.checkpoint.load(self.name) if self.checkpoint is not None else None
        if state is None:
            return
        self.monitor.failures = [Failure.from_dict(values) for values in state["failures"]]
        self._begin()
        if state["attempt"] < len(self.failures) and not self.has_failed:
            log.info("%s: failed before; beginning attempt %d", self.name, self.attempt + 1)
            return
        self.attempt = state["attempt"]
        if not self.has_failed:  # whose weights may not be finite
            self.model.load_weights(state["weights"], "weights of the checkpoint")
            self.optimiser.load_state(state["optimiser"])
        self.schedule.load_state(state["schedule"])
        numbers = state["numbers"]
        self.epoch, self.best_epoch, self.best_loss = numbers["epoch"], numbers["best_epoch"], numbers["best_loss"]
        self.best_weights, self.history = state["best_weights"], state["history"]
        log.info("%s: continuing after epoch %d from its checkpoint", self.name, self.epoch)


def history_of(trainer: Trainer[Any]) -> pd.DataFrame:
    """The history as a table, its columns in order; without rows for a model that was not trained."""
    if not trainer.history:
        return pd.DataFrame(columns=HISTORY_COLUMNS)
    table = pd.DataFrame(trainer.history)
    return table[[name for name in HISTORY_COLUMNS if name in table] + [n for n in table if n not in HISTORY_COLUMNS]]


#: Called with each new row of a history.
OnEpoch = Callable[[dict[str, float]], None]
