"""Helpers of the unit tests serve here too."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "unit"))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tests run side by side, each on one thread."""
    torch.set_num_threads(1)
