"""Fixtures of the unit tests of the core modules."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tests run side by side, each on one thread."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def beads_path(tmp_path_factory) -> Path:
    """Bead file with 12 frames of 27 beads and random forces."""
    from bead_cases import write_beads

    return write_beads(tmp_path_factory.mktemp("beads") / "beads.h5", 12)
