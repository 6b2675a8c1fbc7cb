"""Times of several ways to do one thing, measured in turn, and the rows of results that are made of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Side:
    """One way: a call does ``units`` units of the work (steps, frames)."""

    label: str
    work: Callable[[], object]
    units: int = 1


@dataclass(frozen=True)
class Times:
    """Seconds per unit of one way, a value for each round."""

    label: str
    seconds: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """Median over the rounds."""
        return float(np.median(self.seconds))

    def summary(self) -> dict[str, Any]:
        """Label, median and quartiles in seconds, number of rounds."""
        low, high = np.percentile(self.seconds, [25.0, 75.0])
        return {"label": self.label, "median_s": self.median_s, "quartiles_s": [low, high], "rounds": len(self.seconds)}


@dataclass(frozen=True)
class Goal:
    """What a value must reach, and what it should: at least or at most."""

    must: float
    aim: float
    at_least: bool

    def reached(self, value: float) -> str:
        """``aim``, ``goal`` or ``missed``."""
        for name, bound in (("aim", self.aim), ("goal", self.must)):
            if value >= bound if self.at_least else value <= bound:
                return name
        return "missed"


@dataclass(frozen=True)
class Row:
    """One number of the results.

    Attributes
    ----------
    case: the benchmark that it belongs to, as in ``make bench ONLY=...``.
    name: short and unique.
    label: what it is, in a few words, for the figure.
    title: what was measured, for the table.
    value, unit: the number; a ratio has the unit ``x``.
    low, high: quartiles, or the value itself where it was measured once.
    goal: None where there is none.
    sides: times that a ratio was made of (`Times.summary`).
    note: what a reader has to know about this number.
    """

    case: str
    name: str
    label: str
    title: str
    value: float
    unit: str
    low: float
    high: float
    goal: Goal | None = None
    sides: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with ``status`` (`Goal.reached`)."""
        status = self.goal.reached(self.value) if self.goal else None
        return asdict(self) | {"status": status}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Row:
        """The row that `as_dict` gave."""
        known = {key: value for key, value in data.items() if key != "status"}
        return cls(**known | {"goal": Goal(**data["goal"]) if data["goal"] else None})


def interleave(
    sides: Sequence[Side],
    seconds: float,
    min_rounds: int = 5,
    max_rounds: int = 60,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Times]:
    """Measure ways in turn, so that what else goes on in the machine hits all of them alike.

    Every way is called once without being timed. In each round every way is then called once, forwards in one
    round and backwards in the next. Rounds go on until ``seconds`` are over, within the limits given.

    Returns
    -------
    Times of each way, in the order of ``sides``.
    """
    for side in sides:
        side.work()
    taken: list[list[float]] = [[] for _ in sides]
    end = clock() + seconds
    rounds = 0
    while rounds < min_rounds or (rounds < max_rounds and clock() < end):
        order = range(len(sides)) if rounds % 2 == 0 else range(len(sides) - 1, -1, -1)
        for index in order:
            start = clock()
            sides[index].work()
            taken[index].append((clock() - start) / sides[index].units)
        rounds += 1
    return [Times(side.label, tuple(values)) for side, values in zip(sides, taken, strict=True)]


def ratio(over: Times, under: Times) -> tuple[float, float, float]:
    """Median and quartiles of the ratios round by round: (median, low, high).

    The two times of a round were taken side by side; their ratio hardly sees a machine that slows down.
    """
    ratios = np.array(over.seconds) / np.array(under.seconds)
    low, middle, high = np.percentile(ratios, [25.0, 50.0, 75.0])
    return float(middle), float(low), float(high)


def ratio_row(
    case: str, name: str, label: str, title: str, over: Times, under: Times, goal: Goal | None = None, note: str = ""
) -> Row:
    """The ratio of two times as a row."""
    value, low, high = ratio(over, under)
    return Row(case, name, label, title, value, "x", low, high, goal, [over.summary(), under.summary()], note)
