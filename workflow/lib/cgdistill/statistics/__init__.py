"""How far errors can be trusted: sampling noise, intervals, tests between models (docs/statistics.md)."""

from .comparison import COMPARISON_COLUMNS, compare_variants
from .noise import NOISE_COLUMNS, reference_noise
from .spec import StatisticsSpec
from .summary import SUMMARY_COLUMNS, summarise

__all__ = [
    "COMPARISON_COLUMNS",
    "NOISE_COLUMNS",
    "SUMMARY_COLUMNS",
    "StatisticsSpec",
    "compare_variants",
    "reference_noise",
    "summarise",
]
