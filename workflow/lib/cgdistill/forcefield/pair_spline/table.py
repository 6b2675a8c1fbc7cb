"""Pairwise splines as tables for LAMMPS ``pair_style table``, in its units ``real``.

``pair_style table linear N`` keeps energy and force/r at N distances that are evenly spaced in r^2 and interpolates
both linearly in r^2. A section of the file with the same N, RSQ, and the cutoff as upper end is used as it stands;
of any other LAMMPS would first make a spline. So the only error is that of the linear interpolation, which is computed
here, and N chosen by it. It is largest where the linear continuation at short distances begins, whose slope may jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ...core.errors import InputError
from ...runtime.atomic_files import whole_file
from ..lammps_style import LammpsStyle
from .basis import pair_numbers

_FEWEST, _MOST = 1000, 512_000
#: Places between two entries at which the interpolation is compared with the model.
_PLACES = (0.25, 0.5, 0.75)


class PairForces(Protocol):
    """What is tabulated: `model.PairSplineModel` or `mean.PairSplineMean`."""

    @property
    def cutoff_A(self) -> float:
        """Range of the interactions, A."""
        ...

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the bead types, in the order of their index."""
        ...

    @property
    def shortest_A(self) -> np.ndarray:
        """(n_pairs,) shortest distance of the training data, A."""
        ...

    def pair_values(self, pairs: np.ndarray, distances_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energy and force of pairs of types at distances; see `PairSplineModel.pair_values`."""
        ...


@dataclass(frozen=True)
class PairTables:
    """Tables as LAMMPS interpolates them.

    Attributes
    ----------
    n_points: number of distances of each pair.
    inner_A: smallest of them, A; LAMMPS stops at a pair that is closer.
    force_error_kcal_mol_A, energy_error_kcal_mol: largest error of the interpolation, over all pairs of types.
    """

    n_points: int
    inner_A: float
    force_error_kcal_mol_A: float
    energy_error_kcal_mol: float


def choose_points(model: PairForces, force_error_kcal_mol_A: float = 1e-2, inner_A: float | None = None) -> PairTables:
    """The smallest tables, in steps of doubling, that hold the error of the force below the bound.

    ``inner_A`` is by default half of the shortest distance of the training data, where the linear continuation has
    reached several tens of kcal/mol.

    Raises
    ------
    InputError
        The bound would need more than half a million points per pair, or ``inner_A`` is not between 0 and the cutoff.
    """
    inner = 0.5 * min(model.cutoff_A, float(model.shortest_A.min())) if inner_A is None else inner_A
    if not 0 < inner < model.cutoff_A:
        raise InputError("pair-spline", "inner_A", inner, f"a distance below the cutoff, {model.cutoff_A:g} A")
    n_points = _FEWEST
    while n_points <= _MOST:
        force, energy = _errors(model, n_points, inner)
        if force <= force_error_kcal_mol_A:
            return PairTables(n_points, inner, force, energy)
        n_points *= 2
    expected = f"at least {force:.2g} kcal/mol/A, the error of {n_points // 2} points"
    raise InputError("pair-spline", "force_error_kcal_mol_A", force_error_kcal_mol_A, expected)


def _distances_A(model: PairForces, n_points: int, inner_A: float) -> np.ndarray:
    squares = inner_A**2 + (model.cutoff_A**2 - inner_A**2) * np.arange(n_points) / (n_points - 1)
    distances = np.sqrt(squares)
    distances[-1] = model.cutoff_A
    return np.asarray(distances)


def _errors(model: PairForces, n_points: int, inner_A: float) -> tuple[float, float]:
    """Largest errors of force, kcal/mol/A, and energy, kcal/mol, of the linear interpolation in r^2."""
    distances = _distances_A(model, n_points, inner_A)
    low, high = distances[:-1] ** 2, distances[1:] ** 2
    force_error = energy_error = 0.0
    for pair in range(len(model.shortest_A)):
        energies, forces = model.pair_values(np.full(n_points, pair), distances)
        ratios = forces / distances
        for place in _PLACES:
            between = np.sqrt(low + place * (high - low))
            energy, force = model.pair_values(np.full(n_points - 1, pair), between)
            interpolated = (ratios[:-1] + place * np.diff(ratios)) * between
            force_error = max(force_error, float(np.abs(interpolated - force).max()))
            energy_error = max(energy_error, float(np.abs(energies[:-1] + place * np.diff(energies) - energy).max()))
    return force_error, energy_error


def write_tables(path: str | Path, model: PairForces, tables: PairTables) -> None:
    """Write one section per pair of types; constants of the types are left out, since LAMMPS knows no energy of a bead.

    Raises
    ------
    OSError
        The disk is full.
    """
    distances = _distances_A(model, tables.n_points, tables.inner_A)
    with whole_file(path) as partial, open(partial, "w", encoding="utf-8") as stream:
        # LAMMPS takes the word after the tag, with what punctuation follows, for the name of the units.
        stream.write("# UNITS: real\n# cgdistill: number, distance (A), energy (kcal/mol), force (kcal/mol/A)\n")
        for first, second in _pairs(model):
            pair = pair_numbers(len(model.type_names))[first, second]
            energies, forces = model.pair_values(np.full(len(distances), pair), distances)
            stream.write(f"\n# {model.type_names[first]} {model.type_names[second]}\n{_keyword(first, second)}\n")
            stream.write(f"N {tables.n_points} RSQ {float(tables.inner_A)!r} {float(model.cutoff_A)!r}\n\n")
            rows = np.column_stack([np.arange(1, len(distances) + 1), distances, energies, forces])
            np.savetxt(stream, rows, fmt=("%d", "%.15g", "%.15g", "%.15g"))


def style(model: PairForces, tables: PairTables, file: str) -> LammpsStyle:
    """``pair_style table`` with the coefficients of all pairs of types.

    Parameters
    ----------
    model: the model that was written.
    file: name of the table file, as LAMMPS finds it.
    """
    coefficients = [
        (f"{first + 1} {second + 1}", f"{file} {_keyword(first, second)} {float(model.cutoff_A)!r}")
        for first, second in _pairs(model)
    ]
    return LammpsStyle("pair", "table", f"linear {tables.n_points}", tuple(coefficients))


def _pairs(model: PairForces) -> list[tuple[int, int]]:
    n_types = len(model.type_names)
    return [(first, second) for first in range(n_types) for second in range(first, n_types)]


def _keyword(first: int, second: int) -> str:
    return f"PAIR_{first + 1}_{second + 1}"
