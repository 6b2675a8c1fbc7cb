"""What was run, in words: rows of name and value from the config and from what the run left behind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .beads import BeadFile
from .split import PARTS, read_split

Facts = list[tuple[str, str]]

#: g/mol/A^3 to g/cm^3.
_G_CM3_PER_G_MOL_A3 = 1.66053907


def _number(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def system_facts(beads: str | Path, split: str | Path, config: Mapping[str, Any]) -> Facts:
    """Beads, cell, frames and their split."""
    with BeadFile(beads) as file:
        topology, times, cells = file.topology, file.times_ps, file.cells_A
        parts = read_split(split, len(file))
    counts = np.bincount(topology.bead_types, minlength=topology.n_types)
    named = ", ".join(f"{count} {name}" for name, count in zip(topology.type_names, counts, strict=True))
    edges = np.linalg.norm(cells[0], axis=1)
    volume = float(np.abs(np.linalg.det(cells[0])))
    density = float(topology.masses_g_mol.sum()) / volume * _G_CM3_PER_G_MOL_A3
    spacing = f", one every {_number(float(np.median(np.diff(times))))} ps" if len(times) > 1 else ""
    sizes = ", ".join(f"{len(parts.part(name))} {word}" for name, word in zip(PARTS, _WORDS, strict=True))
    return [
        ("Beads", f"{topology.n_beads}: {named}"),
        ("Cell", " × ".join(f"{edge:.2f}" for edge in edges) + f" Å, {density:.3f} g/cm³ (first frame)"),
        ("All-atom frames", f"{len(times)}{spacing} ({_source(config)})"),
        ("Split", f"{sizes} frames, {config['split']['method']}"),
    ]


_WORDS = ("training", "validation", "test")


def _source(config: Mapping[str, Any]) -> str:
    source = config["aa"]["source"]
    if source == "files":
        return "trajectory given"
    protocol = config["aa"]["protocol"]
    return f"{source}, {_number(protocol['temperature_K'])} K, time step {_number(protocol['timestep_fs'])} fs"


def model_facts(config: Mapping[str, Any]) -> Facts:
    """Prior, network and training."""
    prior, network, training = config["prior"], config["network"], config["training"]
    seeds = config["teachers"]["seeds"]
    changed = "learning rate" if training["schedule"] == "learning-rate" else "batch size"
    return [
        (
            "Network",
            f"HIP-NN-TS, tensor order {network['tensor_order']}, "
            f"{network['n_interaction_layers']} interaction and {network['n_atom_layers']} atom layers, "
            f"{network['n_sensitivities']} sensitivities, {network['n_features']} features, "
            f"cutoff {_number(network['cutoff_A'])} Å",
        ),
        ("Prior", f"E₀ exp(-a r), d = {_number(prior['delta_A'])} Å, p = {_number(prior['fraction'])}"),
        (
            "Training",
            f"Adam, learning rate {_number(training['learning_rate'])}, batch of {training['batch_size']} frames; "
            f"{changed} changed by a factor of {_number(training['factor'])} after "
            f"{training['patience_epochs']} epochs without improvement; stop after {training['stop_epochs']} such "
            f"epochs or {training['max_epochs']} in all",
        ),
        ("Teachers", f"{len(seeds)}, seeds {', '.join(map(str, seeds))}"),
    ]


def simulation_facts(config: Mapping[str, Any]) -> Facts:
    """Simulations and their analysis."""
    run, structure = config["simulation"], config["structure"]
    replicas = run["replicas"]
    radii = ", ".join(_number(radius) for radius in structure["adf"]["r_max_A"])
    return [
        (
            "Simulations",
            f"LAMMPS, {str(run['ensemble']).upper()}, {_number(run['temperature_K'])} K, "
            f"time step {_number(run['timestep_fs'])} fs, {_number(run['equilibration_ps'])} ps equilibration, "
            f"{_number(run['production_ps'])} ps production, a frame every {_number(run['frame_every_ps'])} ps",
        ),
        (
            "Replicas",
            f"{replicas['teacher']} per teacher, {replicas['teacher_ensemble']} of all teachers together, "
            f"{replicas['single']} per student of one teacher, {replicas['ensemble']} per student of all",
        ),
        (
            "Structure",
            f"RDF to {_number(structure['rdf']['r_max_A'])} Å in bins of {_number(structure['rdf']['bin_width_A'])} Å; "
            f"ADF in bins of {_number(structure['adf']['bin_width_deg'])}°, neighbours within {radii} Å; "
            f"CDF to {_number(structure['cdf']['r_max_A'])} Å in bins of "
            f"{_number(structure['cdf']['bin_width_A'])} Å",
        ),
    ]
