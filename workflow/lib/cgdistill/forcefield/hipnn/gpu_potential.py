"""Evaluation of bead systems on a GPU: positions go in, forces come out, everything between stays on the device.

All systems and networks of one architecture go through in one batch. Launching kernels sets the pace where there are
few beads: one system of 1,000 beads does not fill a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...geometry.neighbours import NeighbourList
from ..potential import Evaluation
from . import environment_gpu
from .dense import Dense, bead_energies
from .environment import N_COMPONENTS
from .evaluator import Evaluator
from .geometry_gpu import PairList
from .model import BeadModel, NetworkSpec


@dataclass(frozen=True)
class _Batch:
    """Systems that are evaluated together by networks of one architecture.

    Attributes
    ----------
    numbers: of the systems, those of one ensemble next to each other.
    spec: architecture of the networks.
    n_copies: networks per system.
    n_models: models per system, of all architectures.
    dense: the networks: first networks of all ensembles, second networks of all ensembles, ...
    kinds: (n_networks, n_beads of each) bead types.
    pairs: pairs of the systems.
    """

    numbers: list[int]
    spec: NetworkSpec
    n_copies: int
    n_models: int
    dense: Dense
    kinds: torch.Tensor
    pairs: PairList


class GpuEvaluator(Evaluator):
    """Evaluates systems by the kernels of `environment_gpu` and `geometry_gpu`.

    Parameters
    ----------
    ensembles: for each system its models, which are averaged.
    bead_types: (n_beads,) of every system.
    cutoff_A: of the pair lists.
    dtype: precision of the networks.
    device: see `environment_gpu.available`.
    """

    def __init__(
        self,
        ensembles: Sequence[Sequence[BeadModel]],
        bead_types: np.ndarray,
        cutoff_A: float,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.ensembles, self.bead_types = ensembles, torch.as_tensor(bead_types, device=device)
        self.cutoff_A, self.dtype, self.device = cutoff_A, dtype, device
        self.n_types = len(ensembles[0][0].type_names)
        self._plan: tuple[tuple[int, ...], list[_Batch]] = ((), [])

    def evaluate(
        self, positions: Mapping[int, np.ndarray], cells: Mapping[int, np.ndarray], lists: Sequence[NeighbourList]
    ) -> dict[int, Evaluation]:
        """Evaluate systems; of the lists only the skin is used, pairs are found on the device."""
        numbers = tuple(positions)
        if not numbers:
            return {}
        if self._plan[0] != numbers:
            # Runs end one after another: plans of the past are of no use.
            self._plan = ((), [])
            self._plan = (numbers, self._batches(numbers, lists[numbers[0]].skin_A))
        parts: dict[int, list[tuple[np.ndarray, ...]]] = {number: [] for number in numbers}
        for batch in self._plan[1]:
            before = batch.pairs.n_builds
            results = [values.cpu().numpy() for values in self._evaluate(batch, positions, cells)]
            for place, number in enumerate(batch.numbers):
                parts[number].append(tuple(values[place] for values in results))
                lists[number].n_builds += batch.pairs.n_builds - before
        evaluations = {}
        for number in numbers:
            forces, virial, energies = (np.sum(values, axis=0) for values in zip(*parts[number], strict=True))
            evaluations[number] = Evaluation(float(energies.sum()), forces, virial, energies)
        return evaluations

    def _evaluate(
        self, batch: _Batch, positions: Mapping[int, np.ndarray], cells: Mapping[int, np.ndarray]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Forces (n_systems, n_beads, 3), virials (n_systems, 6) and per-bead energies (n_systems, n_beads)."""
        place, cell = (
            torch.as_tensor(np.stack([values[number] for number in batch.numbers]), device=self.device)
            for values in (positions, cells)
        )
        dense, n_beads = batch.dense, self.bead_types.numel()
        pairs = batch.pairs.pairs(place, cell)
        rows = pairs.records, pairs.starts, pairs.ends, dense.a, dense.sigma
        n_components = N_COMPONENTS[batch.spec.tensor_order]
        sums = environment_gpu.environment_sums(*rows, self.n_types, n_components, batch.n_copies).requires_grad_()
        with torch.enable_grad():
            energies = bead_energies(dense, sums.reshape(*batch.kinds.shape, *sums.shape[1:]), batch.kinds)
            (derivatives,) = torch.autograd.grad(energies.sum(), sums)
        gradient = environment_gpu.pair_gradient(*rows, derivatives.contiguous())
        forces, virials = batch.pairs.forces(pairs, gradient, batch.n_models)
        mean = energies.detach().double().reshape(batch.n_copies, -1, n_beads).sum(dim=0) / batch.n_models
        return forces, virials, mean

    def _batches(self, numbers: tuple[int, ...], skin_A: float) -> list[_Batch]:
        by_ensemble: dict[tuple[int, ...], list[int]] = {}
        for number in numbers:
            by_ensemble.setdefault(tuple(id(model) for model in self.ensembles[number]), []).append(number)
        alike: dict[tuple[tuple[NetworkSpec, ...], int], list[list[int]]] = {}
        for systems in by_ensemble.values():
            specs = tuple(model.spec for model in self.ensembles[systems[0]])
            alike.setdefault((specs, len(systems)), []).append(systems)
        batches = []
        for (specs, n_each), groups in alike.items():
            for spec in dict.fromkeys(specs):
                places = [place for place, other in enumerate(specs) if other == spec]
                models = [self.ensembles[systems[0]][place] for place in places for systems in groups]
                with torch.no_grad():
                    dense = Dense.of([model.modules_ for model in models], spec.n_sensitivities).constant()
                systems = [number for group in groups for number in group]
                pairs = PairList(
                    self.bead_types.expand(len(systems), -1),
                    self.n_types,
                    self.cutoff_A,
                    skin_A,
                    self.dtype,
                    self.device,
                    spec.cutoff_A,
                )
                kinds = self.bead_types.repeat(len(models), n_each)
                batches.append(_Batch(systems, spec, len(places), len(specs), dense, kinds, pairs))
        return batches
