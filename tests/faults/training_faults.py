"""Ways in which the training of one of several models is made to fail; `test_failed_training` has what is seen of each.

Every fault is put into the first model of a job, at an epoch and a batch (from 1) where that makes sense. Frames are
known by other numbers in the bead file than by their place among those that are loaded: `NUMBERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bead_cases import make_model
from cgdistill.data.pair_frames import PairFrames
from cgdistill.forcefield.hipnn.model import BeadModel
from cgdistill.training.checkpoint import Checkpoint
from cgdistill.training.failure_policy import FailurePolicy
from cgdistill.training.loss import Objective
from cgdistill.training.schedule import TrainingSpec
from cgdistill.training.trainer import Trainer, TrainingData
from test_training import SPEC, TRAIN, VALID

NUMBERS = np.arange(10) * 3 + 100


def training(
    frames: PairFrames,
    seed: int = 1,
    spec: TrainingSpec = SPEC,
    policy: FailurePolicy | None = None,
    checkpoint: Path | None = None,
    model: BeadModel | None = None,
) -> Trainer:
    """Training of one model on all-atom forces."""
    return Trainer(
        model or make_model(seed),
        TrainingData(frames, TRAIN, VALID, seed, frame_numbers=NUMBERS),
        Objective.constant({"F": 1.0}),
        spec,
        f"teachers/seed-{seed}",
        policy,
        Checkpoint(checkpoint) if checkpoint else None,
    )


def _spoiled(trainer: Trainer, place: int, value: float) -> None:
    """One component of the forces of one frame."""
    forces = trainer.data.frames.targets["F"].clone()
    forces[place, 4, 1] = value
    trainer.data = replace(trainer.data, frames=trainer.data.frames.with_targets({"F": forces}))


def nan_label(trainer: Trainer) -> None:
    """A label that is not a number, in the frame that the file knows as 109."""
    _spoiled(trainer, 3, float("nan"))


def overflowing_label(trainer: Trainer) -> None:
    """A label so large that its square is infinite."""
    _spoiled(trainer, 3, 1e30)


def nan_in_validation(trainer: Trainer) -> None:
    """The same in a frame that is not trained on."""
    _spoiled(trainer, 8, float("nan"))


def nan_gradient(trainer: Trainer) -> None:
    """A gradient that is not a number where the loss still is one: in the sixth step of the first attempt."""
    weight, steps = next(p for p in trainer.model.parameters() if p.requires_grad), []

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        steps.append(0)
        return gradient * float("nan") if len(steps) == 6 else gradient

    weight.register_hook(spoil)


def leap(trainer: Trainer) -> None:
    """Energies that jump to the ten-thousandfold behind the second epoch of the first attempt."""
    begin = trainer.batches

    def batches():
        if trainer.epoch == 2 and trainer.attempt == 0:
            with torch.no_grad():
                for parameter in trainer.model.modules_.energy.parameters():
                    parameter.mul_(1e4)
        return begin()

    trainer.batches = batches


def learns_nothing(trainer: Trainer) -> None:
    """Labels that have nothing to do with the beads: R² below any that a sound teacher has."""


@dataclass(frozen=True)
class TrainingFault:
    """One fault.

    Attributes
    ----------
    title: for the table.
    make: puts it into a training.
    reason, message: what is noted (of the message: a regular expression).
    epoch, batch: where, if that is known beforehand.
    again: whether it comes again in each retry.
    policy: other than the default of the test.
    """

    title: str
    make: Callable[[Trainer], None]
    reason: str
    message: str
    epoch: int | None = 1
    batch: int | None = None
    again: bool = True
    policy: dict[str, Any] = field(default_factory=dict)


TRAINING_FAULTS = [
    TrainingFault(
        "a force that is not a number",
        nan_label,
        "not finite",
        r"loss is nan in epoch 1, batch \d of 4 \(frames [\d, ]*109[\d, ]*\)",
    ),
    TrainingFault(
        "a force beyond what single precision can square",
        overflowing_label,
        "not finite",
        r"loss is inf in epoch 1, batch \d of 4 \(frames [\d, ]*109[\d, ]*\)",
    ),
    TrainingFault(
        "a force that is not a number, in a validation frame", nan_in_validation, "not finite",
        "validation loss is nan in epoch 1",
    ),  # fmt: skip
    TrainingFault(
        "a gradient that is not finite, at a finite loss", nan_gradient, "not finite",
        r"gradient is nan in epoch 2, batch 2 of 4 \(frames \d+, \d+\)", epoch=2, batch=2, again=False,
    ),  # fmt: skip
    TrainingFault(
        "a loss that grows from one epoch to the next", leap, "diverged",
        r"loss is [\d.e+]+, [\d.e+]+ times its lowest in epoch 3, largest in batch \d of 4 \(frames [\d, ]+\)",
        epoch=3, again=False,
    ),  # fmt: skip
    TrainingFault(
        "a teacher that has learned nothing", learns_nothing, "untrained",
        r"R2 of the forces on the validation frames is -?\d\.\d+, -?[\d.e-]+ above that of the prior alone, "
        r"the least is 0\.5, in epoch 4", epoch=4,
        policy={"min_r2_gain": 0.5},
    ),  # fmt: skip
]  # fmt: skip
