"""The fused interaction layer inside hippynn's own graph: results, forces, and a step of training."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from bead_cases import CELLS, configuration, make_model, network_spec
from cgdistill.evaluation.interaction import fuse
from cgdistill.learning.hippynn_nodes import mean_energy_node
from cgdistill.learning.network import BeadModel
from hippynn.graphs import GraphModule
from hippynn.graphs.nodes.physics import GradientNode


def graph_of(model):
    """hippynn's graph with its own pair finder: per-bead energies and forces from species, positions and cell."""
    node = mean_energy_node([model.modules_], [model.spec.tensor_order])
    inputs = {item.name: item for item in node.get_all_parents() if not item.parents}
    forces = GradientNode("forces", (node, inputs["positions"]), sign=-1)
    return GraphModule([inputs[name] for name in ("species", "positions", "cell")], [node, forces])


def train(model, steps):
    """Loss of each step of a few steps of Adam on the forces, and the energies and forces at the end."""
    positions, types = configuration(CELLS["cubic"], seed=2)
    fractions = positions @ np.linalg.inv(CELLS["cubic"])
    places = torch.as_tensor((fractions - np.floor(fractions)) @ CELLS["cubic"])[None]
    species, cell = torch.as_tensor(types + 1)[None], torch.as_tensor(CELLS["cubic"])[None]
    target = torch.randn(1, len(types), 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    graph = graph_of(model).double()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(steps):
        energies, forces = graph(species, places.clone().requires_grad_(), cell)
        loss = (forces.reshape(target.shape) - target).pow(2).mean() + 0.1 * energies.pow(2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses, energies.detach(), forces.detach()


@pytest.mark.parametrize("order", [0, 1, 2])
def test_training_goes_the_same_way(order):
    """Five steps of Adam on forces by hippynn's graph, with its own layers and with the fused ones."""
    stock = make_model(5, order).double()
    fused = copy.deepcopy(stock)
    assert fuse(fused.modules_.network) == 1
    assert list(fused.state_dict()) == list(stock.state_dict())
    expected, found = train(stock, 5), train(fused, 5)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-9)
    assert expected[0][-1] < expected[0][0]
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-9)


def test_second_layer_on_features_that_are_not_one_hot():
    """A network of two interaction layers: the first fused, the second by hippynn's own way."""
    from bead_cases import PRIOR

    stock = BeadModel(network_spec(n_interaction_layers=2), PRIOR, 1).double()
    fused = copy.deepcopy(stock)
    assert fuse(fused.modules_.network) == 2
    for ours, theirs in zip(train(fused, 1)[1:], train(stock, 1)[1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_other_layers_stay_as_they_are():
    assert fuse(torch.nn.Sequential(torch.nn.Linear(2, 2))) == 0
