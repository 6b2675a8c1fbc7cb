"""What tables of the report page are made of: cells with a text, a value to sort by, and notes; numbers in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..config.models import Model
from ..config.targets import TARGETS
from ..core.number_text import decimals, decimals_of_mean

#: Stands for what is not known.
NOTHING = "–"
#: Tables with more rows than this are collapsed.
_LONG = 14
#: Tables with more columns than this are printed across.
_WIDE = 12
_UNITS = {
    "_kcal_mol_bead": "kcal/mol per bead", "_kcal_mol_A": "kcal/mol/Å", "_kcal_mol": "kcal/mol", "_ps": "ps",
    "_fs": "fs", "_K": "K", "_A": "Å", "_atm": "atm", "_s": "s",
}  # fmt: skip


@dataclass(frozen=True)
class Range:
    """An interval, drawn small below its number; all in percent of the width of the drawing.

    ``low``, ``high``: the interval; ``mean``: the mark; ``noise``: the grey band from 0, 0 for none.
    """

    low: float
    high: float
    mean: float
    noise: float


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes
    ----------
    value: to sort by; None: the text, and `NOTHING` always comes last.
    notes: small lines below the text.
    href: where the text leads.
    tone: ``bad`` stands out.
    wrap: a sentence, over several lines.
    """

    text: str
    value: float | str | None = None
    notes: tuple[str, ...] = ()
    href: str = ""
    tone: str = ""
    range: Range | None = None
    wrap: bool = False

    @property
    def sort(self) -> str:
        """The value to sort by as text, empty for none."""
        value = self.value
        if value is None:
            return "" if self.text == NOTHING else self.text
        if isinstance(value, float):
            return f"{value:.6g}" if math.isfinite(value) else ""
        return str(value)


@dataclass(frozen=True)
class Row:
    """Cells, the first of which names the row; ``swatch`` is the colour before it, ``bad`` rows stand out."""

    cells: Sequence[Cell]
    swatch: str = ""
    bad: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the page; ``texts``: align to the left."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Row]
    texts: bool = False

    @property
    def long(self) -> bool:
        """Whether it should be folded."""
        return len(self.rows) > _LONG

    @property
    def wide(self) -> bool:
        """Whether it needs the long side of the paper."""
        return len(self.columns) > _WIDE


def model_cell(model: Model) -> Cell:
    """First cell of a row on a model; it leads to the model's page."""
    return Cell(model.label, href=f"#model-{model.name}")


def known(value: Any) -> bool:
    """Whether a value of a table is there."""
    return value is not None and not (isinstance(value, float) and not math.isfinite(value)) and value == value


def number(value: Any, digits: int = 3) -> str:
    """A number with ``digits`` significant digits: ``0.0123``, ``1.20``, ``1,234``."""
    if not known(value):
        return NOTHING
    value = float(value)
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    if abs(value) < 1e-4:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    return f"{value:,.{max(places, 0)}f}".replace("-", "−")


def setting(value: Any) -> str:
    """A value of the config as it was given: ``1,000``, ``0.5``, ``NVT``."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:,.6g}" if plain and not math.isnan(value) else str(value)


def percent(value: Any) -> str:
    """A share in percent."""
    return f"{100 * float(value):.0f} %" if known(value) else NOTHING


def mean_and_std(mean: Any, std: Any) -> str:
    """``mean ± std``: two digits of the standard deviation, at most three of the mean."""
    if not known(mean):
        return NOTHING
    mean, std = float(mean), float(std) if known(std) else 0.0
    digits = decimals_of_mean(mean, std)
    return (f"{mean:,.{digits}f}" + (f" ± {std:,.{digits}f}" if std else "")).replace("-", "−")


def spread(values: pd.Series) -> str:
    """Mean and standard deviation of some values."""
    there = values.dropna()
    return mean_and_std(there.mean(), there.std(ddof=1)) if len(there) else NOTHING


def interval(low: Any, high: Any) -> str:
    """``1.20 to 1.45``: both ends with the decimals that tell them apart; empty where not known."""
    if not (known(low) and known(high)):
        return ""
    low, high = float(low), float(high)
    width = max(high - low, abs(high) / 100, abs(low) / 100)
    digits = min(decimals(width), 4)
    return f"{low:.{digits}f} to {high:.{digits}f}".replace("-", "−")


def p_value(value: Any) -> str:
    """A p-value."""
    if not known(value):
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def cell(value: Any) -> Cell:
    """A cell for a value of a table, whatever it is."""
    if not known(value):
        return Cell(NOTHING)
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if isinstance(value, int | float) or hasattr(value, "__float__"):
        exact = float(value)
        text = setting(int(exact)) if exact == round(exact) and abs(exact) < 1e6 else number(exact)
        return Cell(text, exact)
    return Cell(str(value))


def column_words(column: str) -> str:
    """A column name for the page: ``rms_force_kcal_mol_A`` -> ``rms force (kcal/mol/Å)``."""
    if column == "ns_per_day":
        return "ns/day"
    for ending, unit in _UNITS.items():
        if column.endswith(ending):
            return f"{column[: -len(ending)].replace('_', ' ')} ({unit})"
    symbols = {target.weight_column: f"w_{target.symbol}" for target in TARGETS.values()}
    return symbols.get(column, column.replace("_", " "))


def plain_table(name: str, table: pd.DataFrame | None) -> Table | None:
    """All rows and columns of a table; None for nothing."""
    if table is None or table.empty:
        return None
    rows = [Row([cell(value) for value in row]) for row in table.itertuples(index=False, name=None)]
    return Table(name, [column_words(column) for column in table.columns], rows, texts=True)
