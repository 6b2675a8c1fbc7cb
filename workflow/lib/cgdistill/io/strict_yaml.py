"""Strict reading of YAML: ambiguous or dangerous input is an error that names its line.

PyYAML accepts duplicate keys, reads the key ``NO:`` as False, expands nested aliases to gigabytes, and constructs data
that contain themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..core.errors import InputError

_CORE = ("str", "int", "float", "bool", "null", "map", "seq")
_TAG = "tag:yaml.org,2002:"
#: More values than any config, mapping or sweep has, with aliases expanded.
_MAX_VALUES = 1_000_000


def load(text: str, source: str | Path) -> Any:
    """Data of one YAML document; dates, sets, objects and other tags are refused.

    Raises
    ------
    InputError
        Invalid YAML, a key that is duplicate or not text, a tag beyond the core schema, too many or recursive aliases;
        the line is named.
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _size(node, {}, source)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "contents"
        found = getattr(error, "problem", None) or " ".join(str(error).split())
        raise InputError(source, where, found, "valid YAML") from None
    except (ValueError, KeyError, OverflowError) as error:  # an invalid number or truth value
        raise InputError(source, "contents", error, "valid YAML") from None
    except RecursionError:
        raise InputError(source, "contents", "brackets nested too deeply", "valid YAML") from None


def _size(node: yaml.Node, sizes: dict[int, int], source: str | Path) -> int:
    """Number of values of a node with aliases expanded; its keys and tags are checked once."""
    known = sizes.get(id(node))
    line = f"line {node.start_mark.line + 1}"
    if known is not None:
        if known == 0:  # being counted
            raise InputError(source, line, "data that contain themselves (&, *)", "finite data")
        return known
    sizes[id(node)] = 0
    if node.tag.removeprefix(_TAG) not in _CORE:
        tag = node.tag.removeprefix(_TAG)
        raise InputError(source, line, f"a value that YAML takes for '{tag}'", "text (in quotes), numbers, lists, keys")
    total = 1
    if isinstance(node, yaml.MappingNode):
        _check_keys(node, source)
        total += sum(_size(value, sizes, source) for _, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        total += sum(_size(item, sizes, source) for item in node.value)
    if total > _MAX_VALUES:
        raise InputError(source, line, "aliases (*) that make more than a million values", "fewer")
    sizes[id(node)] = total
    return total


def _check_keys(node: yaml.MappingNode, source: str | Path) -> None:
    """Check that keys are text and unique."""
    seen: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.tag == f"{_TAG}merge":
            continue
        if not isinstance(key, yaml.ScalarNode) or key.tag != f"{_TAG}str":
            tag = key.tag.removeprefix(_TAG)
            shown = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
            raise InputError(
                source, f"line {line}", f"the key {shown}, which YAML takes for '{tag}'", "the key in quotes"
            )
        if key.value in seen:
            found = f"the key '{key.value}' again (first in line {seen[key.value]})"
            raise InputError(source, f"line {line}", found, "each key once")
        seen[key.value] = line
