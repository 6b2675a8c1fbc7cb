"""Detection of trainings that fail, by the limits of a `FailurePolicy`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .failure_policy import Failure, FailurePolicy, FailureReason


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    reason, text: as of `Failure`, the text without the place.
    batch: in the order of the epoch, from 0; None where it is not that of a batch.
    """

    reason: FailureReason
    text: str
    batch: int | None = None


class FailureMonitor:
    """Checks of one training, and its failures so far.

    Parameters
    ----------
    policy: limits, and number of retries.

    Attributes
    ----------
    failures: of all attempts, in order.
    """

    def __init__(self, policy: FailurePolicy) -> None:
        self.policy = policy
        self.failures: list[Failure] = []

    @property
    def has_failed(self) -> bool:
        """Whether there are more failures than retries."""
        return len(self.failures) > self.policy.retries

    def check_steps(self, steps: np.ndarray) -> Finding | None:
        """What is wrong with the steps of an epoch: a value that is not finite.

        Parameters
        ----------
        steps: (n_steps, 2) criterion on the batch, and norm of the gradient of the loss.
        """
        finite = np.isfinite(steps)
        if finite.all():
            return None
        batch = int((~finite.all(axis=1)).argmax())
        name, value = ("loss", steps[batch, 0]) if not finite[batch, 0] else ("gradient", steps[batch, 1])
        return Finding(FailureReason.NOT_FINITE, f"{name} is {value}", batch)

    def check_losses(
        self, losses: Mapping[str, float], history: Sequence[Mapping[str, float]], step_losses: np.ndarray
    ) -> Finding | None:
        """What is wrong with the losses of an epoch: one is not finite, or far above its lowest value before.

        Parameters
        ----------
        losses: ``train_loss`` and ``valid_loss`` of the epoch.
        history: rows of the epochs before.
        step_losses: (n_steps,) of its steps.
        """
        for name, loss in losses.items():
            what = "validation loss" if name == "valid_loss" else "loss"
            # During the first epoch the loss may leap before it falls; after it, the validation loss must not be much
            # higher than that of the first step.
            first = float(step_losses[0]) if name == "valid_loss" else np.inf
            lowest = min((row[name] for row in history), default=first)
            if not np.isfinite(loss):
                return Finding(FailureReason.NOT_FINITE, f"{what} is {loss}")
            if loss > self.policy.max_loss_ratio * lowest:
                text = f"{what} is {loss:.4g}, {loss / lowest:.3g} times its lowest"
                return Finding(FailureReason.DIVERGED, text, int(step_losses.argmax()))
        return None

    def check_gain(self, r2: float, prior_r2: float) -> Finding | None:
        """What is wrong with a finished model: its R² of the forces is hardly above that of the prior alone."""
        least = self.policy.min_r2_gain
        if least is None or r2 - prior_r2 >= least:
            return None
        text = (
            f"R2 of the forces on the validation frames is {r2:.3f}, {r2 - prior_r2:.3g} above that of the prior "
            f"alone, the least is {least:g},"
        )
        return Finding(FailureReason.UNTRAINED, text)


class StepRecord:
    """Criterion and norm of the gradient of every model in every step of an epoch.

    On a CPU the values are checked at once. On a GPU that would mean waiting for it in every step; there they are
    checked after the epoch.
    """

    def __init__(self, n_models: int, device: torch.device) -> None:
        self._check_at_once, self._n_models = device.type == "cpu", n_models
        self._rows: list[tuple[list[int], torch.Tensor]] = []
        self._failed: set[int] = set()

    def add(self, numbers: list[int], losses: torch.Tensor, gradient_norms: Sequence[torch.Tensor]) -> None:
        """Store a step of the models of these numbers."""
        values = torch.stack([losses, torch.stack(list(gradient_norms)).to(losses.dtype)], dim=1)
        self._rows.append((numbers, values))
        if self._check_at_once:
            finite = torch.isfinite(values).all(dim=1).tolist()
            self._failed |= {number for number, is_finite in zip(numbers, finite, strict=True) if not is_finite}

    @property
    def all_failed(self) -> bool:
        """Whether all models are known to have failed, so that the epoch need not be finished."""
        return len(self._failed) == self._n_models

    def steps(self) -> list[np.ndarray]:
        """By model, (n_steps, 2): criterion, norm of the gradient."""
        found: list[list[np.ndarray]] = [[] for _ in range(self._n_models)]
        for numbers, values in self._rows:
            for number, row in zip(numbers, values.cpu().numpy(), strict=True):
                found[number].append(row)
        return [np.array(rows, dtype=np.float64).reshape(-1, 2) for rows in found]
