"""Where tests of the GPU kernels run: on a GPU if there is one, else in triton's interpreter, in a process of its own.

The interpreter has to be chosen before triton is imported, which other tests of the same process may have done.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"

_MISSING = find_spec("triton") is None
#: For tests that launch kernels.
launches = pytest.mark.skipif(_MISSING or (DEVICE == "cpu" and not INTERPRETED), reason="runs where triton does")
#: For the one test of a file that starts the interpreter's process. Not beside a GPU, where the tests run for real.
starts_interpreter = pytest.mark.skipif(
    _MISSING or INTERPRETED or DEVICE == "cuda", reason="no triton, a GPU, or already interpreted"
)
#: For tests of triton's compiler, which the interpreter takes the place of.
compiles = pytest.mark.skipif(_MISSING or INTERPRETED, reason="no triton, or interpreted")


def run_in_interpreter(path: str) -> None:
    """Run the tests of a file in triton's interpreter."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", path]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-1000:]
