"""hippynn graph of a bead model: the network, its per-bead energies and the repulsive prior.

hippynn defines the model. One set of torch modules is wired in two ways: with pairs given from
outside (training, MD) and with hippynn's own periodic pair finder (reference, ML-IAP export).
This module has to be importable where an ML-IAP file is loaded, since that file is a pickle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

# First: it sets up the import of hippynn.
from . import hippynn_import as hippynn_kernels  # noqa: F401

# isort: split
from hippynn.graphs import GraphModule, IdxType
from hippynn.graphs.nodes.base import AutoKw, ExpandParents, InputNode, SingleNode
from hippynn.graphs.nodes.base.algebra import AddNode
from hippynn.graphs.nodes.indexers import acquire_encoding_padding
from hippynn.graphs.nodes.inputs import CellNode, PositionsNode, SpeciesNode
from hippynn.graphs.nodes.networks import Hipnn, HipnnQuad, HipnnVec
from hippynn.graphs.nodes.pairs import PeriodicPairIndexer
from hippynn.graphs.nodes.physics import VecMag
from hippynn.graphs.nodes.tags import AtomIndexer, PairIndexer
from hippynn.graphs.nodes.targets import HEnergyNode

from ..prior import RepulsivePrior

#: Network node by tensor order.
NETWORK_NODES = {0: Hipnn, 1: HipnnVec, 2: HipnnQuad}


class PriorModule(torch.nn.Module):  # type: ignore[misc,name-defined]
    """Energy of the repulsive prior per bead: half of each pair's energy to either bead."""

    E0_kcal_mol: torch.Tensor
    a_per_A: torch.Tensor
    log_E0: torch.Tensor

    def __init__(self, prior: RepulsivePrior) -> None:
        super().__init__()
        self.register_buffer("E0_kcal_mol", torch.as_tensor(prior.E0_kcal_mol, dtype=torch.float64))
        self.register_buffer("a_per_A", torch.as_tensor(prior.a_per_A, dtype=torch.float64))
        # E0 reaches 1e30 for distant contacts: the exponent is formed first, in full precision.
        self.register_buffer("log_E0", torch.log(torch.as_tensor(prior.E0_kcal_mol, dtype=torch.float64)))

    def _apply(self, fn: Any, recurse: bool = True) -> PriorModule:
        """Move with the model, but stay in float64, with the values as they are: rounded ones would not come back."""
        kept = {name: getattr(self, name) for name in ("E0_kcal_mol", "a_per_A", "log_E0")}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, value in kept.items():
            setattr(self, name, value.to(getattr(self, name).device))
        return self

    def forward(
        self, features: torch.Tensor, pair_first: torch.Tensor, pair_second: torch.Tensor, pair_dist: torch.Tensor
    ) -> torch.Tensor:
        """Per-bead energies (n_beads, 1), kcal/mol, from one-hot features and directed pairs."""
        kinds = features.to(torch.uint8).argmax(dim=1)
        first, second = kinds[pair_first], kinds[pair_second]
        distance = pair_dist.reshape(-1)
        exponent = self.log_E0[first, second] - self.a_per_A[first, second] * distance
        pair_energy = 0.5 * torch.exp(exponent).to(distance.dtype)
        energies = torch.zeros(features.shape[0], dtype=distance.dtype, device=distance.device)
        return energies.index_add(0, pair_first, pair_energy).unsqueeze(1)


