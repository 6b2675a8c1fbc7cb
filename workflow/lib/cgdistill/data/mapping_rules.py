"""Mapping file: the atoms of each bead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..io.untrusted import TYPE_NAME


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
    """Contents of a mapping file.

    Attributes
    ----------
    types: bead types in order.
    residues: rules by residue name.
    unmapped: by residue name, atoms that are deliberately in no bead.
    source: the file, for errors.
    """

    types: tuple[str, ...]
    residues: dict[str, tuple[BeadRule, ...]]
    unmapped: dict[str, frozenset[str]]
    source: str

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str | Path) -> MappingRules:
        """Rules from the contents of a mapping file.

        Raises
        ------
        InputError
            Contents of another form, a bead of a type that is not listed, a listed type without a bead, a duplicate
            name.
        """
        _check_form(data, source)
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
                raise InputError(source, f"residues.{residue}.beads", f"names {names}", "unique names")
            residues[residue] = tuple(rules)
        types = tuple(data["types"])
        invalid = [name for name in types if not TYPE_NAME.fullmatch(name)]
        if invalid:
            raise InputError(source, "types", repr(invalid[0]), f"names that match {TYPE_NAME.pattern}")
        if len(set(types)) != len(types):
            raise InputError(source, "types", list(types), "unique names")
        used = {rule.type for rules in residues.values() for rule in rules}
        if used != set(types):
            raise InputError(source, "types", list(types), f"the types of the beads: {sorted(used)}")
        unmapped = {name: frozenset(entry.get("unmapped", ())) for name, entry in data["residues"].items()}
        return cls(types, residues, unmapped, str(source))


def _check_form(data: Any, source: str | Path) -> None:
    """Check the types of all entries; the schema of the workflow checks more."""

    def expect(fits: bool, where: str, found: Any, expected: str) -> None:
        if not fits:
            raise InputError(source, where, repr(found), expected)

    def names(found: Any, where: str) -> None:
        expect(isinstance(found, list) and all(isinstance(name, str) for name in found), where, found, "list of names")

    expect(isinstance(data, Mapping) and {"types", "residues"} <= set(data), "file", data, "keys types and residues")
    names(data["types"], "types")
    expect(isinstance(data["residues"], Mapping), "residues", data["residues"], "beads by name of residue")
    for residue, entry in data["residues"].items():
        where = f"residues.{residue}"
        beads = entry.get("beads") if isinstance(entry, Mapping) else None
        expect(isinstance(residue, str) and isinstance(beads, list), where, entry, "a key beads with a list")
        names(entry.get("unmapped", []), f"{where}.unmapped")
        for number, bead in enumerate(beads or ()):
            place = f"{where}.beads[{number}]"
            expect(isinstance(bead, Mapping), place, bead, "name, and atoms or select")
            texts = (bead.get("name"), bead.get("type", ""), bead.get("select", ""))
            expect(all(isinstance(text, str) for text in texts), place, bead, "name, type and select as text")
            expect(("atoms" in bead) != ("select" in bead), place, bead, "either atoms or select")
            if bead.get("atoms", "all") != "all":
                names(bead["atoms"], f"{place}.atoms")
