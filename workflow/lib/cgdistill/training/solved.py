"""Training of models that an architecture finds in one step, with the products of a training by epochs."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from ..config.targets import ALL_ATOM_FORCES
from ..core.errors import InputError
from ..forcefield.architecture import SolvedArchitecture
from ..forcefield.trainable import Model, ModelOutput
from ..runtime.job import log
from .evaluation import predict
from .failure_monitor import FailureMonitor
from .failure_policy import STOP, Failure, FailurePolicy
from .loss import Objective
from .metrics import error_measures
from .trained import Course, TrainedModel
from .trainer import HISTORY_COLUMNS, TrainingData


def solve_model(
    architecture: SolvedArchitecture,
    spec: Any,
    type_names: tuple[str, ...],
    data: TrainingData,
    objective: Objective,
    *,
    name: str,
    policy: FailurePolicy,
    excluded: str = "",
) -> TrainedModel:
    """The model of least loss, with a history of one row.

    There is nothing to retry: the same data give the same model again.

    Parameters
    ----------
    spec: settings of the architecture.
    type_names: names of the bead types.
    data: frames with a target for every weight; its seed is that of the solution.
    objective: its weights must not change with the epoch.
    name: in messages.
    policy: what counts as failed, and what is done then.
    excluded: why this model is not to be trained at all; empty otherwise.

    Raises
    ------
    InputError
        A target without reference values, or a model that has failed where that stops.
    """
    if missing := [target for target in objective.targets if target not in data.frames.targets]:
        raise InputError("config", "loss weights", f"targets {missing}", "a target for each weight")
    if excluded:
        history = pd.DataFrame(columns=HISTORY_COLUMNS)
        return TrainedModel(architecture.untrained(spec, type_names), data.frames, history, Course(excluded=excluded))
    start_s = time.perf_counter()
    weights = objective.loss.schedule.weights_at(1)
    model = architecture.solve(spec, type_names, data.frames, data.train, weights, data.seed)
    row = _history_row(model, data, objective)
    row["seconds"] = time.perf_counter() - start_s
    failure = _failure(row, data, policy)
    if failure is not None:
        log.error("%s: %s", name, failure.text)
        if policy.then == STOP:
            expected = "labels that the model can follow; failures.then: exclude goes on without"
            raise InputError("training", name, failure.text, expected)
    course = Course(
        best_epoch=1,
        epochs=1,
        failures=(failure,) if failure else (),
        excluded=failure.text if failure else "",
    )
    columns = [column for column in HISTORY_COLUMNS if column in row]
    history = pd.DataFrame([row])[[*columns, *(column for column in row if column not in columns)]]
    return TrainedModel(model, data.frames, history, course)


def _history_row(model: Model, data: TrainingData, objective: Objective) -> dict[str, float]:
    """Losses of a model as in the history of a training by epochs."""
    size = max(1, len(data.valid))
    outputs = {
        part: predict(model, data.frames, places, size, data.device)
        for part, places in (("train", data.train), ("valid", data.valid))
    }
    criterion = objective.criterion
    row = {
        "epoch": 1.0,
        "learning_rate": np.nan,
        "batch_size": float(len(data.train)),
        "train_loss": criterion.value(outputs["train"], _targets(data, data.train)),
        "valid_loss": criterion.value(outputs["valid"], _targets(data, data.valid)),
        "best": 1.0,
    }
    for target, weight in criterion.active.items():
        alone = type(criterion)({target: weight})
        row[f"train_{target}"] = alone.value(outputs["train"], _targets(data, data.train))
    if ALL_ATOM_FORCES in data.frames.targets:
        row["valid_r2_F"] = _force_r2(data, outputs["valid"])
    return row


def _targets(data: TrainingData, places: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[places].numpy() for name, values in data.frames.targets.items()}


def _force_r2(data: TrainingData, output: ModelOutput[np.ndarray] | None) -> float:
    """R² of the forces on the validation frames against F; of the prior alone without an output."""
    labels = data.valid_targets(ALL_ATOM_FORCES).astype(np.float64)
    if output is not None:
        return float(error_measures(labels, output.forces_kcal_mol_A)["r2"])
    prior = data.frames.prior_forces
    forces = np.zeros_like(labels) if prior is None else prior[data.valid].numpy()
    return float(error_measures(labels, forces)["r2"])


def _failure(row: dict[str, float], data: TrainingData, policy: FailurePolicy) -> Failure | None:
    """What is wrong with a finished model."""
    monitor = FailureMonitor(policy)
    losses = {name: row[name] for name in ("train_loss", "valid_loss")}
    finding = monitor.check_losses(losses, [], np.array([np.inf]))
    if finding is None and policy.min_r2_gain is not None:
        finding = monitor.check_gain(row["valid_r2_F"], _force_r2(data, None))
    if finding is None:
        return None
    return Failure(finding.reason, finding.text, 1, None, (), 0.0)
