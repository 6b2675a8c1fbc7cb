"""HIP-NN-TS as an architecture: trained by gradient descent, simulated here or by ML-IAP, exported for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import InputError
from ..architecture import GradientArchitecture, LammpsModel, LammpsScript, settings_in

if TYPE_CHECKING:
    import torch

    from .model import BeadModel, NetworkSpec
    from .network_potential import JointNetworkPotential, NetworkPotential


class HipnnArchitecture(GradientArchitecture):
    """See `architecture.Architecture`."""

    name = "hipnn"
    title = "HIP-NN-TS network"
    words = {
        "tensor_order": "tensor order {}",
        "n_interaction_layers": "interaction layers: {}",
        "n_atom_layers": "atom layers: {}",
        "n_sensitivities": "sensitivities: {}",
        "n_features": "features: {}",
        "cutoff_A": "cutoff {} Å",
    }

    def spec(self, values: Any, n_types: int, source: str | Path = "network") -> NetworkSpec:
        """See `Architecture.spec`."""
        from .model import NetworkSpec

        names = {field.name for field in fields(NetworkSpec)}
        given = settings_in(values, source)
        if set(given) != names:
            raise InputError(source, "network", sorted(map(str, given)), f"settings {', '.join(sorted(names))}")
        spec = NetworkSpec(**given)
        spec.check(n_types, source)
        return spec

    def n_weights(self, spec: NetworkSpec, n_types: int) -> int:
        """See `Architecture.n_weights`."""
        return spec.n_parameters(n_types)

    def build(self, spec: NetworkSpec, type_names: Sequence[str], seed: int) -> BeadModel:
        """See `GradientArchitecture.build`."""
        from .model import BeadModel

        return BeadModel(spec, type_names, seed)

    def restore(
        self, spec: NetworkSpec, type_names: Sequence[str], weights: Mapping[str, torch.Tensor], source: str | Path
    ) -> BeadModel:
        """See `Architecture.restore`."""
        model = self.build(spec, type_names, 0)
        model.load_weights(weights, source)
        restored: BeadModel = model.eval()
        return restored

    def potential(self, models: Sequence[BeadModel], skin_A: float = 1.5, **settings: Any) -> NetworkPotential:
        """See `Architecture.potential`; ``settings`` are those of `NetworkPotential`."""
        from .network_potential import NetworkPotential

        return NetworkPotential(models, skin_A, **settings)

    def for_simulation(
        self,
        ensembles: Sequence[Sequence[BeadModel]],
        bead_types: np.ndarray,
        *,
        coupling: str,
        skin_A: float,
        device: torch.device | str,
        folder: Path,
    ) -> JointNetworkPotential | list[LammpsModel]:
        """See `Architecture.for_simulation`."""
        if coupling == "mliap":
            from .export import mliap_models

            return mliap_models(ensembles, folder)
        from .network_potential import JointNetworkPotential

        return JointNetworkPotential(ensembles, bead_types, skin_A, device=device)

    def exported_files(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """See `Architecture.exported_files`: those of pair style cgdistill for networks of one interaction layer."""
        plugin = ("model.cgdistill", "in.plugin.lammps") if settings["n_interaction_layers"] == 1 else ()
        return ("mliap.pt", *plugin)

    def export(self, folder: Path, models: Sequence[BeadModel]) -> list[LammpsScript]:
        """See `Architecture.export`."""
        from .export import export_networks

        return export_networks(folder, models)

    def add_commands(self, commands: Any) -> None:
        """See `Architecture.add_commands`: ``cgdistill lammps-plugin``."""
        from .plugin_command import add_plugin_command

        add_plugin_command(commands)

    def methods(self, settings: Mapping[str, Any]) -> str:
        """See `Architecture.methods`."""
        n = settings
        return (
            f"HIP-NN-TS with tensor order {n['tensor_order']}, interaction layers: {n['n_interaction_layers']}, atom "
            f"layers: {n['n_atom_layers']}, {n['n_sensitivities']} sensitivity functions from {n['soft_min_A']:g} to "
            f"{n['soft_max_A']:g} Å, {n['n_features']} features and a cutoff of {n['cutoff_A']:g} Å"
        )


ARCHITECTURE = HipnnArchitecture()
