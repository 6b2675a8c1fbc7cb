"""Environment sums and their derivatives against automatic differentiation of the formulas in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cgdistill.forcefield.hipnn.environment import N_COMPONENTS, Rows, environment_sums, n_padded, pair_gradient

CUTOFF_A = 9.0
N_BEADS, N_TYPES, N_SENSITIVITIES = 6, 3, 20
CPU = torch.device("cpu")


def rows_of(vectors, starts, ends):
    return Rows.of(vectors, starts, ends, N_TYPES, CUTOFF_A)


def geometry(seed=0):
    """Vectors (some beyond the cutoff), rows of 0 to 30 pairs, and the bead and type of each pair."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(0, 30, (N_BEADS * N_TYPES,), generator=generator)
    counts[2] = 0
    ends = counts.cumsum(0)
    directions = torch.randn(int(counts.sum()), 3, generator=generator, dtype=torch.float64)
    lengths = 2.0 + 7.5 * torch.rand(len(directions), 1, generator=generator, dtype=torch.float64)
    vectors = directions / directions.norm(dim=1, keepdim=True) * lengths
    return vectors, ends - counts, ends, torch.repeat_interleave(torch.arange(len(counts)), counts)


def parameters(n_groups):
    centres = torch.linspace(1 / 8.5, 1 / 2.2, N_SENSITIVITIES, dtype=torch.float64)
    a = torch.stack([centres * (1 + 0.01 * group) for group in range(n_groups)])
    return a, torch.full_like(a, 60.0) + torch.arange(N_SENSITIVITIES)


def reference(vectors, a, sigma, row, n_components):
    """(n_beads, n_components, n_types, n_sensitivities) by the formulas, written down once more."""
    r = vectors.norm(dim=1)
    u = vectors / r[:, None]
    group = row // N_TYPES // (N_BEADS // len(a))
    q = sigma[group] * (1 / r[:, None] - a[group])
    cutoff = torch.cos(torch.pi * r / (2 * CUTOFF_A)) ** 2 * (r <= CUTOFF_A)
    phi = torch.exp(-q * q / 2) * cutoff[:, None]
    x, y, z = u.T
    parts = [torch.ones_like(x), x, y, z, x * x - 1 / 3, x * y, x * z, y * y - 1 / 3, y * z]
    terms = torch.stack(parts[:n_components], dim=1)[:, :, None] * phi[:, None, :]
    sums = torch.zeros(N_BEADS * N_TYPES, *terms.shape[1:], dtype=torch.float64).index_add(0, row, terms)
    return sums.reshape(N_BEADS, N_TYPES, n_components, -1).transpose(1, 2)


def close(found, expected, dtype):
    """Largest error against the root mean square: rounding of float64, or of float32 sums."""
    scale = expected.detach().pow(2).mean().sqrt()
    error = (found.detach().double() - expected.detach()).abs().max() / scale
    assert error < (1e-12 if dtype == torch.float64 else 1e-4), error


@pytest.mark.parametrize("n_groups", [1, 2])
# Each combination of the two is compiled by itself, which takes half a minute the first time.
@pytest.mark.parametrize(("dtype", "order"), [*((torch.float64, order) for order in N_COMPONENTS), (torch.float32, 2)])
def test_sums_and_first_and_second_derivatives(dtype, order, n_groups):
    """All that training needs: the sums, forces from them, and gradients of a loss on both."""
    vectors, starts, ends, row = geometry()
    a, sigma = parameters(n_groups)
    n_components = N_COMPONENTS[order]
    generator = torch.Generator().manual_seed(5)
    loss_sums = torch.randn(N_BEADS, n_components, N_TYPES, N_SENSITIVITIES, generator=generator, dtype=torch.float64)
    loss_pairs = torch.randn(len(vectors), 3, generator=generator, dtype=torch.float64)

    def results(kind, evaluate):
        place, centres, widths = (value.to(kind).requires_grad_() for value in (vectors, a, sigma))
        sums = evaluate(place, centres, widths)
        energy = (torch.sin(sums) * loss_sums.to(kind)).sum()
        (gradient,) = torch.autograd.grad(energy, place, create_graph=True)
        loss = energy + (torch.tanh(gradient) * loss_pairs.to(kind)).sum()
        return [sums, gradient, *torch.autograd.grad(loss, (centres, widths))]

    rows = rows_of(vectors.to(dtype), starts, ends)
    tail = n_padded(N_SENSITIVITIES, dtype, CPU) - N_SENSITIVITIES

    def fused(place, centres, widths):
        padded = [torch.nn.functional.pad(value, (0, tail)) for value in (centres, widths)]
        return environment_sums(rows, *padded, n_components, place)[..., :N_SENSITIVITIES]

    found = results(dtype, fused)
    expected = results(torch.float64, lambda *values: reference(*values, row, n_components))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == dtype
        close(ours, theirs, dtype)


def test_derivatives_of_the_pair_gradient_by_what_it_is_made_of():
    """The way forces go: derivatives of the energy with respect to the sums come from the layers behind."""
    vectors, starts, ends, row = geometry(1)
    a, sigma = (value.requires_grad_() for value in parameters(1))
    tail = n_padded(N_SENSITIVITIES, torch.float64, CPU) - N_SENSITIVITIES
    derivatives = torch.randn(N_BEADS, 9, N_TYPES, N_SENSITIVITIES, dtype=torch.float64).requires_grad_()
    change = torch.randn(len(vectors), 3, dtype=torch.float64)
    place = vectors.clone().requires_grad_()
    (expected,) = torch.autograd.grad(
        (reference(place, a, sigma, row, 9) * derivatives).sum(), place, create_graph=True
    )
    padded = [torch.nn.functional.pad(value, (0, tail)) for value in (a, sigma, derivatives)]
    found = pair_gradient(rows_of(vectors, starts, ends), *padded)
    close(found, expected, torch.float64)
    targets = (a, sigma, derivatives)
    for ours, theirs in zip(
        torch.autograd.grad((found * change).sum(), targets),
        torch.autograd.grad((expected * change).sum(), targets),
        strict=True,
    ):
        close(ours, theirs, torch.float64)


def test_second_derivatives_by_positions_are_not_made_up():
    """A Hessian is not there, and says so."""
    vectors, starts, ends, _ = geometry()
    a, sigma = parameters(1)
    tail = n_padded(N_SENSITIVITIES, torch.float64, CPU) - N_SENSITIVITIES
    padded = [torch.nn.functional.pad(value, (0, tail)) for value in (a, sigma)]
    place = vectors.clone().requires_grad_()
    sums = environment_sums(rows_of(vectors, starts, ends), *padded, 9, place)
    (gradient,) = torch.autograd.grad(sums[..., :N_SENSITIVITIES].pow(2).sum(), place, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), place)
    assert torch.isnan(second).any()


def test_a_pair_at_and_beyond_the_cutoff_counts_nothing():
    vectors = torch.tensor([[CUTOFF_A, 0, 0], [0, 1.2 * CUTOFF_A, 0], [0, 0, 30.0]], dtype=torch.float64)
    starts, ends = torch.zeros(2, N_TYPES, dtype=torch.int64)
    ends[0] = 3
    a, sigma = torch.full((1, 8), 0.2, dtype=torch.float64), torch.full((1, 8), 1.0, dtype=torch.float64)
    rows = rows_of(vectors, starts, ends)
    assert environment_sums(rows, a, sigma, 9).abs().max() < 1e-15
    derivatives = torch.ones(1, 9, N_TYPES, 8, dtype=torch.float64)
    assert np.abs(pair_gradient(rows, a, sigma, derivatives).numpy()).max() < 1e-14
