"""Normal equations of pairwise splines, summed over frames.

Forces and energies are linear in the coefficients c of the pair forces and the constants of the bead types. With rows X
and labels y the sum of squared errors is c X^T X c - 2 c X^T y + y^T y: three sums over frames, whose size depends on
the number of types and functions alone. Sums of parts of the data, of several systems too, add up to those of the
whole. Frames enter one by one, so that how they are read changes no bit of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ...geometry.neighbours import NeighbourList
from .basis import SplineBasis, pair_numbers
from .design import energy_rows, force_rows, note_distances

#: Labels, by the rows that they share: AA forces F and teacher forces f, energies of beads, energies of systems.
ROWS = {"F": "force", "f": "force", "epsilon": "bead", "E": "system"}


@dataclass
class LabelSums:
    """Sums over one label y: ``vector`` X^T y (n_parameters,), ``square`` y^T y, ``total`` and number of its values."""

    vector: np.ndarray
    square: float = 0.0
    total: float = 0.0
    n_values: int = 0

    def add(self, other: LabelSums) -> None:
        """Add sums over other frames."""
        self.vector += other.vector
        self.square += other.square
        self.total += other.total
        self.n_values += other.n_values


@dataclass
class NormalEquations:
    """Sums over the frames given so far.

    Parameters are the coefficients, ``n_pairs`` times ``basis.n_functions`` in the order of `pair_numbers`, then one
    constant per bead type, which is part of the energy of each of its beads.

    Attributes
    ----------
    basis: functions of the pair forces.
    n_types: number of bead types.
    targets: labels that each frame brings, of `ROWS`: ``F`` and ``f``, kcal/mol/A; ``epsilon`` and ``E``, kcal/mol.
        Energies of systems enter by bead: E / n_beads.
    matrices: X^T X by kind of row, (n_parameters, n_parameters).
    labels: sums by label.
    shortest_A: (n_pairs,) shortest distance of each pair of types, A; infinite where none was within the cutoff.
    counts: (n_pairs,) number of directed pairs within the cutoff.
    n_frames: number of frames.
    """

    basis: SplineBasis
    n_types: int
    targets: tuple[str, ...]
    matrices: dict[str, np.ndarray] = field(init=False)
    labels: dict[str, LabelSums] = field(init=False)
    shortest_A: np.ndarray = field(init=False)
    counts: np.ndarray = field(init=False)
    n_frames: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if not self.targets or not set(self.targets) <= set(ROWS):
            raise ValueError(f"targets {self.targets}: expected some of {', '.join(ROWS)}")
        n = self.n_parameters
        self.matrices = {kind: np.zeros((n, n)) for kind in sorted({ROWS[name] for name in self.targets})}
        self.labels = {name: LabelSums(np.zeros(n)) for name in self.targets}
        self.shortest_A = np.full(self.n_pairs, np.inf)
        self.counts = np.zeros(self.n_pairs, dtype=np.int64)

    @property
    def n_pairs(self) -> int:
        """Number of pairs of bead types."""
        return self.n_types * (self.n_types + 1) // 2

    @property
    def n_parameters(self) -> int:
        """Number of parameters, the constants of the types included."""
        return self.n_pairs * self.basis.n_functions + self.n_types

    def columns(self, bead_type: int) -> np.ndarray:
        """(n_types * n_functions + 1,) parameters on which beads of a type depend; the last is its constant."""
        pairs = pair_numbers(self.n_types)[bead_type]
        functions = pairs[:, None] * self.basis.n_functions + np.arange(self.basis.n_functions)
        return np.append(functions.reshape(-1), self.n_pairs * self.basis.n_functions + bead_type)

    def add(
        self,
        first: np.ndarray,
        second: np.ndarray,
        vectors_A: np.ndarray,
        bead_types: np.ndarray,
        targets: Mapping[str, np.ndarray],
    ) -> None:
        """Add one frame.

        Parameters
        ----------
        first, second: (n,) beads of directed pairs, each pair in both directions.
        vectors_A: (n, 3) from first to second, A; pairs beyond the cutoff are passed over.
        bead_types: (n_beads,)
        targets: labels by name: (n_beads, 3) ``F`` and ``f``, (n_beads,) ``epsilon``, one number ``E``.
        """
        types = np.ascontiguousarray(bead_types, dtype=np.int64)
        order = np.argsort(types, kind="stable")
        rows = np.empty(len(types), dtype=np.int64)
        rows[order] = np.arange(len(types))
        ends = np.searchsorted(types[order], np.arange(self.n_types + 1))
        pairs = (first, second, np.asarray(vectors_A, dtype=np.float64), types)
        labels = {name: np.asarray(targets[name], dtype=np.float64) for name in self.targets}
        if "force" in self.matrices:
            self._add_forces(pairs, rows, ends, {name: labels[name][order] for name in self._of("force")})
        if set(self.matrices) - {"force"}:
            bead_labels = {name: labels[name][order] for name in self._of("bead")}
            self._add_energies(pairs, rows, ends, bead_labels, {name: labels[name] for name in self._of("system")})
        self._note(pairs)
        self.n_frames += 1

    def merge(self, other: NormalEquations) -> None:
        """Add the sums over other frames.

        Raises
        ------
        ValueError
            Other functions, types or targets.
        """
        mine, theirs = ((item.basis, item.n_types, item.targets) for item in (self, other))
        if mine != theirs:
            raise ValueError(f"normal equations of {theirs} cannot be added to those of {mine}")
        for kind, matrix in other.matrices.items():
            self.matrices[kind] += matrix
        for name, sums in other.labels.items():
            self.labels[name].add(sums)
        np.minimum(self.shortest_A, other.shortest_A, out=self.shortest_A)
        self.counts += other.counts
        self.n_frames += other.n_frames

    def _of(self, kind: str) -> list[str]:
        return [name for name in self.targets if ROWS[name] == kind]

    def _grid(self) -> tuple[float, float, float]:
        return float(self.basis.breaks_A[0]), self.basis.knot_spacing_A, self.basis.cutoff_A

    def _add_forces(
        self, pairs: tuple[np.ndarray, ...], rows: np.ndarray, ends: np.ndarray, labels: Mapping[str, np.ndarray]
    ) -> None:
        out = np.empty((len(rows), 3, self.n_types * self.basis.n_functions))
        force_rows(*pairs, rows, self._grid(), self.basis.force_polynomials, out)
        for bead_type in range(self.n_types):
            part = slice(ends[bead_type], ends[bead_type + 1])
            design = out[part].reshape(-1, out.shape[2])
            self._add_rows("force", design, self.columns(bead_type)[:-1], {n: y[part] for n, y in labels.items()})

    def _add_energies(
        self,
        pairs: tuple[np.ndarray, ...],
        rows: np.ndarray,
        ends: np.ndarray,
        bead_labels: Mapping[str, np.ndarray],
        system_labels: Mapping[str, np.ndarray],
    ) -> None:
        n_beads, n_columns = len(rows), self.n_types * self.basis.n_functions
        out = np.empty((n_beads, n_columns))
        energy_rows(*pairs, rows, self._grid(), self.basis.energy_polynomials, self.basis.integrals_A, out)
        design = np.column_stack([out, np.ones(n_beads)])
        system = np.zeros(self.n_parameters)
        for bead_type in range(self.n_types):
            part, columns = slice(ends[bead_type], ends[bead_type + 1]), self.columns(bead_type)
            system[columns] += design[part].sum(axis=0)
            if bead_labels:
                self._add_rows("bead", design[part], columns, {n: y[part] for n, y in bead_labels.items()})
        if system_labels:
            per_bead = {name: np.reshape(value, 1) / n_beads for name, value in system_labels.items()}
            self._add_rows("system", system[None] / n_beads, np.arange(self.n_parameters), per_bead)

    def _add_rows(self, kind: str, design: np.ndarray, columns: np.ndarray, labels: Mapping[str, np.ndarray]) -> None:
        """Add rows (n, len(columns)) and their labels, arrays of n values each."""
        self.matrices[kind][np.ix_(columns, columns)] += design.T @ design
        for name, values in labels.items():
            y, sums = values.reshape(-1), self.labels[name]
            sums.vector[columns] += design.T @ y
            sums.square += float(y @ y)
            sums.total += float(y.sum())
            sums.n_values += len(y)

    def _note(self, pairs: tuple[np.ndarray, ...]) -> None:
        shortest = np.full((self.n_types, self.n_types), np.inf)
        counts = np.zeros((self.n_types, self.n_types), dtype=np.int64)
        note_distances(*pairs, self.basis.cutoff_A, shortest, counts)
        numbers = pair_numbers(self.n_types)
        np.minimum.at(self.shortest_A, numbers, shortest)
        np.add.at(self.counts, numbers, counts)


def add_frames(
    equations: NormalEquations,
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    bead_types: np.ndarray,
    targets: Mapping[str, np.ndarray],
) -> None:
    """Add frames of one bead system.

    Parameters
    ----------
    equations: sums to add to.
    frames: positions (n_beads, 3) and cell (3, 3) of each frame, A.
    bead_types: (n_beads,)
    targets: labels by name, with the frames as first axis; see `NormalEquations.add`.
    """
    neighbours = NeighbourList(equations.basis.cutoff_A, 0.0, bead_types, equations.n_types)
    for number, (positions, cell) in enumerate(frames):
        pairs = neighbours.pairs(positions, cell)
        equations.add(*pairs, bead_types, {name: values[number] for name, values in targets.items()})
