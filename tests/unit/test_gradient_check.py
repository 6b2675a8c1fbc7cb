"""The check of forces against finite differences that the workflow runs on every teacher."""

from __future__ import annotations

from dataclasses import replace

import torch
from bead_cases import force_field, make_frames, make_model
from cgdistill.forcefield.forcefield import ForceFieldPotential
from cgdistill.training.gradient_check import check_gradient


def test_a_sound_model_passes_and_keeps_its_weights():
    frames, types = make_frames(2)
    models = [make_model(1), make_model(2)]
    before = [model.weights() for model in models]
    result = check_gradient(force_field(*models), frames, types, n_components=6, seed=1)
    assert result["n_components"] == 6
    assert result["rms_force_kcal_mol_A"] > 1e-2
    assert result["rms_difference_kcal_mol_A"] <= result["max_difference_kcal_mol_A"] < 1e-4
    for model, weights in zip(models, before, strict=True):
        for name, value in model.weights().items():
            assert value.dtype == torch.float32
            assert torch.equal(value, weights[name])


def test_wrong_forces_are_found(monkeypatch):
    """Forces 5 % too large: the difference is 5 % of the force."""
    frames, types = make_frames(1)
    model, right = make_model(1), ForceFieldPotential.evaluate

    def wrong(*inputs):
        evaluation = right(*inputs)
        return replace(evaluation, forces_kcal_mol_A=1.05 * evaluation.forces_kcal_mol_A)

    monkeypatch.setattr(ForceFieldPotential, "evaluate", wrong)
    result = check_gradient(force_field(model), frames, types, n_components=4, seed=1)
    ratio = result["rms_difference_kcal_mol_A"] / result["rms_force_kcal_mol_A"]
    assert abs(ratio - 0.05 / 1.05) < 1e-3


def test_seed_draws_the_components():
    frames, types = make_frames(1)
    results = [check_gradient(force_field(make_model(1)), frames, types, 3, seed) for seed in (1, 1, 2)]
    assert results[0] == results[1] != results[2]
