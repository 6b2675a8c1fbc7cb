"""A fitted pairwise force field: energies, forces and virial of beads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch

from ...core.errors import InputError
from ...data.pair_frames import Batch
from ..potential import Evaluation
from ..trainable import ModelOutput
from .basis import PairSplineSpec, SplineBasis, pair_numbers


@dataclass(frozen=True)
class PairCurve:
    """Energy and force of one pair of bead types, for `PairSplineModel.curve`.

    Attributes
    ----------
    distances_A, energy_kcal_mol, force_kcal_mol_A: (n,); the force is minus the slope of the energy.
    """

    distances_A: np.ndarray
    energy_kcal_mol: np.ndarray
    force_kcal_mol_A: np.ndarray


@dataclass(frozen=True)
class PairSplineModel:
    """Energies are sums over pairs, each bead having half of each, and a constant per bead type.

    From the shortest distance of the training data up to the cutoff the force is the spline. Below, it continues
    linearly with the slope that it has there, but rises inwards by at least ``spec.core_stiffness_kcal_mol_A2``; so it
    is continuous and repulsive at short distances whatever the few pairs there said. Energy and force are zero from the
    cutoff on, and for pairs of types that the data never had within it.

    Attributes
    ----------
    spec: settings.
    type_names: names of the bead types, in the order of their index.
    coefficients: (n_pairs, n_functions) of the pair forces, kcal/mol/A, pairs in the order of `pair_numbers`; the last
        of each is 0.
    shortest_A: (n_pairs,) shortest distance of the training data, A, infinite where there was none.
    constants_kcal_mol: (n_types,) energy of a bead without neighbours.

    Raises
    ------
    InputError
        Arrays of another shape, or values that are not finite.
    """

    architecture: ClassVar[str] = "pair-spline"

    spec: PairSplineSpec
    type_names: tuple[str, ...]
    coefficients: np.ndarray
    shortest_A: np.ndarray
    constants_kcal_mol: np.ndarray

    def __post_init__(self) -> None:
        n_types, n_pairs = len(self.type_names), len(self.type_names) * (len(self.type_names) + 1) // 2
        shapes = {
            "coefficients": (n_pairs, self.basis.n_functions),
            "shortest_A": (n_pairs,),
            "constants_kcal_mol": (n_types,),
        }
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values.shape != shape:
                raise InputError("pair-spline", name, f"shape {values.shape}", shape)
            if name != "shortest_A" and not np.isfinite(values).all():
                raise InputError("pair-spline", name, "values that are not finite", "numbers")
        if not (self.shortest_A > 0).all():
            raise InputError("pair-spline", "shortest_A", self.shortest_A.min(), "distances above 0")
        if self.coefficients[:, -1].any():
            raise InputError("pair-spline", "coefficients", "a force at the cutoff", "0 for the last function")

    @property
    def cutoff_A(self) -> float:
        """Range of the interactions, A."""
        return self.spec.cutoff_A

    @property
    def n_parameters(self) -> int:
        """Number of parameters that are not zero: coefficients, and constants of bead types."""
        return int((self.coefficients != 0).sum() + (self.constants_kcal_mol != 0).sum())

    @cached_property
    def basis(self) -> SplineBasis:
        """Functions of the pair forces."""
        return SplineBasis.of(self.spec)

    @cached_property
    def _energies(self) -> np.ndarray:
        """(n_pairs, n_intervals, degree + 2) polynomials of the pair energies."""
        return self.basis.pieces(self.coefficients)

    @cached_property
    def _cores(self) -> np.ndarray:
        """(n_pairs, 4) distance where the linear force begins, A, 0 for none; energy, force and -slope there."""
        cores = np.zeros((len(self.coefficients), 4))
        for pair in np.flatnonzero(np.isfinite(self.shortest_A)):
            distance = self.shortest_A[pair : pair + 1]
            energy, force, slope = self._spline(np.array([pair]), distance)
            stiffness = max(-slope[0], self.spec.core_stiffness_kcal_mol_A2)
            cores[pair] = distance[0], energy[0], force[0], stiffness
        return cores

    def _spline(self, pairs: np.ndarray, distances_A: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Energy, force and its slope (n,) of pairs of types by the spline alone, which ends at the cutoff."""
        inside = np.minimum(distances_A, self.cutoff_A)
        interval = self.basis.interval_of(inside)
        rest = inside - self.basis.breaks_A[interval]
        polynomials = self._energies[pairs, interval]
        energy, first, second = np.zeros(len(rest)), np.zeros(len(rest)), np.zeros(len(rest))
        # Horner's scheme for a polynomial and its first two derivatives (the last halved).
        for power in range(polynomials.shape[1] - 1, -1, -1):
            second = second * rest + first
            first = first * rest + energy
            energy = energy * rest + polynomials[:, power]
        return energy, -first, -2.0 * second

    def pair_values(self, pairs: np.ndarray, distances_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energy, kcal/mol, and force, kcal/mol/A, positive for repulsion, (n,) each.

        Parameters
        ----------
        pairs: (n,) numbers of pairs of types, see `pair_numbers`.
        distances_A: (n,)
        """
        energy, force, _ = self._spline(pairs, distances_A)
        distance, core_energy, core_force, stiffness = self._cores[pairs].T
        depth = np.maximum(distance - distances_A, 0.0)
        within = depth > 0
        energy = np.where(within, core_energy + core_force * depth + 0.5 * stiffness * depth**2, energy)
        force = np.where(within, core_force + stiffness * depth, force)
        beyond = distances_A >= self.cutoff_A
        energy[beyond], force[beyond] = 0.0, 0.0
        return energy, force

    def curve(self, first_type: int, second_type: int, distances_A: np.ndarray) -> PairCurve:
        """Energy and force of a pair of types at the given distances (n,), A."""
        pairs = np.full(len(distances_A), pair_numbers(len(self.type_names))[first_type, second_type])
        return PairCurve(distances_A, *self.pair_values(pairs, distances_A))

    def evaluate(
        self, first: np.ndarray, second: np.ndarray, vectors_A: np.ndarray, bead_types: np.ndarray
    ) -> Evaluation:
        """Energy, forces, virial and energies of beads; those of several systems where pairs join no two of them.

        Parameters
        ----------
        first, second: (n,) beads of directed pairs, each pair in both directions.
        vectors_A: (n, 3) from first to second, A.
        bead_types: (n_beads,)
        """
        vectors, n_beads = np.asarray(vectors_A, dtype=np.float64), len(bead_types)
        distances = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        pairs = pair_numbers(len(self.type_names))[bead_types[first], bead_types[second]]
        energy, force = self.pair_values(pairs, distances)
        on_first = -(force / distances)[:, None] * vectors
        beads = np.bincount(first, 0.5 * energy, n_beads) + self.constants_kcal_mol[bead_types]
        products = -0.5 * vectors.T @ on_first
        return Evaluation(
            energy_kcal_mol=float(beads.sum()),
            forces_kcal_mol_A=np.stack([np.bincount(first, on_first[:, axis], n_beads) for axis in range(3)], axis=1),
            virial_kcal_mol=products[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]],
            bead_energies_kcal_mol=beads,
        )

    @classmethod
    def evaluate_together(
        cls, models: Sequence[PairSplineModel], batches: Sequence[Batch], differentiable: bool = False
    ) -> list[ModelOutput[torch.Tensor]]:
        """Output of each model for its own batch, in the precision of its vectors; see `architecture.Model`.

        Raises
        ------
        ValueError
            Gradients by the weights, which are found without them.
        """
        if differentiable:
            raise ValueError("pairwise splines have no gradients by their weights")
        return [model._output(batch) for model, batch in zip(models, batches, strict=True)]

    def _output(self, batch: Batch) -> ModelOutput[torch.Tensor]:
        first, second, vectors_A = (values.cpu().numpy() for values in (batch.first, batch.second, batch.vectors_A))
        found = self.evaluate(first, second, vectors_A, batch.species.cpu().numpy().reshape(-1) - 1)
        forces = found.forces_kcal_mol_A.reshape(*batch.species.shape, 3)
        energies = found.bead_energies_kcal_mol.reshape(batch.species.shape)
        dtype = batch.vectors_A.dtype
        return ModelOutput(torch.as_tensor(forces, dtype=dtype), torch.as_tensor(energies, dtype=dtype))

    def weights(self) -> dict[str, torch.Tensor]:
        """`arrays` as tensors; see `architecture.Model`."""
        return {name: torch.from_numpy(values.copy()) for name, values in self.arrays().items()}

    def to(self, device: torch.device | str) -> Self:
        """The model itself, which is evaluated on the CPU whatever the device."""
        return self

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights by name, float64, as `from_arrays` takes them."""
        names = ("coefficients", "shortest_A", "constants_kcal_mol")
        return {name: np.ascontiguousarray(getattr(self, name), dtype=np.float64) for name in names}

    def settings(self) -> dict[str, Any]:
        """All else that `from_arrays` needs, for JSON."""
        return {"type_names": list(self.type_names), "spec": asdict(self.spec)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> PairSplineModel:
        """The model of `arrays` and `settings`.

        Raises
        ------
        InputError
            Something is missing or unknown, of another shape or out of range.
        """
        try:
            spec = PairSplineSpec(**settings["spec"])
            names = ("coefficients", "shortest_A", "constants_kcal_mol")
            weights = [np.asarray(arrays[name], dtype=np.float64) for name in names]
            return cls(spec, tuple(settings["type_names"]), *weights)
        except (KeyError, TypeError) as error:
            raise InputError("pair-spline", "settings or weights", repr(error), "those of a written model") from None

    def describe(self) -> dict[str, Any]:
        """Facts for model cards and reports; per pair of types the lowest energy from the shortest distance on."""
        rows = []
        for i, first in enumerate(self.type_names):
            for j in range(i, len(self.type_names)):
                shortest = float(self.shortest_A[pair_numbers(len(self.type_names))[i, j]])
                row: dict[str, Any] = {"bead_1": first, "bead_2": self.type_names[j], "shortest_A": None}
                if np.isfinite(shortest):
                    curve = self.curve(i, j, np.linspace(shortest, self.cutoff_A, 2000))
                    lowest = int(curve.energy_kcal_mol.argmin())
                    row |= {
                        "shortest_A": shortest,
                        "lowest_energy_kcal_mol": float(curve.energy_kcal_mol[lowest]),
                        "at_A": float(curve.distances_A[lowest]),
                    }
                rows.append(row)
        return {
            "architecture": "pair-spline",
            **asdict(self.spec),
            "n_parameters": self.n_parameters,
            "pairs": rows,
        }
