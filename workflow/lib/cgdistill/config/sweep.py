"""Sweeps: a table of settings, and the runs that it stands for.

The table is tab-separated, one row per cell. ``name`` is the cell's folder; every other column is a key of the
config with dots (``network.n_features``), its values are written as in YAML, and an empty one leaves the base's.
Cells are whole runs of their own, but what several have in common is made once, by the first of them.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import InputError
from ..io.text import table_rows
from .complete import complete_config, value_settings
from .keys import is_section, walk
from .sections.config import Config
from .variants import teacher_names

NAME = "name"

#: What a folder may be called.
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

#: Numbers that YAML takes for text: 1e-3 has no point.
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")

#: Products that cells share and the parts of the config that determine them, each beside those of all before it.
_DETERMINED_BY = {
    "aa": ("seed", "aa"),
    "beads": ("mapping",),
    "split": ("split",),
    "prior": ("prior",),
    "teachers": ("network", "training", "failures", "device"),
}
#: Settings within those parts that apply when all teachers are trained, and change none.
_AFTER_TRAINING = {"failures": ("min_teacher_r2_share",)}


@dataclass(frozen=True)
class Cell:
    """One row of a sweep.

    Attributes
    ----------
    name: of the cell.
    settings: value by dotted key of the config, for every column of the table, the base's where the row has none.
    config: the complete config of the cell's run, without what it shares.
    """

    name: str
    settings: dict[str, Any]
    config: dict[str, Any]


def study_name(table: str | Path, base: Mapping[str, Any]) -> str:
    """Name of a sweep's folder: that of the base's run and that of the table.

    Raises
    ------
    InputError
        A file name that cannot be a folder's.
    """
    stem = Path(table).stem
    if not _FOLDER.fullmatch(stem):
        raise InputError(table, "file name", repr(stem), f"a name that matches {_FOLDER.pattern}")
    return f"{base['run']}-{stem}"


def read_sweep(table: str | Path, base: Mapping[str, Any]) -> list[Cell]:
    """Cells of a sweep.

    Parameters
    ----------
    base: config as a user has written it, whose defaults need not be filled in.

    Raises
    ------
    InputError
        No such file, no row, no column ``name``; a key that does not exist, is a section or is given twice; a name
        that cannot be a folder's or differs from another in case only; a value that is not YAML, or that its key
        cannot have; two cells of the same settings.
    """
    header, rows = table_rows(table)
    keys = [key for key in header if key != NAME]
    twice = sorted({key for key in header if header.count(key) > 1})
    if NAME not in header or not keys or twice:
        found = f"{', '.join(twice)} twice" if twice else f"columns {header}"
        raise InputError(table, "header", found, f"{NAME} and keys of the config, each once, separated by tabs")
    for key in keys:
        _check_key(base, key, table)
    if not rows:
        raise InputError(table, "rows", "none", "one per cell")
    study = study_name(table, base)
    cells: list[Cell] = []
    for number, row in enumerate(rows, start=1):
        name = row[NAME] or ""
        where = f"row {number} ({name})"
        if None in row or None in row.values():
            raise InputError(table, where, "another number of values", f"{len(header)} values")
        if not _FOLDER.fullmatch(name):
            raise InputError(table, where, f"name {name!r}", f"a name that matches {_FOLDER.pattern}")
        config = copy.deepcopy(dict(base))
        config["run"] = f"{study}/{name}"
        for key in keys:
            if row[key].strip():
                _put(config, key, _value(row[key], table, f"{where}.{key}"))
        config = complete_config(config, source=f"{table}, {name}")
        settings = {key: _get(config, key) for key in keys}
        for other in cells:
            if other.name.casefold() == name.casefold():
                raise InputError(table, where, f"the name {other.name} already", "names that differ by more than case")
            if other.settings == settings:
                raise InputError(table, where, f"the settings of {other.name}", "settings of its own")
        cells.append(Cell(name, settings, config))
    return cells


def common_config(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The part of complete configs that is the same in all: keys, also derived ones, that differ are left out."""
    first, *others = configs
    common: dict[str, Any] = {}
    for key, value in first.items():
        if any(key not in other for other in others):
            continue
        if isinstance(value, Mapping):
            common[key] = common_config([value, *(other[key] for other in others)])
        elif all(other[key] == value for other in others):
            common[key] = copy.deepcopy(value)
    return common


def shared_products(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each config what it shares with an earlier one, by product: the ``run`` of the first that makes it.

    ``teachers`` is a mapping from the teacher's name. A product that a config makes itself is left out.
    """
    makers: dict[tuple[str, str], str] = {}
    found = []
    for config in configs:
        shared: dict[str, Any] = {}
        for product, key in _keys(config):
            owner = makers.setdefault((product, key), config["run"])
            if owner != config["run"]:
                shared[product] = owner
        teachers = {
            name: shared.pop(f"teachers/{name}")
            for name in teacher_names(config["teachers"]["seeds"])
            if f"teachers/{name}" in shared
        }
        found.append(shared | ({"teachers": teachers} if teachers else {}))
    return found


def _keys(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every product that may be shared, teachers one by one, and all that determines it."""
    parts: dict[str, Any] = {}
    for product, sections in _DETERMINED_BY.items():
        for section in sections:
            value = config[section]
            if isinstance(value, Mapping):
                later = _AFTER_TRAINING.get(section, ())
                value = {key: item for key, item in value_settings(config, section).items() if key not in later}
            parts[section] = value
        key = json.dumps(parts, sort_keys=True)
        if product != "teachers":
            yield product, key
    for name in teacher_names(config["teachers"]["seeds"]):
        yield f"teachers/{name}", key


def _get(config: Mapping[str, Any], key: str) -> Any:
    """Value of a dotted key; None in a subsection that is not used."""
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _put(config: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for part in parents:
        config = config.setdefault(part, {})
    config[last] = value


def _check_key(base: Mapping[str, Any], key: str, table: str | Path) -> None:
    keys = dict(walk(Config, base))
    if key not in keys:
        raise InputError(table, "header", f"unknown key {key!r}", "keys of the config, with dots")
    if is_section(keys[key].type):
        inside = [name.removeprefix(f"{key}.") for name in keys if name.startswith(f"{key}.")]
        raise InputError(table, "header", f"{key!r}, which holds {', '.join(inside)}", "a key with a value")
    if key == "run":
        raise InputError(table, "header", "run", "keys that a cell may set; its run is named by the row")


def _value(text: str, table: str | Path, where: str) -> Any:
    try:
        return float(text) if _EXPONENT.fullmatch(text.strip()) else yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(table, where, repr(text), f"a value as in YAML ({getattr(error, 'problem', error)})") from None
