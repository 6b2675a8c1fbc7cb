"""Trainings from files to files: frames and targets in, models, histories, metrics and predictions out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..config.targets import complete_weights
from ..core.errors import InputError
from ..core.seeds import derive
from ..data.beads import BeadFile
from ..data.pair_frames import PairFrames
from ..data.split import PARTS, read_split
from ..forcefield.architecture import GradientArchitecture, SolvedArchitecture
from ..forcefield.model_files import save_model
from ..forcefield.prior.terms import PriorTerms, read_prior
from ..forcefield.registry import architecture_of
from ..forcefield.trainable import ModelOutput
from ..geometry.cells import perpendicular_widths_A
from ..io.csv_tables import write_table
from ..provenance.record import stamp
from ..runtime.devices import choose_device
from ..runtime.job import log
from ..runtime.locks import exclusive
from .checkpoint import Checkpoint, state_key
from .evaluation import predict
from .failure_policy import FailurePolicy
from .loss import Objective
from .metrics import metrics_table
from .predictions import read_predictions, single_predictions, write_predictions
from .schedule import TrainingSpec
from .solved import solve_model
from .targets import teacher_values
from .trained import TrainedModel
from .trainer import Trainer, TrainingData
from .training_loop import train


@dataclass(frozen=True)
class TrainingTask:
    """One model of a job.

    Attributes
    ----------
    out_dir: folder of its products.
    seed: of the initial weights and of the order of the frames.
    predictions: of the teacher; None to train a teacher.
    checkpoint: file to resume from; one of other settings or other inputs is not used, and overwritten.
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


@dataclass(frozen=True)
class TrainingInputs:
    """Files that all models of a job share: bead trajectory, split and prior."""

    beads: str | Path
    split: str | Path
    prior: str | Path


@dataclass(frozen=True)
class TrainingSettings:
    """Settings that all models of a job share.

    Attributes
    ----------
    network: section ``network`` of the config: the architecture and its settings.
    training: fields of `TrainingSpec`; an architecture that is not trained by epochs uses the batch size of the
        evaluation alone.
    weights: of the loss by target (`config.targets`).
    failures: fields of `FailurePolicy`; they do not determine the result of a training that does not fail.
    """

    network: Mapping[str, Any]
    training: Mapping[str, Any]
    weights: Mapping[str, float]
    failures: Mapping[str, Any] = field(default_factory=dict)


def run_trainings(
    tasks: Sequence[TrainingTask],
    inputs: TrainingInputs,
    settings: TrainingSettings,
    device: str = "auto",
    lockstep: bool | None = None,
) -> None:
    """Train models that differ in seed and teacher; the pairs of the frames are found once.

    Each leaves ``weights.safetensors, network.json, history.csv, metrics.csv`` and ``test_predictions.h5`` in its
    folder. They are written when all are trained: a job that is interrupted finds every model in its checkpoint.
    A model that is excluded, or that failed where the policy is to exclude, leaves them too, with the reason under
    ``training.excluded`` of ``network.json``: its weights are those of the best epoch, or the initial ones.

    Parameters
    ----------
    lockstep:
        All at once (`training_loop.train`); by default on a GPU.

    Raises
    ------
    InputError
        Inputs that do not fit each other, a cutoff beyond half the cell, a model that failed where that stops, or
        another job at work on a checkpoint.
    """
    with exclusive(task.checkpoint for task in tasks if task.checkpoint is not None):
        data = _read_data(tasks, inputs, settings, choose_device(device))
        record = _record(settings, data)
        provenances = [_provenance(task, inputs, record, data) for task in tasks]
        if isinstance(data.architecture, GradientArchitecture):
            trained = _train_by_epochs(data.architecture, tasks, provenances, settings, data, lockstep)
        else:
            trained = _solve(data.architecture, tasks, settings, data)
        for task, found, provenance in zip(tasks, trained, provenances, strict=True):
            _write_products(task, found, data, settings, record, provenance)
        for task in tasks:
            if task.checkpoint is not None:
                task.checkpoint.unlink(missing_ok=True)


