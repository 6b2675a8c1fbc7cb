"""hippynn graph of a bead model: the network and its per-bead energies.

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
from hippynn.graphs.nodes.base import InputNode
from hippynn.graphs.nodes.base.algebra import AddNode
from hippynn.graphs.nodes.indexers import acquire_encoding_padding
from hippynn.graphs.nodes.inputs import CellNode, PositionsNode, SpeciesNode
from hippynn.graphs.nodes.networks import Hipnn, HipnnQuad, HipnnVec
from hippynn.graphs.nodes.pairs import PeriodicPairIndexer
from hippynn.graphs.nodes.physics import VecMag
from hippynn.graphs.nodes.targets import HEnergyNode

#: Network node by tensor order.
NETWORK_NODES = {0: Hipnn, 1: HipnnVec, 2: HipnnQuad}


@dataclass(frozen=True)
class ModelModules:
    """The two torch modules of a model."""

    network: torch.nn.Module
    energy: torch.nn.Module


def _input(name: str, state: Any) -> InputNode:
    node = InputNode(name)
    node._index_state = state
    return node


def make_modules(tensor_order: int, network_kwargs: dict[str, Any], n_types: int) -> ModelModules:
    """Fresh modules (weights drawn from torch's current random state)."""
    network = NETWORK_NODES[tensor_order]._auto_module_class(
        **network_kwargs, possible_species=list(range(n_types + 1))
    )
    energy = HEnergyNode._auto_module_class(feature_sizes=network.feature_sizes)
    return ModelModules(network, energy)


def pair_graph(modules: ModelModules, tensor_order: int) -> GraphModule:
    """Graph (species, pair_first, pair_second, pair_coord) -> per-bead energies.

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
    return GraphModule([species, first, second, coord], [energy.atom_energies])


def mean_energy_node(models: Sequence[ModelModules], tensor_orders: Sequence[int]) -> Any:
    """Node of the per-bead energies of the networks, averaged over models, on hippynn's pair finder.

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
        own = energy.atom_energies
        total = own if total is None else _beads(AddNode(total, own), f"sum_{number}")
    return _beads(total * (1.0 / len(models)), "bead_energies")


def _beads(node: Any, name: str) -> Any:
    node.name = name
    node._index_state = IdxType.Atoms
    return node
