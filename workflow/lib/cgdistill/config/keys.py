"""Keys of the config as fields of dataclasses: default, unit, limits and description are written once, with the type.

A section is a frozen dataclass; each of its fields is made by `key` (one setting) or is another section. The types in
use are ``int``, ``float``, ``bool``, ``str``, ``Literal[...]`` (a choice), ``tuple[T, ...]`` (a list), ``tuple[A, B]``
(a list of fixed length), other sections, and any of these ``| None``. A union of sections is a section whose keys
depend on a choice: each member has a key of the same name with the ``Literal`` that selects it (`section_of`).
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


class _NoDefault(Enum):
    REQUIRED = "required"


#: In place of a default: the key has none.
REQUIRED: Any = _NoDefault.REQUIRED


class Changes(Enum):
    """What another value of a key changes."""

    #: Values of products: what depends on them runs again.
    VALUES = "values"
    #: Which products there are; those that exist stay as they are.
    PRODUCTS = "products"
    #: No product: jobs, logs and diagnostics only.
    NOTHING = "nothing"


@dataclass(frozen=True)
class Derived:
    """A default that follows from other keys of the same section.

    Attributes
    ----------
    text: the rule, as the reference prints it.
    value: its value from the completed section.
    """

    text: str
    value: Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Key:
    """What is known of one key besides its type.

    Attributes
    ----------
    description: one or two sentences for the reference.
    unit: of the numbers, empty where they have none.
    minimum, above, maximum, below: limits of each number; ``above`` and ``below`` are exclusive.
    pattern, min_length, max_length: of each text.
    min_items, unique: of a list.
    changes: what another value changes.
    only_if: key of the same section and its values with which this key is used.
    default: `REQUIRED`; a `Derived` where it follows from others.
    """

    description: str = ""
    unit: str = ""
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    below: float | None = None
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    unique: bool = False
    changes: Changes = Changes.VALUES
    only_if: tuple[str, tuple[str, ...]] | None = None
    default: Any = REQUIRED


def key(description: str, default: Any = REQUIRED, **properties: Any) -> Any:
    """A field of a section; ``properties`` are those of `Key`. Without ``default`` the key is required."""
    metadata = {"key": Key(description, default=default, **properties)}
    if default is REQUIRED or isinstance(default, Derived):
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Item:
    """A key in its section.

    Attributes
    ----------
    name: without the section's.
    type: without ``None``.
    nullable: whether ``None`` is a value.
    key: its properties.
    default: `REQUIRED`, a `Derived`, or a value; of a subsection an object with
        the defaults of its keys, where they are not those of its class.
    """

    name: str
    type: Any
    nullable: bool
    key: Key
    default: Any


@cache
def items_of(section: type, defaults: Any = None) -> tuple[Item, ...]:
    """Keys of a section in their order.

    Parameters
    ----------
    defaults: an object of the section whose values are the defaults; None for those of the class.
    """
    hints = get_type_hints(section)
    found = []
    for entry in fields(section):
        members = [member for member in members_of(hints[entry.name]) if member is not type(None)]
        nullable = len(members) < len(members_of(hints[entry.name]))
        kind = members[0] if len(members) == 1 else Union[tuple(members)]  # noqa: UP007 (members are known at run time)
        properties = entry.metadata.get("key", Key())
        default = properties.default if entry.default_factory is MISSING else entry.default_factory()
        if isinstance(defaults, section):
            default = getattr(defaults, entry.name)
        found.append(Item(entry.name, kind, nullable, properties, default))
    return tuple(found)


def members_of(kind: Any) -> tuple[Any, ...]:
    """Members of a union; of any other type the type itself."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def is_section(kind: Any) -> bool:
    """Whether a type is a section, or a union of sections."""
    return all(is_dataclass(member) for member in members_of(kind))


def section_of(kind: Any, data: Any) -> type:
    """The section that describes ``data``: of a union the member whose ``Literal`` is given, the first by default."""
    sections: tuple[type, ...] = members_of(kind)
    if len(sections) > 1 and isinstance(data, Mapping):
        for section in sections:
            if data.get(selector(kind)) in choices(section, selector(kind)):
                return section
    return sections[0]


def selector(kind: Any) -> str | None:
    """Name of the key that selects the member of a union of sections: its values differ between all of them."""
    first, *others = members_of(kind)
    for item in items_of(first) if others else ():
        values = [choices(section, item.name) for section in (first, *others)]
        if get_origin(item.type) is Literal and sum(map(len, values)) == len(set().union(*values)):
            return item.name
    return None


def choices(kind: Any, name: str | None) -> tuple[Any, ...]:
    """Values of a key of ``Literal`` type, of all members of a union; empty where it is of another type."""
    found = [item.type for section in members_of(kind) for item in items_of(section) if item.name == name]
    return tuple(value for literal in found if get_origin(literal) is Literal for value in get_args(literal))


def applies(item: Item, section: type, data: Mapping[str, Any]) -> bool:
    """Whether a key is used, by the values of the others."""
    if item.key.only_if is None:
        return True
    name, values = item.key.only_if
    default = next(other.default for other in items_of(section) if other.name == name)
    return data.get(name, default) in values


def walk(section: type, data: Any = None, defaults: Any = None, prefix: str = "") -> Iterator[tuple[str, Item]]:
    """Dotted name and properties of every key of a section and its subsections, depth first.

    Of unions the member that ``data`` selects. A list of sections counts as one key.
    """
    for item in items_of(section, defaults):
        name = f"{prefix}{item.name}"
        yield name, item
        if is_section(item.type):
            part = data.get(item.name) if isinstance(data, Mapping) else None
            yield from walk(section_of(item.type, part), part, item.default, f"{name}.")
