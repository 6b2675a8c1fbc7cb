"""Environment sums of HIP-NN-TS and their derivatives on a GPU, by triton; the formulas are those of `environment_cpu`.

Tensors of one device, float32 or float64, contiguous (a and sigma need not be). Any number of sensitivities and types;
1, 4 or 9 components. Pairs outside all rows (gaps between an end and the next start) are not touched: what stands there
does not matter, and gradients of such pairs are not set.

No atomic additions: every sum has one fixed order, so that equal input gives equal output to the last bit.

Verified: values and derivatives in triton's interpreter on a CPU; compilation for sm_90 (H100, H200) without spilled
registers. Not verified: speed, and the compiled kernels' results on a GPU (the same tests run there when one is found).
"""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch

#: Programs that share the pairs of all groups where sums over them end in one number per sensitivity: one wave of
#: one-warp programs on a large GPU (132 processors with 32 programs each).
_PROGRAMS = 4096


def available(device: torch.device | str) -> bool:
    """Whether the kernels run for tensors of a device: a CUDA device and triton, or triton's interpreter for a CPU."""
    if find_spec("triton") is None:
        return False
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    return interpreted or torch.device(device).type == "cuda"


@cache
def kernels() -> Any:
    """The module of the kernels; importing it imports triton."""
    from . import gpu_kernels

    return gpu_kernels


def _shape(a: torch.Tensor, values: torch.Tensor) -> dict[str, int]:
    """Compiled-in sizes from values (n_beads, n_components, n_types, n_sensitivities)."""
    return {"T": values.shape[2], "S": a.shape[1], "C": values.shape[1]}


def _lanes(n_sensitivities: int) -> int:
    """Sensitivities in the lanes of a program: a power of two, at least a warp."""
    return max(32, 1 << (n_sensitivities - 1).bit_length())


#: One warp per program; products and sums fused, as any compiler for a GPU does by default.
_OPTIONS: dict[str, Any] = {"num_warps": 1, "enable_fp_fusion": True}


def make_records(vectors_A: torch.Tensor, cutoff_A: float) -> torch.Tensor:
    """(n_pairs, RECORD) geometry of pairs, for the functions below.

    Parameters
    ----------
    vectors_A: (n_pairs, 3), of any length but zero.
    cutoff_A: of the network; longer vectors get a record that contributes nothing.
    """
    k = kernels()
    records = vectors_A.new_empty(len(vectors_A), k.RECORD.value)
    block = 128
    if len(records):
        grid = (-(-len(records) // block),)
        k.make_records[grid](
            vectors_A.contiguous(), records, len(records), CUTOFF=float(cutoff_A), BLOCK=block,
            num_warps=4, enable_fp_fusion=True,
        )  # fmt: skip
    return records


def environment_sums(
    records: torch.Tensor,
    starts: torch.Tensor,
    ends: torch.Tensor,
    a: torch.Tensor,
    sigma: torch.Tensor,
    n_types: int,
    n_components: int,
    n_copies: int = 1,
) -> torch.Tensor:
    """(n_copies * n_beads, n_components, n_types, n_sensitivities) sums over the neighbours of each bead.

    Parameters
    ----------
    records: (n_pairs, RECORD) of `make_records`.
    starts, ends: (n_beads * n_types,) int64; pairs of bead i with type t stand from ``starts[i * n_types + t]``.
    a, sigma: (n_groups, n_sensitivities) inverse centres, 1/A, and widths, A. All beads of the result, copies one after
        the other, fall into n_groups equal runs with sensitivities of their own.
    n_copies: how often the beads are taken, for several models on the same pairs.
    """
    n_rows = len(starts)
    total = n_copies * n_rows
    sums = a.new_empty(total // n_types, n_components, n_types, a.shape[1])
    if total:
        kernels().environment_sums[(total,)](
            records, starts, ends, a.contiguous(), sigma.contiguous(), sums, n_rows, total // len(a),
            **_shape(a, sums), S_PAD=_lanes(a.shape[1]), **_OPTIONS,
        )  # fmt: skip
    return sums


def pair_gradient(
    records: torch.Tensor,
    starts: torch.Tensor,
    ends: torch.Tensor,
    a: torch.Tensor,
    sigma: torch.Tensor,
    derivatives: torch.Tensor,
) -> torch.Tensor:
    """(n_pairs, 3) derivative of ``sum(derivatives * sums)`` with respect to each pair's vector.

    ``derivatives`` has the shape of the sums. If they were taken over several copies of the beads, the pairs belong to
    all of them, and the gradient is the sum over the copies.
    """
    n_rows = len(starts)
    total = derivatives.shape[0] * derivatives.shape[2]
    gradient = records.new_empty(len(records), 3)
    if n_rows:
        kernels().pair_gradient[(n_rows,)](
            records, starts, ends, a.contiguous(), sigma.contiguous(), derivatives, gradient, n_rows, total // len(a),
            total // n_rows,
            **_shape(a, derivatives), BLOCK=32, **_OPTIONS,
        )  # fmt: skip
    return gradient


def _split(n_rows: int, n_groups: int) -> tuple[int, int, int]:
    """Rows per group, rows per program, programs per group."""
    rows = n_rows // n_groups
    per_program = max(1, -(-rows * n_groups // _PROGRAMS))
    return rows, per_program, -(-rows // per_program)


def environment_sums_backward(
    records: torch.Tensor,
    starts: torch.Tensor,
    ends: torch.Tensor,
    a: torch.Tensor,
    sigma: torch.Tensor,
    derivatives: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Derivatives of ``sum(derivatives * sums)`` with respect to a and sigma, (n_groups, n_sensitivities) each."""
    rows, per_program, programs = _split(len(starts), len(a))
    partial = a.new_empty(len(a), programs, 2, a.shape[1])
    if partial.numel():
        kernels().environment_sums_backward[(len(a) * programs,)](
            records, starts, ends, a.contiguous(), sigma.contiguous(), derivatives, partial, rows, per_program,
            programs,
            **_shape(a, derivatives), S_PAD=_lanes(a.shape[1]), **_OPTIONS,
        )  # fmt: skip
    da, dsigma = partial.sum(dim=1).unbind(dim=1)
    return da, dsigma


def pair_gradient_backward(
    records: torch.Tensor,
    starts: torch.Tensor,
    ends: torch.Tensor,
    a: torch.Tensor,
    sigma: torch.Tensor,
    derivatives: torch.Tensor,
    change: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Derivatives of ``sum(change * pair_gradient)``, change (n_pairs, 3), with respect to derivatives, a and sigma.

    Shapes are those of the three arguments.
    """
    rows, per_program, programs = _split(len(starts), len(a))
    out = torch.empty_like(derivatives)
    partial = a.new_empty(len(a), programs, 2, a.shape[1])
    if partial.numel():
        kernels().pair_gradient_backward[(len(a) * programs,)](
            records, starts, ends, a.contiguous(), sigma.contiguous(), derivatives, change, out, partial, rows,
            per_program, programs,
            **_shape(a, derivatives), S_PAD=_lanes(a.shape[1]), **_OPTIONS,
        )  # fmt: skip
    da, dsigma = partial.sum(dim=1).unbind(dim=1)
    return out, da, dsigma
