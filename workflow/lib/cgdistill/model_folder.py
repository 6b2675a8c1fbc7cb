"""Exported models: folders that stand alone.

::

    card.json                        what it is: bead types, masses, units, architecture, data, metrics
    networks/<name>/weights.safetensors, network.json    one per network; several are averaged at each step
    mliap.pt                         for LAMMPS builds with ML-IAP and Python (a pickle, written only)
    in.lammps, start.data            an input script that runs it there
    README.md                        how to use it

Everything but ``mliap.pt`` loads without executing code that the folder brings.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .beads import BeadTopology
from .errors import InputError
from .learning.hippynn_nodes import mean_energy_node
from .learning.network import UNITS, BeadModel, load_model, read_settings
from .md.lammps_files import write_data_file, write_lammps_input
from .md.simulation_spec import SimulationSpec
from .provenance import sha256_of, whole_file, write_json
from .tables import read_table

FORMAT = "cgdistill-model-folder-1"

_README = """\
# {label} ({name})

Coarse-grained force field of {n_networks} HIP-NN-TS network{plural} with a repulsive prior, made by cgdistill.
Bead types in order: {types}. Units: A, kcal/mol, g/mol (LAMMPS `units real`). Cutoff: {cutoff_A:g} A.
{averaged}
- In Python: `cgdistill.model_folder.load_networks(folder)` reads the weights (safetensors, no code is executed), and
  `cgdistill.evaluation.network_potential.NetworkPotential` evaluates energy, forces, virial and per-bead energies.
- In LAMMPS with ML-IAP and Python (conda-forge builds for Linux have both):
  `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 lmp -in in.lammps` in this folder. `mliap.pt` is a pickle: it needs hippynn and
  cgdistill installed, torch refuses it without that variable, and you should trust where it comes from. Networks of
  more than one interaction layer are wrong there unless that LAMMPS passes on the features of ghosts.
"""


def export_mliap(path: str | Path, models: Sequence[BeadModel]) -> None:
    """Write the ML-IAP unified object of the mean of one or more models for LAMMPS.

    LAMMPS knows the bead types by their names, in the order of the model.
    """
    # Imported here: the interface pulls in LAMMPS, which evaluation of a model does not need.
    from .md.lammps_library import load_lammps

    load_lammps()
    from hippynn.interfaces.lammps_interface.mliap_interface import MLIAPInterface

    node = mean_energy_node([model.modules_ for model in models], [model.spec.tensor_order for model in models])
    interface = MLIAPInterface(node, list(models[0].type_names), model_device=torch.device("cpu"))
    with whole_file(path) as partial:
        torch.save(interface, partial)


def facts_of_networks(networks: Mapping[str, Path]) -> dict[str, Any]:
    """For the card: settings of the ``training`` and ``metrics`` over all beads, by name of trained model folders."""
    return {
        "training": {name: read_settings(folder)["training"] for name, folder in networks.items()},
        "metrics": {
            name: read_table(folder / "metrics.csv").query("bead_type == 'all'").to_dict(orient="records")
            for name, folder in networks.items()
        },
    }


def export_model(
    folder: str | Path,
    networks: Mapping[str, str | Path],
    topology: BeadTopology,
    start: tuple[np.ndarray, np.ndarray],
    simulation: SimulationSpec,
    facts: Mapping[str, Any],
    velocity_seed: int,
) -> None:
    """Write a model folder.

    Parameters
    ----------
    networks:
        Trained model folders (`network.save_model`) by name.
    topology, start:
        Beads, and positions (n_beads, 3) with cell (3, 3) for ``start.data``, A.
    simulation:
        Protocol of ``in.lammps``.
    facts:
        For the card: ``name, label, variant, member, training`` (settings), ``metrics``, ``provenance``.

    Raises
    ------
    InputError
        Networks of different bead types.
    """
    folder = Path(folder)
    models = {name: load_model(source) for name, source in networks.items()}
    kinds = {model.type_names for model in models.values()}
    if kinds != {topology.type_names}:
        raise InputError(folder, "bead types", sorted(kinds), topology.type_names)
    for name, source in networks.items():
        target = folder / "networks" / name
        target.mkdir(parents=True, exist_ok=True)
        for file in ("weights.safetensors", "network.json"):
            with whole_file(target / file) as partial:
                shutil.copyfile(Path(source) / file, partial)
    export_mliap(folder / "mliap.pt", list(models.values()))
    positions, cell = start
    masses = topology.type_masses_g_mol()
    write_data_file(
        folder / "start.data",
        positions,
        cell,
        topology.bead_types,
        topology.type_names,
        masses,
        comment=f"start frame for {facts['name']}",
    )
    write_lammps_input(folder / "in.lammps", "mliap.pt", "start.data", topology.type_names, simulation, velocity_seed)
    cutoff_A = max(model.spec.cutoff_A for model in models.values())
    write_json(
        folder / "card.json",
        {
            "format": FORMAT,
            "units": {**UNITS, "mass": "g/mol"},
            "bead_types": list(topology.type_names),
            "masses_g_mol": masses.tolist(),
            "cutoff_A": cutoff_A,
            "networks": {
                name: {
                    "architecture": asdict(model.spec),
                    "n_parameters": model.n_parameters,
                    "weights_sha256": sha256_of(folder / "networks" / name / "weights.safetensors"),
                }
                for name, model in models.items()
            },
            "evaluation": "mean of energies and forces over the networks",
            **facts,
        },
    )
    several = len(models) > 1
    text = _README.format(
        label=facts["label"],
        name=facts["name"],
        n_networks=len(models),
        plural="s" if several else "",
        types=", ".join(topology.type_names),
        cutoff_A=cutoff_A,
        averaged="All networks are evaluated at each step; energy and forces are their mean.\n" if several else "",
    )
    with whole_file(folder / "README.md") as partial:
        partial.write_text(text, encoding="utf-8")


def read_card(folder: str | Path) -> dict[str, Any]:
    """The card of a model folder, format checked."""
    path = Path(folder) / "card.json"
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, "file", error, f"JSON of format {FORMAT}") from None
    if card.get("format") != FORMAT:
        raise InputError(path, "format", card.get("format"), FORMAT)
    return card


def load_networks(folder: str | Path) -> list[BeadModel]:
    """The networks of a model folder, checked against its card.

    Raises
    ------
    InputError
        A network of the card is missing or has other weights than it says.
    """
    folder, card = Path(folder), read_card(folder)
    models = []
    for name, entry in card["networks"].items():
        weights = folder / "networks" / name / "weights.safetensors"
        if not weights.is_file():
            raise InputError(weights, "file", "nothing", f"weights of network {name}, named by the card")
        digest = sha256_of(weights)
        if digest != entry["weights_sha256"]:
            raise InputError(weights, "sha256", digest, entry["weights_sha256"])
        models.append(load_model(weights.parent))
    return models
