"""The mean of several pairwise force fields, and a potential of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ...core.errors import InputError
from ...geometry.neighbours import NeighbourList
from ..potential import Evaluation
from .model import PairSplineModel


class PairSplineMean:
    """Mean of the energies and forces of one or more models.

    Raises
    ------
    InputError
        No model, or models of different bead types.
    """

    def __init__(self, models: Sequence[PairSplineModel]) -> None:
        names = sorted({model.type_names for model in models})
        if len(names) != 1:
            raise InputError("models", "type_names", names, "the same of each")
        self.models, self.type_names = tuple(models), names[0]

    @property
    def cutoff_A(self) -> float:
        """Range of the interactions, A."""
        return max(model.cutoff_A for model in self.models)

    @cached_property
    def shortest_A(self) -> np.ndarray:
        """(n_pairs,) shortest distance of the training data of any of the models, A."""
        return np.asarray(np.min([model.shortest_A for model in self.models], axis=0))

    def pair_values(self, pairs: np.ndarray, distances_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energy and force of pairs of types at distances; see `PairSplineModel.pair_values`."""
        found = np.mean([model.pair_values(pairs, distances_A) for model in self.models], axis=0)
        return found[0], found[1]

    def evaluate(
        self, first: np.ndarray, second: np.ndarray, vectors_A: np.ndarray, bead_types: np.ndarray
    ) -> Evaluation:
        """Energy, forces, virial and energies of beads; see `PairSplineModel.evaluate`."""
        parts = [model.evaluate(first, second, vectors_A, bead_types) for model in self.models]
        return Evaluation(
            energy_kcal_mol=float(np.mean([part.energy_kcal_mol for part in parts])),
            forces_kcal_mol_A=np.mean([part.forces_kcal_mol_A for part in parts], axis=0),
            virial_kcal_mol=np.mean([part.virial_kcal_mol for part in parts], axis=0),
            bead_energies_kcal_mol=np.mean([part.bead_energies_kcal_mol for part in parts], axis=0),
        )


class PairSplinePotential:
    """Mean of one or more models as a potential, in float64; see `potential.Potential`.

    Parameters
    ----------
    skin_A: by which the neighbour list is longer than the cutoff.
    """

    def __init__(self, models: Sequence[PairSplineModel], skin_A: float) -> None:
        self._mean = PairSplineMean(models)
        self._neighbours = NeighbourList(self._mean.cutoff_A, skin_A)

    @property
    def cutoff_A(self) -> float:
        """Range of the interactions, A."""
        return self._mean.cutoff_A

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the bead types, in the order of their index."""
        return self._mean.type_names

    def forget(self) -> None:
        """Discard the neighbour list; see `potential.Potential`."""
        self._neighbours.forget()

    def evaluate(self, positions_A: np.ndarray, cell_A: np.ndarray, bead_types: np.ndarray) -> Evaluation:
        """Evaluate one configuration; see `potential.Potential`."""
        positions = np.ascontiguousarray(positions_A, dtype=np.float64)
        pairs = self._neighbours.pairs(positions, np.asarray(cell_A, dtype=np.float64))
        return self._mean.evaluate(*pairs, np.asarray(bead_types))
