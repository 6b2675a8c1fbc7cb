"""A model, or the mean of several, as a potential for MD."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .errors import InputError
from .neighbours import NeighbourList
from .network import BeadModel
from .potential import Evaluation


class NetworkPotential:
    """Mean energy and forces of one or more models over one neighbour list.

    Parameters
    ----------
    models:
        All with the same bead types; T8 has eight of them.
    skin_A:
        Of the neighbour list.
    dtype:
        Precision of the network; positions and sums over pairs stay in float64.

    Raises
    ------
    InputError
        No model, or models of different bead types.
    """

    def __init__(
        self,
        models: Sequence[BeadModel],
        skin_A: float = 1.5,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        kinds = {model.type_names for model in models}
        if len(kinds) != 1:
            raise InputError("models", "bead types", sorted(kinds), "the same bead types in every model")
        self.models = [model.to(device=device, dtype=dtype).eval() for model in models]
        self.dtype, self.device = dtype, device
        self._neighbours = NeighbourList(self.cutoff_A, skin_A)

    @property
    def cutoff_A(self) -> float:
        """Largest cutoff of the models, A."""
        return max(model.spec.cutoff_A for model in self.models)

    @property
    def type_names(self) -> tuple[str, ...]:
        """Bead types in the order of their index."""
        return self.models[0].type_names

    def evaluate(self, positions_A: np.ndarray, cell_A: np.ndarray, bead_types: np.ndarray) -> Evaluation:
        """Energy, forces, virial and per-bead energies (prior included); see `potential.Potential`."""
        first, second, vectors = self._neighbours.pairs(positions_A, cell_A)
        first_t = torch.as_tensor(first, device=self.device)
        second_t = torch.as_tensor(second, device=self.device)
        vectors_t = torch.as_tensor(vectors, dtype=self.dtype, device=self.device)
        species = torch.as_tensor(bead_types + 1, device=self.device).reshape(1, -1)
        gradient = torch.zeros_like(vectors_t)
        energies = torch.zeros(len(bead_types), dtype=self.dtype, device=self.device)
        for model in self.models:
            network, prior, part = model.energies_and_pair_gradient(species, first_t, second_t, vectors_t)
            gradient += part
            energies += (network + prior).detach().reshape(-1)
        pair_gradient = (gradient / len(self.models)).cpu().numpy().astype(np.float64)
        bead_energies = (energies / len(self.models)).cpu().numpy().astype(np.float64)
        forces = np.empty((len(bead_types), 3))
        for axis in range(3):
            column = pair_gradient[:, axis]
            forces[:, axis] = np.bincount(first, column, len(bead_types))
            forces[:, axis] -= np.bincount(second, column, len(bead_types))
        # Each directed pair carries its own share of the energy, so the sum runs over all of them.
        stress = -vectors.T @ pair_gradient
        virial = np.array([stress[0, 0], stress[1, 1], stress[2, 2], stress[0, 1], stress[0, 2], stress[1, 2]])
        return Evaluation(float(bead_energies.sum()), forces, virial, bead_energies)
