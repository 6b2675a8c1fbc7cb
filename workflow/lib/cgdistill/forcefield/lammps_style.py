"""Interactions as commands of LAMMPS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import InputError


@dataclass(frozen=True)
class LammpsStyle:
    """A style of LAMMPS with its coefficients, in units real.

    Attributes
    ----------
    category: ``pair``, ``bond``, ``angle`` or ``dihedral``.
    style: name of the style.
    arguments: of the style command.
    coefficients: of each coeff command, the types that it is for (from 1) and its values.
    """

    category: str
    style: str
    arguments: str
    coefficients: tuple[tuple[str, str], ...]


def lammps_commands(styles: Sequence[LammpsStyle]) -> list[str]:
    """Commands for the sum of some styles; several of one category are overlaid (pairs) or combined."""
    commands = []
    for category in dict.fromkeys(style.category for style in styles):
        own = [style for style in styles if style.category == category]
        parts = [f"{style.style} {style.arguments}".strip() for style in own]
        joined = {"pair": "hybrid/overlay "}.get(category, "hybrid ") if len(own) > 1 else ""
        commands.append(f"{category}_style {joined}{' '.join(parts)}")
        for style in own:
            name = f"{style.style} " if joined else ""
            commands += [f"{category}_coeff {types} {name}{values}" for types, values in style.coefficients]
    return commands


def quoted(path: Path) -> str:
    """A path as one word of a LAMMPS command, in which nothing is replaced."""
    text = str(path)
    if '"' in text or not text.isprintable():
        raise InputError("LAMMPS", "path", repr(text), "a path without double quotes and control characters")
    return f'"{text}"'
