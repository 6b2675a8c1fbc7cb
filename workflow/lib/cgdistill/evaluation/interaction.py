"""hippynn's interaction layers on the fused environment sums: for use inside hippynn's own graphs and training.

``fuse(network)`` changes how the layers of a network compute, not what: parameters, their names and the results stay.
Gradients run to pair vectors and parameters, and back through forces to the parameters. Second derivatives with respect
to positions come out as NaN (see `environment`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import pad

from ..learning import hippynn_kernels  # noqa: F401

# isort: split
from hippynn.layers.hiplayers import InteractLayer, InteractLayerQuad, InteractLayerVec
from hippynn.layers.hiplayers.sensitivity import CosCutoff, InverseSensitivityModule

from .dense import invariants
from .environment import N_COMPONENTS, environment_sums, n_padded
from .fused import sorted_rows


class _Fused:
    """Forward pass of the three layers; features that are not one-hot go the layer's own way."""

    tensor_order: int

    def forward(
        self: Any,
        in_features: torch.Tensor,
        pair_first: torch.Tensor,
        pair_second: torch.Tensor,
        dist_pairs: torch.Tensor,
        coord_pairs: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(n_beads, n_features) output of the layer; arguments as hippynn's."""
        if not bool(((in_features == 0) | (in_features == 1)).all() & (in_features.sum(dim=1) == 1).all()):
            given = (in_features, pair_first, pair_second, dist_pairs, coord_pairs)
            return super().forward(*given[: 4 if coord_pairs is None else 5])  # type: ignore[misc,no-any-return]
        if coord_pairs is None:
            # Distances alone: a vector along x has the same length and, for scalars, the same derivative.
            coord_pairs = pad(dist_pairs.reshape(-1, 1), (0, 2))
        kinds = in_features.argmax(dim=1)
        cutoff_A = float(self.sensitivity.hard_max_dist)
        _, _, vectors, rows = sorted_rows(pair_first, pair_second, coord_pairs, kinds, self.nf_in, cutoff_A)
        tail = n_padded(self.n_dist, vectors.dtype, vectors.device) - self.n_dist
        a, sigma = pad(1.0 / self.sensitivity.mu, (0, tail)), pad(self.sensitivity.sigma, (0, tail))
        n_components = N_COMPONENTS[self.tensor_order]
        sums = environment_sums(rows, a, sigma, n_components, vectors)
        weights = pad(self.int_weights.permute(2, 0, 1), (0, 0, 0, tail)).flatten(0, 1)
        x = sums.flatten(2).reshape(-1, len(weights)) @ weights
        scales = tuple(getattr(self, name) for name in ("vecscales", "quadscales")[: self.tensor_order])
        features = invariants(x.reshape(len(kinds), n_components, -1), scales, getattr(self, "cusp_reg", 0.0))
        return features + self.selfint(in_features)  # type: ignore[no-any-return]


class FusedInteractLayer(_Fused, InteractLayer):  # type: ignore[misc]
    """hippynn's InteractLayer (tensor order 0)."""

    tensor_order = 0


class FusedInteractLayerVec(_Fused, InteractLayerVec):  # type: ignore[misc]
    """hippynn's InteractLayerVec (tensor order 1)."""

    tensor_order = 1


class FusedInteractLayerQuad(_Fused, InteractLayerQuad):  # type: ignore[misc]
    """hippynn's InteractLayerQuad (tensor order 2)."""

    tensor_order = 2


_FUSED: dict[type, Any] = {
    InteractLayer: FusedInteractLayer,
    InteractLayerVec: FusedInteractLayerVec,
    InteractLayerQuad: FusedInteractLayerQuad,
}


def fuse(network: torch.nn.Module) -> int:
    """Let the interaction layers of a hippynn network compute their sums fused; returns how many layers do.

    Layers of other classes, or with other sensitivities than the inverse ones with a cosine cutoff, stay as they are.
    """
    n_fused = 0
    for layer in network.modules():
        sensitivity: Any = getattr(layer, "sensitivity", None)
        known = type(sensitivity) is InverseSensitivityModule and type(sensitivity.cutoff) is CosCutoff
        if type(layer) in _FUSED and known:
            layer.__class__ = _FUSED[type(layer)]
            n_fused += 1
    return n_fused
