"""Fused evaluation of bead models: which networks it reaches, and energies and forces for training.

hippynn's graph holds an array of pairs x sensitivities x components at every step of its way. The networks of this
project have one interaction layer on one-hot types, for which the sums over neighbours of `environment` are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from ...runtime.job import log
from . import pair_kernels
from .dense import Dense, bead_energies
from .environment import N_COMPONENTS, Rows, environment_sums, forces_from_pairs, n_padded, pair_gradient
from .hippynn_import import compile_kernels

if TYPE_CHECKING:
    from ...data.pair_frames import Batch
    from .model import BeadModel, NetworkSpec

#: Ways to evaluate a model: fused where possible, or hippynn's own graph in any case.
EVALUATIONS = ("auto", "stock")


def beyond_reach(spec: NetworkSpec, device: torch.device | str) -> str | None:
    """Why the fused evaluation cannot be used for a network on a device; None where it can."""
    if spec.n_interaction_layers != 1:
        return f"{spec.n_interaction_layers} interaction layers, one is needed"
    if spec.tensor_order not in N_COMPONENTS:
        return f"tensor order {spec.tensor_order}, 0 to 2 is needed"
    kind = torch.device(device).type
    if kind == "cuda" and find_spec("triton") is None:
        return "no triton for this GPU"
    if kind not in ("cpu", "cuda"):
        return f"device {kind}, cpu or cuda is needed"
    return None


def use_fused(evaluation: str, spec: NetworkSpec, device: torch.device | str) -> bool:
    """Whether to evaluate fused; says so once where a network falls back to hippynn's graph."""
    if evaluation not in EVALUATIONS:
        raise ValueError(f"evaluation {evaluation!r}, expected one of {EVALUATIONS}")
    if evaluation == "stock":
        return False
    reason = beyond_reach(spec, device)
    if reason:
        _say_once(reason)
    return reason is None


@cache
def _say_once(reason: str) -> None:
    compile_kernels(True)
    log.info("evaluating by hippynn's own graph, many times slower: %s", reason)


def stacked_energies_and_forces(
    models: Sequence[BeadModel], batches: Sequence[Batch], differentiable: bool = False
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Energies and forces of several models of one architecture, each on a batch of its own, in one evaluation.

    Parameters
    ----------
    models:
        Within reach (`beyond_reach`), on one device.
    batches:
        One per model.
    differentiable:
        Whether gradients of the results run to the models' weights.

    Returns
    -------
    For each model per-bead energies (n_frames, n_beads), kcal/mol, and forces (n_frames, n_beads, 3), kcal/mol/A.
    """
    n_beads = batches[0].species.numel()
    if any(batch.species.numel() != n_beads for batch in batches):
        return [
            stacked_energies_and_forces([model], [batch], differentiable)[0]
            for model, batch in zip(models, batches, strict=True)
        ]
    species = torch.cat([batch.species.reshape(-1) for batch in batches])
    first, second, vectors = _joined(batches, n_beads)
    spec, n_types = models[0].spec, len(models[0].type_names)
    kinds = species - 1
    first, second, vectors, rows = sorted_rows(first, second, vectors, kinds, n_types, spec.cutoff_A)
    dense = Dense.of(
        [model.modules_ for model in models], n_padded(spec.n_sensitivities, vectors.dtype, vectors.device)
    )
    n_components = N_COMPONENTS[spec.tensor_order]
    with torch.set_grad_enabled(differentiable):
        sums = environment_sums(rows, dense.a, dense.sigma, n_components)
    with torch.enable_grad():
        if not differentiable:
            sums.requires_grad_()
        energies = bead_energies(
            dense, sums.reshape(len(models), n_beads, *sums.shape[1:]), kinds.reshape(len(models), -1)
        )
        (derivatives,) = torch.autograd.grad(energies.sum(), sums, create_graph=differentiable)
    with torch.set_grad_enabled(differentiable):
        forces = forces_from_pairs(pair_gradient(rows, dense.a, dense.sigma, derivatives), first, second, len(kinds))
    if not differentiable:
        energies = energies.detach()
    results = []
    for number, batch in enumerate(batches):
        mine, shape = forces[number * n_beads : (number + 1) * n_beads], batch.species.shape
        results.append((energies[number].reshape(shape), mine.reshape(*shape, 3)))
    return results


def _joined(batches: Sequence[Batch], n_beads: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pairs of several batches as one set of beads."""
    if len(batches) == 1:
        return batches[0].first, batches[0].second, batches[0].vectors_A
    first = torch.cat([batch.first + number * n_beads for number, batch in enumerate(batches)])
    second = torch.cat([batch.second + number * n_beads for number, batch in enumerate(batches)])
    return first, second, torch.cat([batch.vectors_A for batch in batches])


def sorted_rows(
    first: torch.Tensor,
    second: torch.Tensor,
    vectors_A: torch.Tensor,
    kinds: torch.Tensor,
    n_types: int,
    cutoff_A: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Rows]:
    """Pairs sorted by first and by type of second, as they were where they are so already, and their rows."""
    n_rows = len(kinds) * n_types
    if vectors_A.device.type == "cpu":
        starts, ends = torch.empty(2, n_rows, dtype=torch.int64)
        arrays = first.numpy(), second.numpy(), kinds.numpy()
        if not pair_kernels.row_bounds(*arrays, n_types, starts.numpy(), ends.numpy()):
            order = torch.argsort(first * n_types + kinds[second], stable=True)
            first, second, vectors_A = first[order], second[order], vectors_A[order]
            pair_kernels.row_bounds(first.numpy(), second.numpy(), kinds.numpy(), n_types, starts.numpy(), ends.numpy())
    else:
        keys = first * n_types + kinds[second]
        if bool((keys[1:] < keys[:-1]).any()):
            keys, order = torch.sort(keys, stable=True)
            first, second, vectors_A = first[order], second[order], vectors_A[order]
        ends = torch.bincount(keys, minlength=n_rows).cumsum(0)
        starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    return first, second, vectors_A, Rows.of(vectors_A, starts, ends, n_types, cutoff_A)
