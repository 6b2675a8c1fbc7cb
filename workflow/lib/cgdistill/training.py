"""Training of teachers and students: one loop, one loss, checkpoints that resume exactly.

Loss (Olowookere et al., arXiv 2510.26650, eq. 3-5), with err(y', y) = RMSE + MAE::

    L = w_F err(F', F) + w_f err(f', f) + w_E err(E', E) / n_beads + w_epsilon err(epsilon', epsilon)

F: mapped all-atom forces; f, E, epsilon: forces, system energy and per-bead energies of the teacher.
A teacher has w_F alone. Energies are the network's, without the prior, which teacher and student
share; forces include it.
"""

from __future__ import annotations

import hashlib
import json
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
import torch

from .console import Progress, log
from .errors import InputError
from .frames import Batch, PairFrames
from .network import BeadModel
from .provenance import whole_file
from .seeds import derive

CHECKPOINT_FORMAT = "cgdistill-checkpoint-1"


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


class Interrupted(RuntimeError):
    """A signal stopped the training; its checkpoint is written."""


def error_sum(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """err(y', y) = RMSE + MAE over all elements (eq. 3)."""
    residual = prediction - target
    # The norm's gradient at zero is zero; that of a square root would be infinite, and the batch's energy alone
    # (one number for one frame) does hit its target exactly now and then.
    rmse: torch.Tensor = torch.linalg.vector_norm(residual) / residual.numel() ** 0.5
    return rmse + residual.abs().mean()


def predict_batch(model: BeadModel, batch: Batch, differentiable: bool = False) -> dict[str, torch.Tensor]:
    """Predictions by target name for one batch (``F`` and ``f`` are the same forces)."""
    epsilon, _, forces = model.energies_and_forces(
        batch.species, batch.first, batch.second, batch.vectors_A, differentiable
    )
    return {"F": forces, "f": forces, "E": epsilon.sum(dim=1), "epsilon": epsilon}


def loss_terms(
    predictions: Mapping[str, torch.Tensor], targets: Mapping[str, torch.Tensor], weights: LossWeights
) -> dict[str, torch.Tensor]:
    """Weighted terms of the loss by target name (module docstring)."""
    terms = {}
    for name, weight in weights.active().items():
        scale = predictions["epsilon"].shape[1] if name == "E" else 1
        terms[name] = weight * error_sum(predictions[name], targets[name]) / scale
    return terms


def predict(
    model: BeadModel, frames: PairFrames, indices: np.ndarray, batch_size: int, device: torch.device | str
) -> dict[str, np.ndarray]:
    """Predictions for frames: ``forces`` (n, n_beads, 3) and ``epsilon`` (n, n_beads), float32."""
    forces, epsilon = [], []
    for batch in frames.batches(indices, batch_size, device):
        values = predict_batch(model, batch)
        forces.append(values["F"].detach().cpu().numpy())
        epsilon.append(values["epsilon"].detach().cpu().numpy())
    return {"forces": np.concatenate(forces), "epsilon": np.concatenate(epsilon)}


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


class _StopSignals:
    """Turn SIGTERM, SIGINT and SIGUSR1 into a flag while the body runs."""

    def __init__(self) -> None:
        self.name: str | None = None
        self._old: dict[int, Any] = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.name = signal.Signals(number).name

    def __enter__(self) -> _StopSignals:
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                self._old[number] = signal.signal(number, self._note)
        except ValueError:  # not the main thread: signals are not ours to take
            pass
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)


