"""The bead model: invariances, forces, agreement with hippynn's own periodic graph, files.

hippynn's graph shares the network modules with ours: pairs, wiring, forces and units are tested
independently, the formulas of HIP-NN-TS are hippynn's and are not.
"""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from bead_cases import CELLS, PRIOR, TYPES, Trap, configuration, make_model
from cgdistill.core.errors import InputError
from cgdistill.forcefield.hipnn.graph import mean_energy_node
from cgdistill.forcefield.model_files import load_model, load_prior, read_settings, save_model
from cgdistill.geometry.neighbours import NeighbourList
from hippynn.graphs import GraphModule
from hippynn.graphs.nodes.physics import GradientNode
from safetensors.torch import load_file, save_file
from scipy.spatial.transform import Rotation

ORDERS = (0, 1, 2)


def evaluate(model, positions, cell, types, dtype=torch.float64):
    """Energies per bead and forces of one configuration."""
    model = model.to(dtype)
    first, second, vectors = NeighbourList(model.spec.cutoff_A, 0.0).pairs(positions, cell)
    network, forces = model.energies_and_forces(
        torch.as_tensor(types + 1).reshape(1, -1),
        torch.as_tensor(first),
        torch.as_tensor(second),
        torch.as_tensor(vectors, dtype=dtype),
    )
    return network[0].detach().numpy(), forces[0].detach().numpy()


@pytest.mark.parametrize("order", ORDERS)
def test_rotation_translation_and_permutation(order):
    positions, types = configuration(CELLS["triclinic"])
    cell = CELLS["triclinic"]
    model = make_model(1, order)
    network, forces = evaluate(model, positions, cell, types)
    assert network.std() > 1e-4
    turn = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
    turned = evaluate(model, positions @ turn.T, cell @ turn.T, types)
    np.testing.assert_allclose(turned[0], network, atol=1e-10)
    np.testing.assert_allclose(turned[1], forces @ turn.T, atol=1e-9)
    moved = evaluate(model, positions + [1.7, -30.0, 4.1], cell, types)
    np.testing.assert_allclose(moved[0], network, atol=1e-10)
    np.testing.assert_allclose(moved[1], forces, atol=1e-9)
    order_of_beads = np.random.default_rng(0).permutation(len(types))
    shuffled = evaluate(model, positions[order_of_beads], cell, types[order_of_beads])
    np.testing.assert_allclose(shuffled[0], network[order_of_beads], atol=1e-10)
    np.testing.assert_allclose(shuffled[1], forces[order_of_beads], atol=1e-9)


def test_bead_types_count():
    positions, types = configuration(CELLS["cubic"])
    model = make_model(1)
    one, other = (evaluate(model, positions, CELLS["cubic"], kinds) for kinds in (types, 1 - types))
    assert np.abs(one[0] - other[0]).max() > 1e-4
    assert np.abs(one[1] - other[1]).max() > 1e-4


@pytest.mark.parametrize("order", ORDERS)
def test_tensor_orders_look_at_directions(order):
    """Order 0 sees distances alone; 1 and 2 tell two arrangements with equal distances to the centre apart."""
    cell = 40.0 * np.eye(3)
    types = np.zeros(3, dtype=int)
    straight = np.array([[0.0, 0, 0], [3.0, 0, 0], [-3.0, 0, 0]])
    bent = np.array([[0.0, 0, 0], [3.0, 0, 0], [0.0, 3.0, 0]])
    model = make_model(2, order, cutoff_A=4.0)
    difference = evaluate(model, straight, cell, types)[0][0] - evaluate(model, bent, cell, types)[0][0]
    assert (abs(difference) > 1e-5) == (order > 0)


@pytest.mark.parametrize("order", ORDERS)
def test_forces_are_the_gradient_and_sum_to_zero(order):
    positions, types = configuration(CELLS["triclinic"], seed=5)
    cell, model = CELLS["triclinic"], make_model(3, order)
    forces = evaluate(model, positions, cell, types)[1]
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-9)
    step = 1e-5
    for bead, axis in ((0, 0), (4, 1), (13, 2), (26, 0)):
        energies = []
        for sign in (+1, -1):
            moved = positions.copy()
            moved[bead, axis] += sign * step
            energies.append(evaluate(model, moved, cell, types)[0].sum())
        assert forces[bead, axis] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), rel=1e-5, abs=1e-6)