@dataclass(frozen=True)
class _JobData:
    """Frames of a job.

    Attributes
    ----------
    frames: of each task, with its targets; their pairs are shared.
    parts: by part of the split, the places of its frames within ``frames``.
    frame_numbers: (n_frames,) in the bead file.
    prior: whose forces the targets of the models do without.
    architecture, spec: of the models, and their settings.
    device: of the training.
    """

    frames: Sequence[PairFrames]
    parts: Mapping[str, np.ndarray]
    frame_numbers: np.ndarray
    prior: PriorTerms
    architecture: GradientArchitecture | SolvedArchitecture
    spec: Any
    device: torch.device

    def of_task(self, task: TrainingTask, frames: PairFrames, purpose: str) -> TrainingData:
        """Frames of one task; ``purpose``: of the random numbers that its seed gives."""
        seed = derive(task.seed, purpose)
        return TrainingData(frames, self.parts["train"], self.parts["valid"], seed, self.device, self.frame_numbers)


def _read_data(
    tasks: Sequence[TrainingTask], inputs: TrainingInputs, settings: TrainingSettings, device: torch.device
) -> _JobData:
    """Frames of all parts of the split with the targets of each task."""
    architecture = architecture_of(settings.network)
    with BeadFile(inputs.beads) as beads:
        split = read_split(inputs.split, len(beads))
        spec = architecture.spec(settings.network, beads.topology.n_types, "config")
        cutoff_A = spec.cutoff_A
        width_A = float(perpendicular_widths_A(beads.cells_A).min())
        if cutoff_A > width_A / 2:
            found, expected = f"{cutoff_A:g} A", f"at most {width_A / 2:.3f} A, half the cell of {inputs.beads}"
            raise InputError("config", "network.cutoff_A", found, expected)
        numbers = split.known()
        targets = [teacher_targets(task.predictions, beads, numbers) if task.predictions else {} for task in tasks]
        frames = PairFrames.from_beads(beads, numbers, cutoff_A).with_pairs_on(device)
        prior = read_prior(inputs.prior, beads.topology.type_names)
        frames = frames.with_prior(prior.forces_in_file(beads, numbers))
    parts = {name: np.searchsorted(numbers, split.part(name)) for name in PARTS}
    with_targets = [frames.with_targets(values) for values in targets]
    return _JobData(with_targets, parts, numbers, prior, architecture, spec, device)


def _record(settings: TrainingSettings, data: _JobData) -> dict[str, Any]:
    """Settings that determine the result, as they are recorded with it."""
    return {
        "network": {"architecture": data.architecture.name, **asdict(data.spec)},
        "training": asdict(TrainingSpec(**settings.training)),
        "weights": complete_weights(settings.weights),
    }


def _provenance(
    task: TrainingTask, inputs: TrainingInputs, record: Mapping[str, Any], data: _JobData
) -> dict[str, Any]:
    files = vars(inputs) | ({"predictions": task.predictions} if task.predictions else {})
    return stamp(record, files, seed=task.seed, torch=torch.__version__, device=str(data.device))


def teacher_targets(path: str | Path, beads: BeadFile, indices: np.ndarray) -> dict[str, torch.Tensor]:
    """Reference values by target of a teacher, for some frames of a bead file.

    Raises
    ------
    InputError
        The predictions are not on the frames of the bead file.
    """
    predictions = read_predictions(path)
    shape = (len(beads), beads.topology.n_beads, 3)
    if predictions.forces_kcal_mol_A.shape != shape:
        found = predictions.forces_kcal_mol_A.shape
        raise InputError(path, "shape of the forces", found, f"{shape} as in {beads.path}")
    return {name: torch.as_tensor(values[indices]) for name, values in teacher_values(predictions).items()}


