"""Training of teachers and students: one loop for one or several models, one loss, checkpoints that resume exactly.

Loss (Olowookere et al., arXiv 2510.26650, eq. 3-5), with err(y', y) = RMSE + MAE::

    L = w_F err(F', F) + w_f err(f', f) + w_E err(E', E) / n_beads + w_epsilon err(epsilon', epsilon)

F: mapped all-atom forces; f, E, epsilon: forces, system energy and per-bead energies of the teacher.
A teacher has w_F alone. Energies are the network's, without the prior, which teacher and student
share; forces include it.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..console import Progress, log
from ..errors import InputError
from ..evaluation.fused import stacked_energies_and_forces, use_fused
from ..provenance import whole_file
from ..seeds import derive
from ..signals import Interrupted, StopRequest
from .adam import Adam
from .frames import Batch, PairFrames
from .network import BeadModel

CHECKPOINT_FORMAT = "cgdistill-checkpoint-2"


@dataclass(frozen=True)
class LossWeights:
    """Weights of the four targets; a target of weight 0 does not enter the loss."""

    F: float = 0.0
    f: float = 0.0
    E: float = 0.0
    epsilon: float = 0.0

    def active(self) -> dict[str, float]:
        """The targets that count, with their weights."""
        return {name: weight for name, weight in asdict(self).items() if weight > 0}


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


def error_sum(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """err(y', y) = RMSE + MAE (eq. 3) of each model: (n_models,) from (n_models, ...)."""
    residual = (prediction - target).flatten(1)
    # The norm's gradient at zero is zero; that of a square root would be infinite, and the batch's energy alone
    # (one number for one frame) does hit its target exactly now and then.
    rmse: torch.Tensor = torch.linalg.vector_norm(residual, dim=1) / residual.shape[1] ** 0.5
    return rmse + residual.abs().mean(dim=1)


def _energies_and_forces(
    models: Sequence[BeadModel], batches: Sequence[Batch], differentiable: bool
) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Energies of network and prior and forces (`BeadModel.energies_and_forces`) of each model on its own batch."""
    if use_fused("auto", models[0].spec, batches[0].vectors_A.device):
        return stacked_energies_and_forces(models, batches, differentiable)
    return [
        model.energies_and_forces(batch.species, batch.first, batch.second, batch.vectors_A, differentiable)
        for model, batch in zip(models, batches, strict=True)
    ]


def predict_batches(
    models: Sequence[BeadModel], batches: Sequence[Batch], differentiable: bool = False
) -> list[dict[str, torch.Tensor]]:
    """Predictions by target name of each model on its own batch (``F`` and ``f`` are the same forces)."""
    return [
        {"F": forces, "f": forces, "E": epsilon.sum(dim=1), "epsilon": epsilon}
        for epsilon, _, forces in _energies_and_forces(models, batches, differentiable)
    ]


def loss_terms(
    predictions: Sequence[Mapping[str, torch.Tensor]],
    targets: Sequence[Mapping[str, torch.Tensor]],
    weights: LossWeights,
) -> dict[str, torch.Tensor]:
    """Weighted terms of the loss by target name (module docstring), each (n_models,)."""
    n_beads = predictions[0]["epsilon"].shape[1]
    everyone = range(len(predictions))
    # Batches of one size are one tensor: several models then cost as many operations as one.
    one_size = len({len(values["epsilon"]) for values in predictions}) == 1
    groups = [everyone] if one_size else [range(number, number + 1) for number in everyone]
    terms = {}
    for name, weight in weights.active().items():
        errors = [
            error_sum(*(torch.stack([values[number][name] for number in group]) for values in (predictions, targets)))
            for group in groups
        ]
        terms[name] = weight * torch.cat(errors) / (n_beads if name == "E" else 1)
    return terms


def predict_each(
    models: Sequence[BeadModel], frames: PairFrames, indices: np.ndarray, batch_size: int, device: torch.device | str
) -> list[dict[str, np.ndarray]]:
    """Predictions of each model for the same frames.

    ``forces`` (n, n_beads, 3) kcal/mol/A and ``epsilon`` (n, n_beads) kcal/mol, float32.
    """
    found: list[dict[str, list[np.ndarray]]] = [{"forces": [], "epsilon": []} for _ in models]
    for batch in frames.batches(indices, batch_size, device):
        for own, values in zip(found, predict_batches(models, [batch] * len(models)), strict=True):
            own["forces"].append(values["F"].detach().cpu().numpy())
            own["epsilon"].append(values["epsilon"].detach().cpu().numpy())
    return [{name: np.concatenate(values) for name, values in own.items()} for own in found]


def predict(
    model: BeadModel, frames: PairFrames, indices: np.ndarray, batch_size: int, device: torch.device | str
) -> dict[str, np.ndarray]:
    """Predictions of one model for frames, as those of `predict_each`."""
    return predict_each([model], frames, indices, batch_size, device)[0]


def _loss_over(predictions: Mapping[str, np.ndarray], targets: Mapping[str, np.ndarray], w: LossWeights) -> float:
    """The loss over a whole set of frames (not a mean over batches: RMSE is not additive)."""
    epsilon = predictions["epsilon"]
    own = {"F": predictions["forces"], "f": predictions["forces"], "E": epsilon.sum(axis=1), "epsilon": epsilon}
    total = 0.0
    for name, weight in w.active().items():
        residual = (own[name] - targets[name]).astype(np.float64)
        error = float(np.sqrt((residual**2).mean()) + np.abs(residual).mean())
        total += weight * error / (epsilon.shape[1] if name == "E" else 1)
    return total


def state_key(*parts: Any) -> str:
    """Short key of what determines a training; a checkpoint of another key is not used."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


class Trainer:
    """Training of one model on fixed frames; `train` lets it run, alone or beside others.

    Parameters
    ----------
    model:
        With its initial weights.
    frames:
        With a target for every active weight.
    train, valid:
        Numbers of the frames of each set within ``frames``.
    seed:
        Of the order of the frames, epoch by epoch.
    checkpoint:
        File to continue from and to write after each epoch; None for neither.
    key:
        Of what determines this training (`state_key`).
    name:
        In messages.
    """

    def __init__(
        self,
        model: BeadModel,
        frames: PairFrames,
        train: np.ndarray,
        valid: np.ndarray,
        weights: LossWeights,
        spec: TrainingSpec,
        seed: int,
        device: torch.device | str = "cpu",
        checkpoint: str | Path | None = None,
        key: str = "",
        name: str = "model",
    ) -> None:
        missing = [name for name in weights.active() if name not in frames.targets]
        if missing or not weights.active():
            raise InputError("config", "loss weights", f"targets {missing or 'none'}", "a target for each weight")
        self.model, self.frames, self.train_set, self.valid_set = model.to(device), frames, train, valid
        self.weights, self.spec, self.seed, self.device, self.key = weights, spec, seed, device, key
        self.checkpoint, self.name = Path(checkpoint) if checkpoint else None, name
        self.optimiser = Adam(model.parameters(), spec.learning_rate)
        self.epoch = 0
        self.batch_size = spec.batch_size
        self.best_loss = float("inf")
        self.best_epoch = 0
        self.since_change = 0
        self.best_weights = model.weights()
        self.history: list[dict[str, float]] = []

    @property
    def finished(self) -> bool:
        """Whether the last epoch is over, or the last better validation loss too long ago."""
        return self.epoch >= self.spec.max_epochs or self.epoch - self.best_epoch >= self.spec.stop_epochs

    def run(self, on_epoch: Callable[[dict[str, float]], None] | None = None) -> pd.DataFrame:
        """Train this model by itself (`train`)."""
        return train([self], on_epoch=on_epoch)[0]

    def batches(self) -> Iterator[Batch]:
        """Batches of the coming epoch, in its own order."""
        order = np.random.default_rng(derive(self.seed, "epoch", self.epoch)).permutation(self.train_set)
        return self.frames.batches(order, self.batch_size, self.device)

    def end_epoch(self, terms: Mapping[str, float], predictions: Mapping[str, np.ndarray], start_s: float) -> None:
        """Take down an epoch, act on its validation loss, write the checkpoint.

        Parameters
        ----------
        terms: mean over the training frames of each weighted term of the loss.
        predictions: for the validation frames (`predict`).
        start_s: when the epoch began, by `time.perf_counter`.

        Raises
        ------
        FloatingPointError
            The loss is not finite.
        """
        self.epoch += 1
        train_loss = sum(terms.values())
        if not math.isfinite(train_loss):
            raise FloatingPointError(f"{self.name}: loss is {train_loss} in epoch {self.epoch}")
        row = {
            "epoch": self.epoch,
            "learning_rate": self.optimiser.learning_rate,
            "batch_size": self.batch_size,
            "train_loss": train_loss,
            "valid_loss": self._valid_loss(predictions),
            **{f"train_{name}": value for name, value in terms.items()},
        }
        self._judge(row["valid_loss"])
        row["best"] = float(self.best_epoch == self.epoch)
        row["seconds"] = time.perf_counter() - start_s
        self.history.append(row)
        self._save()

    def load_best(self) -> None:
        """Give the model the weights of the best epoch."""
        self.model.load_weights({k: v.to(self.device) for k, v in self.best_weights.items()}, "best epoch")
        log.info("%s: best epoch %d of %d, loss %.5f", self.name, self.best_epoch, self.epoch, self.best_loss)

    def _valid_loss(self, predictions: Mapping[str, np.ndarray]) -> float:
        targets = {name: self.frames.targets[name][self.valid_set].numpy() for name in self.weights.active()}
        return _loss_over(predictions, targets, self.weights)

    def _judge(self, valid_loss: float) -> None:
        """Keep the best weights; act on a plateau."""
        if valid_loss < self.best_loss:
            self.best_loss, self.best_epoch, self.since_change = valid_loss, self.epoch, 0
            self.best_weights = self.model.weights()
            return
        self.since_change += 1
        if self.since_change < self.spec.patience_epochs:
            return
        self.since_change = 0
        if self.spec.schedule == "learning-rate":
            lower = self.optimiser.learning_rate * self.spec.factor
            self.optimiser.learning_rate = max(lower, self.spec.min_learning_rate)
        else:
            self.batch_size = min(round(self.batch_size / self.spec.factor), self.spec.max_batch_size)

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        state = {
            "format": CHECKPOINT_FORMAT,
            "key": self.key,
            "weights": self.model.weights(),
            "best_weights": self.best_weights,
            "optimiser": self.optimiser.state(),
            "numbers": [self.epoch, self.batch_size, self.best_loss, self.best_epoch, self.since_change],
            "history": self.history,
        }
        with whole_file(self.checkpoint) as partial:
            torch.save(state, partial)

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one of this training."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        try:
            state = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
        except Exception as error:  # torch raises many kinds for a damaged file
            log.warning("%s: cannot be read (%s), starting anew", self.checkpoint, error)
            return
        if not isinstance(state, dict) or state.get("format") != CHECKPOINT_FORMAT or state.get("key") != self.key:
            log.info("%s: of another training, starting anew", self.checkpoint)
            return
        self.model.load_weights(state["weights"], self.checkpoint)
        self.optimiser.load_state(state["optimiser"])
        self.epoch, self.batch_size, self.best_loss, self.best_epoch, self.since_change = state["numbers"]
        self.best_weights, self.history = state["best_weights"], state["history"]
        log.info("%s: continuing after epoch %d from %s", self.name, self.epoch, self.checkpoint)


def train(
    trainers: Sequence[Trainer],
    lockstep: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> list[pd.DataFrame]:
    """Train models to their ends, from their checkpoints if there are any, and load their best weights.

    One after another, each model by itself: what a CPU is best at, and bit for bit what each would give alone.
    In lockstep, every model that still trains takes a step on a batch of its own, and one evaluation computes all:
    what fills a GPU, equal to training alone up to rounding. A model whose epoch has fewer batches waits for the
    others at its end; a finished one drops out.

    Parameters
    ----------
    trainers:
        In lockstep with one device, one architecture, the same loss weights, pairs and sets; their targets, seeds
        and schedules are their own.
    on_epoch:
        Called with each new row of a history.

    Returns
    -------
    One history per trainer, with columns ``epoch, learning_rate, batch_size, train_loss, valid_loss, best, seconds``
    (in lockstep the seconds are those of all models together) and one ``train_<target>`` per active target (its
    weighted term).

    Raises
    ------
    Interrupted
        A signal to stop came (`signals`): behind the current step, at the latest behind a validation. The checkpoints
        hold the last finished epoch of each model. The epoch that was cut is trained anew, in the same order, so
        that the result is that of a training without interruption.
    FloatingPointError
        The loss of the named model is not finite; the checkpoints of the others stay.
    ValueError
        Models that cannot go in lockstep.
    """
    groups = [list(trainers)] if lockstep else [[trainer] for trainer in trainers]
    with StopRequest() as stop:
        for group in groups:
            _check_group(group)
            _train_group(group, stop, on_epoch)
    return [pd.DataFrame(trainer.history) for trainer in trainers]


def _check_group(group: Sequence[Trainer]) -> None:
    """One evaluation serves the whole group only where all of this is shared."""
    shared = [(id(t.frames.vectors_A), id(t.valid_set), t.device, t.weights, t.model.spec) for t in group]
    if len(set(shared)) > 1:
        raise ValueError("models in lockstep share pairs, validation set, device, loss weights and architecture")


def _train_group(
    group: Sequence[Trainer], stop: StopRequest, on_epoch: Callable[[dict[str, float]], None] | None
) -> None:
    for trainer in group:
        trainer.resume()
    label = group[0].name if len(group) == 1 else f"{len(group)} models"
    bar = Progress(sum(trainer.spec.max_epochs for trainer in group), f"training {label}", "epochs")
    bar.update(sum(trainer.epoch for trainer in group))
    while running := [trainer for trainer in group if not trainer.finished]:
        _one_epoch(running, stop)
        rows = [trainer.history[-1] for trainer in running]
        means = [float(np.mean([row[name] for row in rows])) for name in ("train_loss", "valid_loss")]
        bar.update(len(running), f"loss {means[0]:.4f}, validation {means[1]:.4f}")
        if on_epoch is not None:
            for row in rows:
                on_epoch(row)
        if stop:
            raise _interruption(stop, f"after epoch {running[0].epoch}")
    bar.close()
    for trainer in group:
        trainer.load_best()


def _interruption(stop: StopRequest, where: str) -> Interrupted:
    error = stop.interruption(f"{where}: rerun to continue")
    log.error("training: %s", error)
    return error


def _one_epoch(trainers: Sequence[Trainer], stop: StopRequest) -> None:
    """One epoch of every model, step by step together."""
    start_s, first = time.perf_counter(), trainers[0]
    sums = {
        name: torch.zeros(len(trainers), dtype=torch.float64, device=first.device) for name in first.weights.active()
    }
    for trainer in trainers:
        trainer.model.train()
    for step in zip_longest(*(trainer.batches() for trainer in trainers)):
        if stop:
            raise _interruption(stop, f"in epoch {first.epoch + 1}")
        numbers = [number for number, batch in enumerate(step) if batch is not None]
        batches, at_work = [step[number] for number in numbers], [trainers[number] for number in numbers]
        predictions = predict_batches([trainer.model for trainer in at_work], batches, differentiable=True)
        terms = loss_terms(predictions, [batch.targets for batch in batches], first.weights)
        for trainer in at_work:
            trainer.optimiser.zero_grad()
        # Each weight is in one model's loss alone, so the gradient of the sum is that of each loss.
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        for trainer in at_work:
            trainer.optimiser.step()
        shares = [len(batch.species) / len(trainer.train_set) for batch, trainer in zip(batches, at_work, strict=True)]
        chosen = torch.tensor(numbers, device=first.device)
        scale = torch.tensor(shares, dtype=torch.float64, device=first.device)
        for name, term in terms.items():
            sums[name].index_add_(0, chosen, term.detach() * scale)
    for trainer in trainers:
        trainer.model.eval()
    validated = predict_each(
        [trainer.model for trainer in trainers],
        first.frames,
        first.valid_set,
        first.spec.evaluation_batch_size,
        first.device,
    )
    values = {name: value.tolist() for name, value in sums.items()}
    for number, (trainer, found) in enumerate(zip(trainers, validated, strict=True)):
        trainer.end_epoch({name: value[number] for name, value in values.items()}, found, start_s)
