"""Data from YAML against closed JSON schemas: one clear message for the first fault."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from ..core.errors import InputError

#: JSON takes 1.0 for an integer; a count is written without a point.
_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)
#: No number of a config is larger, and none but 0 is smaller; sums and quotients of them stay finite.
_LARGEST, _SMALLEST = 1e15, 1e-15
#: Similarity (`difflib`) from which on a known key is suggested for an unknown one.
_SIMILAR, _VERY_SIMILAR = 0.6, 0.85


def validate(
    data: Any, schema: Mapping[str, Any], source: str | Path, prefix: str = "", known_keys: tuple[str, ...] = ()
) -> None:
    """Check data against a closed JSON schema.

    Parameters
    ----------
    known_keys: dotted names of keys that exist anywhere, suggested where one stands in another section.

    Raises
    ------
    InputError
        Names the first faulty key, what was found there and what was expected.
    """
    faults = sorted(_Validator(schema).iter_errors(data), key=lambda fault: list(map(str, fault.absolute_path)))
    if faults:
        fault = faults[0]
        # Of alternatives, the deepest fault is the one the user made.
        while fault.validator in ("oneOf", "anyOf") and fault.context:
            fault = max(fault.context, key=lambda part: len(part.absolute_path))
        raise InputError(source, prefix + _where(fault), *_found_and_expected(fault, known_keys))
    for where, value, expected in _unusable(data):
        raise InputError(source, prefix + where, value, expected)


def _where(error: ValidationError) -> str:
    """Path of the faulty key: ``aa.system.molecules[0].count``."""
    text = ""
    for part in error.absolute_path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "top level"


def _found_and_expected(error: ValidationError, known_keys: tuple[str, ...]) -> tuple[object, object]:
    """What the message says was found and expected, by the violated constraint."""
    wanted: Any = error.validator_value
    match error.validator:
        case "additionalProperties":
            known = sorted(error.schema.get("properties", {}))
            unknown = sorted(set(error.instance) - set(known), key=str)
            meant = " and ".join(filter(None, (_meant(str(key), known, known_keys) for key in unknown)))
            expected = f"only {', '.join(known)}" + (f"; did you mean {meant}?" if meant else "")
            return f"unknown key {', '.join(map(repr, unknown))}", expected
        case "required":
            missing = [key for key in wanted if key not in error.instance]
            return f"no key {', '.join(map(repr, missing))}", "all required keys"
        case "type":
            return (
                f"{error.instance!r} ({type(error.instance).__name__})",
                f"type {wanted}{_hint(error.instance, wanted)}",
            )
        case "enum":
            return repr(error.instance), f"one of {', '.join(map(str, wanted))}"
        case "minimum":
            return error.instance, f"at least {wanted:g}"
        case "maximum":
            return error.instance, f"at most {wanted:g}"
        case "exclusiveMinimum":
            return error.instance, f"more than {wanted:g}"
        case "exclusiveMaximum":
            return error.instance, f"less than {wanted:g}"
        case "pattern":
            return repr(error.instance), f"a name that matches {wanted}"
        case _:
            return error.message, f"{error.validator} {wanted}"


def _meant(key: str, known_here: list[str], known_keys: tuple[str, ...]) -> str:
    """The key that was probably meant: the most similar one of the same section, or one of another section."""
    places: dict[str, list[str]] = {}
    for name in known_keys:
        places.setdefault(name.rpartition(".")[2], []).append(name)
    if key not in places:
        if similar := difflib.get_close_matches(key, known_here, 1, _SIMILAR):
            return similar[0]
        key = next(iter(difflib.get_close_matches(key, places, 1, _VERY_SIMILAR)), key)
    return " or ".join(places.get(key, []))


def _hint(value: Any, wanted: Any) -> str:
    """How to write a value that YAML understood differently."""
    expected = [wanted] if isinstance(wanted, str) else list(wanted)
    if isinstance(value, str) and {"number", "integer"} & set(expected):
        try:
            float(value)
        except ValueError:
            return ""
        return " (without quotes, with a point: 1.0e-3)"
    if "string" in expected and isinstance(value, bool | int | float):
        return " (in quotes)"
    return ""


def _unusable(data: Any, where: str = "") -> Iterator[tuple[str, object, str]]:
    """Values that a JSON schema accepts but no config may have: NaN, huge numbers, control characters in text."""
    if isinstance(data, float) and not math.isfinite(data):
        yield where, data, "a finite number"
    elif isinstance(data, int | float) and data != 0 and not _SMALLEST <= abs(data) <= _LARGEST:
        yield where, f"{data:.3g}" if isinstance(data, float) else "a larger one", f"a number up to {_LARGEST:g}"
    elif isinstance(data, str) and any(ord(sign) < 32 or 0xD800 <= ord(sign) < 0xE000 for sign in data):
        yield where, ascii(data), "text without control characters"
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from _unusable(str(key), where)
            yield from _unusable(value, f"{where}.{key}" if where else str(key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _unusable(value, f"{where}[{number}]")
