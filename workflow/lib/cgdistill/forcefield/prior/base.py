"""What a prior term is: an interaction of a fixed form whose parameters are fitted before any network is trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from ...data.beads import BeadFrames, BeadTopology
from ..lammps_style import LammpsStyle
from ..potential import Evaluation


@dataclass(frozen=True)
class InteractionTopology:
    """What terms need to know of the beads besides their positions.

    Attributes
    ----------
    bead_types: (n_beads,) index into the type names of the terms.
    """

    bead_types: np.ndarray

    @classmethod
    def of(cls, topology: BeadTopology) -> InteractionTopology:
        """That of the beads of a bead file."""
        return cls(topology.bead_types)


@dataclass(frozen=True)
class Configuration:
    """Beads in a periodic cell with their pairs, all in float64.

    Attributes
    ----------
    positions_A: (n_beads, 3), not necessarily within the cell.
    cell_A: (3, 3) cell vectors as rows.
    topology: of the beads.
    first, second: (n_pairs,) beads of all pairs within the largest cutoff of the terms, each in both directions.
    vectors_A: (n_pairs, 3) from first to second, periodic images taken into account.
    """

    positions_A: np.ndarray
    cell_A: np.ndarray
    topology: InteractionTopology
    first: np.ndarray
    second: np.ndarray
    vectors_A: np.ndarray


class PriorTerm(ABC):
    """A term of the prior for given bead types; the register of terms is `terms.TERMS`.

    A term is defined by this interface alone: nothing else knows its form. Its energy is written once, in `evaluate`;
    MD uses the style of LAMMPS that has the same formula.
    """

    #: Name in files and in the register.
    name: ClassVar[str]
    #: Names of the bead types in the order of their index.
    type_names: tuple[str, ...]

    @classmethod
    @abstractmethod
    def fit(
        cls,
        chunks: Iterable[BeadFrames],
        topology: BeadTopology,
        settings: Mapping[str, Any],
        source: str | Path = "beads",
    ) -> pd.DataFrame:
        """Table of the parameters, fitted to training frames with forces (`from_table` reads it).

        ``settings``: section ``prior`` of the config; ``source``: named in errors.
        """

    @classmethod
    @abstractmethod
    def from_table(cls, table: pd.DataFrame, type_names: tuple[str, ...], source: str | Path) -> Self:
        """The term of the given bead types from the rows of a table of `fit`; `InputError` where some are missing."""

    @classmethod
    @abstractmethod
    def from_dict(cls, values: Any, type_names: tuple[str, ...], source: str | Path) -> Self:
        """The term from what `to_dict` gives; ``values`` may come from anybody and are checked (`InputError`)."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Parameters for JSON files; `from_dict` gives the same term to the last bit."""

    @property
    @abstractmethod
    def cutoff_A(self) -> float:
        """Largest distance of a pair that the term needs to know, A; 0 for a term of bonds alone."""

    @abstractmethod
    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Energy, forces, virial and per-bead energies of a configuration, in float64."""

    @abstractmethod
    def lammps_style(self) -> LammpsStyle:
        """The style of LAMMPS that computes this term, atom types in the order of ``type_names``."""
