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
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..core.errors import InputError
from ..core.seeds import derive
from ..data.pair_frames import Batch, PairFrames
from ..forcefield.hipnn.fused import prior_energies_and_forces, stacked_energies_and_forces, use_fused
from ..forcefield.hipnn.model import BeadModel
from ..runtime.atomic_files import whole_file
from ..runtime.job import Progress, log
from ..runtime.signals import Interrupted, StopRequest
from .adam import Adam
from .failure_policy import DEAD, EXPLODING, NOT_FINITE, STOP, Failure, FailurePolicy
from .metrics import error_measures

CHECKPOINT_FORMAT = "cgdistill-checkpoint-3"
#: Columns of a history, without the terms of the loss.
HISTORY_COLUMNS = [
    "epoch", "learning_rate", "batch_size", "train_loss", "valid_loss", "valid_r2_F", "best", "seconds",
]  # fmt: skip
#: Frames of a batch that a message names, at most.
_NAMED_FRAMES = 8


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
    policy:
        What counts as failed, and what is done then.
    frame_numbers:
        (n_frames,) numbers of the frames in the bead file, for messages; default: their place.
    excluded:
        Why this model is not to be trained at all; empty otherwise.
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
        policy: FailurePolicy | None = None,
        frame_numbers: np.ndarray | None = None,
        excluded: str = "",
    ) -> None:
        missing = [name for name in weights.active() if name not in frames.targets]
        if missing or not weights.active():
            raise InputError("config", "loss weights", f"targets {missing or 'none'}", "a target for each weight")
        self.model, self.frames, self.train_set, self.valid_set = model.to(device), frames, train, valid
        self.weights, self.spec, self.seed, self.device, self.key = weights, spec, seed, device, key
        self.checkpoint, self.name = Path(checkpoint) if checkpoint else None, name
        self.policy = policy or FailurePolicy()
        self.frame_numbers = np.arange(len(frames)) if frame_numbers is None else np.asarray(frame_numbers)
        self.failures: list[Failure] = []
        self._excluded = excluded
        self._initial_weights = model.weights()
        self._begin()

    def _begin(self) -> None:
        """Stand before the first epoch; behind failures with a lower learning rate."""
        self.attempt = len(self.failures)
        self.model.load_weights(self._initial_weights, "initial weights")
        self.optimiser = Adam(self.model.parameters(), self.learning_rate)
        self.epoch = 0
        self.batch_size = self.spec.batch_size
        self.best_loss = float("inf")
        self.best_epoch = 0
        self.since_change = 0
        self.best_weights = self._initial_weights
        self.history: list[dict[str, float]] = []
        self._order = self.train_set

    @property
    def learning_rate(self) -> float:
        """The one that the current attempt began with."""
        return self.spec.learning_rate * self.policy.retry_factor**self.attempt

    @property
    def given_up(self) -> bool:
        """Whether it has failed more often than it may be tried again."""
        return len(self.failures) > self.policy.retries

    @property
    def excluded(self) -> str:
        """Why the model is not to be used; empty for a sound one."""
        return self.failures[-1].text if self.given_up else self._excluded

    @property
    def finished(self) -> bool:
        """Whether the last epoch is over, the last better validation loss too long ago, or training of no use."""
        ended = self.epoch >= self.spec.max_epochs or self.epoch - self.best_epoch >= self.spec.stop_epochs
        return ended or bool(self.excluded)

    def run(self, on_epoch: Callable[[dict[str, float]], None] | None = None) -> pd.DataFrame:
        """Train this model by itself (`train`)."""
        return train([self], on_epoch=on_epoch)[0]

    def batches(self) -> Iterator[Batch]:
        """Batches of the coming epoch, in its own order."""
        self._order = np.random.default_rng(derive(self.seed, "epoch", self.epoch)).permutation(self.train_set)
        return self.frames.batches(self._order, self.batch_size, self.device)

    def fails_in(self, steps: np.ndarray) -> bool:
        """Look at the steps of the current epoch; where one is not finite, the training has failed.

        Parameters
        ----------
        steps: (n_steps, 2) loss, and norm of its gradient.
        """
        if np.isfinite(steps).all():
            return False
        batch = int((~np.isfinite(steps).all(axis=1)).argmax())
        name, value = ("loss", steps[batch, 0]) if not np.isfinite(steps[batch, 0]) else ("gradient", steps[batch, 1])
        self._fail(NOT_FINITE, f"{name} is {value}", self.epoch + 1, batch)
        return True

    def end_epoch(
        self, terms: Mapping[str, float], steps: np.ndarray, predictions: Mapping[str, np.ndarray], start_s: float
    ) -> None:
        """Take down an epoch, act on its losses, write the checkpoint.

        Parameters
        ----------
        terms: mean over the training frames of each weighted term of the loss.
        steps: as in `fails_in`.
        predictions: for the validation frames (`predict`).
        start_s: when the epoch began, by `time.perf_counter`.
        """
        losses = {"train_loss": sum(terms.values()), "valid_loss": self._valid_loss(predictions)}
        if self._loss_fails(losses, steps[:, 0]):
            return
        self.epoch += 1
        row = {
            "epoch": self.epoch,
            "learning_rate": self.optimiser.learning_rate,
            "batch_size": self.batch_size,
            **losses,
            **{f"train_{name}": value for name, value in terms.items()},
        }
        if "F" in self.frames.targets:
            labels = self.frames.targets["F"][self.valid_set].numpy().astype(np.float64)
            row["valid_r2_F"] = error_measures(labels, predictions["forces"])["r2"]
        self._judge(row["valid_loss"])
        row["best"] = float(self.best_epoch == self.epoch)
        row["seconds"] = time.perf_counter() - start_s
        self.history.append(row)
        if self.finished and self._learned_nothing():
            return
        self._save()

    def _learned_nothing(self) -> bool:
        """Whether the finished model is no better than the prior by which it began."""
        least = self.policy.min_r2_gain
        if least is None:
            return False
        gain = self.best_r2 - self.prior_r2()
        if gain >= least:
            return False
        found = f"R2 of the forces on the validation frames is {self.best_r2:.3f}, {gain:.3g} above that of the prior"
        self._fail(DEAD, f"{found} alone, the least is {least:g},", self.epoch)
        return True

    def prior_r2(self) -> float:
        """R² of the forces of the prior alone against F on the validation frames."""
        batches = self.frames.batches(self.valid_set, self.spec.evaluation_batch_size, self.device)
        forces = torch.cat([prior_energies_and_forces(self.model.modules_.prior, batch)[1].cpu() for batch in batches])
        labels = self.frames.targets["F"][self.valid_set].numpy().astype(np.float64)
        return float(error_measures(labels, forces.numpy().reshape(labels.shape))["r2"])

    def _loss_fails(self, losses: Mapping[str, float], of_steps: np.ndarray) -> bool:
        """Whether a loss of the current epoch is not finite or explodes.

        Parameters
        ----------
        losses: of the epoch.
        of_steps: (n_steps,) of its steps.
        """
        for name, loss in losses.items():
            what = "validation loss" if name == "valid_loss" else "loss"
            # A loss may leap before it falls; behind the first epoch it may not stand much higher than at the start.
            first = float(of_steps[0]) if name == "valid_loss" else np.inf
            best = min((row[name] for row in self.history), default=first)
            if not np.isfinite(loss):
                self._fail(NOT_FINITE, f"{what} is {loss}", self.epoch + 1)
                return True
            if loss > self.policy.max_loss_ratio * best:
                found = f"{what} is {loss:.4g}, {loss / best:.3g} times its lowest"
                self._fail(EXPLODING, found, self.epoch + 1, int(of_steps.argmax()))
                return True
        return False

    @property
    def best_r2(self) -> float:
        """R² of the forces against F on the validation frames in the best epoch; NaN where not known."""
        return self.history[self.best_epoch - 1].get("valid_r2_F", np.nan) if self.best_epoch else np.nan

    def _fail(self, kind: str, found: str, epoch: int, batch: int | None = None) -> None:
        """Note a failure, and begin anew with a lower learning rate where that is left."""
        text, frames = f"{found} in epoch {epoch}", []
        if batch is not None:
            place, n_batches = batch * self.batch_size, -(-len(self._order) // self.batch_size)
            frames = self.frame_numbers[self._order[place : place + self.batch_size]].tolist()
            named = ", ".join(map(str, frames[:_NAMED_FRAMES])) + (", ..." if len(frames) > _NAMED_FRAMES else "")
            worst = "largest in batch" if kind == EXPLODING else "batch"
            text += f", {worst} {batch + 1} of {n_batches} (frames {named})"
        number = None if batch is None else batch + 1
        self.failures.append(Failure(kind, text, epoch, number, tuple(frames), self.optimiser.learning_rate))
        n_failures, retries = len(self.failures), self.policy.retries
        if self.given_up:
            log.error("%s: %s; given up after %d retries", self.name, text, n_failures - 1)
        else:
            self._begin()
            log.warning(
                "%s: %s; retry %d of %d, learning rate %g", self.name, text, n_failures, retries, self.learning_rate
            )
        self._save()

    def load_best(self) -> None:
        """Give the model the weights of the best epoch."""
        self.model.load_weights({k: v.to(self.device) for k, v in self.best_weights.items()}, "best epoch")
        if self.excluded:
            if self._excluded or self.policy.then != STOP:
                log.warning("%s: excluded: %s", self.name, self.excluded)
            return
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
            "failures": [failure.as_dict() for failure in self.failures],
            "attempt": self.attempt,
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
        self.failures = [Failure.from_dict(values) for values in state["failures"]]
        self._begin()
        if state["attempt"] < len(self.failures) and not self.given_up:
            log.info("%s: failed by %s, beginning attempt %d", self.name, self.checkpoint, self.attempt + 1)
            return
        self.attempt = state["attempt"]
        if not self.given_up:  # whose weights may not be finite
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
    One history per trainer, with `HISTORY_COLUMNS` (R² of the forces against F where the frames have it; in lockstep
    the seconds are those of all models together) and one ``train_<target>`` per active target (its weighted term). It
    is that of the last attempt; what failed before is in `Trainer.failures`.

    Raises
    ------
    Interrupted
        A signal to stop came (`signals`): behind the current step, at the latest behind a validation. The checkpoints
        hold the last finished epoch of each model. The epoch that was cut is trained anew, in the same order, so
        that the result is that of a training without interruption.
    InputError
        Models have failed for good and their policy is to stop. The others were trained to their ends first; their
        checkpoints stand.
    ValueError
        Models that cannot go in lockstep.
    """
    groups = [list(trainers)] if lockstep else [[trainer] for trainer in trainers]
    with StopRequest() as stop:
        for group in groups:
            _check_group(group)
            _train_group(group, stop, on_epoch)
    if failed := [trainer for trainer in trainers if trainer.given_up and trainer.policy.then == STOP]:
        found = "; ".join(f"{trainer.excluded}, after {len(trainer.failures) - 1} retries" for trainer in failed)
        expected = "sound labels, or a lower training.learning_rate; failures.then: exclude goes on without"
        raise InputError("training", ", ".join(trainer.name for trainer in failed), found, expected)
    return [history_of(trainer) for trainer in trainers]


def history_of(trainer: Trainer) -> pd.DataFrame:
    """The history as a table, its columns in order; without rows for a model that was not trained."""
    if not trainer.history:
        return pd.DataFrame(columns=HISTORY_COLUMNS)
    table = pd.DataFrame(trainer.history)
    return table[[name for name in HISTORY_COLUMNS if name in table] + [n for n in table if n not in HISTORY_COLUMNS]]


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
        before = [trainer.attempt for trainer in running]
        _one_epoch(running, stop)
        sound = [t for t, attempt in zip(running, before, strict=True) if t.attempt == attempt and not t.given_up]
        rows = [trainer.history[-1] for trainer in sound]
        if rows:
            means = [float(np.mean([row[name] for row in rows])) for name in ("train_loss", "valid_loss")]
            bar.update(len(rows), f"loss {means[0]:.4f}, validation {means[1]:.4f}")
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
    watch = _Watch(len(trainers), torch.device(first.device))
    for trainer in trainers:
        trainer.model.train()
    for step in zip_longest(*(trainer.batches() for trainer in trainers)):
        if stop:
            raise _interruption(stop, f"in epoch {first.epoch + 1}")
        numbers = [number for number, batch in enumerate(step) if batch is not None]
        batches, at_work = [step[number] for number in numbers], [trainers[number] for number in numbers]
        predictions = predict_batches([trainer.model for trainer in at_work], batches, differentiable=True)
        terms = loss_terms(predictions, [batch.targets for batch in batches], first.weights)
        losses = torch.stack(list(terms.values())).sum(dim=0)
        for trainer in at_work:
            trainer.optimiser.zero_grad()
        # Each weight is in one model's loss alone, so the gradient of the sum is that of each loss.
        losses.sum().backward()  # type: ignore[no-untyped-call]
        watch.note(numbers, losses.detach(), [trainer.optimiser.gradient_norm() for trainer in at_work])
        if watch.all_broken:
            break
        for trainer in at_work:
            trainer.optimiser.step()
        shares = [len(batch.species) / len(trainer.train_set) for batch, trainer in zip(batches, at_work, strict=True)]
        chosen = torch.tensor(numbers, device=first.device)
        scale = torch.tensor(shares, dtype=torch.float64, device=first.device)
        for name, term in terms.items():
            sums[name].index_add_(0, chosen, term.detach() * scale)
    seen, values = watch.steps(), {name: value.tolist() for name, value in sums.items()}
    sound = [number for number, trainer in enumerate(trainers) if not trainer.fails_in(seen[number])]
    for number in sound:
        trainers[number].model.eval()
    validated = predict_each(
        [trainers[number].model for number in sound],
        first.frames,
        first.valid_set if sound else first.valid_set[:0],
        first.spec.evaluation_batch_size,
        first.device,
    )
    for number, found in zip(sound, validated, strict=True):
        own = {name: value[number] for name, value in values.items()}
        trainers[number].end_epoch(own, seen[number], found, start_s)


class _Watch:
    """Loss and norm of the gradient of every model in every step of an epoch.

    A CPU looks at them at once. A GPU would have to be waited for in every step; there they are looked at behind the
    epoch.
    """

    def __init__(self, n_models: int, device: torch.device) -> None:
        self._at_once, self._n_models = device.type == "cpu", n_models
        self._notes: list[tuple[list[int], torch.Tensor]] = []
        self._broken: set[int] = set()

    def note(self, numbers: list[int], losses: torch.Tensor, norms: Sequence[torch.Tensor]) -> None:
        """Take down a step of the models of these numbers."""
        values = torch.stack([losses, torch.stack(list(norms)).to(losses.dtype)], dim=1)
        self._notes.append((numbers, values))
        if self._at_once:
            finite = torch.isfinite(values).all(dim=1).tolist()
            self._broken |= {number for number, sound in zip(numbers, finite, strict=True) if not sound}

    @property
    def all_broken(self) -> bool:
        """Whether going on with the epoch is of no use, as far as known."""
        return len(self._broken) == self._n_models

    def steps(self) -> list[np.ndarray]:
        """By model, (n_steps, 2): loss, norm of the gradient."""
        found: list[list[np.ndarray]] = [[] for _ in range(self._n_models)]
        for numbers, values in self._notes:
            for number, row in zip(numbers, values.cpu().numpy(), strict=True):
                found[number].append(row)
        return [np.array(rows, dtype=np.float64).reshape(-1, 2) for rows in found]
