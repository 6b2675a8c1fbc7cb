"""Short-range repulsion between beads, one exponential per pair of bead types.

E(r) = E0 exp(-a r) (Shinkle et al., JCTC 2024, 20, 10524, supporting information). With t the lowest pair distance of
the training data, s the mean force magnitude, d a short distance and p a small fraction::

    a  = ln(1/p) / d
    E0 = p s exp(a t) / a

so that the repulsive force is p s at t and s at t - d. Without it simulations collapse: a network has never seen
overlapping beads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...core.errors import InputError
from ...data.beads import BeadFrames, BeadTopology
from ...geometry.neighbours import NeighbourList
from ...io.untrusted import shown
from ...runtime.job import log
from ..lammps_style import LammpsStyle
from ..potential import Evaluation
from .base import Configuration, PriorTerm

#: Distance up to which a frame is searched for the closest pair of two types, A.
_SEARCH_A = 8.0
#: exp() of a little more exceeds the range of float64.
_LARGEST_EXPONENT = 600.0
#: Pairs whose energy is below this are left out, kcal/mol: 1e-12 of the thermal energy at room temperature.
NEGLIGIBLE_KCAL_MOL = 1.0e-12
_LARGEST_PARAMETER = 1.0e300

COLUMNS = ("bead_1", "bead_2", "E0_kcal_mol", "a_per_A", "lowest_distance_A", "mean_force_kcal_mol_A")


def repulsion_energy(
    log_E0: np.ndarray | np.float64, a_per_A: np.ndarray | np.float64, distance_A: np.ndarray
) -> np.ndarray:
    """E0 exp(-a r), kcal/mol; E0, which reaches 1e40, by its logarithm, so that the exponent is formed first."""
    energy: np.ndarray = np.exp(log_E0 - a_per_A * distance_A)
    return energy


@dataclass(frozen=True)
class Repulsion(PriorTerm):
    """Exponential repulsion of every pair of beads.

    Attributes
    ----------
    type_names: names of the bead types in the order of their index.
    E0_kcal_mol: (n_types, n_types) symmetric, from 0.
    a_per_A: (n_types, n_types) symmetric, above 0.
    """

    name = "repulsion"

    type_names: tuple[str, ...]
    E0_kcal_mol: np.ndarray
    a_per_A: np.ndarray

    @cached_property
    def log_E0(self) -> np.ndarray:
        """(n_types, n_types) logarithm of E0 in kcal/mol; -inf where it is 0."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.E0_kcal_mol))

    @cached_property
    def reach_A(self) -> np.ndarray:
        """(n_types, n_types) distance beyond which the energy is below `NEGLIGIBLE_KCAL_MOL`, A; 0 if it always is."""
        return np.asarray(np.maximum((self.log_E0 - math.log(NEGLIGIBLE_KCAL_MOL)) / self.a_per_A, 0.0))

    @property
    def cutoff_A(self) -> float:
        """Largest `reach_A`."""
        return float(self.reach_A.max())

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """See `PriorTerm.evaluate`; each bead of a pair has half of its energy."""
        types = configuration.topology.bead_types
        first, second, vectors = configuration.first, configuration.second, configuration.vectors_A
        n_beads, n_types = len(types), len(self.type_names)
        # Flat indices: numpy takes from a flat table several times faster than by two indices.
        pair_types = types[first] * n_types + types[second]
        squared = np.einsum("ij,ij->i", vectors, vectors)
        near = np.flatnonzero(squared <= (self.reach_A**2).ravel()[pair_types])
        first, vectors, pair_types = first[near], vectors[near], pair_types[near]
        distance, a = np.sqrt(squared[near]), self.a_per_A.ravel()[pair_types]
        energy = repulsion_energy(self.log_E0.ravel()[pair_types], a, distance)
        # Force on second over the vector to it; each direction of a pair gives the force on its first bead.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # beads at one place: not finite, as it is
            scaled = (a * energy / distance)[:, None] * vectors
        forces = np.stack([-np.bincount(first, scaled[:, axis], n_beads) for axis in range(3)], axis=1)
        stress = 0.5 * vectors.T @ scaled
        virial = np.array([stress[0, 0], stress[1, 1], stress[2, 2], stress[0, 1], stress[0, 2], stress[1, 2]])
        bead_energies = np.bincount(first, 0.5 * energy, n_beads)
        return Evaluation(float(bead_energies.sum()), forces, virial, bead_energies)

    def lammps_style(self) -> LammpsStyle:
        """``pair_style buck`` without attraction: A exp(-r/rho) with A = E0, rho = 1/a."""
        coefficients = []
        for i, j in zip(*np.triu_indices(len(self.type_names)), strict=True):
            reach_A = float(self.reach_A[i, j])
            E0 = float(self.E0_kcal_mol[i, j]) if reach_A > 0 else 0.0
            coefficients.append((f"{i + 1} {j + 1}", f"{E0!r} {1.0 / float(self.a_per_A[i, j])!r} 0.0 {reach_A!r}"))
        return LammpsStyle("pair", "buck", repr(self.cutoff_A), tuple(coefficients))

    def to_dict(self) -> dict[str, Any]:
        """See `PriorTerm.to_dict`: two tables of numbers."""
        return {"E0_kcal_mol": self.E0_kcal_mol.tolist(), "a_per_A": self.a_per_A.tolist()}

    @classmethod
    def from_dict(cls, values: Any, type_names: tuple[str, ...], source: str | Path) -> Repulsion:
        """See `PriorTerm.from_dict`."""
        return cls(type_names, *(_checked_table(values, key, len(type_names), source) for key in _LEAST))

    @classmethod
    def from_table(cls, table: pd.DataFrame, type_names: tuple[str, ...], source: str | Path) -> Repulsion:
        """See `PriorTerm.from_table`."""
        for column in ("bead_1", "bead_2", *_LEAST):
            if column not in table.columns:
                raise InputError(source, "columns", list(table.columns), f"a column '{column}'")
        n = len(type_names)
        parameters = {name: np.full((n, n), np.nan) for name in _LEAST}
        index = {name: number for number, name in enumerate(type_names)}
        for row in table.itertuples(index=False):
            if row.bead_1 not in index or row.bead_2 not in index:
                continue
            i, j = index[str(row.bead_1)], index[str(row.bead_2)]
            pair = f"pair {row.bead_1}-{row.bead_2}"
            for name, values in parameters.items():
                if not np.isnan(values[i, j]):
                    raise InputError(source, pair, "a second row", "one row per pair")
                value = getattr(row, name)
                if not (isinstance(value, int | float | np.number) and _is_in_range(float(value), name)):
                    raise InputError(source, f"{pair}, {name}", value, f"a number {_LEAST[name]}")
                values[i, j] = values[j, i] = value
        E0 = parameters["E0_kcal_mol"]
        missing = [f"{type_names[i]}-{type_names[j]}" for i, j in zip(*np.nonzero(np.isnan(E0)), strict=True) if i <= j]
        if missing:
            raise InputError(source, "pairs of bead types", f"none for {', '.join(missing)}", "one row per pair")
        return cls(type_names, E0, parameters["a_per_A"])

    @classmethod
    def fit(
        cls,
        chunks: Iterable[BeadFrames],
        topology: BeadTopology,
        settings: Mapping[str, Any],
        source: str | Path = "beads",
    ) -> pd.DataFrame:
        """See `fit_repulsion`; ``settings``: its last three arguments."""
        return fit_repulsion(chunks, topology, **settings, source=source)


