"""Environment sums of HIP-NN-TS as torch operations, differentiable twice: on a CPU by numba, on a GPU by triton.

The sums and their derivatives are those of `environment_cpu`. Gradients run to the pair vectors and to the inverse
centres and widths of the sensitivities, and gradients of forces back to these parameters and to what the forces were
computed from, as training on forces needs. Second derivatives with respect to positions (Hessians) are not there: they
come out as NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from . import environment_cpu, environment_gpu, pair_kernels, simd
from .environment_cpu import RECORD, padded

#: Number of tensor components by tensor order.
N_COMPONENTS = {0: 1, 1: 4, 2: 9}


def n_padded(n_sensitivities: int, dtype: torch.dtype, device: torch.device) -> int:
    """Number of sensitivities that the kernels of a device work on."""
    return n_sensitivities if device.type == "cuda" else padded(n_sensitivities, _numpy_dtype(dtype))


def _numpy_dtype(dtype: torch.dtype) -> Any:
    return torch.empty(0, dtype=dtype).numpy().dtype


@dataclass(frozen=True)
class Rows:
    """Pairs sorted by bead and by type of the neighbour, with what the kernels need of each.

    Attributes
    ----------
    records: (n_pairs, n) geometry of each pair, of the network's dtype.
    starts, ends: (n_beads * n_types,) int64, pairs of bead i with type t: from starts to ends of i * n_types + t.
    n_types: number of bead types.
    """

    records: torch.Tensor
    starts: torch.Tensor
    ends: torch.Tensor
    n_types: int

    @classmethod
    def of(
        cls, vectors_A: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, n_types: int, cutoff_A: float
    ) -> Rows:
        """Rows from pair vectors (n_pairs, 3), all within the cutoff."""
        vectors_A = vectors_A.detach()
        if vectors_A.device.type == "cuda":
            return cls(environment_gpu.make_records(vectors_A, cutoff_A), starts, ends, n_types)
        records = vectors_A.new_empty(len(vectors_A), RECORD)
        environment_cpu.make_records(vectors_A.numpy(), cutoff_A, records.numpy())
        return cls(records, starts, ends, n_types)

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return len(self.starts) // self.n_types

    def arrays(self, *parameters: torch.Tensor) -> tuple[Any, ...]:
        """Numpy views of records, starts, ends and further tensors."""
        return tuple(t.detach().contiguous().numpy() for t in (self.records, self.starts, self.ends, *parameters))


def _constants(dtype: torch.dtype, n_components: int) -> tuple[Any, ...]:
    """Last arguments of the kernels for a CPU."""
    return simd.lanes(_numpy_dtype(dtype)), environment_cpu.COMPONENTS[n_components]


def environment_sums(
    rows: Rows, a: torch.Tensor, sigma: torch.Tensor, n_components: int, vectors_A: torch.Tensor | None = None
) -> torch.Tensor:
    """(n_beads, n_components, n_types, n_sensitivities) sums over neighbours.

    Parameters
    ----------
    rows:
        The pairs.
    a, sigma:
        (n_groups, n_sensitivities) inverse centres, 1/A, and widths, A; the number of sensitivities is `n_padded`.
    vectors_A:
        (n_pairs, 3) the vectors that the rows were made of, where gradients with respect to them are wanted.
    """
    if vectors_A is None:
        vectors_A = rows.records.new_empty(0)
    sums: torch.Tensor = _Sums.apply(vectors_A, a, sigma, rows, n_components)  # type: ignore[no-untyped-call]
    return sums


def pair_gradient(rows: Rows, a: torch.Tensor, sigma: torch.Tensor, derivatives: torch.Tensor) -> torch.Tensor:
    """(n_pairs, 3) gradient of ``sum(derivatives * environment_sums)`` with respect to the pair vectors.

    Differentiable with respect to ``derivatives``, ``a`` and ``sigma``.
    """
    gradient: torch.Tensor = _PairGradient.apply(rows.records.new_empty(0), a, sigma, derivatives, rows)  # type: ignore[no-untyped-call]
    return gradient


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, vectors: torch.Tensor, a: torch.Tensor, sigma: torch.Tensor, rows: Rows, n_components: int
    ) -> torch.Tensor:
        ctx.rows = rows
        ctx.save_for_backward(vectors, a, sigma)
        if a.device.type == "cuda":
            return environment_gpu.environment_sums(
                rows.records, rows.starts, rows.ends, a, sigma, rows.n_types, n_components
            )
        sums = a.new_empty(rows.n_beads, n_components, rows.n_types, a.shape[1])
        environment_cpu.environment_sums(*rows.arrays(a, sigma), sums.numpy(), *_constants(a.dtype, n_components))
        return sums

    @staticmethod
    def backward(ctx: Any, derivatives: torch.Tensor) -> Any:
        vectors, a, sigma = ctx.saved_tensors
        gradient = da = dsigma = None
        if ctx.needs_input_grad[0]:
            gradient = _PairGradient.apply(vectors, a, sigma, derivatives, ctx.rows)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            da, dsigma = _ParameterGradient.apply(a, sigma, derivatives, ctx.rows)  # type: ignore[no-untyped-call]
        return gradient, da, dsigma, None, None


class _ParameterGradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, a: torch.Tensor, sigma: torch.Tensor, derivatives: torch.Tensor, rows: Rows
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if a.device.type == "cuda":
            return environment_gpu.environment_sums_backward(
                rows.records, rows.starts, rows.ends, a, sigma, derivatives.contiguous()
            )
        da, dsigma = a.new_empty(2, rows.n_beads, a.shape[1])
        arrays = rows.arrays(a, sigma, derivatives)
        environment_cpu.environment_sums_backward(
            *arrays, da.numpy(), dsigma.numpy(), *_constants(a.dtype, derivatives.shape[1])
        )
        return _per_group(da, len(a)), _per_group(dsigma, len(a))

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise NotImplementedError("second derivatives with respect to sensitivities are not computed")


class _PairGradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, vectors: torch.Tensor, a: torch.Tensor, sigma: torch.Tensor, derivatives: torch.Tensor, rows: Rows
    ) -> torch.Tensor:
        ctx.rows = rows
        ctx.save_for_backward(vectors, a, sigma, derivatives)
        if a.device.type == "cuda":
            return environment_gpu.pair_gradient(
                rows.records, rows.starts, rows.ends, a, sigma, derivatives.contiguous()
            )
        gradient = a.new_empty(len(rows.records), 3)
        environment_cpu.pair_gradient(
            *rows.arrays(a, sigma, derivatives), gradient.numpy(), *_constants(a.dtype, derivatives.shape[1])
        )
        return gradient

    @staticmethod
    def backward(ctx: Any, change: torch.Tensor) -> Any:
        vectors, a, sigma, derivatives = ctx.saved_tensors
        rows: Rows = ctx.rows
        if a.device.type == "cuda":
            out, da, dsigma = environment_gpu.pair_gradient_backward(
                rows.records, rows.starts, rows.ends, a, sigma, derivatives.contiguous(), change.contiguous()
            )
        else:
            out = torch.empty(derivatives.shape, dtype=a.dtype)
            da, dsigma = a.new_empty(2, rows.n_beads, a.shape[1])
            arrays = rows.arrays(a, sigma, derivatives, change)
            environment_cpu.pair_gradient_backward(
                *arrays, out.numpy(), da.numpy(), dsigma.numpy(), *_constants(a.dtype, derivatives.shape[1])
            )
            da, dsigma = _per_group(da, len(a)), _per_group(dsigma, len(a))
        unknown = torch.full_like(vectors, torch.nan) if ctx.needs_input_grad[0] else None
        return unknown, da, dsigma, out, None


def _per_group(per_bead: torch.Tensor, n_groups: int) -> torch.Tensor:
    return per_bead.reshape(n_groups, -1, per_bead.shape[1]).sum(dim=1)


class _Forces(torch.autograd.Function):
    """Forces of beads from the gradient of the energy with respect to directed pairs."""

    @staticmethod
    def forward(
        ctx: Any, gradient: torch.Tensor, first: torch.Tensor, second: torch.Tensor, n_beads: int
    ) -> torch.Tensor:
        ctx.save_for_backward(first, second)
        if gradient.device.type == "cuda":
            forces = gradient.new_zeros(n_beads, 3)
            return forces.index_add_(0, first, gradient).index_add_(0, second, -gradient)
        forces = gradient.new_empty(n_beads, 3)
        pair_kernels.forces_from_pairs(gradient.numpy(), first.numpy(), second.numpy(), forces.numpy())
        return forces

    @staticmethod
    def backward(ctx: Any, change: torch.Tensor) -> Any:
        first, second = ctx.saved_tensors
        if change.device.type == "cuda":
            return change[first] - change[second], None, None, None
        out = change.new_empty(len(first), 3)
        pair_kernels.differences(change.contiguous().numpy(), first.numpy(), second.numpy(), out.numpy())
        return out, None, None, None


def forces_from_pairs(gradient: torch.Tensor, first: torch.Tensor, second: torch.Tensor, n_beads: int) -> torch.Tensor:
    """(n_beads, 3) forces from dE/d(vector) (n_pairs, 3) of directed pairs from ``first`` to ``second``."""
    forces: torch.Tensor = _Forces.apply(gradient, first, second, n_beads)  # type: ignore[no-untyped-call]
    return forces
