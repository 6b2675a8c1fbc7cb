"""How a structural metric is shown: names, units, axes, sentences, and its command on the command line."""

from __future__ import annotations

import argparse
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from .base import Beads

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Units of errors as endings of column names.
_ENDINGS = {"": "", "Å": "_A", "°": "_deg"}
#: Source of the rules of thumb.
OLOWOOKERE = "Olowookere et al. (arXiv:2510.26650)"
_VALUE_UNITS = {"1/deg": " / degree$^{-1}$", "1/A": " / Å$^{-1}$", "1": ""}


@dataclass(frozen=True)
class Parameter:
    """What tells several curves of one item apart, the column ``parameter`` of tables.

    Attributes
    ----------
    symbol: in titles, in mathtext.
    unit: ``Å``, as shown; ``file_unit``: in names of files.
    words: a phrase with ``{}`` for the value and its unit.
    """

    symbol: str
    unit: str
    file_unit: str
    words: str

    def text(self, value: float) -> str:
        """``6.5 Å``."""
        return f"{value:g} {self.unit}".strip()


@dataclass(frozen=True)
class RuleOfThumb:
    """Error of one item above which ``source`` calls a distortion substantial."""

    value: float
    source: str


@dataclass(frozen=True)
class System:
    """What an analysis on the command line knows of a system.

    Attributes
    ----------
    half_width_A: half of the smallest width of the cell.
    volume_A3: mean volume; NaN before the analysis.
    """

    beads: Beads
    half_width_A: float = math.nan
    volume_A3: float = math.nan

    @property
    def counts(self) -> dict[str, int]:
        """Number of beads by type."""
        return dict(zip(self.beads.type_names, self.beads.counts.tolist(), strict=False))


class Command(ABC):
    """The command ``cgdistill <metric>``.

    Attributes
    ----------
    help: one line, from a small letter.
    example: a command that works.
    """

    help: ClassVar[str]
    example: ClassVar[str]

    @abstractmethod
    def add_options(self, group: Any, prefix: str) -> None:
        """Add the options of the bins; ``prefix`` stands before them where several metrics share a command."""

    @abstractmethod
    def settings(self, options: argparse.Namespace, system: System, source: str) -> Any:
        """Settings of the metric that the options ask for.

        Raises
        ------
        InputError
            Options that do not fit the system.
        """

    @abstractmethod
    def settings_of(self, curves: pd.DataFrame, type_names: Sequence[str], source: str) -> Any:
        """Settings that curves on disk were made with, for a trajectory to be compared with them."""

    @abstractmethod
    def landmarks(self, curves: pd.DataFrame, system: System) -> pd.DataFrame:
        """Peaks and the like of each curve, as a table."""


def positive_option(text: str) -> float:
    """A positive number among options."""
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def plain_number(value: float) -> str:
    """A setting as it was given: ``1,000``, ``0.5``."""
    return f"{value:,.6g}"


def _whole(x: np.ndarray, mean: np.ndarray) -> tuple[float, float]:
    """From 0 to the end of the curves."""
    return 0.0, float(x.max())


@dataclass(frozen=True)
class Presentation:
    """How the curves of one metric and their errors are shown.

    Sentences are made by functions of the settings, named ones: a call in the definition itself would count as work
    that importing the metric does, and a change of a label would compute all curves anew.

    Attributes
    ----------
    name: of the metric.
    title, long_title: ``RDF``, ``Radial distribution functions``.
    item, items: what has a curve: ``pair``, ``pairs``.
    x_label, y_symbol: of the axes; the unit of the values is added to the latter.
    methods: a phrase on the curves of some settings, for the description of methods.
    caption: sentences on the curves of some settings, for captions of figures.
    error_unit: of the total absolute error; empty where it has none.
    parameter: None where an item has one curve.
    rule_of_thumb: None where there is none.
    x_limits: range of x to draw, of x and mean of all curves of the reference together.
    x_ticks: None for those of matplotlib.
    open_in_targets: its figure of energy targets is open on the report page.
    items_are_types: items are names of bead types, in their order.
    command: None where there is none.
    """

    name: str
    title: str
    long_title: str
    item: str
    items: str
    x_label: str
    y_symbol: str
    methods: Callable[[Any], str]
    caption: Callable[[Any], str]
    error_unit: str = ""
    parameter: Parameter | None = None
    rule_of_thumb: RuleOfThumb | None = None
    x_limits: Callable[[np.ndarray, np.ndarray], tuple[float, float]] = _whole
    x_ticks: Sequence[float] | None = None
    open_in_targets: bool = False
    items_are_types: bool = False
    command: Command | None = None

    @property
    def error_label(self) -> str:
        """Label of an axis of errors of this metric alone: ``TAE / Å``."""
        return f"TAE / {self.error_unit}" if self.error_unit else "TAE"

    @property
    def long_error_label(self) -> str:
        """Label of an axis of errors: ``TAE of the RDF / Å``."""
        return f"TAE of the {self.title}" + (f" / {self.error_unit}" if self.error_unit else "")

    @property
    def threshold(self) -> float:
        """The rule of thumb as a number; NaN where there is none."""
        return math.nan if self.rule_of_thumb is None else self.rule_of_thumb.value

    @property
    def error_ending(self) -> str:
        """Unit of the error as the ending of a column name: ``_A``."""
        return _ENDINGS[self.error_unit]

    def error_text(self, number: str) -> str:
        """A number with the unit of the error, if it has one."""
        return f"{number} {self.error_unit}".strip()

    def y_label(self, value_unit: str) -> str:
        """Label of the axis of values of a curve."""
        return self.y_symbol + _VALUE_UNITS.get(value_unit, f", {value_unit}".replace("$", r"\$"))

    def item_text(self, item: str, parameter: float) -> str:
        """An item and its parameter in words: ``Cho-Cl-Urea, 6.5 Å``."""
        if self.parameter is None or not math.isfinite(parameter):
            return item
        return f"{item}, {self.parameter.text(parameter)}"

    def stem(self, parameter: float) -> str:
        """Name of the files of a figure of one value of the parameter: ``adf_6.5A``."""
        if self.parameter is None or not math.isfinite(parameter):
            return self.name
        return f"{self.name}_{parameter:g}{self.parameter.file_unit}"
