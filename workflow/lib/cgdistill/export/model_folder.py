"""Exported models: folders that stand alone.

::

    card.json                        what it is: bead types, masses, units, architecture, data, metrics
    networks/<name>/weights.safetensors, network.json    one per network; several are averaged at each step
    mliap.pt                         for LAMMPS builds with ML-IAP and Python (a pickle, written only)
    in.lammps, start.data            an input script that runs it there
    model.cgdistill, in.plugin.lammps    the same for the pair style cgdistill: over MPI ranks, without Python
    README.md                        how to use it

A folder is data, whoever made it: loading it (card, weights, settings) executes nothing that it brings, and
``mliap.pt`` is not loaded at all. LAMMPS needs a pickle, and gets one that is written on the spot (`written_mliap`).
Input scripts, and a ``pair_cgdistill.so``, are programs: those from elsewhere should be read or made anew.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from ..core.errors import InputError
from ..data.beads import BeadTopology
from ..forcefield.forcefield import ForceField, load_force_field
from ..forcefield.hipnn.graph import mean_energy_node
from ..forcefield.hipnn.model import MOST_PARAMETERS, UNITS, BeadModel, read_settings
from ..forcefield.hipnn.plugin_model import plugin_reaches, write_plugin_model
from ..io.csv_tables import read_table
from ..io.untrusted import LARGEST_JSON_BYTES, NAME, read_json, regular_file_in
from ..md.lammps_files import (
    lammps_commands,
    mliap_style,
    plugin_style,
    write_data_file,
    write_lammps_input,
    write_plugin_input,
)
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

Coarse-grained force field of {n_networks} HIP-NN-TS network{plural} and a prior ({terms}), made by cgdistill.
Bead types in order: {types}. Units: A, kcal/mol, g/mol (LAMMPS `units real`). Cutoff: {cutoff_A:g} A.
{averaged}The network{plural} learned the difference to the prior: energies and forces of the force field are the sum of
both. `mliap.pt` and `model.cgdistill` hold the network{plural} alone; the input scripts add the prior in LAMMPS's own
styles:

    {lammps}

- In Python: `cgdistill.export.model_folder.load_exported(folder)` reads weights and prior (safetensors and JSON, no
  code is executed); its `potential()` evaluates energy, forces, virial and per-bead energies of the sum.
- In LAMMPS with ML-IAP and Python (conda-forge builds for Linux have both):
  `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 lmp -in in.lammps` in this folder. `mliap.pt` is a pickle: it needs hippynn and
  cgdistill installed, and torch refuses it without that variable, since a pickle can run any program. Where the folder
  comes from somebody else, write it anew from the weights before LAMMPS reads it, and read `in.lammps`:
  `python -P -c "from cgdistill.export.model_folder import *; export_mliap('mliap.pt', load_exported('.').networks)"`.
  Networks of more than one interaction layer are wrong there unless that LAMMPS passes on the features of ghosts.
"""

_PLUGIN_README = """\
- In LAMMPS with the package PLUGIN, over any number of MPI ranks and without Python: make the pair style once by
  `cgdistill lammps-plugin`, copy `pair_cgdistill.so` into this folder, and
  `mpiexec -n 64 lmp -in in.plugin.lammps -var nx 5 -var ny 5 -var nz 4` repeats the start frame 5 x 5 x 4 times.
  `model.cgdistill` is plain text.
"""


def export_mliap(path: str | Path, models: Sequence[BeadModel]) -> None:
    """Write the ML-IAP unified object of the mean of one or more networks, without their prior, for LAMMPS.

    LAMMPS knows the bead types by their names, in the order of the model.
    """
    # Imported here: the interface pulls in LAMMPS, which evaluation of a model does not need.
    from ..md.lammps_library import load_mliap_base

    load_mliap_base()
    from hippynn.interfaces.lammps_interface.mliap_interface import MLIAPInterface

    node = mean_energy_node([model.modules_ for model in models], [model.spec.tensor_order for model in models])
    interface = MLIAPInterface(node, list(models[0].type_names), model_device=torch.device("cpu"))
    _order_links(interface.graph)
    # A stream: torch would name the parts of the file after the temporary file.
    with whole_file(path) as partial, open(partial, "wb") as stream:
        torch.save(interface, stream)


def _order_links(graph: Any) -> None:
    """Give the links between nodes of hippynn's graph the order of their names.

    hippynn copies graphs through sets: without it each process would write other bytes.
    """
    from hippynn.graphs.nodes.base import MultiNode

    nodes, waiting = {}, [*graph.nodes_to_compute, *graph.input_nodes]
    while waiting:
        node = waiting.pop()
        if id(node) not in nodes:
            nodes[id(node)] = node
            waiting += [*node.parents, *node.children]
    for node in nodes.values():
        if not isinstance(node, MultiNode):  # finds its outputs by their place
            node.children = tuple(sorted(node.children, key=lambda child: str(child.name)))


@contextmanager
def written_mliap(force_fields: Mapping[str, ForceField]) -> Iterator[dict[str, Path]]:
    """ML-IAP files of the networks of force fields by name, written here and for as long as the context lasts.

    LAMMPS executes what such a file holds. So a run does not read the one of a model folder, whose weights were checked
    but whose pickle was not.
    """
    with TemporaryDirectory(prefix="cgdistill-mliap-") as place:
        files = {name: Path(place) / f"{number}.pt" for number, name in enumerate(force_fields)}
        for name, path in files.items():
            export_mliap(path, force_fields[name].networks)
        yield files


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
    prior, names = force_field.prior.lammps_styles(), topology.type_names
    styles = [mliap_style("mliap.pt", names), *prior]
    write_lammps_input(folder / "in.lammps", styles, "start.data", simulation, velocity_seed)
    in_reach = all(plugin_reaches(model.spec) for model in models.values())
    if in_reach:
        write_plugin_model(folder / "model.cgdistill", list(models.values()))
        styles = [plugin_style("model.cgdistill", names), *prior]
        write_plugin_input(folder / "in.plugin.lammps", styles, "start.data", simulation, velocity_seed)
    cutoff_A = force_field.network_cutoff_A
    write_json(
        folder / "card.json",
        {
            "format": FORMAT,
            "units": _UNITS,
            "bead_types": list(topology.type_names),
            "masses_g_mol": masses.tolist(),
            "cutoff_A": cutoff_A,
            "networks": {
                name: {
                    "architecture": asdict(model.spec),
                    "n_parameters": model.n_parameters,
                    **{
                        entry: sha256_of(folder / "networks" / name / file)
                        for file, (entry, _) in _NETWORK_FILES.items()
                    },
                }
                for name, model in models.items()
            },
            "prior": {"parameters": force_field.prior.to_dict(), "lammps": lammps_commands(prior)},
            "evaluation": "sum of the prior and the mean of the networks",
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
        terms=", ".join(term.name for term in force_field.prior.terms),
        lammps="\n    ".join(lammps_commands(prior)),
        cutoff_A=cutoff_A,
        averaged="All networks are evaluated at each step; energy and forces are their mean.\n" if several else "",
    )
    with whole_file(folder / "README.md") as partial:
        partial.write_text(text + (_PLUGIN_README if in_reach else ""), encoding="utf-8")


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
