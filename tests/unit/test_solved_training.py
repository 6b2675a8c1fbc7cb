"""Training of models that are found in one step: the products of a training by epochs, and pairwise splines in it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from bead_cases import PRIOR, TYPES, bead_topology
from cgdistill.core.errors import InputError
from cgdistill.data.pair_frames import PairFrames
from cgdistill.forcefield.pair_spline.training import drawn_frames
from cgdistill.forcefield.prior.base import InteractionTopology
from cgdistill.forcefield.registry import architecture
from cgdistill.geometry.neighbours import NeighbourList
from cgdistill.training.failure_policy import FailurePolicy
from cgdistill.training.loss import Objective
from cgdistill.training.solved import solve_model
from cgdistill.training.trainer import HISTORY_COLUMNS, TrainingData
from pair_spline_cases import SPEC, frames_of, known_model, labels_of

SPLINES = architecture("pair-spline")
N_TRAIN, N_VALID = 40, 6


@pytest.fixture(scope="module")
def data():
    """Frames whose forces are those of a known model and of the prior, and the energies of the model."""
    model = known_model(shortest_A=1.0)
    positions, cells, types = frames_of(N_TRAIN + N_VALID)
    labels = labels_of(model, positions, cells, types)
    frames = PairFrames(types)
    neighbours = NeighbourList(SPEC.cutoff_A, 0.0, types, len(TYPES))
    for position, cell in zip(positions, cells, strict=True):
        first, second, vectors = neighbours.pairs(position, cell)
        frames.first.append(torch.as_tensor(first.astype(np.int32)))
        frames.second.append(torch.as_tensor(second.astype(np.int32)))
        frames.vectors_A.append(torch.as_tensor(vectors.astype(np.float32)))
    potential = PRIOR.potential(InteractionTopology.of(bead_topology(types)), skin_A=0.0)
    prior = np.array(
        [
            potential.evaluate(position, cell, types).forces_kcal_mol_A
            for position, cell in zip(positions, cells, strict=True)
        ]
    )
    targets = {"F": labels["F"] + prior, "f": labels["F"] + prior, "epsilon": labels["epsilon"], "E": labels["E"]}
    frames = frames.with_prior(prior).with_targets({name: torch.as_tensor(y).float() for name, y in targets.items()})
    return TrainingData(frames, np.arange(N_TRAIN), N_TRAIN + np.arange(N_VALID), seed=1)


def solved(data, weights, spec=SPEC, policy=None, **more):
    return solve_model(
        SPLINES,
        spec,
        TYPES,
        data,
        Objective.constant(weights),
        name="T/seed-1",
        policy=policy or FailurePolicy(),
        **more,
    )


@pytest.mark.parametrize("weights", [{"F": 1.0}, {"F": 1.0, "f": 2.0, "epsilon": 5.0}, {"f": 1.0, "E": 1.0}])
def test_recovers_the_model_that_made_the_labels(data, weights):
    """The prior's forces are no part of it: without them as well as possible, to the precision of float32."""
    found = solved(data, weights)
    curves = [model.curve(0, 1, np.linspace(2.2, 4.9, 30)) for model in (found.model, known_model())]
    np.testing.assert_allclose(curves[0].force_kcal_mol_A, curves[1].force_kcal_mol_A, atol=2e-3)
    (row,) = found.history.to_dict("records")
    # Some pairs of the validation frames are closer than any in the training frames.
    assert row["valid_r2_F"] > 0.999
    assert row["train_loss"] == pytest.approx(sum(row[f"train_{name}"] for name in weights))
    assert [column for column in found.history if column in HISTORY_COLUMNS] == HISTORY_COLUMNS
    assert found.course.record() == {
        "learning_rate": None, "retries": 0, "best_epoch": 1, "epochs": 1, "failures": [], "excluded": "",
    }  # fmt: skip


def test_frames_are_drawn_by_the_seed():
    """As many as there are, some twice; other seeds draw others; without it all of them."""
    training = np.arange(10, 60)
    drawn = drawn_frames(training, 1, bootstrap=True)
    assert len(drawn) == 50 and set(drawn) < set(training) and (np.diff(drawn) >= 0).all()
    # Of n frames, 1 - 1/e are expected to be drawn at least once.
    counts = [len(set(drawn_frames(training, seed, True))) / 50 for seed in range(200)]
    assert np.mean(counts) == pytest.approx(1 - np.exp(-1), abs=0.02)
    assert not np.array_equal(drawn, drawn_frames(training, 2, True))
    assert np.array_equal(drawn, drawn_frames(training, 1, True))
    assert np.array_equal(drawn_frames(training[::-1], 1, False), training)


def test_seeds_differ_by_the_bootstrap_alone(data):
    noisy = data.frames.targets["F"] + torch.as_tensor(np.random.default_rng(0).normal(size=(N_TRAIN + N_VALID, 27, 3)))
    noisy = replace(data, frames=data.frames.with_targets({"F": noisy.float()}))
    for bootstrap in (True, False):
        spec = replace(SPEC, bootstrap=bootstrap)
        one, other = (solved(replace(noisy, seed=seed), {"F": 1.0}, spec).model for seed in (1, 2))
        assert np.array_equal(one.coefficients, other.coefficients) is not bootstrap


def test_excluded_model_has_no_interactions(data):
    found = solved(data, {"f": 1.0}, excluded="its teacher: diverged")
    assert found.course.excluded == "its teacher: diverged" and found.history.empty
    assert not found.model.coefficients.any()
    assert found.model.n_parameters == 0


def test_model_no_better_than_the_prior_fails(data):
    """Forces that no pairs explain: stopped by the policy, or excluded with the reason."""
    noise = torch.as_tensor(np.random.default_rng(0).normal(size=(N_TRAIN + N_VALID, 27, 3))).float()
    frames = data.frames.with_targets({"F": noise + torch.as_tensor(data.frames.prior_forces).float()})
    noisy = replace(data, frames=frames)
    with pytest.raises(InputError, match=r"training: T/seed-1: found R2 of the forces .* above that of the prior"):
        solved(noisy, {"F": 1.0}, policy=FailurePolicy(min_r2_gain=0.05))
    found = solved(noisy, {"F": 1.0}, policy=FailurePolicy(min_r2_gain=0.05, then="exclude"))
    assert found.course.excluded.startswith("R2 of the forces")
    json.dumps(found.course.record())


def test_target_without_labels(data):
    frames = PairFrames(data.frames.bead_types, data.frames.first, data.frames.second, data.frames.vectors_A)
    with pytest.raises(InputError, match=r"loss weights: found targets \['f'\]"):
        solved(replace(data, frames=frames), {"f": 1.0})