#: What the values of each parameter must be.
_LEAST = {"E0_kcal_mol": "from 0", "a_per_A": "above 0"}


def _is_in_range(value: float, name: str) -> bool:
    return 0 <= value <= _LARGEST_PARAMETER and (value > 0 or name == "E0_kcal_mol")


def _checked_table(values: Any, key: str, n_types: int, source: str | Path) -> np.ndarray:
    """(n_types, n_types) numbers of a parameter from JSON."""
    rows = values.get(key) if isinstance(values, dict) else None
    where = f"prior.{key}"
    if not isinstance(rows, list) or [len(row) if isinstance(row, list) else 0 for row in rows] != [n_types] * n_types:
        raise InputError(source, where, "something else", f"{n_types} rows of {n_types} numbers, one per bead type")
    for value in (value for row in rows for value in row):
        # Numbers alone: numpy would take "1" and True for some.
        if type(value) not in (int, float) or not _is_in_range(value, key):
            raise InputError(source, where, shown(value), f"numbers {_LEAST[key]}")
    table = np.array(rows, dtype=np.float64)
    if not (table == table.T).all():
        raise InputError(source, where, "another value for a pair the other way round", "the same")
    return table


def _closest(frames: BeadFrames, topology: BeadTopology) -> np.ndarray:
    """(n_frames, n_types, n_types) smallest distance of each pair of types, A (NaN where none is near)."""
    n = topology.n_types
    closest = np.full((len(frames), n, n), np.inf)
    neighbours = NeighbourList(_SEARCH_A, skin_A=0.0)
    for number, (positions, cell) in enumerate(zip(frames.positions_A, frames.cells_A, strict=True)):
        first, second, vectors = neighbours.pairs(positions, cell)
        distance = np.linalg.norm(vectors, axis=1)
        kind = topology.bead_types[first] * n + topology.bead_types[second]
        np.minimum.at(closest[number].reshape(-1), kind, distance)
    closest[~np.isfinite(closest)] = np.nan
    return closest


