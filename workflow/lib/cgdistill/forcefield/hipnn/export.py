"""Networks for LAMMPS: the object of ML-IAP, the model file of pair style cgdistill, and input scripts of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ...runtime.atomic_files import whole_file
from ...runtime.lammps_library import load_mliap_base
from ..architecture import LammpsModel, LammpsScript
from ..lammps_style import LammpsStyle, quoted
from .graph import mean_energy_node
from .model import BeadModel
from .plugin_model import plugin_reaches, write_plugin_model

_MLIAP_FILE, _PLUGIN_FILE = "mliap.pt", "model.cgdistill"
_MLIAP_ABOUT = """\
Needs a LAMMPS with the packages ML-IAP and PYTHON, built with MLIAP_ENABLE_PYTHON=yes
(conda-forge's build for Linux is one), and a Python that can import what the model file needs."""
_MLIAP_USAGE = """\
- In LAMMPS with ML-IAP and Python (conda-forge builds for Linux have both):
  `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 lmp -in in.lammps` in this folder. `mliap.pt` is a pickle: it needs hippynn and
  cgdistill installed, and torch refuses it without that variable, since a pickle can run any program. Where the folder
  comes from somebody else, write it anew from the weights before LAMMPS reads it, and read `in.lammps`:
  `python -P -c "from cgdistill.export.model_folder import *; write_lammps_files('.')"`.
  Networks of more than one interaction layer are wrong there unless that LAMMPS passes on the features of ghosts.
"""
_PLUGIN_ABOUT = """\
Runs over MPI ranks. Needs a LAMMPS with the package PLUGIN, and the plugin, which `cgdistill lammps-plugin` makes; no
Python.
  mpiexec -n 64 lmp -in in.plugin.lammps -var nx 5 -var ny 5 -var nz 4"""
_PLUGIN_USAGE = """\
- In LAMMPS with the package PLUGIN, over any number of MPI ranks and without Python: make the pair style once by
  `cgdistill lammps-plugin`, copy `pair_cgdistill.so` into this folder, and
  `mpiexec -n 64 lmp -in in.plugin.lammps -var nx 5 -var ny 5 -var nz 4` repeats the start frame 5 x 5 x 4 times.
  `model.cgdistill` is plain text.
"""
_PLUGIN_VARIABLES = (
    "variable plugin index ./pair_cgdistill.so",
    "variable precision index single",
    "variable nx index 1",
    "variable ny index 1",
    "variable nz index 1",
)


def export_networks(folder: Path, models: Sequence[BeadModel]) -> list[LammpsScript]:
    """Write the files of the mean of some networks; see `Architecture.export`."""
    export_mliap(folder / _MLIAP_FILE, models)
    names = models[0].type_names
    scripts = [
        LammpsScript(
            "in.lammps",
            mliap_style(_MLIAP_FILE, names),
            about=_MLIAP_ABOUT,
            usage=_MLIAP_USAGE,
            before_box=("atom_modify map array",),
        )
    ]
    if all(plugin_reaches(model.spec) for model in models):
        write_plugin_model(folder / _PLUGIN_FILE, models)
        scripts.append(
            LammpsScript(
                "in.plugin.lammps",
                plugin_style(_PLUGIN_FILE, names),
                about=_PLUGIN_ABOUT,
                usage=_PLUGIN_USAGE,
                variables=_PLUGIN_VARIABLES,
                after_box=("replicate ${nx} ${ny} ${nz}", "", "plugin load ${plugin}"),
                any_number_of_ranks=True,
            )
        )
    return scripts


def mliap_style(model_file: str, type_names: Sequence[str]) -> LammpsStyle:
    """``pair_style mliap unified``; the names of the bead types in the order of the LAMMPS types."""
    return LammpsStyle("pair", "mliap", f"unified {model_file} 0", (("* *", " ".join(type_names)),))


def plugin_style(model_file: str, type_names: Sequence[str]) -> LammpsStyle:
    """``pair_style cgdistill``, its precision by the variable of the script; types as in `mliap_style`."""
    return LammpsStyle(
        "pair", "cgdistill", "precision ${precision}", (("* *", f"{model_file} {' '.join(type_names)}"),)
    )


def mliap_models(ensembles: Sequence[Sequence[BeadModel]], folder: Path) -> list[LammpsModel]:
    """The means of networks as LAMMPS evaluates them by ML-IAP, their files written into ``folder``.

    LAMMPS executes what such a file holds. So a run does not read the one of a model folder, whose weights were checked
    but whose pickle was not.
    """
    files: dict[tuple[int, ...], Path] = {}
    models = []
    for ensemble in ensembles:
        key = tuple(map(id, ensemble))
        if key not in files:
            files[key] = folder / f"{len(files)}.pt"
            export_mliap(files[key], ensemble)
        names = ensemble[0].type_names
        models.append(LammpsModel(names, mliap_style(quoted(files[key]), names)))
    return models


def export_mliap(path: str | Path, models: Sequence[BeadModel]) -> None:
    """Write the ML-IAP unified object of the mean of one or more networks, without their prior, for LAMMPS.

    LAMMPS knows the bead types by their names, in the order of the model.
    """
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
