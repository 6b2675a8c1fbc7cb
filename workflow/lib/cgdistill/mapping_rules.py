"""The mapping file: which atoms make which bead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError


@dataclass(frozen=True)
class BeadRule:
    """One bead of a residue: its name, its type and its atoms.

    ``atoms`` is ``all`` or a list of atom names; ``select`` is an MDAnalysis selection within the residue.
    """

    name: str
    type: str
    atoms: str | tuple[str, ...] | None
    select: str | None


@dataclass(frozen=True)
class MappingRules:
    """A mapping file.

    Attributes
    ----------
    types: bead types in order.
    residues: rules by residue name.
    unmapped: atom names by residue name that belong to no bead on purpose.
    source: the file, for errors.
    """

    types: tuple[str, ...]
    residues: dict[str, tuple[BeadRule, ...]]
    unmapped: dict[str, frozenset[str]]
    source: str

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str | Path) -> MappingRules:
        """Rules from the contents of a mapping file that has passed its schema.

        Raises
        ------
        InputError
            A bead of a type that is not listed, a listed type without a bead, a name used twice.
        """
        residues: dict[str, tuple[BeadRule, ...]] = {}
        for residue, entry in data["residues"].items():
            rules = []
            for bead in entry["beads"]:
                atoms = bead.get("atoms")
                rules.append(
                    BeadRule(
                        name=bead["name"],
                        type=bead.get("type", bead["name"]),
                        atoms=tuple(atoms) if isinstance(atoms, list) else atoms,
                        select=bead.get("select"),
                    )
                )
            names = [rule.name for rule in rules]
            if len(set(names)) != len(names):
                raise InputError(source, f"residues.{residue}.beads", f"names {names}", "names that differ")
            residues[residue] = tuple(rules)
        types = tuple(data["types"])
        used = {rule.type for rules in residues.values() for rule in rules}
        if used != set(types):
            raise InputError(source, "types", list(types), f"the types of the beads: {sorted(used)}")
        unmapped = {name: frozenset(entry.get("unmapped", ())) for name, entry in data["residues"].items()}
        return cls(types, residues, unmapped, str(source))
