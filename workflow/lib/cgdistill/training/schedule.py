"""Settings of a training by epochs, and the schedule of its learning rate or batch size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSpec:
    """Optimiser, schedule and stopping.

    Attributes
    ----------
    learning_rate: of Adam at the start.
    batch_size: frames per step at the start.
    evaluation_batch_size: frames per step of the validation.
    max_epochs: upper limit.
    schedule: ``learning-rate`` (multiplied by ``factor`` on a plateau) or ``batch-size`` (divided by it).
    factor: below 1.
    patience_epochs: epochs without a better validation loss before the schedule acts.
    min_learning_rate, max_batch_size: where the schedule ends.
    stop_epochs: epochs without a better validation loss before training stops.
    """

    learning_rate: float
    batch_size: int
    evaluation_batch_size: int
    max_epochs: int
    schedule: str
    factor: float
    patience_epochs: int
    min_learning_rate: float
    max_batch_size: int
    stop_epochs: int


class PlateauSchedule:
    """Learning rate and batch size, one of which changes when the validation loss no longer falls.

    Attributes
    ----------
    learning_rate, batch_size: of the coming epoch.
    """

    def __init__(self, spec: TrainingSpec, learning_rate: float) -> None:
        self.learning_rate, self.batch_size = learning_rate, spec.batch_size
        self._spec, self._epochs_on_plateau = spec, 0

    def end_epoch(self, improved: bool) -> None:
        """Count an epoch; on a plateau of ``patience_epochs``, lower the learning rate or enlarge the batches."""
        self._epochs_on_plateau = 0 if improved else self._epochs_on_plateau + 1
        if improved or self._epochs_on_plateau < self._spec.patience_epochs:
            return
        self._epochs_on_plateau = 0
        if self._spec.schedule == "learning-rate":
            self.learning_rate = max(self.learning_rate * self._spec.factor, self._spec.min_learning_rate)
        else:
            self.batch_size = min(round(self.batch_size / self._spec.factor), self._spec.max_batch_size)

    def state(self) -> dict[str, float]:
        """For `load_state`."""
        return {
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
            "epochs_on_plateau": self._epochs_on_plateau,
        }

    def load_state(self, state: Mapping[str, float]) -> None:
        """Continue from a state."""
        self.learning_rate, self.batch_size = state["learning_rate"], int(state["batch_size"])
        self._epochs_on_plateau = int(state["epochs_on_plateau"])
