"""A force field: the sum of its prior terms and the mean of its models, which were trained as the difference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from .architecture import Architecture
from .model_files import load_model, load_prior
from .potential import Evaluation, Potential
from .prior.base import InteractionTopology
from .prior.terms import PriorTerms, sum_of
from .registry import architecture
from .trainable import Model


@dataclass(frozen=True)
class ForceField:
    """Prior terms and models of one architecture.

    Attributes
    ----------
    prior: its terms.
    networks: models that are averaged at each evaluation; of the same bead types as the prior.
    """

    prior: PriorTerms
    networks: tuple[Model, ...]

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the bead types, in the order of their index."""
        return self.prior.type_names

    @property
    def architecture(self) -> Architecture:
        """Architecture of the models."""
        return architecture(self.networks[0].architecture)

    @property
    def network_cutoff_A(self) -> float:
        """Largest cutoff of the models, A."""
        return max(float(network.spec.cutoff_A) for network in self.networks)

    def potential(self, skin_A: float = 1.5, **settings: Any) -> ForceFieldPotential:
        """The whole force field as a potential; ``settings``: of `Architecture.potential`."""
        return ForceFieldPotential(self, skin_A, **settings)

    @classmethod
    def of(cls, priors: Iterable[PriorTerms], networks: Sequence[Model], source: str | Path) -> ForceField:
        """The mean of models, each trained beside one of the priors.

        Raises
        ------
        InputError
            Different bead types or architectures, or priors that differ: the mean of such models is the difference to
            none of them.
        """
        distinct = list({str(prior.to_dict()): prior for prior in priors}.values())
        if len(distinct) != 1:
            raise InputError(source, "prior", f"{len(distinct)} that differ", "the same prior for every network")
        prior = distinct[0]
        kinds = sorted({network.architecture for network in networks})
        if len(kinds) != 1:
            raise InputError(source, "architecture", kinds, "one architecture")
        for network in networks:
            if network.type_names != prior.type_names:
                raise InputError(source, "bead types", network.type_names, f"{prior.type_names}, as of the prior")
        return cls(prior, tuple(networks))


def load_force_field(folders: Sequence[str | Path]) -> ForceField:
    """The mean of trained models with their prior, from their folders; executes nothing that the folders bring.

    Raises
    ------
    InputError
        A file is missing or damaged, or the models differ in bead types, architecture or prior.
    """
    networks = [load_model(folder) for folder in folders]
    return ForceField.of((load_prior(folder) for folder in folders), networks, folders[0])


class ForceFieldPotential:
    """Energy, forces and virial of a whole force field; see `potential.Potential`."""

    def __init__(self, force_field: ForceField, skin_A: float, **settings: Any) -> None:
        self._prior, self._skin_A = force_field.prior, skin_A
        self.networks = force_field.architecture.potential(force_field.networks, skin_A, **settings)
        self._topology = InteractionTopology(np.empty(0, dtype=np.int64))
        self._parts: list[Potential] = []

    @property
    def cutoff_A(self) -> float:
        """Range of the interactions, A."""
        return max(self.networks.cutoff_A, self._prior.cutoff_A)

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the bead types, in the order of their index."""
        return self._prior.type_names

    def forget(self) -> None:
        """Let go of the neighbour lists; see `potential.Potential`."""
        for part in self._parts:
            part.forget()

    def evaluate(self, positions_A: np.ndarray, cell_A: np.ndarray, bead_types: np.ndarray) -> Evaluation:
        """Energy, forces, virial and per-bead energies, prior included; see `potential.Potential`."""
        if not self._parts or not np.array_equal(bead_types, self._topology.bead_types):
            self._topology = InteractionTopology(np.array(bead_types, dtype=np.int64))
            self._parts = [self._prior.potential(self._topology, self._skin_A), self.networks]
        return sum_of([part.evaluate(positions_A, cell_A, bead_types) for part in self._parts], len(positions_A))
