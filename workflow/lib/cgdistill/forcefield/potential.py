"""What a potential is to the engines that move beads with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Evaluation:
    """Energy and its derivatives for one configuration.

    Attributes
    ----------
    energy_kcal_mol: total potential energy.
    forces_kcal_mol_A: (n_beads, 3), minus the gradient of the energy.
    virial_kcal_mol:
        (6,) components xx, yy, zz, xy, xz, yz of the sum over beads of r_i f_i, or, for pairs counted
        once, of r_ij f_ij with f_ij the force on i and r_ij = r_i - r_j; positive for repulsion. It is
        minus the derivative of the energy by strain and adds (xx + yy + zz) / (3 V) to the pressure.
    bead_energies_kcal_mol: (n_beads,), their sum is the energy.
    """

    energy_kcal_mol: float
    forces_kcal_mol_A: np.ndarray
    virial_kcal_mol: np.ndarray
    bead_energies_kcal_mol: np.ndarray


class Potential(Protocol):
    """Anything that gives energy, forces and virial of beads in a periodic cell.

    ``cutoff_A`` is the range of its interactions, ``type_names`` the bead types in the order of their
    index.
    """

    @property
    def cutoff_A(self) -> float:
        """Range of the interactions, A."""
        ...

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the bead types, in the order of their index."""
        ...

    def forget(self) -> None:
        """Keep nothing of earlier evaluations: the next one depends on its arguments alone, to the last bit."""
        ...

    def evaluate(self, positions_A: np.ndarray, cell_A: np.ndarray, bead_types: np.ndarray) -> Evaluation:
        """Evaluate one configuration.

        Parameters
        ----------
        positions_A: (n_beads, 3), not necessarily within the cell.
        cell_A: (3, 3) cell vectors as rows.
        bead_types: (n_beads,) index into ``type_names``.
        """
        ...


class JointPotential(Protocol):
    """Several bead systems, each with models of its own, evaluated in one call.

    Systems are numbered from 0; bead types and models of each are fixed when the potential is made.
    """

    @property
    def cutoff_A(self) -> float:
        """Range of the interactions, A."""
        ...

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the bead types, in the order of their index."""
        ...

    def forget(self, number: int) -> None:
        """Keep nothing of earlier evaluations of a system: the next one depends on its arguments alone."""
        ...

    def evaluate_all(self, configurations: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> dict[int, Evaluation]:
        """Evaluate the systems of the given numbers.

        Parameters
        ----------
        configurations: by number of the system, positions (n_beads, 3) and cell (3, 3), A.
        """
        ...
