"""Energies and forces of models for batches of frames: the one place that chooses how they are evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from .fused import stacked_energies_and_forces, use_fused

if TYPE_CHECKING:
    from ...data.pair_frames import Batch
    from .model import BeadModel


def energies_and_forces(
    models: Sequence[BeadModel], batches: Sequence[Batch], differentiable: bool = False, evaluation: str = "auto"
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Per-bead energies and forces (`BeadModel.energies_and_forces`) of each model on its batch.

    Parameters
    ----------
    models: of one architecture, on one device.
    batches: one per model.
    differentiable: whether gradients of the results run to the weights.
    evaluation: of `fused.EVALUATIONS`; ``stock`` is hippynn's graph.
    """
    if use_fused(evaluation, models[0].spec, batches[0].vectors_A.device):
        return stacked_energies_and_forces(models, batches, differentiable)
    return [
        model.graph_energies_and_forces(batch, differentiable) for model, batch in zip(models, batches, strict=True)
    ]
