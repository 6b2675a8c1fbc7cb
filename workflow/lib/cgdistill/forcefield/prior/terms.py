"""The prior of a force field: a sum of terms, the register of their kinds, and their files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...core.errors import InputError
from ...data.beads import BeadFile, BeadFrames, BeadTopology
from ...geometry.neighbours import NeighbourList
from ...io.csv_tables import read_table, write_table
from ..lammps_style import LammpsStyle
from ..potential import Evaluation
from .base import Configuration, InteractionTopology, PriorTerm
from .repulsion import Repulsion

#: Frames that are read at a time.
_CHUNK = 32
#: Every kind of term by its name; a new one is entered here.
TERMS: dict[str, type[PriorTerm]] = {term.name: term for term in (Repulsion,)}


@dataclass(frozen=True)
class PriorTerms:
    """A sum of terms.

    Attributes
    ----------
    type_names: names of the bead types in the order of their index.
    terms: for these types, each kind once.
    """

    type_names: tuple[str, ...]
    terms: tuple[PriorTerm, ...]

    @property
    def cutoff_A(self) -> float:
        """Largest distance of a pair that a term needs to know, A; 0 where none does."""
        return max((term.cutoff_A for term in self.terms), default=0.0)

    def potential(self, topology: InteractionTopology, skin_A: float = 1.5) -> PriorPotential:
        """The sum of the terms for given beads; ``skin_A``: of its neighbour list."""
        return PriorPotential(self, topology, skin_A)

    def forces_kcal_mol_A(self, frames: BeadFrames, topology: BeadTopology) -> np.ndarray:
        """(n_frames, n_beads, 3) forces on the beads of some frames, kcal/mol/A."""
        potential = self.potential(InteractionTopology.of(topology), skin_A=0.0)
        forces = np.empty(frames.positions_A.shape)
        for number, (positions_A, cell_A) in enumerate(zip(frames.positions_A, frames.cells_A, strict=True)):
            forces[number] = potential.evaluate(positions_A, cell_A, topology.bead_types).forces_kcal_mol_A
        return forces

    def forces_in_file(self, beads: BeadFile, indices: np.ndarray) -> np.ndarray:
        """(n_frames, n_beads, 3) forces on the beads of some frames of a bead file, kcal/mol/A."""
        parts = np.array_split(indices, max(1, -(-len(indices) // _CHUNK)))
        return np.concatenate([self.forces_kcal_mol_A(beads.frames(part), beads.topology) for part in parts])

    def lammps_styles(self) -> list[LammpsStyle]:
        """The styles of LAMMPS that compute the terms."""
        return [term.lammps_style() for term in self.terms]

    def to_dict(self) -> dict[str, Any]:
        """Parameters by name of the term, for JSON files."""
        return {term.name: term.to_dict() for term in self.terms}

    @classmethod
    def from_dict(cls, values: Any, type_names: tuple[str, ...], source: str | Path) -> PriorTerms:
        """The terms of `to_dict`, or of a file of earlier versions: the parameters of the repulsion alone.

        Raises
        ------
        InputError
            Anything else; ``values`` may come from anybody.
        """
        if not isinstance(values, dict):
            raise InputError(source, "prior", type(values).__name__ if values else "nothing", "parameters of the terms")
        if "E0_kcal_mol" in values:
            values = {Repulsion.name: values}
        if unknown := set(values) - set(TERMS):
            raise InputError(source, "prior", f"terms {sorted(unknown)[:4]}", f"some of {', '.join(TERMS)}")
        return cls(type_names, tuple(TERMS[name].from_dict(own, type_names, source) for name, own in values.items()))


class PriorPotential:
    """The sum of prior terms for given beads, a `Potential` with its own neighbour list, in float64."""

    def __init__(self, prior: PriorTerms, topology: InteractionTopology, skin_A: float) -> None:
        self._prior, self._topology = prior, topology
        self._pairs = NeighbourList(prior.cutoff_A, skin_A) if prior.cutoff_A > 0 else None

    @property
    def cutoff_A(self) -> float:
        """Range of the interactions, A."""
        return self._prior.cutoff_A

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the bead types, in the order of their index."""
        return self._prior.type_names

    def forget(self) -> None:
        """Let go of the neighbour list; see `potential.Potential`."""
        if self._pairs is not None:
            self._pairs.forget()

    def evaluate(self, positions_A: np.ndarray, cell_A: np.ndarray, bead_types: np.ndarray) -> Evaluation:
        """Evaluate one configuration of the beads; see `potential.Potential`."""
        if not np.array_equal(bead_types, self._topology.bead_types):
            raise ValueError("the bead types are not those that the potential was made for")
        positions = np.ascontiguousarray(positions_A, dtype=np.float64)
        cell, n_beads = np.asarray(cell_A, dtype=np.float64), len(positions)
        first, second, vectors = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty((0, 3))
        if self._pairs is not None:
            first, second, vectors = self._pairs.pairs(positions, cell)
        configuration = Configuration(positions, cell, self._topology, first, second, vectors)
        parts = [term.evaluate(configuration) for term in self._prior.terms]
        return sum_of(parts, n_beads)


def sum_of(parts: Sequence[Evaluation], n_beads: int) -> Evaluation:
    """Sum of evaluations of one configuration; zeros where there are none."""
    energies, forces, virial = np.zeros(n_beads), np.zeros((n_beads, 3)), np.zeros(6)
    for part in parts:
        energies += part.bead_energies_kcal_mol
        forces += part.forces_kcal_mol_A
        virial += part.virial_kcal_mol
    return Evaluation(float(sum(part.energy_kcal_mol for part in parts)), forces, virial, energies)


def fit_prior(
    chunks: Iterable[BeadFrames], topology: BeadTopology, settings: Mapping[str, Any], source: str | Path = "beads"
) -> pd.DataFrame:
    """Table of the prior's parameters, fitted to training frames with forces: ``term`` and the columns of the term.

    ``settings``: section ``prior`` of the config; ``source``: named in errors.
    """
    table = Repulsion.fit(chunks, topology, settings, source)
    table.insert(0, "term", Repulsion.name)
    return table


def write_prior(path: str | Path, table: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write the table of `fit_prior`."""
    write_table(path, table, dict(provenance))


def read_prior(path: str | Path, type_names: tuple[str, ...]) -> PriorTerms:
    """Read the prior of the given bead types.

    Raises
    ------
    InputError
        An unknown term, or one without the parameters of some types.
    """
    table = read_table(path, ())
    if "term" not in table.columns:  # files of earlier versions
        table = table.assign(term=Repulsion.name)
    return prior_from_table(table, type_names, path)


def prior_from_table(table: pd.DataFrame, type_names: tuple[str, ...], source: str | Path) -> PriorTerms:
    """Prior of the given bead types from the table of `fit_prior`."""
    terms = []
    for name, rows in table.groupby("term", sort=False):
        if name not in TERMS:
            raise InputError(source, "term", name, f"some of {', '.join(TERMS)}")
        terms.append(TERMS[str(name)].from_table(rows.drop(columns="term"), type_names, source))
    return PriorTerms(type_names, tuple(terms))
