"""The reference of the config, written from its sections: tables for documents, and a commented YAML file."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml

from ..core.errors import InputError
from .keys import REQUIRED, Derived, Item, Key, choices, is_section, items_of, members_of, section_of, selector, walk
from .sections.config import Config

COMMAND = "cgdistill config --reference config/README.md"
_BLOCK = re.compile(r"(<!-- reference: ([a-z_]+) -->\n)(.*?)(<!-- end of reference -->)", re.DOTALL)
_WIDTH = 110


def with_reference(text: str, source: str | Path) -> str:
    """A document with the tables between its markers ``<!-- reference: SECTION -->`` written anew.

    ``run`` and the other keys outside of sections are those of ``<!-- reference: top -->``.

    Raises
    ------
    InputError
        A marker of no section, or a section without marker.
    """
    sections = {item.name: item for item in items_of(Config) if is_section(item.type)}
    named = [match[2] for match in _BLOCK.finditer(text)]
    if sorted(named) != sorted(["top", *sections]):
        raise InputError(source, "markers", ", ".join(named) or "none", f"each of top, {', '.join(sections)} once")

    def block(match: re.Match[str]) -> str:
        return match[1] + "\n".join(_table(sections.get(match[2]))) + "\n" + match[4]

    return _BLOCK.sub(block, text)


def _table(section: Item | None) -> Iterator[str]:
    """Lines of the tables of a section, one for each member of a union; None for the keys outside of sections."""
    members = members_of(section.type) if section else (None,)
    for number, member in enumerate(members):
        if number and section is not None:
            (value,) = choices(member, str(selector(section.type)))
            yield from ("", f"With `{section.name}.{selector(section.type)}: {value}`:", "")
        yield from _rows(section, member)


def _rows(section: Item | None, member: Any) -> Iterator[str]:
    """Lines of the table of a section, or of one member of a union."""
    yield "| key | unit | default | meaning |"
    yield "|---|---|---|---|"
    keys = walk(member, None, section.default) if section else walk(Config)
    for name, item in keys:
        if not is_section(item.type) and (section or "." not in name):
            cells = (f"`{name}`", item.key.unit, _default(item), _meaning(item))
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(item: Item) -> str:
    if item.default is REQUIRED:
        return "required"
    if isinstance(item.default, Derived):
        return item.default.text
    return f"`{_as_yaml(item.default)}`"


def _meaning(item: Item) -> str:
    text: str = item.key.description
    if get_origin(item.type) is Literal:
        missing = [str(value) for value in get_args(item.type) if f"`{value}`" not in text]
        if missing:
            text = f"{text} One of {', '.join(f'`{value}`' for value in missing)}."
    return f"{text} {_range(item.key)}".strip()


def _range(key: Key) -> str:
    """The range of a number that has an upper limit."""
    if key.maximum is None and key.below is None:
        return ""
    lower = key.minimum if key.minimum is not None else key.above
    upper = f"at most {key.maximum:g}" if key.maximum is not None else f"below {key.below:g}"
    if lower is None:
        return f"{upper.capitalize()}."
    return f"{'At least' if key.minimum is not None else 'Above'} {lower:g}, {upper}."


def as_commented_yaml(config: Mapping[str, Any]) -> str:
    """A complete config as YAML, each key after a comment with its description and unit."""
    return "\n".join(_lines(Config, config, 0)) + "\n"


def _lines(kind: Any, values: Mapping[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for item in items_of(section_of(kind, values)):
        if item.name not in values:
            continue
        value = values[item.name]
        if is_section(item.type):
            if depth == 0:
                yield ""
            summary = (section_of(item.type, value).__doc__ or "").split("\n", 1)[0]
            yield from _comment(summary, indent)
            yield f"{indent}{item.name}:"
            yield from _lines(item.type, value, depth + 1)
        else:
            unit = f" [{item.key.unit}]" if item.key.unit else ""
            yield from _comment(_meaning(item) + unit, indent)
            yield from _entry(item.name, value, indent)


def _comment(text: str, indent: str) -> list[str]:
    prefix = f"{indent}# "
    return textwrap.wrap(text, _WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False)


def _entry(name: str, value: Any, indent: str) -> Iterator[str]:
    """``name: value``; a list of mappings has one line for each."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        yield f"{indent}{name}:"
        yield from (f"{indent}  - {_as_yaml(part)}" for part in value)
    else:
        yield f"{indent}{name}: {_as_yaml(value)}"


def _as_yaml(value: Any) -> str:
    plain = [list(part) if isinstance(part, tuple) else part for part in value] if isinstance(value, tuple) else value
    text: str = yaml.safe_dump(plain, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False)
    return text.removesuffix("...\n").strip()
