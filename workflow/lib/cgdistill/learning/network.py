"""The bead model: HIP-NN-TS network plus repulsive prior, its settings, and its file format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..errors import InputError
from ..evaluation.fused import stacked_energies_and_forces, use_fused
from ..prior import RepulsivePrior
from ..provenance import whole_file, write_json
from .frames import Batch
from .hippynn_nodes import make_modules, pair_graph

FORMAT = "cgdistill-model-1"
UNITS = {"length": "A", "energy": "kcal/mol", "force": "kcal/mol/A"}


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


class BeadModel(torch.nn.Module):  # type: ignore[misc,name-defined]
    """Energies of beads from directed pairs, through hippynn's graph.

    Parameters
    ----------
    spec:
        Architecture.
    prior:
        Repulsive prior; its ``type_names`` are the model's bead types in order.
    seed:
        Seed of the initial weights; torch's global random state is left as it was.
    """

    def __init__(self, spec: NetworkSpec, prior: RepulsivePrior, seed: int = 0) -> None:
        super().__init__()
        self.spec, self.prior = spec, prior
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.modules_ = make_modules(spec.tensor_order, spec.hippynn_kwargs(), prior)
        self.graph = pair_graph(self.modules_, spec.tensor_order)

    @property
    def type_names(self) -> tuple[str, ...]:
        """Bead types in the order of their index."""
        return self.prior.type_names

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(weight.numel() for weight in self._named_weights().values())

    def bead_energies(
        self, species: torch.Tensor, first: torch.Tensor, second: torch.Tensor, vectors_A: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Per-bead energies of network and prior, each (n_systems, n_beads), kcal/mol, by hippynn's graph.

        Parameters
        ----------
        species: (n_systems, n_beads) bead type + 1.
        first, second: (n_pairs,) indices into the flattened beads, every pair in both directions.
        vectors_A: (n_pairs, 3) from ``first`` to ``second``.
        """
        network, prior = self.graph(species, first, second, vectors_A)
        return network.reshape(species.shape), prior.reshape(species.shape)

    def energies_and_pair_gradient(
        self,
        species: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        vectors_A: torch.Tensor,
        differentiable: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Energies as `bead_energies` and dE/dvector (n_pairs, 3) of their total, kcal/mol/A, by hippynn's graph."""
        vectors_A = vectors_A.detach().requires_grad_()
        network, prior = self.bead_energies(species, first, second, vectors_A)
        (gradient,) = torch.autograd.grad(network.sum() + prior.sum(), vectors_A, create_graph=differentiable)
        return network, prior, gradient

    def energies_and_forces(
        self,
        species: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        vectors_A: torch.Tensor,
        differentiable: bool = False,
        evaluation: str = "auto",
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Energies as `bead_energies` and forces (n_systems, n_beads, 3), kcal/mol/A, prior included.

        Parameters
        ----------
        differentiable: whether gradients of the results run to the weights (to nothing else).
        evaluation: of `fused.EVALUATIONS`; ``stock`` is hippynn's graph.
        """
        if use_fused(evaluation, self.spec, vectors_A.device):
            batch = Batch(species, first, second, vectors_A, {})
            return stacked_energies_and_forces([self], [batch], differentiable)[0]
        network, prior, gradient = self.energies_and_pair_gradient(species, first, second, vectors_A, differentiable)
        forces = torch.zeros(species.numel(), 3, dtype=gradient.dtype, device=gradient.device)
        forces = forces.index_add(0, first, gradient).index_add(0, second, -gradient)
        return network, prior, forces.reshape(*species.shape, 3)

    def weights(self) -> dict[str, torch.Tensor]:
        """Trainable weights by name, on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self._named_weights().items()}

    def _named_weights(self) -> dict[str, torch.nn.Parameter]:
        """Weights by names that do not depend on how the graph is wired."""
        parts = {"network": self.modules_.network, "energy": self.modules_.energy}
        return {f"{part}.{name}": value for part, module in parts.items() for name, value in module.named_parameters()}

    def load_weights(self, weights: Mapping[str, torch.Tensor], source: str | Path = "weights") -> None:
        """Take over weights; every name and shape must fit.

        Raises
        ------
        InputError
            A weight is missing, unknown, of another shape, or not finite.
        """
        own = self._named_weights()
        if set(own) != set(weights):
            odd = sorted(set(own) ^ set(weights))
            raise InputError(source, "weights", f"names that do not match: {odd[:4]}", "those of the network")
        for name, parameter in own.items():
            value = weights[name]
            if value.shape != parameter.shape:
                raise InputError(source, name, tuple(value.shape), tuple(parameter.shape))
            if not torch.isfinite(value).all():
                raise InputError(source, name, "values that are not finite", "finite weights")
            with torch.no_grad():
                parameter.copy_(value)


def save_model(folder: str | Path, model: BeadModel, facts: Mapping[str, Any]) -> None:
    """Write ``weights.safetensors`` and ``network.json`` (settings, prior, units, ``facts``) into a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / "weights.safetensors") as partial:
        save_file(model.weights(), partial)
    write_json(
        folder / "network.json",
        {
            "format": FORMAT,
            "units": UNITS,
            "network": asdict(model.spec),
            "type_names": list(model.type_names),
            "prior": {
                "E0_kcal_mol": model.prior.E0_kcal_mol.tolist(),
                "a_per_A": model.prior.a_per_A.tolist(),
            },
            **facts,
        },
    )


def read_settings(folder: str | Path) -> dict[str, Any]:
    """Contents of ``network.json`` of a model folder, format and units checked."""
    path = Path(folder) / "network.json"
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, "file", error, f"JSON of format {FORMAT}") from None
    for key, expected in (("format", FORMAT), ("units", UNITS)):
        if settings.get(key) != expected:
            raise InputError(path, key, settings.get(key), expected)
    return settings


def load_model(folder: str | Path) -> BeadModel:
    """Read a model folder of `save_model`; executes nothing that the folder brings.

    Raises
    ------
    InputError
        A file is missing or damaged, or the weights do not fit the settings.
    """
    folder = Path(folder)
    settings = read_settings(folder)
    try:
        spec = NetworkSpec(**settings["network"])
        types = tuple(settings["type_names"])
        shape = (len(types), len(types))
        prior = RepulsivePrior(
            types,
            np.asarray(settings["prior"]["E0_kcal_mol"], dtype=np.float64).reshape(shape),
            np.asarray(settings["prior"]["a_per_A"], dtype=np.float64).reshape(shape),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(folder / "network.json", "settings", error, "network, type_names and prior") from None
    model = BeadModel(spec, prior)
    try:
        weights = load_file(folder / "weights.safetensors")
    except (OSError, SafetensorError) as error:
        raise InputError(folder / "weights.safetensors", "file", error, "safetensors weights") from None
    model.load_weights(weights, folder / "weights.safetensors")
    return model.eval()
