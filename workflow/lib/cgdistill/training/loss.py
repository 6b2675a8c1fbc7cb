"""Loss that is minimised, and the fixed criterion by which epochs are compared.

Both are sums over targets of weighted errors (Olowookere et al., arXiv 2510.26650, eq. 3-5), with
err(y', y) = RMSE + MAE::

    L = w_F err(F', F) + w_f err(f', f) + w_E err(E', E) / n_beads + w_epsilon err(epsilon', epsilon)

F: mapped all-atom forces; f, E, epsilon: forces, system energy and per-bead energies of the teacher. A teacher has w_F
alone. Energies are the network's, without the prior, which teacher and student share; forces include it.

The weights of the loss may change with the epoch. Values of such a loss cannot be compared between epochs, so the best
epoch, the schedule, early stopping and the detection of divergence use the criterion, whose weights never change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from ..config.targets import TARGETS, active_weights
from ..forcefield.trainable import ModelOutput
from .targets import COMPUTATIONS


def rmse_plus_mae(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """err(y', y) = RMSE + MAE (eq. 3) of each model: (n_models,) from (n_models, ...)."""
    residual = (prediction - target).flatten(1)
    # The norm's gradient at zero is zero; that of a square root would be infinite, and the batch's energy alone
    # (one number for one frame) does hit its target exactly now and then.
    rmse: torch.Tensor = torch.linalg.vector_norm(residual, dim=1) / residual.shape[1] ** 0.5
    return rmse + residual.abs().mean(dim=1)


def target_errors(
    outputs: Sequence[ModelOutput[torch.Tensor]], targets: Sequence[Mapping[str, torch.Tensor]], names: Sequence[str]
) -> dict[str, torch.Tensor]:
    """RMSE + MAE by target, each (n_models,).

    Parameters
    ----------
    outputs, targets: of each model for its own batch; reference values by name.
    names: of the targets.
    """
    models = range(len(outputs))
    # Batches of one size are one tensor: several models then cost as many operations as one.
    one_size = len({len(output.epsilon_kcal_mol) for output in outputs}) == 1
    groups = [models] if one_size else [range(number, number + 1) for number in models]
    errors = {}
    for name in names:
        of_model = COMPUTATIONS[name].of_model
        parts = [
            rmse_plus_mae(
                torch.stack([of_model(outputs[number]) for number in group]),
                torch.stack([targets[number][name] for number in group]),
            )
            for group in groups
        ]
        errors[name] = torch.cat(parts)
    return errors


def _term(name: str, error: Any, weight: Any, n_beads: int) -> Any:
    """Weighted error of a target; that of a sum over beads is divided by their number."""
    return weight * error / (1 if TARGETS[name].per_bead else n_beads)


class WeightSchedule(Protocol):
    """Weights of the targets by epoch."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets whose weight is above 0 in some epoch."""

    def weights_at(self, epoch: int) -> Mapping[str, float]:
        """Weights above 0 by target in an epoch, counted from 1."""


@dataclass(frozen=True)
class ConstantWeights:
    """The same weights in all epochs."""

    weights: Mapping[str, float]

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets whose weight is above 0."""
        return tuple(active_weights(self.weights))

    def weights_at(self, epoch: int) -> Mapping[str, float]:
        """The weights above 0, whatever the epoch."""
        return active_weights(self.weights)


@dataclass(frozen=True)
class Loss:
    """Weighted sum of errors that is minimised.

    Attributes
    ----------
    schedule: its weights by epoch.
    """

    schedule: WeightSchedule

    def terms(self, errors: Mapping[str, torch.Tensor], epochs: Sequence[int], n_beads: int) -> dict[str, torch.Tensor]:
        """Weighted errors by target, each (n_models,), of the targets that count for any model.

        Parameters
        ----------
        errors: of `target_errors`.
        epochs: of each model, counted from 1; models in lockstep may be in different ones.

        Raises
        ------
        ValueError
            An epoch without a weight above 0.
        """
        weights = [self.schedule.weights_at(epoch) for epoch in epochs]
        if not all(weights):
            raise ValueError(f"no weight above 0 in one of the epochs {sorted(set(epochs))}")
        terms = {}
        for name, error in errors.items():
            values = [model_weights.get(name, 0.0) for model_weights in weights]
            if any(values):
                weight = values[0] if len(set(values)) == 1 else torch.tensor(values).to(error)
                terms[name] = _term(name, error, weight, n_beads)
        return terms


@dataclass(frozen=True)
class Criterion:
    """Weighted sum of errors that epochs are compared by.

    Attributes
    ----------
    weights: by target, the same in all epochs; a target of weight 0 does not count.
    """

    weights: Mapping[str, float]

    @property
    def active(self) -> dict[str, float]:
        """Weights above 0 by target."""
        return active_weights(self.weights)

    def terms(self, errors: Mapping[str, torch.Tensor], n_beads: int) -> dict[str, torch.Tensor]:
        """Weighted errors by target, each (n_models,), from those of `target_errors`."""
        return {name: _term(name, errors[name], weight, n_beads) for name, weight in self.active.items()}

    def value(self, output: ModelOutput[np.ndarray], targets: Mapping[str, np.ndarray]) -> float:
        """The criterion over a whole set of frames (not a mean over batches: RMSE is not additive).

        Parameters
        ----------
        output: of the model for these frames.
        targets: their reference values by target.
        """
        n_beads, total = output.epsilon_kcal_mol.shape[1], 0.0
        for name, weight in self.active.items():
            residual = (COMPUTATIONS[name].of_model(output) - targets[name]).astype(np.float64)
            error = float(np.sqrt((residual**2).mean()) + np.abs(residual).mean())
            total += _term(name, error, weight, n_beads)
        return total


@dataclass(frozen=True)
class Objective:
    """What a training minimises, and what it is judged by."""

    loss: Loss
    criterion: Criterion

    @classmethod
    def constant(cls, weights: Mapping[str, float]) -> Objective:
        """Loss and criterion of the same weights, which do not change."""
        return cls(Loss(ConstantWeights(weights)), Criterion(weights))

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets that enter the loss or the criterion, in the order of the register."""
        return tuple(name for name in TARGETS if name in self.loss.schedule.targets or name in self.criterion.active)

    def evaluate(
        self,
        outputs: Sequence[ModelOutput[torch.Tensor]],
        targets: Sequence[Mapping[str, torch.Tensor]],
        epochs: Sequence[int],
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss of each model, (n_models,), and the terms of the criterion by target, without gradients.

        Parameters
        ----------
        outputs, targets, epochs: of each model (`target_errors`, `Loss.terms`).
        """
        n_beads = outputs[0].epsilon_kcal_mol.shape[1]
        errors = target_errors(outputs, targets, self.targets)
        terms = self.loss.terms(errors, epochs, n_beads)
        loss = torch.stack(list(terms.values())).sum(dim=0)
        if all(self.loss.schedule.weights_at(epoch) == self.criterion.active for epoch in epochs):
            return loss, {name: term.detach() for name, term in terms.items()}
        return loss, self.criterion.terms({name: error.detach() for name, error in errors.items()}, n_beads)
