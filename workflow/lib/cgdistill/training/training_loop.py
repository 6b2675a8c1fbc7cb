"""The loop over epochs and steps, for one model or for several at once, interrupted by signals and resumed exactly."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..core.errors import InputError
from ..data.pair_frames import Batch
from ..runtime.job import Progress, log
from ..runtime.signals import Interrupted, StopRequest
from .evaluation import predict_each
from .failure_monitor import StepRecord
from .failure_policy import STOP
from .trainer import OnEpoch, Trainer, history_of


def train(
    trainers: Sequence[Trainer[Any]], lockstep: bool = False, on_epoch: OnEpoch | None = None
) -> list[pd.DataFrame]:
    """Histories of models that are trained to their ends, each with the weights of its best epoch afterwards.

    Trainings continue from their checkpoints if there are any. One after another, each model by itself, is fastest on
    a CPU, and bit for bit what each would give alone. In lockstep, every model that still trains takes a step on a
    batch of its own, and one evaluation computes all: this fills a GPU, and equals training alone up to rounding. A
    model whose epoch has fewer batches waits for the others at its end; a finished one drops out.

    Parameters
    ----------
    trainers:
        In lockstep with one device, one architecture, the same objective, pairs and sets; targets, seeds and schedules
        may differ.
    on_epoch:
        Called with each new row of a history.

    Returns
    -------
    One history per trainer, with `HISTORY_COLUMNS` (R² of the forces against F where the frames have it; in lockstep
    the seconds are those of all models together) and one ``train_<target>`` per target of the criterion (its weighted
    term). It is that of the last attempt; earlier failures are in `Trainer.failures`.

    Raises
    ------
    Interrupted
        A signal to stop came (`signals`): after the current step, at the latest after a validation. The checkpoints
        hold the last finished epoch of each model. The epoch that was cut is trained again, in the same order, so
        that the result is that of a training without interruption.
    InputError
        Models have failed after all retries and their policy is to stop. The others were trained to their ends first;
        their checkpoints are kept.
    ValueError
        Models that cannot be trained in lockstep.
    """
    groups = [list(trainers)] if lockstep else [[trainer] for trainer in trainers]
    with StopRequest() as stop:
        for group in groups:
            _check_group(group)
            _train_group(group, stop, on_epoch)
    if failed := [trainer for trainer in trainers if trainer.has_failed and trainer.policy.then == STOP]:
        found = "; ".join(f"{trainer.excluded}, after {len(trainer.failures) - 1} retries" for trainer in failed)
        expected = "sound labels, or a lower training.learning_rate; failures.then: exclude goes on without"
        raise InputError("training", ", ".join(trainer.name for trainer in failed), found, expected)
    return [history_of(trainer) for trainer in trainers]


def _check_group(group: Sequence[Trainer[Any]]) -> None:
    """Check that the models share what one evaluation of all needs."""

    def shared(trainer: Trainer[Any]) -> list[Any]:
        data = trainer.data
        return [id(data.frames.vectors_A), id(data.valid), data.device, trainer.objective, trainer.model.spec]

    if any(shared(trainer) != shared(group[0]) for trainer in group[1:]):
        raise ValueError("models in lockstep share pairs, validation set, device, loss weights and architecture")


def _train_group(group: Sequence[Trainer[Any]], stop: StopRequest, on_epoch: OnEpoch | None) -> None:
    """Train a group of models, which share one evaluation, to their ends."""
    for trainer in group:
        trainer.resume()
    label = group[0].name if len(group) == 1 else f"{len(group)} models"
    bar = Progress(sum(trainer.spec.max_epochs for trainer in group), f"training {label}", "epochs")
    bar.update(sum(trainer.epoch for trainer in group))
    while running := [trainer for trainer in group if not trainer.finished]:
        attempts = [trainer.attempt for trainer in running]
        _train_epoch(running, stop)
        rows = [
            trainer.history[-1]
            for trainer, attempt in zip(running, attempts, strict=True)
            if trainer.attempt == attempt and not trainer.has_failed
        ]
        if rows:
            train_loss, valid_loss = (
                float(np.mean([row[name] for row in rows])) for name in ("train_loss", "valid_loss")
            )
            bar.update(len(rows), f"loss {train_loss:.4f}, validation {valid_loss:.4f}")
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


class _EpochSums:
    """Means over the training frames of the terms of the criterion, by model."""

    def __init__(self, trainers: Sequence[Trainer[Any]]) -> None:
        self._sizes, self._device = [len(trainer.data.train) for trainer in trainers], trainers[0].data.device
        names = trainers[0].objective.criterion.active
        self._sums = {name: torch.zeros(len(trainers), dtype=torch.float64, device=self._device) for name in names}

    def add(self, numbers: list[int], batches: Sequence[Batch], terms: dict[str, torch.Tensor]) -> None:
        """Add a step of the models of these numbers, each weighted by its share of the frames."""
        shares = [len(batch.species) / self._sizes[number] for number, batch in zip(numbers, batches, strict=True)]
        chosen = torch.tensor(numbers, device=self._device)
        scale = torch.tensor(shares, dtype=torch.float64, device=self._device)
        for name, term in terms.items():
            self._sums[name].index_add_(0, chosen, term * scale)

    def of_each(self) -> list[dict[str, float]]:
        """By model, the mean of each term."""
        values = {name: sums.tolist() for name, sums in self._sums.items()}
        return [{name: value[number] for name, value in values.items()} for number in range(len(self._sizes))]


def _train_epoch(trainers: Sequence[Trainer[Any]], stop: StopRequest) -> None:
    """One epoch of every model, step by step together."""
    start_s, first = time.perf_counter(), trainers[0]
    sums, record = _EpochSums(trainers), StepRecord(len(trainers), torch.device(first.data.device))
    for trainer in trainers:
        trainer.model.train()
    for step in zip_longest(*(trainer.batches() for trainer in trainers)):
        if stop:
            raise _interruption(stop, f"in epoch {first.epoch + 1}")
        numbers = [number for number, batch in enumerate(step) if batch is not None]
        if not _take_step(trainers, numbers, [step[number] for number in numbers], sums, record):
            break
    steps, terms = record.steps(), sums.of_each()
    sound = [number for number, trainer in enumerate(trainers) if not trainer.fails_in(steps[number])]
    for number in sound:
        trainers[number].model.eval()
    models = [trainers[number].model for number in sound]
    data, batch_size = first.data, first.spec.evaluation_batch_size
    outputs = predict_each(models, data.frames, data.valid, batch_size, data.device)
    for number, output in zip(sound, outputs, strict=True):
        trainers[number].end_epoch(terms[number], steps[number], output, start_s)


def _take_step(
    trainers: Sequence[Trainer[Any]],
    numbers: list[int],
    batches: Sequence[Batch],
    sums: _EpochSums,
    record: StepRecord,
) -> bool:
    """One step of the models of these numbers; whether any model is left to be trained, as far as known."""
    working = [trainers[number] for number in numbers]
    models = [trainer.model for trainer in working]
    outputs = models[0].evaluate_together(models, batches, differentiable=True)
    epochs = [trainer.epoch + 1 for trainer in working]
    loss, terms = working[0].objective.evaluate(outputs, [batch.targets for batch in batches], epochs)
    for trainer in working:
        trainer.optimiser.zero_grad()
    # Each weight is in one model's loss alone, so the gradient of the sum is that of each loss.
    loss.sum().backward()  # type: ignore[no-untyped-call]
    criterion = torch.stack(list(terms.values())).sum(dim=0)
    record.add(numbers, criterion, [trainer.optimiser.gradient_norm() for trainer in working])
    if record.all_failed:
        return False
    for trainer in working:
        trainer.optimiser.step()
    sums.add(numbers, batches, terms)
    return True