def lowest_distance_A(per_frame_A: np.ndarray, outlier_iqr: float) -> float:
    """Lowest of the frames' smallest distances after outliers are left out, A.

    Outliers are values more than ``outlier_iqr`` interquartile ranges under the first quartile
    (Tukey's fences). ``per_frame_A``: (n_frames,).
    """
    values = per_frame_A[np.isfinite(per_frame_A)]
    low, high = np.percentile(values, [25.0, 75.0])
    return float(values[values >= low - outlier_iqr * (high - low)].min())


def fit_repulsion(
    chunks: Iterable[BeadFrames],
    topology: BeadTopology,
    delta_A: float,
    fraction: float,
    outlier_iqr: float,
    source: str | Path = "beads",
) -> pd.DataFrame:
    """Fit the repulsion to training frames.

    Parameters
    ----------
    chunks:
        Training frames with forces.
    delta_A, fraction:
        d and p of the recipe above.
    outlier_iqr:
        See `lowest_distance_A`.
    source:
        Named in errors.

    Returns
    -------
    One row per pair of types: ``bead_1, bead_2, E0_kcal_mol, a_per_A, lowest_distance_A,
    mean_force_kcal_mol_A``. The mean force magnitude s is that of all beads of the two types. For types that never
    come within 8 A of each other see `_lowest_distances_A`.

    Raises
    ------
    InputError
        No forces, a type that never comes near any bead, or a ``delta_A`` too small for numbers to hold.
    """
    closest: list[np.ndarray] = []
    force_sum = np.zeros(topology.n_types)
    n_frames = 0
    for frames in chunks:
        if frames.forces_kcal_mol_A is None:
            raise InputError(source, "forces", "none", "forces on the beads")
        closest.append(_closest(frames, topology))
        magnitude = np.linalg.norm(frames.forces_kcal_mol_A, axis=2).sum(axis=0)
        force_sum += np.bincount(topology.bead_types, magnitude, minlength=topology.n_types)
        n_frames += len(frames)
    per_frame = np.concatenate(closest)
    counts = np.bincount(topology.bead_types, minlength=topology.n_types) * n_frames
    a = np.log(1.0 / fraction) / delta_A
    lowest_A = _lowest_distances_A(per_frame, outlier_iqr, topology.type_names, source)
    rows = []
    for i in range(topology.n_types):
        for j in range(i, topology.n_types):
            names = topology.type_names[i], topology.type_names[j]
            t = lowest_A[i, j]
            members = [i] if i == j else [i, j]
            s = force_sum[members].sum() / counts[members].sum()
            if a * t > _LARGEST_EXPONENT:
                found = (
                    f"{delta_A:g} A, a force that falls by exp({a * t:.0f}) up to {t:.2f} A, the pair {'-'.join(names)}"
                )
                raise InputError(
                    "config", "prior.delta_A", found, f"at least {delta_A * a * t / _LARGEST_EXPONENT:.3f} A"
                )
            rows.append((*names, fraction * s * np.exp(a * t) / a, a, t, s))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _lowest_distances_A(
    per_frame_A: np.ndarray, outlier_iqr: float, type_names: tuple[str, ...], source: str | Path
) -> np.ndarray:
    """(n_types, n_types) lowest distance of each pair of types, A; those never seen near each other get a stand-in.

    A single solute has no second one, and like ions of a dilute solution may not meet. A wall at the nearest distance
    at which either type was seen with any bead keeps such beads from overlapping, and is no farther out than they can
    come: it adds nothing to what the network says of the distances beyond.
    """
    n = len(type_names)
    lowest = np.full((n, n), np.nan)
    for i in range(n):
        for j in range(i, n):
            if np.isfinite(per_frame_A[:, i, j]).any():
                lowest[i, j] = lowest[j, i] = lowest_distance_A(per_frame_A[:, i, j], outlier_iqr)
    seen = np.isfinite(lowest)
    for i in np.flatnonzero(~seen.any(axis=1)).tolist():
        pairs = ", ".join(f"{type_names[i]}-{name}" for name in type_names)
        expected = "at least one near it: a longer or denser trajectory, or a mapping without this type"
        raise InputError(source, f"pairs {pairs}", f"none within {_SEARCH_A:g} A in any frame", expected)
    nearest = np.nanmin(lowest, axis=1)
    for i, j in np.argwhere(~seen).tolist():
        lowest[i, j] = min(nearest[i], nearest[j])
        if i <= j:
            log.warning(
                "%s: pair %s-%s: never within %g A; its repulsion is put at %.2f A, the closest of either to any bead",
                source, type_names[i], type_names[j], _SEARCH_A, lowest[i, j],
            )  # fmt: skip
    return lowest
