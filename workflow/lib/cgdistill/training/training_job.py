"""Trainings from files to files: frames and targets in, models, histories, metrics and predictions out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..core.errors import InputError
from ..core.seeds import derive
from ..data.beads import BeadFile
from ..data.pair_frames import PairFrames
from ..data.split import PARTS, read_split
from ..forcefield.hipnn.model import BeadModel, NetworkSpec, save_model
from ..forcefield.prior import read_prior
from ..geometry.cells import perpendicular_widths_A
from ..io.csv_tables import write_table
from ..provenance.record import stamp
from ..runtime.devices import choose_device
from ..runtime.job import log
from ..runtime.locks import exclusive
from .failure_policy import FailurePolicy
from .metrics import metrics_table
from .predictions import read_predictions, single_predictions, write_predictions
from .trainer import LossWeights, Trainer, TrainingSpec, history_of, predict, state_key, train


@dataclass(frozen=True)
class TrainingTask:
    """One model of a job.

    Attributes
    ----------
    out_dir: folder of what comes out.
    seed: of the initial weights and of the order of the frames.
    predictions: of the teacher; None to train a teacher.
    checkpoint: file to resume from; one of other settings or other inputs is left alone and overwritten.
    excluded: why it is not to be trained at all (its teacher is not sound); empty otherwise.
    """

    out_dir: Path
    seed: int
    predictions: Path | None = None
    checkpoint: Path | None = None
    excluded: str = ""

    @property
    def name(self) -> str:
        """In messages and as member of the predictions: ``<variant>/<member>``."""
        return f"{self.out_dir.parent.name}/{self.out_dir.name}"


def teacher_targets(path: str | Path, beads: BeadFile, indices: np.ndarray) -> dict[str, torch.Tensor]:
    """Targets ``f``, ``E`` and ``epsilon`` of a teacher for some frames of a bead file.

    Raises
    ------
    InputError
        The predictions are not on the frames of the bead file.
    """
    targets = read_predictions(path).targets()
    shape = (len(beads), beads.topology.n_beads, 3)
    if targets["f"].shape != shape:
        raise InputError(path, "shape of the forces", targets["f"].shape, f"{shape} as in {beads.path}")
    return {name: torch.as_tensor(values[indices]) for name, values in targets.items()}


def _metrics(
    found: Mapping[str, Mapping[str, np.ndarray]],
    frames: PairFrames,
    parts: Mapping[str, np.ndarray],
    type_names: tuple[str, ...],
) -> pd.DataFrame:
    """Errors of the predictions on every part of the split, for every target that the frames have."""
    tables = []
    for part, numbers in parts.items():
        own = {
            "F": found[part]["forces"],
            "f": found[part]["forces"],
            "E": found[part]["epsilon"].sum(axis=1, dtype=np.float64),
            "epsilon": found[part]["epsilon"],
        }
        targets = {name: values[numbers].numpy().astype(np.float64) for name, values in frames.targets.items()}
        table = metrics_table(targets, own, frames.bead_types, type_names)
        table.insert(0, "split", part)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def run_trainings(
    tasks: Sequence[TrainingTask],
    beads_path: str | Path,
    split_path: str | Path,
    prior_path: str | Path,
    network: Mapping[str, Any],
    training: Mapping[str, Any],
    weights: Mapping[str, float],
    device: str = "auto",
    lockstep: bool | None = None,
    failures: Mapping[str, Any] | None = None,
) -> None:
    """Train models that differ in seed and teacher; the pairs of the frames are found once.

    Each leaves ``weights.safetensors, network.json, history.csv, metrics.csv`` and ``test_predictions.h5`` in its
    folder. They are written when all are trained: a job that is interrupted finds every model in its checkpoint.
    A model that is excluded, or that failed where the policy is to exclude, leaves them too, with the reason under
    ``training.excluded`` of ``network.json``: its weights are those of the best epoch, or the initial ones.

    Parameters
    ----------
    network, training, weights:
        Fields of `NetworkSpec`, `TrainingSpec` and `LossWeights`.
    lockstep:
        All at once (`training.train`); by default on a GPU.
    failures:
        Fields of `FailurePolicy`.

    Raises
    ------
    InputError
        Inputs that do not fit each other, a cutoff beyond half the cell, a model that failed where that stops, or
        another job at work on a checkpoint.
    """
    with exclusive(task.checkpoint for task in tasks if task.checkpoint is not None):
        chosen, policy = choose_device(device), FailurePolicy(**(failures or {}))
        spec, schedule, loss = NetworkSpec(**network), TrainingSpec(**training), LossWeights(**weights)
        inputs = {"beads": beads_path, "split": split_path, "prior": prior_path}
        settings = {"network": asdict(spec), "training": asdict(schedule), "weights": asdict(loss)}
        with BeadFile(beads_path) as beads:
            split = read_split(split_path, len(beads))
            topology = beads.topology
            width_A = float(perpendicular_widths_A(beads.cells_A).min())
            if spec.cutoff_A > width_A / 2:
                found, expected = f"{spec.cutoff_A:g} A", f"at most {width_A / 2:.3f} A, half the cell of {beads_path}"
                raise InputError("config", "network.cutoff_A", found, expected)
            indices = split.known()
            targets = [teacher_targets(task.predictions, beads, indices) if task.predictions else {} for task in tasks]
            frames = PairFrames.from_beads(beads, indices, spec.cutoff_A).with_pairs_on(chosen)
        parts = {name: np.searchsorted(indices, split.part(name)) for name in PARTS}
        prior = read_prior(prior_path, topology.type_names)
        trainers, provenances = [], []
        for task, own in zip(tasks, targets, strict=True):
            own_inputs = {**inputs, "predictions": task.predictions} if task.predictions else inputs
            provenance = stamp(settings, own_inputs, seed=task.seed, torch=torch.__version__, device=str(chosen))
            trainers.append(
                Trainer(
                    BeadModel(spec, prior, derive(task.seed, "weights")),
                    frames.with_targets(own),
                    parts["train"],
                    parts["valid"],
                    loss,
                    schedule,
                    derive(task.seed, "order"),
                    chosen,
                    task.checkpoint,
                    state_key(settings, task.seed, provenance["inputs"]),
                    task.name,
                    policy,
                    indices,
                    task.excluded,
                )
            )
            provenances.append(provenance)
        log.info(
            "%s: %d parameters, %d training frames of %d beads, %s, loss weights %s",
            ", ".join(task.name for task in tasks),
            trainers[0].model.n_parameters,
            len(parts["train"]),
            topology.n_beads,
            chosen,
            loss.active(),
        )
        train(trainers, chosen.type == "cuda" if lockstep is None else lockstep)
        for task, trainer, provenance in zip(tasks, trainers, provenances, strict=True):
            _write_products(task, trainer, parts, settings, provenance)
        for task in tasks:
            if task.checkpoint is not None:
                task.checkpoint.unlink(missing_ok=True)


def _write_products(
    task: TrainingTask,
    trainer: Trainer,
    parts: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> None:
    """What one trained model leaves in its folder."""
    model, frames, batch_size = trainer.model, trainer.frames, trainer.spec.evaluation_batch_size
    found = {part: predict(model, frames, rows, batch_size, trainer.device) for part, rows in parts.items()}
    metrics = _metrics(found, frames, parts, model.type_names)
    for row in metrics[(metrics.split == "test") & (metrics.bead_type == "all")].itertuples():
        numbers = (row.mae, row.rmse, row.unit, row.r2)
        log.info("%s, test %s: MAE %.4f, RMSE %.4f %s, R2 %.4f", task.name, row.target, *numbers)
    facts = {
        **settings,
        "seed": task.seed,
        "learning_rate": trainer.learning_rate,
        "retries": trainer.attempt,
        "best_epoch": trainer.best_epoch,
        "epochs": trainer.epoch,
        "failures": [failure.as_dict() for failure in trainer.failures],
        "excluded": trainer.excluded,
    }
    save_model(task.out_dir, model.cpu(), {"training": facts, "provenance": provenance})
    write_table(task.out_dir / "history.csv", history_of(trainer), provenance)
    write_table(task.out_dir / "metrics.csv", metrics, provenance)
    test = single_predictions(task.name, found["test"]["forces"], found["test"]["epsilon"], frames.bead_types)
    write_predictions(task.out_dir / "test_predictions.h5", test, provenance)