class PriorNode(ExpandParents, AutoKw, SingleNode):  # type: ignore[misc]
    """Node of `PriorModule`."""

    _input_names = "features", "pair_first", "pair_second", "pair_dist"
    _auto_module_class = PriorModule
    _index_state = IdxType.Atoms

    @_parent_expander.match(AtomIndexer, PairIndexer)  # type: ignore[name-defined,untyped-decorator] # noqa: F821
    def expansion0(self, padding: Any, pairs: Any, **_: Any) -> tuple[Any, ...]:
        """Take the encoded features and the pairs from their indexers."""
        return padding.indexed_features, pairs.pair_first, pairs.pair_second, pairs.pair_dist

    _parent_expander.assertlen(4)  # type: ignore[name-defined] # noqa: F821
    _parent_expander.get_main_outputs()  # type: ignore[name-defined] # noqa: F821

    def __init__(self, name: str, parents: Any, module: Any, **kwargs: Any) -> None:
        parents = self.expand_parents(parents)
        super().__init__(name, parents, module=module, **kwargs)


@dataclass(frozen=True)
class ModelModules:
    """The three torch modules of a model."""

    network: torch.nn.Module
    energy: torch.nn.Module
    prior: PriorModule


def _input(name: str, state: Any) -> InputNode:
    node = InputNode(name)
    node._index_state = state
    return node


def make_modules(tensor_order: int, network_kwargs: dict[str, Any], prior: RepulsivePrior) -> ModelModules:
    """Fresh modules (weights drawn from torch's current random state)."""
    n_types = len(prior.type_names)
    network = NETWORK_NODES[tensor_order]._auto_module_class(
        **network_kwargs, possible_species=list(range(n_types + 1))
    )
    energy = HEnergyNode._auto_module_class(feature_sizes=network.feature_sizes)
    return ModelModules(network, energy, PriorModule(prior))


def pair_graph(modules: ModelModules, tensor_order: int) -> GraphModule:
    """Graph (species, pair_first, pair_second, pair_coord) -> per-bead energies of network and prior.

    ``species`` is (n_systems, n_beads), bead type + 1; pair indices run over the flattened beads.
    """
    species = SpeciesNode(name="species")
    encoder, padding = acquire_encoding_padding([species], species_set=modules.network.species_set)
    del encoder
    first, second = _input("pair_first", IdxType.Pair), _input("pair_second", IdxType.Pair)
    coord = _input("pair_coord", IdxType.Pair)
    distance = VecMag("pair_dist", coord)
    parents = [padding.indexed_features, first, second, distance] + ([coord] if tensor_order else [])
    network = NETWORK_NODES[tensor_order]("network", tuple(parents), module=modules.network)
    energy = HEnergyNode("energy", network, module=modules.energy)
    prior = PriorNode("prior", (padding.indexed_features, first, second, distance), module=modules.prior)
    return GraphModule([species, first, second, coord], [energy.atom_energies, prior])


def mean_energy_node(models: Sequence[ModelModules], tensor_orders: Sequence[int]) -> Any:
    """Node of the per-bead total energies (network + prior), averaged over models, on hippynn's pair finder.

    The node that hippynn's ML-IAP interface takes; inputs are species, positions and cell.
    """
    species, positions = SpeciesNode("species", "species"), PositionsNode("positions", "positions")
    cell = CellNode("cell", "cell")
    first = models[0].network
    encoder, padding = acquire_encoding_padding([species], species_set=first.species_set)
    cutoff_A = max(float(model.network.dist_hard_max) for model in models)  # type: ignore[arg-type]
    pairs = PeriodicPairIndexer("pairs", (positions, encoder, padding, cell), dist_hard_max=cutoff_A)
    total: Any = None
    for number, (model, order) in enumerate(zip(models, tensor_orders, strict=True)):
        network = NETWORK_NODES[order](f"network_{number}", (padding, pairs), module=model.network, periodic=True)
        energy = HEnergyNode(f"energy_{number}", network, module=model.energy)
        prior = PriorNode(f"prior_{number}", (padding, pairs), module=model.prior)
        both = _beads(AddNode(energy.atom_energies, prior), f"bead_energies_{number}")
        total = both if total is None else _beads(AddNode(total, both), f"sum_{number}")
    return _beads(total * (1.0 / len(models)), "bead_energies")


def _beads(node: Any, name: str) -> Any:
    node.name = name
    node._index_state = IdxType.Atoms
    return node
