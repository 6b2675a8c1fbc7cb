"""Files of a trained model: weights as safetensors, and settings, prior and facts as JSON.

A model folder may come from anybody. What it says is checked, sizes first, before anything of these sizes is made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..core.errors import InputError
from ..io.untrusted import TYPE_NAME, parse_json, read_json, regular_file_in, shown
from ..runtime.atomic_files import whole_file, write_json
from .prior.terms import PriorTerms
from .registry import architecture_of
from .trainable import Model

FORMAT = "cgdistill-model-1"
UNITS = {"length": "A", "energy": "kcal/mol", "force": "kcal/mol/A"}
_MOST_TYPES = 100
#: Bytes of the header of a weights file; those of the largest network are fewer.
_LARGEST_HEADER_BYTES = 2**20
_BYTES_PER_NUMBER = {"F32": 4, "F64": 8}


def save_model(folder: str | Path, model: Model, prior: PriorTerms, facts: Mapping[str, Any]) -> None:
    """Write ``weights.safetensors`` and ``network.json`` into a folder.

    The latter holds settings, units, ``facts`` and the prior: the model is the difference to it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / "weights.safetensors") as partial:
        save_file(model.weights(), partial)
    write_json(
        folder / "network.json",
        {
            "format": FORMAT,
            "units": UNITS,
            "network": network_settings(model),
            "type_names": list(model.type_names),
            "prior": prior.to_dict(),
            **facts,
        },
    )


def network_settings(model: Model) -> dict[str, Any]:
    """Settings of a model by name, as in the config section ``network``."""
    return {"architecture": model.architecture, **asdict(model.spec)}


def read_settings(folder: str | Path) -> dict[str, Any]:
    """Contents of ``network.json`` of a model folder, format and units checked."""
    path = Path(folder) / "network.json"
    settings = read_json(path, f"JSON of format {FORMAT}")
    for key, expected in (("format", FORMAT), ("units", UNITS)):
        if settings.get(key) != expected:
            raise InputError(path, key, settings.get(key), expected)
    return settings


def load_prior(folder: str | Path) -> PriorTerms:
    """The prior beside which the model of a folder was trained.

    Raises
    ------
    InputError
        Settings that are damaged, or hold no prior.
    """
    settings, path = read_settings(folder), Path(folder) / "network.json"
    return PriorTerms.from_dict(settings.get("prior"), _type_names(settings, path), path)


def load_model(folder: str | Path) -> Model:
    """The model of a folder of `save_model`; executes nothing that the folder brings.

    Raises
    ------
    InputError
        A file is missing or damaged, or the weights do not fit the settings.
    """
    folder = Path(folder)
    settings, source = read_settings(folder), folder / "network.json"
    names, network = _type_names(settings, source), settings.get("network")
    if not isinstance(network, dict):
        raise InputError(source, "network", type(network).__name__, "settings of an architecture")
    architecture = architecture_of(network, source)
    spec = architecture.spec(network, len(names), source)
    path = regular_file_in(folder, "weights.safetensors", "safetensors weights")
    _check_sizes(path, architecture.n_weights(spec, len(names)))
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(path, "file", error, "safetensors weights") from None
    return architecture.restore(spec, names, weights, path)


def _type_names(settings: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    names = settings.get("type_names")
    if not isinstance(names, list) or not 0 < len(names) <= _MOST_TYPES:
        found = f"{len(names)} names" if isinstance(names, list) else type(names).__name__
        raise InputError(path, "type_names", found, f"a list of 1 to {_MOST_TYPES} names")
    for name in names:
        if not isinstance(name, str) or not TYPE_NAME.fullmatch(name):
            raise InputError(path, "type_names", repr(name), f"a name that matches {TYPE_NAME.pattern}")
    if len(set(names)) < len(names):
        raise InputError(path, "type_names", names, "names that differ")
    return tuple(names)


def _check_sizes(path: Path, n_weights: int) -> None:
    """Check, by its size and header alone, that a weights file holds up to this number of values and nothing else.

    The file: length of the header (8 bytes, little-endian), the header as JSON (name to dtype, shape and place of the
    data), the data.
    """
    size = path.stat().st_size
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(_LARGEST_HEADER_BYTES, size - 8):
            raise InputError(path, "header", f"a length of {length} in {size} bytes", "safetensors weights")
        header = parse_json(stream.read(length), path, "header", "safetensors weights")
    end, total = 0, 0
    tensors = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
    if not all(isinstance(entry, dict) and _is_range(entry.get("data_offsets")) for _, entry in tensors):
        raise InputError(path, "header", "a tensor without its place", "data_offsets of each")
    for name, entry in sorted(tensors, key=lambda tensor: tensor[1]["data_offsets"]):
        shape, dtype = entry.get("shape"), entry.get("dtype")
        if not isinstance(dtype, str) or dtype not in _BYTES_PER_NUMBER:
            raise InputError(path, f"header, {name}", f"dtype {dtype!r}", f"one of {', '.join(_BYTES_PER_NUMBER)}")
        if not (isinstance(shape, list) and len(shape) <= 8 and all(type(n) is int and n >= 0 for n in shape)):
            raise InputError(path, f"header, {name}", "another shape", "up to 8 whole numbers")
        begin, numbers = end, math.prod(shape)
        end, total = begin + numbers * _BYTES_PER_NUMBER[dtype], total + numbers
        if total > n_weights or entry["data_offsets"] != [begin, end]:
            found = f"{shown(numbers)} numbers at {shown(entry['data_offsets'][0])}"
            raise InputError(path, f"header, {name}", found, f"{n_weights} in all, one tensor behind another")
    if size != 8 + length + end:
        raise InputError(path, "file", f"{size} bytes", f"{8 + length + end}, as the header says")


def _is_range(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(end) is int for end in value)
