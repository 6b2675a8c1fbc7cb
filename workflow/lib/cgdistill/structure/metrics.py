"""The structural metrics of the comparison: titles, units of their errors, rules of thumb, rows of their tables."""

from __future__ import annotations

import math

import pandas as pd

METRIC_TITLES = {"rdf": "RDF", "adf": "ADF", "cdf": "CDF"}
#: Units of the TAE: g(r) is dimensionless, ADF and CDF are densities.
TAE_UNITS = {"rdf": "Å", "adf": "", "cdf": ""}
#: TAE of one item above which Olowookere et al. (arXiv 2510.26650) call a distortion substantial.
RULES_OF_THUMB = {"rdf": 1.0, "adf": 0.2, "cdf": 0.5}
OVERALL = "overall"


def rows_of(summary: pd.DataFrame, metric: str, item: str, r_max_A: float = math.nan) -> pd.DataFrame:
    """Rows of one item by variant (index ``variant``)."""
    chosen = summary[(summary["metric"] == metric) & (summary["item"] == item)]
    radius = chosen["r_max_A"]
    chosen = chosen[radius.isna() if math.isnan(r_max_A) else (radius - r_max_A).abs() < 1e-6]
    return chosen.set_index("variant")


def value_text(mean: float, std: float) -> str:
    """``mean ± std``: two digits of the standard deviation, at most three of the mean."""
    if not math.isfinite(mean):
        return "none"
    scale = max(std if math.isfinite(std) else 0.0, abs(mean) / 10)
    digits = max(0, 1 - math.floor(math.log10(scale))) if scale > 0 else 2
    return f"{mean:.{digits}f}" + (f" ± {std:.{digits}f}" if math.isfinite(std) else "")
