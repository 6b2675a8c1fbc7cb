"""The section ``statistics`` of the config, as far as intervals and tests need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import InputError


@dataclass(frozen=True)
class StatisticsSpec:
    """How intervals and tests are made.

    Attributes
    ----------
    resamples: of the bootstrap.
    confidence: of intervals, between 0 and 1; ``1 - confidence`` is the level of the tests.
    """

    resamples: int
    confidence: float

    @classmethod
    def from_config(cls, section: Mapping[str, Any], source: str | Path = "config") -> StatisticsSpec:
        """Read the section.

        Raises
        ------
        InputError
            A key missing, or a value out of range.
        """
        for key in ("resamples", "confidence"):
            if key not in section:
                raise InputError(source, "statistics", sorted(section), f"a key '{key}'")
        spec = cls(int(section["resamples"]), float(section["confidence"]))
        if spec.resamples < 100:
            raise InputError(source, "statistics.resamples", spec.resamples, "100 or more")
        if not 0.5 <= spec.confidence < 1.0:
            raise InputError(source, "statistics.confidence", spec.confidence, "from 0.5 to below 1")
        return spec

    @property
    def level(self) -> float:
        """Level of the tests."""
        return 1.0 - self.confidence
