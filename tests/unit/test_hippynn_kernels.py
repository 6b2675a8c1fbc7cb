"""Environment sums for one-hot features against hippynn's own, with all derivatives."""

from __future__ import annotations

import pytest
import torch
from cgdistill import hippynn_kernels
from hippynn.custom_kernels import env_pytorch

N_BEADS, N_PAIRS = 9, 60


def pairs():
    generator = torch.Generator().manual_seed(1)
    first, second = (torch.randint(N_BEADS, (N_PAIRS,), generator=generator) for _ in range(2))
    sensitivities = torch.randn(N_PAIRS, 4, generator=generator, dtype=torch.float64)
    return sensitivities, first.sort().values, second


FEATURES = {
    "one-hot": torch.eye(3, dtype=torch.float64)[torch.arange(N_BEADS) % 3],
    "two of three": 1.0 - torch.eye(3, dtype=torch.float64)[torch.arange(N_BEADS) % 3],
    "any": torch.linspace(-1, 1, 3 * N_BEADS, dtype=torch.float64).reshape(N_BEADS, 3),
}


@pytest.mark.parametrize("kind", list(FEATURES))
def test_sums_are_those_of_hippynn(kind):
    sensitivities, first, second = pairs()
    features = FEATURES[kind]
    expected = env_pytorch.envsum(sensitivities, features, first, second)
    found = hippynn_kernels._envsum(sensitivities, features, first, second)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        hippynn_kernels._sensesum(expected, features, first, second),
        env_pytorch.sensesum(expected, features, first, second),
    )


def test_no_pairs():
    none = torch.empty(0, dtype=torch.long)
    sums = hippynn_kernels._envsum(torch.empty(0, 4, dtype=torch.float64), FEATURES["one-hot"], none, none)
    assert sums.shape == (N_BEADS, 4, 3)
    assert not sums.any()
