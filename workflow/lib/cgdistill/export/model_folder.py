"""Exported models: self-contained folders.

::

    card.json                        what it is: bead types, masses, units, architecture, data, metrics
    networks/<name>/weights.safetensors, network.json    one per model; several are averaged at each step
    start.data, in.lammps            an input script that runs it in LAMMPS
    ...                              what LAMMPS reads there, and further scripts, by architecture
    README.md                        how to use it

A folder is data, whoever made it: loading it (card, weights, settings) executes nothing that it brings, and a pickle
such as the ``mliap.pt`` of some architectures is not loaded at all.
Input scripts, and a ``pair_cgdistill.so``, are programs: those from elsewhere should be read or made anew.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..data.beads import BeadTopology
from ..forcefield.architecture import MOST_PARAMETERS, LammpsScript
from ..forcefield.forcefield import ForceField, load_force_field
from ..forcefield.lammps_style import lammps_commands
from ..forcefield.model_files import UNITS, network_settings, read_settings
from ..io.csv_tables import read_table
from ..io.untrusted import LARGEST_JSON_BYTES, NAME, read_json, regular_file_in
from ..md.lammps_files import write_data_file, write_lammps_input
from ..md.protocol import SimulationSpec
from ..provenance.record import sha256_of
from ..runtime.atomic_files import whole_file, write_json

FORMAT = "cgdistill-model-folder-2"
#: Files of a network, the entry of the card that holds their checksum, and their largest size, bytes.
_NETWORK_FILES = {
    "network.json": ("settings_sha256", LARGEST_JSON_BYTES),
    "weights.safetensors": ("weights_sha256", 9 * MOST_PARAMETERS),
}
_UNITS = {**UNITS, "mass": "g/mol"}
_MOST_NETWORKS = 100
_SHA256 = re.compile(r"[0-9a-f]{64}")

_README = """\
# {label} ({name})

Coarse-grained force field of {n_models} {title}{plural} and a prior ({terms}), made by cgdistill.
Bead types in order: {types}. Units: A, kcal/mol, g/mol (LAMMPS `units real`). Cutoff: {cutoff_A:g} A.
{averaged}The {title}{plural} learned the difference to the prior: energies and forces of the force field are the sum of
both. {files} hold{singular} the {title}{plural} alone; the input scripts add the prior in LAMMPS's own styles:

    {lammps}

- In Python: `cgdistill.export.model_folder.load_exported(folder)` reads weights and prior (safetensors and JSON, no
  code is executed); its `potential()` evaluates energy, forces, virial and per-bead energies of the sum.
{usage}"""


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
        Trained model folders (`model_files.save_model`) by name.
    topology, start:
        Beads, and positions (n_beads, 3) with cell (3, 3) for ``start.data``, A.
    simulation:
        Protocol of the input scripts.
    facts:
        For the card: ``name, label, variant, member, training`` (settings), ``metrics``, ``provenance``.

    Raises
    ------
    InputError
        Networks of different bead types or priors, or a name that no folder can have.
    """
    folder = Path(folder)
    for name in networks:
        _check_name(name, folder)
    force_field = load_force_field(list(networks.values()))
    models = dict(zip(networks, force_field.networks, strict=True))
    if force_field.type_names != topology.type_names:
        raise InputError(folder, "bead types", force_field.type_names, topology.type_names)
    for name, source in networks.items():
        target = folder / "networks" / name
        target.mkdir(parents=True, exist_ok=True)
        for file in _NETWORK_FILES:
            with whole_file(target / file) as partial:
                shutil.copyfile(Path(source) / file, partial)
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
    scripts, prior = force_field.architecture.export(folder, force_field.networks), force_field.prior.lammps_styles()
    for script in scripts:
        write_lammps_input(folder / script.file, script, prior, "start.data", simulation, velocity_seed)
    write_json(
        folder / "card.json",
        {
            "format": FORMAT,
            "units": _UNITS,
            "bead_types": list(topology.type_names),
            "masses_g_mol": masses.tolist(),
            "cutoff_A": force_field.network_cutoff_A,
            "networks": {
                name: {
                    "architecture": network_settings(model),
                    "n_parameters": model.n_parameters,
                    **{
                        entry: sha256_of(folder / "networks" / name / file)
                        for file, (entry, _) in _NETWORK_FILES.items()
                    },
                }
                for name, model in models.items()
            },
            "prior": {"parameters": force_field.prior.to_dict(), "lammps": lammps_commands(prior)},
            "evaluation": "sum of the prior and the mean of the models",
            **facts,
        },
    )
    with whole_file(folder / "README.md") as partial:
        partial.write_text(_readme(force_field, facts, scripts), encoding="utf-8")