class Trainer:
    """Train one model on fixed frames.

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
    ) -> None:
        missing = [name for name in weights.active() if name not in frames.targets]
        if missing or not weights.active():
            raise InputError("config", "loss weights", f"targets {missing or 'none'}", "a target for each weight")
        self.model, self.frames, self.train_set, self.valid_set = model.to(device), frames, train, valid
        self.weights, self.spec, self.seed, self.device, self.key = weights, spec, seed, device, key
        self.checkpoint = Path(checkpoint) if checkpoint else None
        self.optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=spec.learning_rate)
        self.epoch = 0
        self.batch_size = spec.batch_size
        self.best_loss = float("inf")
        self.best_epoch = 0
        self.since_change = 0
        self.best_weights = model.weights()
        self.history: list[dict[str, float]] = []

    def run(self, on_epoch: Callable[[dict[str, float]], None] | None = None) -> pd.DataFrame:
        """Train to the end (from the checkpoint if there is one), load the best weights, give the history.

        History columns: ``epoch, learning_rate, batch_size, train_loss, valid_loss, best, seconds``
        and one ``train_<target>`` per active target (its weighted term).

        Raises
        ------
        Interrupted
            After a signal; the checkpoint holds the last finished epoch.
        FloatingPointError
            The loss is not finite.
        """
        self._resume()
        bar = Progress(self.spec.max_epochs, "training", "epochs")
        bar.update(self.epoch)
        with _StopSignals() as signals:
            while self.epoch < self.spec.max_epochs and self.epoch - self.best_epoch < self.spec.stop_epochs:
                row = self._one_epoch(signals)
                self.history.append(row)
                self._save()
                bar.update(1, f"loss {row['train_loss']:.4f}, validation {row['valid_loss']:.4f}")
                if on_epoch:
                    on_epoch(row)
                if signals.name:
                    raise Interrupted(f"{signals.name} after epoch {self.epoch}: rerun to continue")
        bar.close()
        self.model.load_weights({k: v.to(self.device) for k, v in self.best_weights.items()}, "best epoch")
        log.info("best epoch %d of %d, validation loss %.5f", self.best_epoch, self.epoch, self.best_loss)
        return pd.DataFrame(self.history)

    def _one_epoch(self, signals: _StopSignals) -> dict[str, float]:
        start = time.perf_counter()
        order = np.random.default_rng(derive(self.seed, "epoch", self.epoch)).permutation(self.train_set)
        sums: dict[str, float] = dict.fromkeys(self.weights.active(), 0.0)
        self.model.train()
        for batch in self.frames.batches(order, self.batch_size, self.device):
            if signals.name:
                raise Interrupted(f"{signals.name} in epoch {self.epoch + 1}: rerun to continue")
            terms = loss_terms(predict_batch(self.model, batch, differentiable=True), batch.targets, self.weights)
            loss = torch.stack(list(terms.values())).sum()
            if not torch.isfinite(loss):
                raise FloatingPointError(f"loss is {loss.item()} in epoch {self.epoch + 1}")
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            for name, term in terms.items():
                sums[name] += term.item() * len(batch.species) / len(order)
        self.model.eval()
        valid_loss = self._valid_loss()
        self.epoch += 1
        row = {
            "epoch": self.epoch,
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "batch_size": self.batch_size,
            "train_loss": sum(sums.values()),
            "valid_loss": valid_loss,
            **{f"train_{name}": value for name, value in sums.items()},
        }
        self._judge(valid_loss)
        row["best"] = float(self.best_epoch == self.epoch)
        row["seconds"] = time.perf_counter() - start
        return row

    def _valid_loss(self) -> float:
        predictions = predict(self.model, self.frames, self.valid_set, self.spec.evaluation_batch_size, self.device)
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
        group = self.optimiser.param_groups[0]
        if self.spec.schedule == "learning-rate":
            group["lr"] = max(group["lr"] * self.spec.factor, self.spec.min_learning_rate)
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
            "optimiser": self.optimiser.state_dict(),
            "numbers": [self.epoch, self.batch_size, self.best_loss, self.best_epoch, self.since_change],
            "history": self.history,
        }
        with whole_file(self.checkpoint) as partial:
            torch.save(state, partial)

    def _resume(self) -> None:
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
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.batch_size, self.best_loss, self.best_epoch, self.since_change = state["numbers"]
        self.best_weights, self.history = state["best_weights"], state["history"]
        log.info("continuing after epoch %d from %s", self.epoch, self.checkpoint)
