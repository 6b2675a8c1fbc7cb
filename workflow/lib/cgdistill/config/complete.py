"""From what a user has written to the complete config: validated, every default filled in."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from ..core.errors import InputError
from ..io.text import read_yaml
from .keys import Changes, Derived, applies, is_section, items_of, section_of, walk
from .schema import schema_of
from .sections.config import Config
from .validate import validate

T = TypeVar("T")
#: Keys of earlier versions: the value that is ignored because it still describes what is done (... for all values),
#: and the reason. Any other value is an error.
RETIRED: dict[str, tuple[Any, str]] = {
    "structure.convention": (
        "cgdistill",
        "there is one convention; curves of other conventions are made by the commands of cgdistill",
    ),
    "training.models_per_job": (..., "each network has a job of its own, or all have one with training.together"),
}

_log = logging.getLogger("cgdistill")


def complete_config(config: Any, types: tuple[str, ...] | None = None, source: str | Path = "config") -> dict[str, Any]:
    """The complete config: each key that is used, in alphabetical order, with numbers as ``int`` or ``float``.

    Equal configs are equal as text too, by which Snakemake compares parameters.

    Parameters
    ----------
    config: what a user has written; not changed.
    types: names of the bead types, from which defaults of the structure analysis follow; None to leave them ``None``.

    Raises
    ------
    InputError
        A key that is unknown, missing, or has a value that it cannot have.
    """
    prepared = _prepared(Config, _without_retired(config, source))
    validate(prepared, schema_of(Config, prepared), source, known_keys=known_keys())
    complete: dict[str, Any] = _filled(Config, prepared, None)
    adf = complete["structure"]["adf"]
    if adf["triplets"] is None and types is not None:
        adf["triplets"] = [[name, name, name] for name in types]
    return complete


def read_config(path: str | Path) -> dict[str, Any]:
    """The complete config of a file; defaults that follow from the bead types if there is a mapping file.

    Raises
    ------
    InputError
        As `complete_config`, or a file that cannot be read.
    """
    given = read_yaml(path)
    mapping = Path(complete_config(given, source=path)["mapping"]["file"])
    types = read_yaml(mapping).get("types") if mapping.is_file() else None
    return complete_config(given, types, path)


@cache
def known_keys() -> tuple[str, ...]:
    """Dotted names of all keys, sections included."""
    return tuple(dict.fromkeys(name for name, _ in walk(Config)))


@cache
def keys_that_change(changes: Changes) -> tuple[str, ...]:
    """Dotted names of the keys another value of which changes no more than this."""
    return tuple(name for name, item in walk(Config) if item.key.changes is changes and not is_section(item.type))


def value_settings(config: Mapping[str, Any], section: str) -> dict[str, Any]:
    """A section of a complete config, without the keys that change no value of a product."""
    idle = {*keys_that_change(Changes.NOTHING), *keys_that_change(Changes.PRODUCTS)}

    def kept(part: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in part.items():
            if f"{prefix}.{name}" in idle:
                continue
            found[name] = kept(value, f"{prefix}.{name}") if isinstance(value, Mapping) else value
            if found[name] == {}:
                del found[name]
        return found

    return kept(config[section], section)


def build(kind: type[T], data: Mapping[str, Any]) -> T:
    """The object of a section from its part of a complete config; a subsection that is not used is None."""
    section = section_of(kind, data)
    values = {item.name: _object(item.type, data.get(item.name)) for item in items_of(section)}
    built: T = section(**values)
    return built


def _object(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if is_section(kind):
        return build(kind, value)
    if get_origin(kind) is tuple:
        return tuple(_object(get_args(kind)[0], part) for part in value)
    return value


def _without_retired(config: Any, source: str | Path) -> Any:
    """The config without keys of earlier versions; each is reported in the log.

    Raises
    ------
    InputError
        The value of such a key asks for what is not done any more.
    """
    config = copy.deepcopy(config)
    for name, (accepted, reason) in RETIRED.items():
        *parents, last = name.split(".")
        part = config
        for parent in parents:
            part = part.get(parent) if isinstance(part, Mapping) else None
        if isinstance(part, dict) and last in part:
            if accepted is not ... and part[last] != accepted:
                raise InputError(source, name, repr(part[last]), f"no such key, or {accepted!r}: {reason}")
            _log.info("%s: %s is ignored: %s", source, name, reason)
            del part[last]
    return config


def _prepared(kind: Any, given: Any) -> Any:
    """What is given without subsections that are not used, and with an empty one for each that is left out."""
    if not isinstance(given, Mapping):
        return given
    section = section_of(kind, given)
    prepared = dict(given)
    for item in items_of(section):
        if not is_section(item.type):
            continue
        if applies(item, section, given):
            prepared[item.name] = _prepared(item.type, given.get(item.name, {}))
        else:
            prepared.pop(item.name, None)
    return prepared


def _filled(kind: Any, given: Mapping[str, Any], defaults: Any) -> dict[str, Any]:
    """A validated section with its defaults, keys in alphabetical order."""
    section = section_of(kind, given)
    values: dict[str, Any] = {}
    derived: list[tuple[str, Derived]] = []
    for item in items_of(section, defaults):
        if is_section(item.type):
            if item.name in given:
                values[item.name] = _filled(item.type, given[item.name], item.default)
        elif item.name in given:
            values[item.name] = _plain(item.type, given[item.name])
        elif isinstance(item.default, Derived):
            derived.append((item.name, item.default))
        else:
            values[item.name] = _plain(item.type, item.default)
    for name, rule in derived:
        values[name] = rule.value(values)
    return dict(sorted(values.items()))


def _plain(kind: Any, value: Any) -> Any:
    """A value as YAML has it: lists, and numbers of the key's type."""
    if value is None:
        return None
    if get_origin(kind) is tuple:
        return [_plain(get_args(kind)[0], part) for part in value]
    if is_section(kind):
        return _filled(kind, value, None)
    return float(value) if kind is float else value
