"""Rows of tables of curves and of their errors: those of a metric, of a value of its parameter, of an item."""

from __future__ import annotations

import math

import pandas as pd

from ..core.vocabulary import OVERALL
from .metrics import PRESENTATIONS
from .metrics.presentation import Presentation


def shown_metrics(table: pd.DataFrame) -> list[Presentation]:
    """Metrics that a table holds, in the order of tables and figures."""
    held = set(table["metric"])
    return [shown for name, shown in PRESENTATIONS.items() if name in held]


def at_parameter(table: pd.DataFrame, parameter: float) -> pd.DataFrame:
    """Rows of one value of the parameter; NaN: those without a parameter."""
    values = table["parameter"]
    return table[values.isna() if math.isnan(parameter) else (values - parameter).abs() < 1e-6]


def of_metric(table: pd.DataFrame, metric: str, parameter: float = math.nan) -> pd.DataFrame:
    """Rows of one metric and value of its parameter."""
    return at_parameter(table[table["metric"] == metric], parameter)


def overall_of(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of the sum over all items and parameters of a metric."""
    own = of_metric(table, metric)
    return own[own["item"] == OVERALL]


def items_of(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of the items of a metric, without its sums."""
    return table[(table["metric"] == metric) & (table["item"] != OVERALL)]


def rows_of(summary: pd.DataFrame, metric: str, item: str, parameter: float = math.nan) -> pd.DataFrame:
    """Rows of one item by variant (index ``variant``)."""
    own = of_metric(summary, metric, parameter)
    return own[own["item"] == item].set_index("variant")
