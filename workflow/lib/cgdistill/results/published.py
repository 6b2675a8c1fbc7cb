"""Speeds that the paper reports, to stand beside those of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PublishedSpeed:
    """Speed of MD by family of models, and what it was measured with.

    Attributes
    ----------
    source: citation.
    n_beads, timestep_fs, device, threads: of every simulation.
    network: the settings of the config's ``network`` that the speed depends on.
    n_networks: networks that a step evaluates, by family.
    ns_per_day: by family.
    """

    source: str
    n_beads: int
    timestep_fs: float
    device: str
    threads: int
    network: Mapping[str, Any]
    n_networks: Mapping[str, int]
    ns_per_day: Mapping[str, float]


#: The network is that of its table 1; the cutoff is that of Shinkle et al., J. Chem. Theory Comput. 2024, 20, 10524,
#: on whose work it builds. No processor is named here, so hardware never compares.
OLOWOOKERE_2025 = PublishedSpeed(
    source="Olowookere et al., arXiv:2510.26650",
    n_beads=1000,
    timestep_fs=2.0,
    device="cpu",
    threads=48,
    network={
        "tensor_order": 2,
        "n_interaction_layers": 1,
        "n_atom_layers": 3,
        "n_sensitivities": 20,
        "n_features": 32,
        "cutoff_A": 12.0,
    },
    n_networks={"T": 1, "T8": 8, "S1": 1, "S8": 1},
    ns_per_day={"T": 2.66, "T8": 0.54, "S1": 2.66, "S8": 2.66},
)
