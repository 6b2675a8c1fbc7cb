"""Fused energies, forces and gradients of the loss against hippynn's own graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bead_cases import CELLS, TYPES, configuration, make_model, network_spec
from cgdistill.data.pair_frames import Batch
from cgdistill.forcefield.hipnn import fused
from cgdistill.forcefield.hipnn.fused import beyond_reach, stacked_energies_and_forces
from cgdistill.forcefield.hipnn.model import BeadModel
from cgdistill.geometry.neighbours import NeighbourList

#: Largest error as a fraction of the root mean square.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5}


def make_batch(seed=0, n_frames=2, dtype=torch.float64, cell=CELLS["triclinic"], cutoff_A=5.0, shuffled=False):
    """Frames as one batch, with random targets; the pairs in any order if ``shuffled``."""
    first, second, vectors, types = [], [], [], []
    for number in range(n_frames):
        positions, kinds = configuration(cell, seed + number)
        i, j, v = (values.copy() for values in NeighbourList(cutoff_A, 0.0).pairs(positions, cell))
        first.append(i + number * len(kinds))
        second.append(j + number * len(kinds))
        vectors.append(v)
        types.append(kinds + 1)
    pairs = [np.concatenate(values) for values in (first, second, vectors)]
    if shuffled:
        order = np.random.default_rng(seed).permutation(len(pairs[0]))
        pairs = [values[order] for values in pairs]
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(n_frames, len(types[0]), 3, generator=generator, dtype=torch.float64)
    first_t, second_t, vectors_t = map(torch.as_tensor, pairs)
    return Batch(torch.as_tensor(np.array(types)), first_t, second_t, vectors_t.to(dtype), {"F": target.to(dtype)})


def loss_and_gradients(model, batch, evaluation):
    """A loss on forces and energies, with everything that comes out and its gradient by all weights."""
    model.zero_grad(set_to_none=True)
    values = model.energies_and_forces(
        batch.species, batch.first, batch.second, batch.vectors_A, differentiable=True, evaluation=evaluation
    )
    energies, forces = values
    residual = forces - batch.targets["F"]
    loss = residual.pow(2).mean().sqrt() + residual.abs().mean() + 0.1 * energies.pow(2).mean()
    loss.backward()
    return [*values, loss], {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


def assert_close(found, expected, dtype):
    scale = expected.detach().double().pow(2).mean().sqrt() + 1e-12
    assert (found.detach().double() - expected.detach().double()).abs().max() / scale < TOLERANCE[dtype]


# Each combination of the two is compiled by itself, which takes half a minute the first time.
@pytest.mark.parametrize(
    ("dtype", "order"), [(torch.float64, 0), (torch.float64, 1), (torch.float64, 2), (torch.float32, 2)]
)
@pytest.mark.parametrize("changes", [{}, {"n_sensitivities": 20, "n_features": 32, "n_atom_layers": 3}])
def test_loss_and_its_gradients_are_those_of_hippynn(dtype, order, changes):
    """Gradients by every weight, the sensitivities' centres and widths among them, through the forces."""
    model, batch = make_model(3, order, **changes).to(dtype), make_batch(dtype=dtype)
    values, gradients = loss_and_gradients(model, batch, "auto")
    expected_values, expected = loss_and_gradients(model, batch, "stock")
    for found, wanted in zip(values, expected_values, strict=True):
        assert_close(found, wanted, dtype)
    assert any("sensitivity.mu" in name for name in gradients) and any("sigma" in name for name in gradients)
    for name, wanted in expected.items():
        # In float32 a gradient is a sum of cancelling terms: its rounding is some times that of a force.
        scale = wanted.double().pow(2).mean().sqrt() + 1e-12
        error = (gradients[name].double() - wanted.double()).abs().max() / scale
        assert error < (1e-10 if dtype == torch.float64 else 2e-4), name


def test_as_many_features_as_types():
    """hippynn then has no layer that adjusts the size of the input."""
    model = make_model(1, n_features=2).double()
    values, gradients = loss_and_gradients(model, make_batch(), "auto")
    expected_values, expected = loss_and_gradients(model, make_batch(), "stock")
    for found, wanted in zip([*values, *gradients.values()], [*expected_values, *expected.values()], strict=True):
        assert_close(found, wanted, torch.float64)


def test_order_of_the_pairs_does_not_matter():
    model = make_model(2).double()
    ordered, shuffled = (loss_and_gradients(model, make_batch(shuffled=mixed), "auto") for mixed in (False, True))
    for found, wanted in zip(shuffled[0], ordered[0], strict=True):
        assert_close(found, wanted, torch.float64)
    for name, wanted in ordered[1].items():
        assert_close(shuffled[1][name], wanted, torch.float64)


@pytest.mark.parametrize("n_frames", [(2, 2, 2), (1, 3, 2)])
def test_models_together_are_what_they_are_alone(n_frames):
    """Each with its batch, of equal size or not, gradients included."""
    models = [make_model(seed).double() for seed in range(3)]
    batches = [make_batch(10 * k, n) for k, n in enumerate(n_frames)]
    together = stacked_energies_and_forces(models, batches, differentiable=True)
    sum(
        (forces - batch.targets["F"]).pow(2).mean() for (_, forces), batch in zip(together, batches, strict=True)
    ).backward()
    for model, batch, values in zip(models, batches, together, strict=True):
        found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        model.zero_grad(set_to_none=True)
        (alone,) = stacked_energies_and_forces([model], [batch], differentiable=True)
        for ours, theirs in zip(values, alone, strict=True):
            assert_close(ours, theirs, torch.float64)
        (alone[1] - batch.targets["F"]).pow(2).mean().backward()
        expected = [p.grad for p in model.parameters() if p.grad is not None]
        for ours, theirs in zip(found, expected, strict=True):
            assert_close(ours, theirs, torch.float64)


def test_no_gradient_is_kept_where_none_is_wanted():
    model, batch = make_model(), make_batch(dtype=torch.float32)
    values = model.energies_and_forces(batch.species, batch.first, batch.second, batch.vectors_A)
    assert not any(value.requires_grad for value in values)


def test_a_network_beyond_reach_goes_through_hippynn_and_says_so(monkeypatch):
    """Two interaction layers: same interface, one line in the log. hippynn's kernels take 8 s to compile: not here."""
    fused._say_once.cache_clear()
    asked, said = [], []
    monkeypatch.setattr(fused, "compile_kernels", asked.append)
    monkeypatch.setattr(fused.log, "info", lambda text, *values: said.append(text % values))
    model = BeadModel(network_spec(n_interaction_layers=2), TYPES, 1).double()
    assert "interaction layers" in beyond_reach(model.spec, "cpu")
    batch = make_batch()
    _, forces = model.energies_and_forces(batch.species, batch.first, batch.second, batch.vectors_A)
    model.energies_and_forces(batch.species, batch.first, batch.second, batch.vectors_A)
    assert torch.isfinite(forces).all() and forces.abs().max() > 0
    assert said == ["evaluating by hippynn's own graph, many times slower: 2 interaction layers, one is needed"]
    assert asked == [True]


def test_unknown_evaluation_is_refused():
    batch = make_batch()
    with pytest.raises(ValueError, match="evaluation"):
        make_model().double().energies_and_forces(
            batch.species, batch.first, batch.second, batch.vectors_A, evaluation="quick"
        )
