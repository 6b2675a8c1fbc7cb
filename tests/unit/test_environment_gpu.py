"""Environment sums on a GPU against automatic differentiation of the formulas.

Not detected: anything about speed; on a machine without a GPU, errors of triton's compiler.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec

import pytest
import torch
from cgdistill.forcefield.hipnn import environment_gpu
from gpu_cases import DEVICE, INTERPRETED, compiles, launches, run_in_interpreter, starts_interpreter

CUTOFF_A = 12.0
#: Largest error as a fraction of the root mean square.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


@dataclass
class Case:
    """Pairs in rows and parameters, float64 and of a kernel's dtype."""

    n_types: int
    n_components: int
    starts: torch.Tensor
    ends: torch.Tensor
    vectors: torch.Tensor
    a: torch.Tensor
    sigma: torch.Tensor
    dtype: torch.dtype

    @property
    def n_beads(self) -> int:
        return len(self.starts) // self.n_types

    @property
    def shape(self) -> tuple[int, ...]:
        return self.n_beads, self.n_components, self.n_types, self.a.shape[1]

    def random(self, *shape: int, seed: int = 7) -> torch.Tensor:
        """Numbers that both precisions hold exactly."""
        numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return numbers.to(self.dtype).double()

    def kernel(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        """Tensors as the kernels take them."""
        return [t.detach().to(device=DEVICE, dtype=self.dtype).contiguous() for t in tensors]

    def arguments(self) -> list[torch.Tensor]:
        """Records, starts, ends, a, sigma for the kernels."""
        vectors, a, sigma = self.kernel(self.vectors, self.a, self.sigma)
        records = environment_gpu.make_records(vectors, CUTOFF_A)
        return [records, self.starts.to(DEVICE), self.ends.to(DEVICE), a, sigma]

    def sums(self, vectors: torch.Tensor, a: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """The formulas, in plain torch."""
        rows = torch.repeat_interleave(torch.arange(len(self.starts)), self.ends - self.starts)
        group = rows // self.n_types // (self.n_beads // len(a))
        r = torch.linalg.vector_norm(vectors, dim=1)
        ux, uy, uz = (vectors / r[:, None]).unbind(dim=1)
        cutoff = torch.where(r <= CUTOFF_A, torch.cos(torch.pi * r / (2 * CUTOFF_A)) ** 2, 0.0)
        q = sigma[group] * (1 / r[:, None] - a[group])
        phi = torch.exp(-(q**2) / 2) * cutoff[:, None]
        third = 1 / 3
        y = [torch.ones_like(r), ux, uy, uz, ux**2 - third, ux * uy, ux * uz, uy**2 - third, uy * uz]
        parts = torch.stack(y[: self.n_components], dim=1)[:, :, None] * phi[:, None, :]
        empty = parts.new_zeros(len(self.starts), *parts.shape[1:])
        return empty.index_add(0, rows, parts).reshape(self.n_beads, self.n_types, *parts.shape[1:]).transpose(1, 2)

    def leaves(self) -> list[torch.Tensor]:
        return [t.clone().requires_grad_() for t in (self.vectors, self.a, self.sigma)]

    def check(self, found: torch.Tensor, expected: torch.Tensor) -> None:
        assert found.dtype == self.dtype and found.shape == expected.shape
        expected = expected.detach()
        error = (found.cpu().double() - expected).abs().amax()
        assert expected.square().mean().sqrt() > 0
        assert error <= TOLERANCE[self.dtype] * expected.square().mean().sqrt()


def make_case(n_components, n_sensitivities, n_types, n_groups, dtype=torch.float64, seed=0):
    """Rows of different length: none, one pair, more than one tile; vectors beyond the cutoff are among them."""
    rng = torch.Generator().manual_seed(seed)
    n_beads = 5 * n_groups
    counts = torch.randint(0, 4, (n_beads * n_types,), generator=rng)
    counts[1], counts[2], counts[-1] = 0, 37, 1
    ends = counts.cumsum(0)
    directions = torch.randn(int(ends[-1]), 3, generator=rng, dtype=torch.float64)
    lengths = 2.5 + 10.5 * torch.rand(len(directions), 1, generator=rng, dtype=torch.float64)
    lengths[0], lengths[1] = 12.5, 11.999
    vectors = directions / torch.linalg.vector_norm(directions, dim=1, keepdim=True) * lengths
    a = 1 / torch.linspace(2.5, 11.0, n_sensitivities, dtype=torch.float64).repeat(n_groups, 1)
    a = a * (1 + 0.05 * torch.rand(a.shape, generator=rng, dtype=torch.float64))
    sigma = 15 + 20 * torch.rand(a.shape, generator=rng, dtype=torch.float64)
    rounded = [t.to(dtype).double() for t in (vectors, a, sigma)]
    return Case(n_types, n_components, ends - counts, ends, *rounded, dtype)


SIZES = [
    *[(c, s, t, m, torch.float64) for c in (1, 4, 9) for s, t, m in ((5, 1, 1), (5, 3, 2), (20, 1, 2), (20, 3, 1))],
    (9, 33, 2, 2, torch.float64),
    *[(c, s, t, m, torch.float32) for c, s, t, m in ((1, 5, 3, 2), (4, 20, 1, 1), (9, 20, 3, 2), (9, 5, 1, 1))],
]
cases = pytest.mark.parametrize("sizes", SIZES, ids=lambda z: "C{}-S{}-T{}-M{}-{}".format(*z[:4], str(z[4])[-2:]))


@launches
@cases
def test_sums(sizes):
    case = make_case(*sizes)
    found = environment_gpu.environment_sums(*case.arguments(), case.n_types, case.n_components)
    case.check(found, case.sums(case.vectors, case.a, case.sigma))


@launches
@cases
def test_derivatives_of_sums_by_the_parameters(sizes):
    case = make_case(*sizes)
    weights = case.random(*case.shape)
    vectors, a, sigma = case.leaves()
    expected = torch.autograd.grad((weights * case.sums(vectors, a, sigma)).sum(), (a, sigma))
    found = environment_gpu.environment_sums_backward(*case.arguments(), *case.kernel(weights))
    for one, other in zip(found, expected, strict=True):
        case.check(one, other)


@launches
@cases
def test_derivatives_of_sums_by_the_vectors(sizes):
    case = make_case(*sizes)
    weights = case.random(*case.shape)
    vectors, a, sigma = case.leaves()
    (expected,) = torch.autograd.grad((weights * case.sums(vectors, a, sigma)).sum(), vectors)
    assert (expected[0] == 0).all() and (expected[1] != 0).all()  # just beyond the cutoff, just within
    found = environment_gpu.pair_gradient(*case.arguments(), *case.kernel(weights))
    case.check(found, expected)


@launches
@cases
def test_derivatives_of_the_pair_gradient(sizes):
    """The second derivatives that training on forces needs."""
    case = make_case(*sizes)
    weights, change = case.random(*case.shape).requires_grad_(), case.random(len(case.vectors), 3, seed=8)
    vectors, a, sigma = case.leaves()
    (gradient,) = torch.autograd.grad((weights * case.sums(vectors, a, sigma)).sum(), vectors, create_graph=True)
    expected = torch.autograd.grad((change * gradient).sum(), (weights, a, sigma))
    found = environment_gpu.pair_gradient_backward(*case.arguments(), *case.kernel(weights, change))
    for one, other in zip(found, expected, strict=True):
        case.check(one, other)


@launches
def test_copies_share_their_pairs():
    """Sums of three models on the same pairs are those of each alone; the gradient is the sum of theirs."""
    case = make_case(9, 5, 2, 1)
    records, starts, ends, a, sigma = case.arguments()
    (all_a,) = case.kernel(torch.cat([case.a, 1.1 * case.a, 0.9 * case.a]))
    all_sigma = sigma.repeat(3, 1)
    (weights,) = case.kernel(case.random(3 * case.n_beads, *case.shape[1:]))
    together = environment_gpu.environment_sums(records, starts, ends, all_a, all_sigma, 2, 9, n_copies=3)
    gradient = environment_gpu.pair_gradient(records, starts, ends, all_a, all_sigma, weights)
    total = torch.zeros_like(gradient)
    for number in range(3):
        mine = slice(number * case.n_beads, (number + 1) * case.n_beads)
        one = records, starts, ends, all_a[number : number + 1], sigma
        alone = environment_gpu.environment_sums(*one, 2, 9)
        assert torch.equal(together[mine], alone)
        total += environment_gpu.pair_gradient(*one, weights[mine].contiguous())
    case.check(gradient, total.cpu())


@launches
def test_gaps_between_rows_do_not_matter():
    case = make_case(9, 5, 3, 1)
    records, starts, ends, a, sigma = case.arguments()
    rows = torch.repeat_interleave(torch.arange(len(starts)), case.ends - case.starts).to(DEVICE)
    # A place of nonsense behind each row.
    spread = torch.full((len(records) + len(starts), records.shape[1]), torch.nan, dtype=records.dtype, device=DEVICE)
    places = torch.arange(len(records), device=DEVICE) + rows
    spread[places] = records
    shift = torch.arange(len(starts), device=DEVICE)
    gapped = spread, starts + shift, ends + shift, a, sigma
    dense = records, starts, ends, a, sigma
    (weights,) = case.kernel(case.random(*case.shape))
    sums = [environment_gpu.environment_sums(*arguments, 3, 9) for arguments in (dense, gapped)]
    assert torch.equal(*sums)
    gradients = [environment_gpu.pair_gradient(*arguments, weights) for arguments in (dense, gapped)]
    assert torch.equal(gradients[0], gradients[1][places])


@launches
def test_no_pairs_at_all():
    case = make_case(9, 5, 2, 1)
    nothing = torch.zeros_like(case.starts)
    records = environment_gpu.make_records(torch.empty(0, 3, dtype=torch.float64, device=DEVICE), CUTOFF_A)
    a, sigma, weights = case.kernel(case.a, case.sigma, case.random(*case.shape))
    arguments = records, nothing.to(DEVICE), nothing.to(DEVICE), a, sigma
    assert (environment_gpu.environment_sums(*arguments, 2, 9) == 0).all()
    assert environment_gpu.pair_gradient(*arguments, weights).shape == (0, 3)
    out, da, dsigma = environment_gpu.pair_gradient_backward(*arguments, weights, torch.empty_like(records[:, :3]))
    assert (out == 0).all() and (da == 0).all() and (dsigma == 0).all()


def test_available_says_where_the_kernels_run():
    installed = find_spec("triton") is not None
    assert environment_gpu.available("cuda") == installed
    assert environment_gpu.available("cpu") == (installed and INTERPRETED)


_COMPILE = """
import triton
from cgdistill.evaluation import gpu_kernels
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

RECORD = gpu_kernels.RECORD.value
network = {"T": 3, "S": 20, "C": 9}
constants = {
    "make_records": {"CUTOFF": 12.0, "BLOCK": 128},
    "environment_sums": {**network, "S_PAD": 32},
    "environment_sums_backward": {**network, "S_PAD": 32},
    "pair_gradient": {**network, "BLOCK": 32},
    "pair_gradient_backward": {**network, "S_PAD": 32},
    "gather": {"N_PRIORS": 1, "T": 3, "LIST_CUTOFF": 12.0, "CUTOFF": 12.0, "BLOCK": 32},
    "accumulate": {"N_MODELS": 1, "T": 3, "BLOCK": 32},
}
integers = {"starts", "ends", "near_ends"}
indices = {"types", "second", "images", "slots", "sources", "mirrors"}
doubles = {"positions", "cells", "log_E0", "forces", "virials", "energies"}
for name, fixed in constants.items():
    kernel = getattr(gpu_kernels, name)
    signature = {}
    for argument in kernel.arg_names:
        if argument in fixed:
            signature[argument] = "constexpr"
        elif argument in integers:
            signature[argument] = "*i64"
        elif argument in indices:
            signature[argument] = "*i32"
        elif argument.startswith(("n_", "rows_", "programs_", "beads_")):
            signature[argument] = "i32"
        elif argument in doubles or (name, argument) == ("gather", "a"):
            signature[argument] = "*fp64"
        else:
            signature[argument] = "*fp32"
    source = ASTSource(fn=kernel, signature=signature, constexprs=fixed)
    binary = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 1}).asm["cubin"]
    assert binary, name
    print(name)
"""


@compiles
def test_kernels_compile_for_a_gpu_that_is_not_there(tmp_path):
    """For an H100 or H200, from triton's language to machine code; the interpreter accepts more than the compiler."""
    script = tmp_path / "compile_kernels.py"
    script.write_text(_COMPILE)
    command = [sys.executable, script]
    result = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert len(result.stdout.split()) == 7


@starts_interpreter
def test_all_of_this_in_the_interpreter():
    run_in_interpreter(__file__)