def _readme(force_field: ForceField, facts: Mapping[str, Any], scripts: Sequence[LammpsScript]) -> str:
    """Text of README.md."""
    architecture, several = force_field.architecture, len(force_field.networks) > 1
    settings, names = network_settings(force_field.networks[0]), {script.file for script in scripts}
    files = [f"`{file}`" for file in architecture.exported_files(settings) if file not in names]
    return _README.format(
        label=facts["label"],
        name=facts["name"],
        n_models=len(force_field.networks),
        title=architecture.title,
        plural="s" if several else "",
        types=", ".join(force_field.type_names),
        terms=", ".join(term.name for term in force_field.prior.terms),
        files=" and ".join(files),
        singular="s" if len(files) == 1 else "",
        lammps="\n    ".join(lammps_commands(force_field.prior.lammps_styles())),
        cutoff_A=force_field.network_cutoff_A,
        averaged="All of them are evaluated at each step; energy and forces are their mean.\n" if several else "",
        usage="".join(script.usage for script in scripts),
    )


def read_card(folder: str | Path) -> dict[str, Any]:
    """The card of a model folder: its format, units, bead types and list of networks checked.

    Raises
    ------
    InputError
        No card of this format, or one that names no network, a network by something else than a plain name, or one
        without its checksums.
    """
    expected = f"JSON of format {FORMAT}"
    path = regular_file_in(folder, "card.json", expected)
    card = read_json(path, expected)
    if card.get("format") != FORMAT:
        raise InputError(path, "format", card.get("format"), FORMAT)
    if card.get("units") != _UNITS:
        raise InputError(path, "units", card.get("units"), _UNITS)
    networks = card.get("networks")
    if not isinstance(networks, dict) or not 0 < len(networks) <= _MOST_NETWORKS:
        found = f"{len(networks)} of them" if isinstance(networks, dict) else type(networks).__name__
        raise InputError(path, "networks", found, f"1 to {_MOST_NETWORKS} networks by name")
    for name, entry in networks.items():
        _check_name(name, path)
        for key, _ in _NETWORK_FILES.values():
            digest = entry.get(key) if isinstance(entry, dict) else None
            if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
                raise InputError(path, f"networks.{name}.{key}", repr(digest), "a SHA-256 checksum")
    return card


def _check_name(name: str, source: Path) -> None:
    if not NAME.fullmatch(name):
        raise InputError(source, "networks", f"the name {name!r}", f"a name that matches {NAME.pattern}")


def load_exported(folder: str | Path) -> ForceField:
    """The force field of a model folder, checked against its card.

    Executes nothing that the folder brings, and takes no more memory than the weights that are in it.

    Raises
    ------
    InputError
        A network of the card is missing, leads out of the folder, or has other weights or settings than the card says;
        a file is damaged or not what it should be; networks of different bead types or priors.
    """
    folder, card = Path(folder), read_card(folder)
    names = list(card["networks"])
    for name, entry in card["networks"].items():
        for file, (key, largest_bytes) in _NETWORK_FILES.items():
            path = regular_file_in(folder, f"networks/{name}/{file}", f"a file of network {name}, named by the card")
            if path.stat().st_size > largest_bytes:
                raise InputError(path, "file", f"{path.stat().st_size} bytes", f"up to {largest_bytes}")
            digest = sha256_of(path)
            if digest != entry[key]:
                raise InputError(path, "sha256", digest, f"{entry[key]}, as the card says")
    force_field = load_force_field([folder / "networks" / name for name in names])
    if list(force_field.type_names) != card.get("bead_types"):
        where = folder / "networks" / names[0] / "network.json"
        raise InputError(
            where, "type_names", list(force_field.type_names), f"{card.get('bead_types')}, as the card says"
        )
    return force_field


def write_lammps_files(folder: str | Path) -> None:
    """Write the files that LAMMPS evaluates the models by anew, from the checked weights of a model folder."""
    force_field = load_exported(folder)
    force_field.architecture.export(Path(folder), force_field.networks)
