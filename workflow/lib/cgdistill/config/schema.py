"""The closed JSON schema of a section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from .keys import REQUIRED, Item, Key, choices, is_section, items_of, section_of, selector

_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_LIMITS = {"minimum": "minimum", "above": "exclusiveMinimum", "maximum": "maximum", "below": "exclusiveMaximum"}
_TEXT = {"pattern": "pattern", "min_length": "minLength", "max_length": "maxLength"}


def schema_of(kind: Any, data: Any = None) -> dict[str, Any]:
    """Schema of a section, in which keys without a default are required and others may be left out.

    Parameters
    ----------
    kind: a section, or a union of sections, of which ``data`` selects the member.
    """
    section = section_of(kind, data)
    properties, required = {}, []
    for item in items_of(section):
        part = data.get(item.name) if isinstance(data, Mapping) else None
        properties[item.name] = _schema_of_item(item, part)
        if item.name == selector(kind):
            properties[item.name] = {"enum": list(choices(kind, item.name))}
        if _is_required(item):
            required.append(item.name)
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}


def _is_required(item: Item) -> bool:
    """Subsections are not: those that apply are filled in before the config is validated."""
    return item.default is REQUIRED and not is_section(item.type)


def _schema_of_item(item: Item, data: Any) -> dict[str, Any]:
    schema = _schema_of_type(item.type, item.key, data)
    if item.nullable and "enum" in schema:
        return schema | {"enum": [None, *schema["enum"]]}
    if item.nullable and not is_section(item.type):
        return schema | {"type": [schema["type"], "null"]}
    return schema


def _schema_of_type(kind: Any, key: Key, data: Any) -> dict[str, Any]:
    if is_section(kind):
        return schema_of(kind, data)
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if get_origin(kind) is tuple:
        return _schema_of_list(kind, key)
    names = _LIMITS if kind in (int, float) else _TEXT if kind is str else {}
    limits = {name: getattr(key, own) for own, name in names.items() if getattr(key, own) is not None}
    return {"type": _JSON_TYPES[kind]} | limits


def _schema_of_list(kind: Any, key: Key) -> dict[str, Any]:
    """``tuple[T, ...]`` is a list of any length, ``tuple[T, T]`` one of fixed length, of one type."""
    first, *others = get_args(kind)
    schema: dict[str, Any] = {"type": "array", "items": _schema_of_type(first, key, None)}
    if others != [...]:
        return schema | {"minItems": len(others) + 1, "maxItems": len(others) + 1}
    if key.min_items is not None:
        schema["minItems"] = key.min_items
    return schema | ({"uniqueItems": True} if key.unique else {})
