"""The bead model: a HIP-NN-TS network and its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from ...core.errors import InputError
from ...data.pair_frames import Batch
from ...io.untrusted import shown
from ..architecture import MOST_PARAMETERS
from ..trainable import ModelOutput
from .evaluation import energies_and_forces
from .graph import make_modules, pair_graph

#: Least and largest sizes of an architecture (the schema of the config has the same).
SIZES = {
    "tensor_order": (0, 2),
    "n_interaction_layers": (1, 8),
    "n_atom_layers": (0, 64),
    "n_sensitivities": (2, 512),
    "n_features": (1, 2048),
}
_LONGEST_CUTOFF_A = 1000.0


@dataclass(frozen=True)
class NetworkSpec:
    """Architecture of HIP-NN-TS (table 1 of Olowookere et al., arXiv 2510.26650).

    Attributes
    ----------
    tensor_order: 0, 1 or 2 (hippynn's Hipnn, HipnnVec, HipnnQuad).
    n_interaction_layers, n_atom_layers, n_sensitivities, n_features: sizes.
    cutoff_A: interaction distance (hard cutoff).
    soft_min_A, soft_max_A: centres of the first and the last sensitivity function.
    """

    tensor_order: int
    n_interaction_layers: int
    n_atom_layers: int
    n_sensitivities: int
    n_features: int
    cutoff_A: float
    soft_min_A: float
    soft_max_A: float

    def hippynn_kwargs(self) -> dict[str, Any]:
        """Arguments of hippynn's network modules."""
        return {
            "n_features": self.n_features,
            "n_sensitivities": self.n_sensitivities,
            "dist_soft_min": self.soft_min_A,
            "dist_soft_max": self.soft_max_A,
            "dist_hard_max": self.cutoff_A,
            "n_interaction_layers": self.n_interaction_layers,
            "n_atom_layers": self.n_atom_layers,
            "sensitivity_type": "inverse",
            "resnet": True,
        }

    def n_parameters(self, n_types: int) -> int:
        """Number of trainable parameters for this number of bead types, without building the network."""
        inner = self.n_features
        total = n_types + self.n_interaction_layers * (inner + 1)
        for outer in [n_types, *[inner] * (self.n_interaction_layers - 1)]:
            total += inner * outer * (self.n_sensitivities + 1) + 2 * self.n_sensitivities
            total += inner * (inner + self.tensor_order + 2) + (inner * outer if inner != outer else 0)
            total += self.n_atom_layers * 2 * inner * (inner + 1)
        return total

    def check(self, n_types: int, source: str | Path = "network") -> None:
        """Check that a network of these settings can be made.

        Raises
        ------
        InputError
            A setting of another kind or out of its range, or too many parameters in all.
        """
        for name, (low, high) in SIZES.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise InputError(source, name, shown(value), f"a whole number from {low} to {high}")
        for name in ("cutoff_A", "soft_min_A", "soft_max_A"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 < value <= _LONGEST_CUTOFF_A:
                raise InputError(source, name, shown(value), f"a distance above 0 and up to {_LONGEST_CUTOFF_A:g} A")
        if not self.soft_min_A < self.soft_max_A:
            raise InputError(source, "soft_min_A", self.soft_min_A, f"less than soft_max_A, {self.soft_max_A:g} A")
        if (n := self.n_parameters(n_types)) > MOST_PARAMETERS:
            raise InputError(source, "network", f"sizes that make {n} parameters", f"up to {MOST_PARAMETERS}")


class BeadModel(torch.nn.Module):  # type: ignore[misc,name-defined]
    """Energies of beads from directed pairs, through hippynn's graph.

    Parameters
    ----------
    spec:
        Architecture.
    type_names:
        Bead types in the order of their index.
    seed:
        Seed of the initial weights; torch's global random state is left as it was.

    Raises
    ------
    InputError
        See `NetworkSpec.check`.
    """

    architecture: ClassVar[str] = "hipnn"

    def __init__(self, spec: NetworkSpec, type_names: Sequence[str], seed: int = 0) -> None:
        super().__init__()
        spec.check(len(type_names))
        self.spec, self.type_names = spec, tuple(type_names)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.modules_ = make_modules(spec.tensor_order, spec.hippynn_kwargs(), len(self.type_names))
        self.graph = pair_graph(self.modules_, spec.tensor_order)

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(weight.numel() for weight in self._named_weights().values())

    def bead_energies(
        self, species: torch.Tensor, first: torch.Tensor, second: torch.Tensor, vectors_A: torch.Tensor
    ) -> torch.Tensor:
        """Per-bead energies (n_systems, n_beads), kcal/mol, by hippynn's graph.

        Parameters
        ----------
        species: (n_systems, n_beads) bead type + 1.
        first, second: (n_pairs,) indices into the flattened beads, every pair in both directions.
        vectors_A: (n_pairs, 3) from ``first`` to ``second``.
        """
        (energies,) = self.graph(species, first, second, vectors_A)
        return torch.as_tensor(energies).reshape(species.shape)

    def energies_and_pair_gradient(
        self,
        species: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        vectors_A: torch.Tensor,
        differentiable: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Energies as `bead_energies` and dE/dvector (n_pairs, 3) of their total, kcal/mol/A, by hippynn's graph."""
        vectors_A = vectors_A.detach().requires_grad_()
        energies = self.bead_energies(species, first, second, vectors_A)
        (gradient,) = torch.autograd.grad(energies.sum(), vectors_A, create_graph=differentiable)
        return energies, gradient

    def energies_and_forces(
        self,
        species: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        vectors_A: torch.Tensor,
        differentiable: bool = False,
        evaluation: str = "auto",
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Energies as `bead_energies` and forces (n_systems, n_beads, 3), kcal/mol/A.

        Parameters
        ----------
        differentiable: whether gradients of the results run to the weights (to nothing else).
        evaluation: of `fused.EVALUATIONS`; ``stock`` is hippynn's graph.
        """
        batch = Batch(species, first, second, vectors_A, {})
        return energies_and_forces([self], [batch], differentiable, evaluation)[0]

    def graph_energies_and_forces(
        self, batch: Batch, differentiable: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Energies and forces as `energies_and_forces`, by hippynn's graph."""
        arrays = batch.species, batch.first, batch.second, batch.vectors_A
        energies, gradient = self.energies_and_pair_gradient(*arrays, differentiable)
        forces = torch.zeros(batch.species.numel(), 3, dtype=gradient.dtype, device=gradient.device)
        forces = forces.index_add(0, batch.first, gradient).index_add(0, batch.second, -gradient)
        return energies, forces.reshape(*batch.species.shape, 3)

    @classmethod
    def evaluate_together(
        cls, models: Sequence[BeadModel], batches: Sequence[Batch], differentiable: bool = False
    ) -> list[ModelOutput[torch.Tensor]]:
        """Output of each model for its own batch; see `trainable.TrainableModel`."""
        found = energies_and_forces(models, batches, differentiable)
        return [ModelOutput(forces, energies) for energies, forces in found]

    def weights(self) -> dict[str, torch.Tensor]:
        """Trainable weights by name, on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self._named_weights().items()}

    def _named_weights(self) -> dict[str, torch.nn.Parameter]:
        """Weights by names that do not depend on how the graph is wired."""
        parts = {"network": self.modules_.network, "energy": self.modules_.energy}
        return {f"{part}.{name}": value for part, module in parts.items() for name, value in module.named_parameters()}

    def check_shapes(self, shapes: Mapping[str, tuple[int, ...]], source: str | Path = "weights") -> None:
        """Check names and shapes of weights.

        Raises
        ------
        InputError
            A weight is missing, unknown, or of another shape.
        """
        own = {name: tuple(parameter.shape) for name, parameter in self._named_weights().items()}
        if set(own) != set(shapes):
            odd = sorted(set(own) ^ set(shapes))
            raise InputError(source, "weights", f"names that do not match: {odd[:4]}", "those of the network")
        for name, shape in own.items():
            if shapes[name] != shape:
                raise InputError(source, name, shapes[name], shape)

    def load_weights(self, weights: Mapping[str, torch.Tensor], source: str | Path = "weights") -> None:
        """Take over weights; every name and shape must fit.

        Raises
        ------
        InputError
            See `check_shapes`; or one that is not finite.
        """
        self.check_shapes({name: tuple(value.shape) for name, value in weights.items()}, source)
        for name, parameter in self._named_weights().items():
            value = weights[name].to(parameter.dtype)  # in which a number of another precision may not be finite
            if not torch.isfinite(value).all():
                raise InputError(source, name, "values that are not finite", "finite weights")
            with torch.no_grad():
                parameter.copy_(value)