def hippynn_energies_and_forces(models, positions, cell, types):
    """Mean per-bead energies and forces on hippynn's own periodic pair finder, in float64."""
    node = mean_energy_node([model.modules_ for model in models], [model.spec.tensor_order for model in models])
    inputs = {item.name: item for item in node.get_all_parents() if not item.parents}
    gradient = GradientNode("forces", (node, inputs["positions"]), sign=-1)
    names = ("species", "positions", "cell")
    graph = GraphModule([inputs[name] for name in names], [node, gradient]).double()
    coordinates = torch.as_tensor(positions)[None].requires_grad_()
    energies, forces = graph(torch.as_tensor(types + 1)[None], coordinates, torch.as_tensor(cell)[None])
    return energies.detach().numpy().reshape(-1), forces.detach().numpy().reshape(-1, 3)


@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize("order", ORDERS)
def test_equal_to_the_graph_of_hippynn(cell, order):
    """hippynn wants positions within the cell; ours may lie anywhere."""
    positions, types = configuration(CELLS[cell], seed=7)
    fractions = positions @ np.linalg.inv(CELLS[cell])
    wrapped = (fractions - np.floor(fractions)) @ CELLS[cell]
    model = make_model(4, order)
    network, forces = evaluate(model, positions, CELLS[cell], types)
    energies, reference = hippynn_energies_and_forces([model.double()], wrapped, CELLS[cell], types)
    np.testing.assert_allclose(network, energies, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(forces, reference, rtol=1e-7, atol=1e-8)


def test_beads_out_of_reach_do_not_interact():
    cell, types = 40.0 * np.eye(3), np.array([0, 1])
    model = make_model(1)
    far = evaluate(model, np.array([[0.0, 0, 0], [5.01, 0, 0]]), cell, types)
    assert not far[1].any()
    near = evaluate(model, np.array([[0.0, 0, 0], [4.0, 0, 0]]), cell, types)
    assert near[1].any()


def test_seed_decides_and_the_global_state_stays():
    torch.manual_seed(11)
    before = torch.get_rng_state()
    one, same, other = (make_model(seed) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in one.weights().items():
        assert torch.equal(value, same.weights()[name])
    assert any(not torch.equal(value, other.weights()[name]) for name, value in one.weights().items())


def test_file_round_trip_is_equal_to_the_bit(tmp_path):
    model = make_model(8)
    save_model(tmp_path, model, PRIOR, {"training": {"seed": 8}})
    back = load_model(tmp_path)
    assert back.spec == model.spec
    assert back.type_names == TYPES
    assert not back.training
    for name, value in model.weights().items():
        assert torch.equal(value, back.weights()[name])
    positions, types = configuration(CELLS["cubic"])
    for ours, theirs in zip(
        evaluate(model, positions, CELLS["cubic"], types, torch.float32),
        evaluate(back, positions, CELLS["cubic"], types, torch.float32),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert read_settings(tmp_path)["training"] == {"seed": 8}
    assert back.n_parameters == sum(value.numel() for value in model.weights().values())


@pytest.mark.parametrize("fault", ["missing", "extra", "not finite", "shape"])
def test_weights_that_do_not_fit_are_refused(tmp_path, fault):
    save_model(tmp_path, make_model(), PRIOR, {})
    path = tmp_path / "weights.safetensors"
    weights = load_file(path)
    name = sorted(weights)[0]
    if fault == "missing":
        del weights[name]
    elif fault == "extra":
        weights["stranger"] = torch.zeros(2)
        name = "stranger"
    elif fault == "shape":
        weights[name] = weights[name][None].contiguous()
    else:
        weights[name].view(-1)[0] = float("nan")
    save_file(weights, path)
    with pytest.raises(InputError, match=name.replace(".", r"\.")) as caught:
        load_model(tmp_path)
    assert caught.value.source == str(path)


@pytest.mark.parametrize("key", ["format", "units", "network", "prior"])
def test_settings_that_do_not_fit_are_refused(tmp_path, key):
    save_model(tmp_path, make_model(), PRIOR, {})
    path = tmp_path / "network.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings[key] = {"length": "nm"}
    path.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        (load_prior if key == "prior" else load_model)(tmp_path)
    assert caught.value.source == str(path)


def test_loading_executes_nothing(tmp_path):
    """A pickle in the place of the weights is refused and not run."""
    folder = tmp_path / "model"
    save_model(folder, make_model(), PRIOR, {})
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    (folder / "weights.safetensors").write_bytes(trap)
    with pytest.raises(InputError, match="safetensors"):
        load_model(folder)
    torch.save(Trap(sprung), folder / "weights.safetensors")
    with pytest.raises(InputError, match="safetensors"):
        load_model(folder)
    assert not sprung.exists()
    pickle.loads(trap)
    assert sprung.exists()
