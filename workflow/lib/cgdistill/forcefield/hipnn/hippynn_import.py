"""hippynn, imported in one place and quickly."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import torch

#: What hippynn imports if it is there and nothing here uses through it: a second and 80 MB.
_OPTIONAL = ("matplotlib", "MDAnalysis", "ase", "lammps")


def _import_hippynn() -> Any:
    compilers = torch.compile, torch.jit.script
    hidden = [name for name in _OPTIONAL if name not in sys.modules]
    # hippynn wraps kernels that are not used here by both, which imports torch's compilers: 6 s for nothing.
    if "hippynn" not in sys.modules:
        torch.compile = torch.jit.script = lambda function, *_, **__: function  # type: ignore[assignment]
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse invariant checks")
            import hippynn
    finally:
        torch.compile, torch.jit.script = compilers  # type: ignore[assignment]
        for name in hidden:
            if sys.modules.get(name, name) is None:
                del sys.modules[name]
    return hippynn


hippynn = _import_hippynn()
from hippynn.custom_kernels import set_custom_kernels  # noqa: E402

# Overlaps are the prior's business; hippynn would warn at every step of a hot start.
hippynn.settings.WARN_LOW_DISTANCES = False


def compile_kernels(wanted: bool) -> None:
    """Whether hippynn compiles kernels for a CPU by numba, in every process, or takes torch's operations.

    They are four times as fast, but compiling costs a short job more than its work, and the networks of this project do
    not go through them (`fused`). On a GPU hippynn chooses.
    """
    if not torch.cuda.is_available():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Using non-standard custom kernel")
            set_custom_kernels(wanted)


compile_kernels(False)
