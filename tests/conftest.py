"""Markers by folder, so that no test needs to name its tier."""

from pathlib import Path

import pytest

TIERS = ("unit", "conformance", "workflow", "faults", "integration")
ROOT = Path(__file__).parent.parent


def pytest_collection_modifyitems(items):
    """Mark each test by the folder that it lies in."""
    for item in items:
        for tier in TIERS:
            if tier in item.path.relative_to(ROOT / "tests").parts:
                item.add_marker(getattr(pytest.mark, tier))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT
