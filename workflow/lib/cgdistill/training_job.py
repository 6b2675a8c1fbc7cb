"""One training from files to files: frames and targets in, model, history and metrics out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from .beads import BeadFile
from .cells import perpendicular_widths_A
from .console import log
from .errors import InputError
from .frames import PairFrames
from .metrics import metrics_table
from .network import BeadModel, NetworkSpec, save_model
from .predictions import read_predictions
from .prior import read_prior
from .provenance import sha256_of, stamp
from .seeds import derive
from .split import PARTS, read_split
from .tables import write_table
from .training import LossWeights, Trainer, TrainingSpec, predict, state_key


def choose_device(wanted: str) -> torch.device:
    """Device of a config value ``cpu``, ``cuda`` or ``auto`` (a GPU where this process sees one).

    Raises
    ------
    InputError
        ``cuda`` where there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("config", "device", "no GPU visible to this job", "a GPU, or device: cpu")
    use_gpu = wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_gpu else "cpu")


def load_frames(beads: BeadFile, indices: np.ndarray, cutoff_A: float, predictions: str | Path | None) -> PairFrames:
    """Frames with the target ``F``, and the targets of a teacher where predictions are given.

    Raises
    ------
    InputError
        The predictions are not on the frames of the bead file.
    """
    frames = PairFrames.from_beads(beads, indices, cutoff_A)
    if predictions is not None:
        targets = read_predictions(predictions).targets()
        shape = (len(beads), beads.topology.n_beads, 3)
        if targets["f"].shape != shape:
            raise InputError(predictions, "shape of the forces", targets["f"].shape, f"{shape} as in {beads.path}")
        frames.targets |= {name: torch.as_tensor(values[indices]) for name, values in targets.items()}
    return frames


def _metrics(
    model: BeadModel, frames: PairFrames, parts: Mapping[str, np.ndarray], batch_size: int, device: torch.device
) -> pd.DataFrame:
    """Errors on every part of the split, for every target that the frames have."""
    tables = []
    for part, numbers in parts.items():
        found = predict(model, frames, numbers, batch_size, device)
        own = {
            "F": found["forces"],
            "f": found["forces"],
            "E": found["epsilon"].sum(axis=1, dtype=np.float64),
            "epsilon": found["epsilon"],
        }
        targets = {name: values[numbers].numpy().astype(np.float64) for name, values in frames.targets.items()}
        table = metrics_table(targets, own, frames.bead_types, model.type_names)
        table.insert(0, "split", part)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def run_training(
    out_dir: str | Path,
    beads_path: str | Path,
    split_path: str | Path,
    prior_path: str | Path,
    predictions_path: str | Path | None,
    network: Mapping[str, Any],
    training: Mapping[str, Any],
    weights: Mapping[str, float],
    seed: int,
    device: str = "auto",
    checkpoint: str | Path | None = None,
) -> None:
    """Train one model and write ``weights.safetensors, network.json, history.csv, metrics.csv``.

    Parameters
    ----------
    predictions_path:
        Of the teacher; None to train a teacher.
    network, training, weights:
        Fields of `NetworkSpec`, `TrainingSpec` and `LossWeights`.
    seed:
        Of the initial weights and of the order of the frames.
    checkpoint:
        File to resume from; one of other settings or other inputs is left alone and overwritten.
    """
    out_dir, chosen = Path(out_dir), choose_device(device)
    spec, schedule, loss = NetworkSpec(**network), TrainingSpec(**training), LossWeights(**weights)
    inputs = {"beads": beads_path, "split": split_path, "prior": prior_path}
    if predictions_path is not None:
        inputs["predictions"] = predictions_path
    settings = {"network": asdict(spec), "training": asdict(schedule), "weights": asdict(loss)}
    key = state_key(settings, seed, {role: sha256_of(path) for role, path in inputs.items()})
    with BeadFile(beads_path) as beads:
        split = read_split(split_path, len(beads))
        topology = beads.topology
        width_A = float(perpendicular_widths_A(beads.cells_A).min())
        if spec.cutoff_A > width_A / 2:
            found, expected = f"{spec.cutoff_A:g} A", f"at most {width_A / 2:.3f} A, half the cell of {beads_path}"
            raise InputError("config", "network.cutoff_A", found, expected)
        indices = split.known()
        frames = load_frames(beads, indices, spec.cutoff_A, predictions_path)
    parts = {name: np.searchsorted(indices, split.part(name)) for name in PARTS}
    model = BeadModel(spec, read_prior(prior_path, topology.type_names), derive(seed, "weights"))
    log.info(
        "%d parameters, %d training frames of %d beads, %s, loss weights %s",
        model.n_parameters,
        len(parts["train"]),
        topology.n_beads,
        chosen,
        loss.active(),
    )
    trainer = Trainer(
        model, frames, parts["train"], parts["valid"], loss, schedule, derive(seed, "order"), chosen, checkpoint, key
    )
    history = trainer.run()
    metrics = _metrics(model, frames, parts, schedule.evaluation_batch_size, chosen)
    for row in metrics[(metrics.split == "test") & (metrics.bead_type == "all")].itertuples():
        log.info("test %s: MAE %.4f, RMSE %.4f %s, R2 %.4f", row.target, row.mae, row.rmse, row.unit, row.r2)
    provenance = stamp(settings, inputs, seed=seed, torch=torch.__version__, device=str(chosen))
    facts = {"training": {**settings, "seed": seed, "best_epoch": trainer.best_epoch, "epochs": trainer.epoch}}
    save_model(out_dir, model.cpu(), {**facts, "provenance": provenance})
    write_table(out_dir / "history.csv", history, provenance)
    write_table(out_dir / "metrics.csv", metrics, provenance)
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)
