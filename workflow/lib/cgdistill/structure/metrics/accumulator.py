"""Averages of structure curves over frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..conventions import CGDISTILL, TRAVIS
from ..grids import Grid

if TYPE_CHECKING:
    from ..pairs import Frame


@dataclass(frozen=True)
class Curve:
    """One curve: ``values`` (n_bins,) on the grid; ``parameter`` is NaN where an item has one curve."""

    item: str
    parameter: float
    values: np.ndarray


class Accumulator(ABC):
    """Average a structure curve over frames.

    `measure` takes one frame and changes nothing, so frames may be measured in threads;
    `accumulate` takes the measured values in the order of the frames. `add` does both for a chunk.
    The result does not depend on how frames are cut into chunks.

    Attributes
    ----------
    type_names, bead_types: names of the types, and (n_beads,) index of the type of each bead.
    grid: bins of the curves.
    shared: the convention is ``travis``: each value is shared between two bins, see docs/structure.md.
    value_unit: unit of the curves. The conventions differ in it, so that their curves are not compared by mistake.
    n_frames: frames accumulated so far.
    """

    metric: ClassVar[str]
    _VALUE_UNITS: ClassVar[dict[str, str]]

    def __init__(
        self, type_names: Sequence[str], bead_types: np.ndarray, grid: Grid, convention: str = CGDISTILL
    ) -> None:
        if convention not in self._VALUE_UNITS:
            raise ValueError(f"convention {convention!r}: one of {', '.join(self._VALUE_UNITS)} is needed")
        self.type_names = tuple(type_names)
        self.bead_types = np.ascontiguousarray(bead_types, dtype=np.int64)
        self.type_counts = np.bincount(self.bead_types, minlength=len(self.type_names))
        self.grid = grid
        self.shared = convention == TRAVIS
        self.value_unit = self._VALUE_UNITS[convention]
        self.n_frames = 0
        self._sum: np.ndarray = np.zeros(0)

    @abstractmethod
    def measure(self, frame: Frame) -> np.ndarray:
        """What one frame contributes."""

    @abstractmethod
    def curves(self) -> list[Curve]:
        """The average over the frames so far."""

    def gaps(self) -> list[str]:
        """Sentences on curves that hold less than they should."""
        return []

    def accumulate(self, measured: np.ndarray) -> None:
        """Add what `measure` returned for one frame."""
        self._sum = measured if self.n_frames == 0 else self._sum + measured
        self.n_frames += 1

    def add(self, positions_A: np.ndarray, cells_A: np.ndarray) -> None:
        """Add a chunk of frames.

        Parameters
        ----------
        positions_A: (n_frames, n_beads, 3), wrapped or not.
        cells_A: (n_frames, 3, 3) rows are the cell vectors.
        """
        from ..pairs import Frame

        for positions, cell in zip(positions_A, cells_A, strict=True):
            self.accumulate(self.measure(Frame.of(positions, cell)))

    @property
    def total(self) -> np.ndarray:
        """Sum over the frames of what `measure` returned."""
        if self.n_frames == 0:
            raise ValueError(f"no frame has been added to the {self.metric}")
        return self._sum