def _train_by_epochs(
    architecture: GradientArchitecture,
    tasks: Sequence[TrainingTask],
    provenances: Sequence[Mapping[str, Any]],
    settings: TrainingSettings,
    data: _JobData,
    lockstep: bool | None,
) -> list[TrainedModel]:
    """Models trained by following the gradient of the loss."""
    objective, record, type_names = Objective.constant(settings.weights), _record(settings, data), data.prior.type_names
    trainers: list[Trainer[Any]] = []
    for task, frames, provenance in zip(tasks, data.frames, provenances, strict=True):
        key = state_key(record, task.seed, provenance["inputs"])
        trainers.append(
            Trainer(
                architecture.build(data.spec, type_names, derive(task.seed, "weights")),
                data.of_task(task, frames, "order"),
                objective,
                TrainingSpec(**settings.training),
                task.name,
                FailurePolicy(**settings.failures),
                Checkpoint(task.checkpoint, key) if task.checkpoint is not None else None,
                task.excluded,
            )
        )
    _log_start(tasks, data, objective, f"{trainers[0].model.n_parameters} parameters, ")
    train(trainers, data.device.type == "cuda" if lockstep is None else lockstep)
    return [TrainedModel.by_epochs(trainer) for trainer in trainers]


def _solve(
    architecture: SolvedArchitecture, tasks: Sequence[TrainingTask], settings: TrainingSettings, data: _JobData
) -> list[TrainedModel]:
    """Models that the architecture finds in one step."""
    objective = Objective.constant(settings.weights)
    _log_start(tasks, data, objective)
    return [
        solve_model(
            architecture,
            data.spec,
            data.prior.type_names,
            data.of_task(task, frames, "solution"),
            objective,
            name=task.name,
            policy=FailurePolicy(**settings.failures),
            excluded=task.excluded,
        )
        for task, frames in zip(tasks, data.frames, strict=True)
    ]


def _log_start(tasks: Sequence[TrainingTask], data: _JobData, objective: Objective, size: str = "") -> None:
    log.info(
        "%s: %s, %s%d training frames of %d beads, %s, loss weights %s",
        ", ".join(task.name for task in tasks),
        data.architecture.title,
        size,
        len(data.parts["train"]),
        len(data.frames[0].bead_types),
        data.device,
        objective.criterion.active,
    )


def _write_products(
    task: TrainingTask,
    trained: TrainedModel,
    data: _JobData,
    settings: TrainingSettings,
    record: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> None:
    """Write the files of one trained model into its folder."""
    model, frames, batch_size = trained.model, trained.frames, TrainingSpec(**settings.training).evaluation_batch_size
    outputs = {part: predict(model, frames, places, batch_size, data.device) for part, places in data.parts.items()}
    metrics = _metrics(outputs, frames, data)
    for row in metrics[(metrics.split == "test") & (metrics.bead_type == "all")].itertuples():
        numbers = (row.mae, row.rmse, row.unit, row.r2)
        log.info("%s, test %s: MAE %.4f, RMSE %.4f %s, R2 %.4f", task.name, row.target, *numbers)
    facts = {**record, "seed": task.seed, **trained.course.record()}
    save_model(task.out_dir, model.to("cpu"), data.prior, {"training": facts, "provenance": provenance})
    write_table(task.out_dir / "history.csv", trained.history, provenance)
    write_table(task.out_dir / "metrics.csv", metrics, provenance)
    test = single_predictions(task.name, outputs["test"], frames.bead_types)
    write_predictions(task.out_dir / "test_predictions.h5", test, provenance)


def _metrics(outputs: Mapping[str, ModelOutput[np.ndarray]], frames: PairFrames, data: _JobData) -> pd.DataFrame:
    """Errors of a model on every part of the split, for every target that the frames have."""
    tables = []
    for part, places in data.parts.items():
        targets = {name: values[places].numpy() for name, values in frames.targets.items()}
        table = metrics_table(targets, outputs[part], frames.bead_types, data.prior.type_names)
        table.insert(0, "split", part)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
