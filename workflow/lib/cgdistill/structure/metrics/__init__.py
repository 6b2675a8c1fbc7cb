"""The structural metrics: one module for each, and the register of all (docs/extending.md).

`METRICS` says how curves are computed, `PRESENTATIONS` how they are shown; both by name, in the order of tables and
figures. What computes does not need what is shown, so that a change of a label computes nothing anew.
"""

from __future__ import annotations

from . import adf, cdf, rdf
from .base import Metric
from .presentation import Presentation

METRICS: dict[str, Metric] = {metric.name: metric for metric in (rdf.METRIC, adf.METRIC, cdf.METRIC)}
PRESENTATIONS: dict[str, Presentation] = {
    shown.name: shown for shown in (rdf.PRESENTATION, adf.PRESENTATION, cdf.PRESENTATION)
}
