"""From environment sums to per-bead energies: the layers behind the pairs, for several networks of one architecture.

The arithmetic is that of hippynn's Hipnn, HipnnVec and HipnnQuad with one interaction layer, and of its HEnergy;
hippynn's modules hold the weights. Networks are stacked along the first axis of every array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch.nn.functional import pad, softplus

from .graph import ModelModules


def _stack(tensors: list[torch.Tensor]) -> torch.Tensor:
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tensors)


@dataclass(frozen=True)
class Layer:
    """Residual layer ``x + softplus(x @ inner + inner_bias) @ outer + outer_bias``; (n_networks, ...) each."""

    inner: torch.Tensor
    inner_bias: torch.Tensor
    outer: torch.Tensor
    outer_bias: torch.Tensor


@dataclass(frozen=True)
class Dense:
    """Weights of stacked networks, as views of their parameters: gradients run to these.

    Attributes
    ----------
    a, sigma: (n_networks, n_sensitivities) inverse centres, 1/A, and widths, A, of the sensitivities, padded.
    interaction: (n_networks, n_types, n_sensitivities, n_features) weights of the environment sums, padded with zeros.
    self_table, skip_table: (n_networks, n_types, n_features) self-interaction and residual input by bead type.
    scales: (n_networks, 1, n_features) of the vector and the quadrupole part, as far as there are any.
    cusp: regularisation of the square roots.
    outer, outer_bias: second half of the interaction's residual layer.
    layers: the atom layers.
    energy_table: (n_networks, n_types) energy of the type; kcal/mol.
    energy, energy_bias: (n_networks, n_features), (n_networks, 1) energy of the features.
    """

    a: torch.Tensor
    sigma: torch.Tensor
    interaction: torch.Tensor
    self_table: torch.Tensor
    skip_table: torch.Tensor
    scales: tuple[torch.Tensor, ...]
    cusp: float
    outer: torch.Tensor
    outer_bias: torch.Tensor
    layers: tuple[Layer, ...]
    energy_table: torch.Tensor
    energy: torch.Tensor
    energy_bias: torch.Tensor

    @classmethod
    def of(cls, models: Sequence[ModelModules], n_padded: int) -> Dense:
        """Weights of networks with one interaction layer, sensitivities padded to ``n_padded``."""
        nets: list[Any] = [model.network for model in models]
        energies: list[Any] = [model.energy for model in models]
        wraps = [net.blocks[0][0] for net in nets]
        bases = [wrap.base_layer for wrap in wraps]
        tail = n_padded - bases[0].n_dist
        eye = torch.eye(bases[0].nf_in, dtype=bases[0].int_weights.dtype, device=bases[0].int_weights.device)
        scales = [
            _stack([getattr(base, name) for base in bases]).unsqueeze(1)
            for name in ("vecscales", "quadscales")
            if hasattr(bases[0], name)
        ]
        layers = []
        for number in range(1, len(nets[0].blocks[0])):
            parts = [net.blocks[0][number] for net in nets]
            layers.append(
                Layer(
                    _stack([part.base_layer.weight.T for part in parts]),
                    _stack([part.base_layer.bias for part in parts]).unsqueeze(1),
                    _stack([part.res_layer.weight.T for part in parts]),
                    _stack([part.res_layer.bias for part in parts]).unsqueeze(1),
                )
            )
        return cls(
            a=pad(_stack([1.0 / base.sensitivity.mu[0] for base in bases]), (0, tail)),
            sigma=pad(_stack([base.sensitivity.sigma[0] for base in bases]), (0, tail)),
            interaction=pad(_stack([base.int_weights.permute(2, 0, 1) for base in bases]), (0, 0, 0, tail)),
            self_table=_stack([base.selfint.weight.T + base.selfint.bias for base in bases]),
            skip_table=_stack([w.adjust_layer.weight.T if w.needs_size_adjust else eye for w in wraps]),
            scales=tuple(scales),
            cusp=float(getattr(bases[0], "cusp_reg", 0.0)),
            outer=_stack([wrap.res_layer.weight.T for wrap in wraps]),
            outer_bias=_stack([wrap.res_layer.bias for wrap in wraps]).unsqueeze(1),
            layers=tuple(layers),
            energy_table=_stack([energy.layers[0].weight[0] for energy in energies]),
            energy=_stack([energy.layers[1].weight[0] for energy in energies]),
            energy_bias=_stack([energy.layers[1].bias for energy in energies]),
        )

    def _mapped(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Dense:
        def changed(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                return change(value)
            if isinstance(value, Layer):
                return Layer(*(change(getattr(value, field.name)) for field in fields(Layer)))
            return tuple(map(changed, value)) if isinstance(value, tuple) else value

        return Dense(**{field.name: changed(getattr(self, field.name)) for field in fields(Dense)})

    def constant(self) -> Dense:
        """Copies that no gradient runs through and no training changes."""
        return self._mapped(lambda value: value.detach().clone().contiguous())

    def part(self, networks: slice) -> Dense:
        """Some of the networks."""
        return self._mapped(lambda value: value[networks])

    @property
    def n_networks(self) -> int:
        """Number of stacked networks."""
        return len(self.a)


def bead_energies(dense: Dense, sums: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
    """(n_networks, n_beads) per-bead energies, kcal/mol, differentiable twice.

    Parameters
    ----------
    sums: (n_networks, n_beads, n_components, n_types, n_sensitivities), padded as the weights.
    kinds: (n_networks, n_beads) bead types.
    """
    n, n_beads, n_components = sums.shape[:3]
    weights = dense.interaction.flatten(1, 2)
    x = torch.bmm(sums.reshape(n, n_beads * n_components, -1), weights).reshape(n, n_beads, n_components, -1)
    features = invariants(x, dense.scales, dense.cusp) + _rows(dense.self_table, kinds)
    out = torch.baddbmm(dense.outer_bias, softplus(features), dense.outer) + _rows(dense.skip_table, kinds)
    for layer in dense.layers:
        inner = softplus(torch.baddbmm(layer.inner_bias, out, layer.inner))
        out = torch.baddbmm(layer.outer_bias, inner, layer.outer) + out
    energy = torch.bmm(out, dense.energy.unsqueeze(2)).squeeze(2) + dense.energy_bias
    return energy + dense.energy_table.gather(1, kinds)


def invariants(x: torch.Tensor, scales: tuple[torch.Tensor, ...], cusp: float) -> torch.Tensor:
    """Rotation-invariant features (..., n_features) of tensor features x (..., n_components, n_features)."""
    features = x[..., 0, :]
    if len(scales) > 0:
        features = features + torch.sqrt(torch.square(x[..., 1:4, :]).sum(dim=-2) + cusp) * scales[0]
    if len(scales) > 1:
        quad = x[..., 4:9, :]
        square = 2 * (torch.square(quad).sum(dim=-2) + quad[..., 0, :] * quad[..., 3, :])
        features = features + torch.sqrt(square + cusp) * scales[1]
    return features


def _rows(table: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
    """(n_networks, n_beads, n_features) rows of a table by bead type."""
    return table.gather(1, kinds.unsqueeze(2).expand(-1, -1, table.shape[2]))
