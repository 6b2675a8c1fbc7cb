"""The model file of LAMMPS's pair style ``cgdistill`` (``plugin/``): plain text, read without Python.

Words and numbers, separated by blanks and newlines, in the order in which `write_plugin_model` writes them; the last
line is the CRC-32 of all before it. Arrays are those of `evaluation.dense.Dense`, their names before their numbers.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ...core.errors import InputError
from ...runtime.atomic_files import whole_file
from .dense import Dense
from .fused import beyond_reach
from .model import BeadModel, NetworkSpec

FORMAT = "cgdistill-plugin-model 2"


def plugin_reaches(spec: NetworkSpec) -> bool:
    """Whether the pair style can evaluate a network."""
    return beyond_reach(spec, "cpu") is None


def write_plugin_model(path: str | Path, models: Sequence[BeadModel]) -> None:
    """Write the mean of one or more networks for ``pair_style cgdistill``; the prior is left to LAMMPS's own styles.

    Raises
    ------
    InputError
        No model, models of different bead types, a name that is no word, or a network that the pair style cannot
        evaluate.
    """
    kinds = {model.type_names for model in models}
    if len(kinds) != 1:
        raise InputError(path, "bead types", sorted(kinds), "the same bead types in every model")
    (names,) = kinds
    for name in names:
        if name.split() != [name] or name == "NULL":
            raise InputError(path, "bead types", repr(name), "a name without blanks, and not NULL")
    for model in models:
        if reason := beyond_reach(model.spec, "cpu"):
            raise InputError(path, "network", reason, "a network that pair_style cgdistill can evaluate")
    lines = [FORMAT, "units real", f"types {len(names)} {' '.join(names)}"]
    lines.append(f"networks {len(models)}")
    for model in models:
        lines += _network(model)
    text = "\n".join([*lines, "end", ""])
    with whole_file(path) as partial:
        partial.write_text(f"{text}crc32 {zlib.crc32(text.encode('utf-8')):08x}\n", encoding="utf-8")


def _network(model: BeadModel) -> list[str]:
    """Sizes and weights of a network."""
    spec = model.spec
    # In float64, so that what is computed of the weights here (1/mu) has its precision.
    modules = copy.deepcopy(model.modules_)
    modules.network.to("cpu", torch.float64)
    modules.energy.to("cpu", torch.float64)
    with torch.no_grad():
        dense = Dense.of([modules], spec.n_sensitivities).constant()
    lines = [
        f"tensor_order {spec.tensor_order}",
        f"sensitivities {spec.n_sensitivities}",
        f"features {spec.n_features}",
        f"atom_layers {len(dense.layers)}",
        f"cutoff {spec.cutoff_A!r}",
        f"cusp {dense.cusp!r}",
    ]
    arrays = [
        ("centre", dense.a),
        ("width", dense.sigma),
        ("interaction", dense.interaction),
        ("self_table", dense.self_table),
        ("skip_table", dense.skip_table),
        *[("scale", scale) for scale in dense.scales],
        ("outer", dense.outer),
        ("outer_bias", dense.outer_bias),
    ]
    for layer in dense.layers:
        arrays += [
            ("inner", layer.inner),
            ("inner_bias", layer.inner_bias),
            ("outer", layer.outer),
            ("outer_bias", layer.outer_bias),
        ]
    arrays += [("energy", dense.energy), ("energy_table", dense.energy_table + dense.energy_bias)]
    for name, values in arrays:
        lines += _numbers(name, values.numpy())
    return lines


def _numbers(name: str, values: np.ndarray) -> list[str]:
    """Name and numbers of an array, eight to a line; they read back as they are."""
    texts = [format(value, ".17g") for value in np.asarray(values, dtype=np.float64).reshape(-1).tolist()]
    return [name, *(" ".join(texts[at : at + 8]) for at in range(0, len(texts), 8))]
