"""Networks as potentials for MD, without the prior: one model or the mean of several, one bead system or many at once.

All systems of a call share the work that does not depend on them alone: several networks on one system share its
neighbour list and geometry, several systems of one network share its layers' matrix products. On a CPU the beads go
through in tiles that stay in the cache, so memory and time grow with the number of beads and no faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad

from ...core.errors import InputError
from ...geometry.neighbours import Candidates, NeighbourList, spatial_order
from ..potential import Evaluation
from . import environment_cpu, md_kernels, pair_kernels, simd
from .dense import Dense
from .environment import N_COMPONENTS
from .evaluator import Evaluator
from .fused import use_fused
from .model import BeadModel

#: Beads that are evaluated in one go on a CPU: their sums of some kB each should fit into the caches.
TILE_BEADS = 1024

#: Edge of the boxes by which beads are put in order, A: some tens of neighbours in each.
_BOX_A = 8.0


class NetworkPotential:
    """Mean energy and forces of one or more networks over one neighbour list; `forcefield.ForceField` adds the prior.

    Parameters
    ----------
    models:
        All with the same bead types; T8 has eight of them.
    skin_A:
        Of the neighbour list.
    dtype:
        Precision of the network; positions and sums over beads stay in float64.
    evaluation:
        Of `fused.EVALUATIONS`.

    Raises
    ------
    InputError
        No model, or models of different bead types.
    """

    def __init__(
        self,
        models: Sequence[BeadModel],
        skin_A: float = 1.5,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        evaluation: str = "auto",
    ) -> None:
        self._settings: dict[str, Any] = {"skin_A": skin_A, "dtype": dtype, "device": device, "evaluation": evaluation}
        self.models = list(models)
        self._joint = JointNetworkPotential([self.models], np.zeros(0, dtype=np.int64), **self._settings)

    @property
    def cutoff_A(self) -> float:
        """Largest cutoff of the models, A."""
        return self._joint.cutoff_A

    @property
    def type_names(self) -> tuple[str, ...]:
        """Bead types in the order of their index."""
        return self._joint.type_names

    @property
    def n_builds(self) -> int:
        """How often the neighbour list was built."""
        return self._joint.n_builds

    def forget(self) -> None:
        """Let go of the neighbour list; see `potential.Potential`."""
        self._joint.forget(0)

    def evaluate(self, positions_A: np.ndarray, cell_A: np.ndarray, bead_types: np.ndarray) -> Evaluation:
        """Energy, forces, virial and per-bead energies; see `potential.Potential`."""
        if not np.array_equal(bead_types, self._joint.bead_types):
            self._joint = JointNetworkPotential([self.models], bead_types, **self._settings)
        return self._joint.evaluate_all({0: (positions_A, cell_A)})[0]


class JointNetworkPotential:
    """Several bead systems of the same beads, each with its own models; see `potential.JointPotential`.

    Parameters
    ----------
    ensembles:
        For each system the models that are averaged; systems may share models.
    bead_types:
        (n_beads,) of every system.
    skin_A, dtype, device, evaluation:
        As of `NetworkPotential`.

    Raises
    ------
    InputError
        A system without a model, or models of different bead types.
    """

    def __init__(
        self,
        ensembles: Sequence[Sequence[BeadModel]],
        bead_types: np.ndarray,
        skin_A: float = 1.5,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        evaluation: str = "auto",
    ) -> None:
        models = {id(model): model for ensemble in ensembles for model in ensemble}
        kinds = {model.type_names for model in models.values()}
        if len(kinds) != 1 or not all(ensembles):
            raise InputError("models", "bead types", sorted(kinds), "the same bead types in every model")
        for model in models.values():
            model.to(device=device, dtype=dtype).eval()
        (self._type_names,) = kinds
        self._cutoff_A = max(model.spec.cutoff_A for model in models.values())
        self.bead_types = np.ascontiguousarray(bead_types, dtype=np.int64)
        n_types = len(self._type_names)
        self._lists = [NeighbourList(self._cutoff_A, skin_A, self.bead_types, n_types) for _ in ensembles]
        fused = all([use_fused(evaluation, model.spec, device) for model in models.values()])
        arguments = [list(ensemble) for ensemble in ensembles], self.bead_types, self._cutoff_A, dtype
        if not fused:
            self._evaluator: Evaluator = _StockEvaluator(*arguments, torch.device(device))
        elif torch.device(device).type == "cuda":
            from .gpu_potential import GpuEvaluator

            self._evaluator = GpuEvaluator(*arguments, torch.device(device))
        else:
            self._evaluator = _CpuEvaluator(*arguments)

    @property
    def cutoff_A(self) -> float:
        """Largest cutoff of the models, A."""
        return self._cutoff_A

    @property
    def type_names(self) -> tuple[str, ...]:
        """Bead types in the order of their index."""
        return self._type_names

    @property
    def n_builds(self) -> int:
        """How often neighbour lists were built, over all systems."""
        return sum(pairs.n_builds for pairs in self._lists)

    def forget(self, number: int) -> None:
        """Let go of the neighbour list of a system; see `potential.JointPotential`."""
        self._lists[number].forget()

    def evaluate_all(self, configurations: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> dict[int, Evaluation]:
        """Evaluate the systems of the given numbers; see `potential.JointPotential`."""
        # float64: a list of candidates serves many steps, the geometry is made anew at each.
        positions = {
            number: np.ascontiguousarray(configuration[0], dtype=np.float64)
            for number, configuration in sorted(configurations.items())
        }
        cells = {number: configurations[number][1] for number in positions}
        return self._evaluator.evaluate(positions, cells, self._lists)


class _StockEvaluator(Evaluator):
    """hippynn's graph, one model on one system after another."""

    def __init__(
        self,
        ensembles: list[list[BeadModel]],
        bead_types: np.ndarray,
        cutoff_A: float,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.ensembles, self.dtype, self.device = ensembles, dtype, device
        self.species = torch.as_tensor(bead_types + 1, device=device).reshape(1, -1)

    def evaluate(
        self, positions: Mapping[int, np.ndarray], cells: Mapping[int, np.ndarray], lists: Sequence[NeighbourList]
    ) -> dict[int, Evaluation]:
        return {
            number: self._evaluate(self.ensembles[number], *lists[number].pairs(place, cells[number]))
            for number, place in positions.items()
        }

    def _evaluate(
        self, models: list[BeadModel], first: np.ndarray, second: np.ndarray, vectors: np.ndarray
    ) -> Evaluation:
        n_beads = self.species.shape[1]
        pairs = torch.as_tensor(first, device=self.device), torch.as_tensor(second, device=self.device)
        vectors_t = torch.as_tensor(vectors, dtype=self.dtype, device=self.device)
        gradient = torch.zeros_like(vectors_t)
        energies = torch.zeros(n_beads, dtype=self.dtype, device=self.device)
        for model in models:
            network, part = model.energies_and_pair_gradient(self.species, *pairs, vectors_t)
            gradient += part
            energies += network.detach().reshape(-1)
        pair_gradient = (gradient / len(models)).cpu().numpy().astype(np.float64)
        bead_energies = (energies / len(models)).cpu().numpy().astype(np.float64)
        forces = np.empty((n_beads, 3))
        pair_kernels.forces_from_pairs(pair_gradient, first, second, forces)
        # Each directed pair carries its own share of the energy, so the sum runs over all of them.
        stress = -vectors.T @ pair_gradient
        virial = np.array([stress[0, 0], stress[1, 1], stress[2, 2], stress[0, 1], stress[0, 2], stress[1, 2]])
        return Evaluation(float(bead_energies.sum()), forces, virial, bead_energies)


@dataclass(frozen=True)
class Stack:
    """Networks of one architecture that are evaluated together, and the systems that they are evaluated on.

    Attributes
    ----------
    n_networks: number of networks.
    a, sigma: sensitivities for the kernels, (n_networks, ..) or, where networks share systems, side by side (1, ..).
    weights, weights_back: interaction weights (n_networks, n_types, n_sensitivities, n_features), features padded, and
        (n_networks, n_types, n_features, n_sensitivities), sensitivities padded.
    layers: what `md_kernels.layers` takes behind the types, up to the energies.
    shared: whether every network looks at every system; else each has systems of its own.
    systems: (n_networks, n) numbers of the systems of each network, or (1, n) where they are shared.
    weight: share of each network in its systems' means.
    cutoff_A, n_components: of the networks.
    """

    n_networks: int
    a: np.ndarray
    sigma: np.ndarray
    weights: np.ndarray
    weights_back: np.ndarray
    layers: tuple[Any, ...]
    shared: bool
    systems: list[list[int]]
    weight: float
    cutoff_A: float
    n_components: int

    def part(self, begin: int, end: int) -> Stack:
        """The networks from ``begin`` to ``end`` of a stack that is not shared."""
        rows = slice(begin, end)
        return replace(
            self,
            n_networks=len(self.systems[rows]),
            a=self.a[rows],
            sigma=self.sigma[rows],
            weights=self.weights[rows],
            weights_back=self.weights_back[rows],
            layers=tuple(value[rows] if isinstance(value, np.ndarray) else value for value in self.layers),
            systems=self.systems[rows],
        )


def make_stacks(ensembles: Sequence[Sequence[BeadModel]], numbers: Sequence[int], dtype: np.dtype) -> list[Stack]:
    """Stacks that evaluate the systems of the given numbers, their weights of a dtype and padded to whole vectors."""
    by_ensemble: dict[tuple[int, ...], list[int]] = {}
    for number in numbers:
        by_ensemble.setdefault(tuple(id(model) for model in ensembles[number]), []).append(number)
    alone: dict[tuple[Any, int], list[list[int]]] = {}
    stacks = []
    for systems in by_ensemble.values():
        ensemble = ensembles[systems[0]]
        by_spec: dict[Any, list[BeadModel]] = {}
        for model in ensemble:
            by_spec.setdefault(model.spec, []).append(model)
        for spec, models in by_spec.items():
            if len(ensemble) == 1:
                alone.setdefault((spec, len(systems)), []).append(systems)
            else:
                stacks.append(_stack(models, dtype, True, [systems], 1.0 / len(ensemble)))
    for groups in alone.values():
        stacks.append(_stack([ensembles[systems[0]][0] for systems in groups], dtype, False, groups, 1.0))
    return stacks


def _stack(
    models: Sequence[BeadModel], dtype: np.dtype, shared: bool, systems: list[list[int]], weight: float
) -> Stack:
    spec = models[0].spec
    with torch.no_grad():
        dense = Dense.of([model.modules_ for model in models], spec.n_sensitivities)
        matrices, biases = [dense.outer], [dense.outer_bias]
        for layer in dense.layers:
            matrices += [layer.inner, layer.outer]
            biases += [layer.inner_bias, layer.outer_bias]
        scales = [*dense.scales, *[torch.zeros_like(dense.outer_bias)] * (2 - len(dense.scales))]
        matrix = torch.stack(matrices, dim=1)
        a, sigma = (values.reshape(1, -1) if shared else values for values in (dense.a, dense.sigma))
        return Stack(
            n_networks=len(models),
            a=_padded(a, dtype),
            sigma=_padded(sigma, dtype),
            weights=_padded(dense.interaction, dtype),
            weights_back=_padded(dense.interaction.transpose(2, 3), dtype),
            layers=(
                spec.n_features,
                _padded(matrix, dtype),
                _padded(matrix.transpose(2, 3), dtype),
                _padded(torch.cat(biases, dim=1), dtype),
                _padded(dense.self_table, dtype),
                _padded(dense.skip_table, dtype),
                _padded(torch.cat(scales, dim=1), dtype),
                dense.cusp,
                _padded(dense.energy, dtype),
                (dense.energy_table + dense.energy_bias).numpy().astype(dtype),
            ),
            shared=shared,
            systems=systems,
            weight=weight,
            cutoff_A=spec.cutoff_A,
            n_components=N_COMPONENTS[spec.tensor_order],
        )


def _padded(values: torch.Tensor, dtype: np.dtype) -> np.ndarray:
    """A copy of a dtype, the last axis with zeros up to whole vectors."""
    tail = -values.shape[-1] % simd.lanes(dtype)
    # Through torch, whose memory starts at a cache line.
    array: np.ndarray = pad(torch.as_tensor(values.numpy().astype(dtype)), (0, tail)).contiguous().clone().numpy()
    return array


@dataclass(frozen=True)
class _Tile:
    """Part of a stack that is evaluated in one go: runs of beads (system, begin, end), network by network."""

    stack: Stack
    runs: list[tuple[int, int, int]]


class _CpuEvaluator(Evaluator):
    """The kernels of `environment_cpu` and the layers of `dense`, tile by tile, in arrays that are kept."""

    def __init__(
        self, ensembles: list[list[BeadModel]], bead_types: np.ndarray, cutoff_A: float, dtype: torch.dtype
    ) -> None:
        self.ensembles, self.types, self.cutoff_A = ensembles, bead_types, cutoff_A
        self.dtype = torch.empty(0, dtype=dtype).numpy().dtype
        self.n_types = len(ensembles[0][0].type_names)
        self.lanes = simd.lanes(self.dtype)
        self._tiles: dict[tuple[int, ...], list[_Tile]] = {}
        self._kept: dict[str, np.ndarray] = {}
        n_beads = len(bead_types)
        self._orders = [np.arange(n_beads) for _ in ensembles]
        self._types = [bead_types for _ in ensembles]
        self._forces = np.empty((len(ensembles), md_kernels.N_SLICES, n_beads, 3))
        self._virial = np.empty((len(ensembles), n_beads, 6))
        self._energies = np.empty((len(ensembles), n_beads))

    def _array(self, name: str, *shape: int, dtype: Any = None) -> np.ndarray:
        """An array whose memory is kept from step to step; its content is not."""
        size = int(np.prod(shape))
        kept = self._kept.get(name)
        if kept is None or len(kept) < size:
            # Some room to grow: the number of candidates changes a little at each rebuild.
            # torch's memory starts at a cache line.
            room = torch.empty((size + size // 16) * np.dtype(dtype or self.dtype).itemsize, dtype=torch.uint8)
            kept = self._kept[name] = room.numpy().view(dtype or self.dtype)
        return kept[:size].reshape(shape)

    def _plan(self, numbers: tuple[int, ...]) -> list[_Tile]:
        if numbers not in self._tiles:
            # Runs end one after another: plans of the past are of no use.
            self._tiles = {
                numbers: [
                    tile for stack in make_stacks(self.ensembles, numbers, self.dtype) for tile in self._cut(stack)
                ]
            }
        return self._tiles[numbers]

    def _cut(self, stack: Stack) -> list[_Tile]:
        n_beads, tiles = len(self.types), []
        if stack.shared or len(stack.systems) == 1:
            runs: list[tuple[int, int, int]] = []
            room = TILE_BEADS
            for system in stack.systems[0]:
                begin = 0
                while begin < n_beads:
                    end = min(begin + room, n_beads)
                    runs.append((system, begin, end))
                    room -= end - begin
                    begin = end
                    if room == 0:
                        tiles.append(_Tile(stack, runs))
                        runs, room = [], TILE_BEADS
            return tiles + ([_Tile(stack, runs)] if runs else [])
        per_network = len(stack.systems[0]) * n_beads
        step = max(TILE_BEADS // per_network, 1) if per_network else 1
        for begin in range(0, len(stack.systems), step):
            part = stack.part(begin, begin + step)
            if len(part.systems) == 1:
                tiles += self._cut(part)
            else:
                tiles.append(_Tile(part, [(system, 0, n_beads) for systems in part.systems for system in systems]))
        return tiles

    def evaluate(
        self, positions: Mapping[int, np.ndarray], cells: Mapping[int, np.ndarray], lists: Sequence[NeighbourList]
    ) -> dict[int, Evaluation]:
        numbers = tuple(positions)
        ordered = {
            number: self._in_order(number, positions[number], cells[number], lists[number]) for number in numbers
        }
        found = {number: lists[number].candidates(ordered[number], cells[number]) for number in numbers}
        for number in numbers:
            self._forces[number] = 0.0
            self._virial[number] = 0.0
            self._energies[number] = 0.0
        for tile in self._plan(numbers):
            self._evaluate_tile(tile, ordered, found)
        results = {}
        for number in numbers:
            order = self._orders[number]
            forces, energies = np.empty((len(order), 3)), np.empty(len(order))
            forces[order] = self._forces[number].sum(axis=0)
            energies[order] = self._energies[number]
            virial = self._virial[number].sum(axis=0)
            results[number] = Evaluation(float(energies.sum()), forces, virial, energies)
        return results

    def _in_order(self, number: int, positions: np.ndarray, cell: np.ndarray, pairs: NeighbourList) -> np.ndarray:
        """Positions in the order in which a system is worked on; a new order with each new neighbour list."""
        ordered = positions[self._orders[number]]
        if not pairs.is_valid(ordered, np.asarray(cell)):
            order = self._orders[number] = spatial_order(positions, np.asarray(cell), _BOX_A)
            self._types[number] = self.types[order]
            pairs.forget(self._types[number])
            ordered = positions[order]
        return ordered

    def _evaluate_tile(
        self,
        tile: _Tile,
        positions: Mapping[int, np.ndarray],
        found: Mapping[int, Candidates],
    ) -> None:
        stack, n_types = tile.stack, self.n_types
        sizes = []
        for system, begin, end in tile.runs:
            starts, ends = found[system].starts, found[system].ends
            sizes.append(int(ends[end * n_types - 1] - starts[begin * n_types]))
        n_beads, n_pairs = sum(end - begin for _, begin, end in tile.runs), sum(sizes)
        records = self._array("records", n_pairs, environment_cpu.RECORD)
        near = self._array("near", n_pairs, dtype=np.int32)
        row_starts = self._array("row_starts", n_beads * n_types, dtype=np.int64)
        row_ends = self._array("row_ends", n_beads * n_types, dtype=np.int64)
        at = bead = 0
        for (system, begin, end), size in zip(tile.runs, sizes, strict=True):
            pairs = found[system]
            mine = slice(bead * n_types, (bead + end - begin) * n_types)
            md_kernels.gather(
                positions[system],
                begin,
                end,
                pairs.starts,
                pairs.ends,
                pairs.second,
                pairs.images,
                pairs.shifts_A,
                self.cutoff_A,
                stack.cutoff_A,
                n_types,
                at,
                records,
                near,
                row_starts[mine],
                row_ends[mine],
            )
            at += size
            bead += end - begin
        per_network = n_beads if stack.shared else n_beads // stack.n_networks
        x = self._array("x", stack.n_networks, per_network, stack.n_components, stack.weights.shape[3])
        bead_energies = self._array("energies", stack.n_networks, per_network)
        constants = self.lanes, environment_cpu.COMPONENTS[stack.n_components]
        md_kernels.features(records, row_starts, row_ends, stack.a, stack.sigma, stack.weights, x, *constants)
        kinds = np.concatenate([self._types[system][begin:end] for system, begin, end in tile.runs])
        kinds = np.tile(kinds, (stack.n_networks, 1)) if stack.shared else kinds.reshape(stack.n_networks, -1)
        md_kernels.layers(x, kinds, *stack.layers, bead_energies, *constants)
        energies = bead_energies.sum(axis=0) if stack.shared else bead_energies.reshape(-1)
        bead = 0
        for system, begin, end in tile.runs:
            self._energies[system, begin:end] += stack.weight * energies[bead : bead + end - begin]
            md_kernels.forces(
                begin,
                end,
                bead,
                records,
                near,
                row_starts,
                row_ends,
                stack.a,
                stack.sigma,
                stack.weights_back,
                stack.weights.shape[2],
                x,
                stack.weight,
                self._forces[system],
                self._virial[system],
                *constants,
            )
            bead += end - begin
