"""What a structural metric is: curves that are averaged over frames, with settings from a section of the config."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from ...core.errors import InputError
from ..grids import Grid
from .accumulator import Accumulator

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Beads:
    """The beads of a system.

    Attributes
    ----------
    type_names: names of the bead types.
    types: (n_beads,) index into ``type_names``.
    """

    type_names: tuple[str, ...]
    types: np.ndarray

    @classmethod
    def of(cls, type_names: Sequence[str], types: np.ndarray) -> Beads:
        """Names and indices as they come."""
        return cls(tuple(type_names), np.ascontiguousarray(types, dtype=np.int64))

    @property
    def counts(self) -> np.ndarray:
        """(n_types,) number of beads of each type."""
        return np.bincount(self.types, minlength=len(self.type_names))


class Metric(ABC, Generic[Settings]):
    """How the curves of one metric are computed.

    Attributes
    ----------
    name: in tables, file names and the section ``structure.<name>`` of the config.
    required: every run has it; others are left out where the config has no section for them.
    """

    name: ClassVar[str]
    required: ClassVar[bool] = False

    @abstractmethod
    def settings(self, section: Mapping[str, Any], source: str) -> Settings:
        """Settings from the section ``structure.<name>`` of the config.

        Raises
        ------
        InputError
            A key that is missing or unknown, or a value that cannot be used.
        """

    @abstractmethod
    def accumulator(self, settings: Settings, beads: Beads, convention: str, source: str) -> Accumulator | None:
        """Empty accumulator of the curves; None where the settings ask for none.

        Raises
        ------
        InputError
            Settings that do not fit the bead types.
        """

    def reach_A(self, settings: Settings) -> float:
        """Distance, A, that must not exceed half of the smallest width of the cell; 0 for no limit."""
        return 0.0

    def parameters(self, settings: Settings) -> tuple[float, ...]:
        """Values of the column ``parameter``, one per curve of an item; NaN for the one curve without a parameter."""
        return (math.nan,)

    def check(self, settings: Settings, beads: Beads, source: str) -> None:
        """Check that the beads of a system can form every item.

        Raises
        ------
        InputError
            An unknown type, or an item that the beads cannot form.
        """


def check_keys(section: Any, key: str, needed: Sequence[str], optional: Sequence[str], source: str) -> None:
    """Refuse a section of the config with keys missing or unknown.

    Raises
    ------
    InputError
        Which keys were found, and which were expected.
    """
    if not isinstance(section, Mapping):
        raise InputError(source, key, section, f"the keys {', '.join(needed)}")
    if set(section) - set(optional) != set(needed):
        raise InputError(source, key, f"the keys {', '.join(map(str, section))}", ", ".join(needed))


def positive_number(value: Any, key: str, source: str) -> float:
    """A positive finite number of the config.

    Raises
    ------
    InputError
        Anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise InputError(source, key, value, "a number above 0")
    return float(value)


def length_grid(section: Mapping[str, Any], key: str, source: str) -> Grid:
    """Bins from 0 to ``r_max_A`` of width ``bin_width_A`` of a section of the config.

    Raises
    ------
    InputError
        Values that are no positive numbers, or bins that do not fill the range.
    """
    stop = positive_number(section["r_max_A"], f"{key}.r_max_A", source)
    width = positive_number(section["bin_width_A"], f"{key}.bin_width_A", source)
    return Grid.from_config(f"{key}.bin_width_A", 0.0, stop, width, "A", source)
