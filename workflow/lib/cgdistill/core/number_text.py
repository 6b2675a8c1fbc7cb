"""Numbers as text, with the decimals that their uncertainty allows."""

from __future__ import annotations

import math


def decimals(scale: float) -> int:
    """Decimals with which a number of size ``scale`` has two significant digits; 2 for 0."""
    return max(0, 1 - math.floor(math.log10(scale))) if scale > 0 else 2


def decimals_of_mean(mean: float, std: float) -> int:
    """Decimals of a mean: two digits of its standard deviation, at most three of the mean itself."""
    return decimals(max(std if math.isfinite(std) else 0.0, abs(mean) / 10))
