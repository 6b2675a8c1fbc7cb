"""Evaluation of models on many frames, batch by batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..data.pair_frames import PairFrames
from ..forcefield.trainable import Model, ModelOutput


def predict_each(
    models: Sequence[Model],
    frames: PairFrames,
    indices: np.ndarray,
    batch_size: int,
    device: torch.device | str,
) -> list[ModelOutput[np.ndarray]]:
    """Output of each model for the same frames, float32; forces with those of the prior (`PairFrames.prior_forces`).

    Parameters
    ----------
    models: of one architecture, on ``device``; none give an empty list.
    indices: places of the frames within ``frames``.
    batch_size: frames at a time.
    """
    batches: list[list[ModelOutput[np.ndarray]]] = [[] for _ in models]
    for batch in frames.batches(indices, batch_size, device) if models else ():
        found = models[0].evaluate_together(models, [batch] * len(models))
        for parts, output in zip(batches, found, strict=True):
            parts.append(ModelOutput(*(values.detach().cpu().numpy() for values in output)))
    joined = [ModelOutput(*map(np.concatenate, zip(*parts, strict=True))) for parts in batches]
    if frames.prior_forces is None:
        return joined
    prior = frames.prior_forces[torch.as_tensor(indices)].numpy()
    with np.errstate(over="ignore"):  # forces of overlapping beads may exceed 32 bits: they are not finite then
        return [output._replace(forces_kcal_mol_A=(output[0] + prior).astype(np.float32)) for output in joined]


def predict(
    model: Model, frames: PairFrames, indices: np.ndarray, batch_size: int, device: torch.device | str
) -> ModelOutput[np.ndarray]:
    """Output of one model for frames, as `predict_each`."""
    return predict_each([model], frames, indices, batch_size, device)[0]


def predict_together_on_gpu(
    models: Sequence[Model],
    frames: PairFrames,
    indices: np.ndarray,
    batch_size: int,
    device: torch.device,
) -> list[ModelOutput[np.ndarray]]:
    """Output of each model for the same frames, as `predict_each`: of all at once on a GPU, one by one on a CPU."""
    groups = [list(models)] if device.type == "cuda" else [[model] for model in models]
    return [output for group in groups for output in predict_each(group, frames, indices, batch_size, device)]
