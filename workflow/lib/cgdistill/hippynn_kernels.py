"""hippynn, imported in one place, with environment sums that start at once on a CPU.

hippynn's kernels for a CPU are compiled by numba in every process, which costs a short job more than
its work, and importing it loads torch's compiler for kernels that are not used here. The input
features of a bead are one-hot (its type), so the sum over pairs ``sum_j s_ij f_j`` is a sum of
sensitivities into (bead, type of the neighbour): one ``index_add``, and its derivative one gather.
On a machine with a GPU hippynn chooses its own kernels (triton).
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import torch


def _import_hippynn() -> Any:
    compilers = torch.compile, torch.jit.script
    # hippynn wraps kernels that are not used here by both, which imports torch's compilers: 6 s for nothing.
    if "hippynn" not in sys.modules:
        torch.compile = torch.jit.script = lambda function, *_, **__: function  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse invariant checks")
            import hippynn
    finally:
        torch.compile, torch.jit.script = compilers  # type: ignore[assignment]
    return hippynn


hippynn = _import_hippynn()
from hippynn.custom_kernels import env_pytorch, set_custom_kernels  # noqa: E402
from hippynn.custom_kernels.registry import MessagePassingKernels  # noqa: E402

# Overlaps are the prior's business; hippynn would warn at every step of a hot start.
hippynn.settings.WARN_LOW_DISTANCES = False

NAME = "_one_hot"


def _slots(features: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor | None:
    """(n_pairs,) bead of ``first`` times the number of types plus the type of ``second``; None if not one-hot."""
    if not bool(((features == 0) | (features == 1)).all() & (features.sum(dim=1) == 1).all()):
        return None
    return first * features.shape[1] + features.argmax(dim=1)[second]


def _envsum(
    sensitivities: torch.Tensor, features: torch.Tensor, first: torch.Tensor, second: torch.Tensor
) -> torch.Tensor:
    """(n_beads, n_sensitivities, n_features) sum over pairs of sensitivity times neighbour's features."""
    slots = _slots(features, first, second)
    if slots is None:
        return env_pytorch.envsum(sensitivities, features, first, second)  # type: ignore[no-any-return]
    n_beads, n_features = features.shape
    sums = sensitivities.new_zeros(n_beads * n_features, sensitivities.shape[1]).index_add_(0, slots, sensitivities)
    return sums.reshape(n_beads, n_features, -1).transpose(1, 2)


def _sensesum(
    environment: torch.Tensor, features: torch.Tensor, first: torch.Tensor, second: torch.Tensor
) -> torch.Tensor:
    """(n_pairs, n_sensitivities): the environment's gradient, taken back to the pairs."""
    slots = _slots(features, first, second)
    if slots is None:
        return env_pytorch.sensesum(environment, features, first, second)  # type: ignore[no-any-return]
    n_beads, n_sensitivities, n_features = environment.shape
    return environment.transpose(1, 2).reshape(n_beads * n_features, n_sensitivities)[slots]


if not torch.cuda.is_available():
    if NAME not in MessagePassingKernels.get_available_implementations(hidden=True):
        MessagePassingKernels(NAME, _envsum, _sensesum, env_pytorch.featsum)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using non-standard custom kernel")
        set_custom_kernels(NAME)
