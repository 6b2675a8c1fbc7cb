"""Our Adam against torch's."""

from __future__ import annotations

import copy

import pytest
import torch
from cgdistill.training.adam import Adam


def parameters():
    """Three parameters: used in every step, in every other one, and frozen."""
    rng = torch.Generator().manual_seed(3)
    made = [torch.nn.Parameter(torch.randn(shape, generator=rng)) for shape in ((4, 3), (5,), (2,))]
    made[2].requires_grad_(False)
    return made


def loss_of(made, number):
    loss = (made[0].sin() * (number + 1)).sum()
    return loss + made[1].square().sum() if number % 2 else loss


@pytest.mark.parametrize("interrupted", [False, True])
def test_steps_are_those_of_torch(interrupted):
    """To the bit, with a parameter without gradient in some steps, another learning rate on the way, and resumed."""
    own, other = parameters(), parameters()
    adam, reference = Adam(own, 0.01), torch.optim.Adam(other[:2], lr=0.01, fused=True)
    start = other[0].detach().clone()
    for number in range(12):
        if number == 6:
            adam.learning_rate = reference.param_groups[0]["lr"] = 0.003
        if interrupted and number == 8:
            state = copy.deepcopy(adam.state())
            adam = Adam(own, 1.0)
            adam.load_state(state)
        for optimiser, made in ((adam, own), (reference, other)):
            optimiser.zero_grad()
            loss_of(made, number).backward()
            optimiser.step()
    for one, expected in zip(own, other, strict=True):
        assert torch.equal(one, expected)
    assert (own[0] - start).abs().max() > 0.01
    assert torch.equal(own[2], parameters()[2])


def test_norm_is_that_of_all_gradients():
    """By torch's own clipping; not finite where a single component is not."""
    made = parameters()
    adam = Adam(made, 0.01)
    loss_of(made, 1).backward()
    expected = torch.nn.utils.clip_grad_norm_(made[:2], float("inf"))
    assert adam.gradient_norm().item() == pytest.approx(expected.item())
    made[1].grad[3] = float("nan")
    assert adam.gradient_norm().isnan()
    made[1].grad = None
    assert adam.gradient_norm().item() == pytest.approx(made[0].grad.norm().item())
