"""Short-range repulsive prior between beads, one exponential per pair of bead types.

E_rep(r) = E0 exp(-a r), fixed before training and part of every model (Shinkle et al., JCTC 2024,
20, 10524, supporting information). With t the lowest pair distance of the training data, s the
mean force magnitude, d a short distance and p a small fraction::

    a  = ln(1/p) / d
    E0 = p s exp(a t) / a

so that the repulsive force is p s at t and s at t - d. Without it simulations collapse: a network
has never seen overlapping beads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import InputError
from ..data.beads import BeadFrames, BeadTopology
from ..geometry.neighbours import NeighbourList
from ..io.csv_tables import read_table, write_table
from ..runtime.job import log

#: How far out a frame is searched for the closest pair of two types.
_SEARCH_A = 8.0
#: exp() of a little more is no number of 64 bits.
_LARGEST_EXPONENT = 600.0

_COLUMNS = ("bead_1", "bead_2", "E0_kcal_mol", "a_per_A", "lowest_distance_A", "mean_force_kcal_mol_A")


@dataclass(frozen=True)
class RepulsivePrior:
    """Parameters of the prior for every pair of bead types.

    Attributes
    ----------
    type_names: names of the bead types in the order of their index.
    E0_kcal_mol: (n_types, n_types) symmetric.
    a_per_A: (n_types, n_types) symmetric.
    """

    type_names: tuple[str, ...]
    E0_kcal_mol: np.ndarray
    a_per_A: np.ndarray

    def energy(self, first: int, second: int, distance_A: np.ndarray) -> np.ndarray:
        """Energy, kcal/mol, of a pair of types at the given distances, A."""
        energy: np.ndarray = self.E0_kcal_mol[first, second] * np.exp(-self.a_per_A[first, second] * distance_A)
        return energy

    def force(self, first: int, second: int, distance_A: np.ndarray) -> np.ndarray:
        """Repulsive force -dE/dr, kcal/mol/A."""
        force: np.ndarray = self.a_per_A[first, second] * self.energy(first, second, distance_A)
        return force


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


def fit_prior(
    chunks: Iterable[BeadFrames],
    topology: BeadTopology,
    delta_A: float,
    fraction: float,
    outlier_iqr: float,
    source: str | Path = "beads",
) -> pd.DataFrame:
    """Fit the prior to training frames.

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
    return pd.DataFrame(rows, columns=list(_COLUMNS))


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
                "%s: pair %s-%s: never within %g A; its prior stands at %.2f A, as near as either comes to any bead",
                source, type_names[i], type_names[j], _SEARCH_A, lowest[i, j],
            )  # fmt: skip
    return lowest


def write_prior(path: str | Path, table: pd.DataFrame, provenance: dict[str, Any]) -> None:
    """Write the table of `fit_prior`."""
    write_table(path, table, provenance)


def read_prior(path: str | Path, type_names: tuple[str, ...]) -> RepulsivePrior:
    """Read a prior for the given bead types.

    Raises
    ------
    InputError
        A pair of types is missing.
    """
    return prior_from_table(read_table(path, _COLUMNS), type_names, path)


def prior_from_table(table: pd.DataFrame, type_names: tuple[str, ...], source: str | Path) -> RepulsivePrior:
    """Prior of the given bead types from the rows of a table (see `fit_prior`)."""
    n = len(type_names)
    energy, decay = np.full((n, n), np.nan), np.full((n, n), np.nan)
    index = {name: number for number, name in enumerate(type_names)}
    for row in table.itertuples(index=False):
        if row.bead_1 in index and row.bead_2 in index:
            i, j = index[str(row.bead_1)], index[str(row.bead_2)]
            pair = f"pair {row.bead_1}-{row.bead_2}"
            if not np.isnan(energy[i, j]):
                raise InputError(source, pair, "a second row", "one row per pair")
            for name in ("E0_kcal_mol", "a_per_A"):
                value = getattr(row, name)
                if not (isinstance(value, int | float | np.number) and 0 <= value < np.inf):
                    raise InputError(source, f"{pair}, {name}", value, "a number from 0")
            energy[i, j] = energy[j, i] = row.E0_kcal_mol
            decay[i, j] = decay[j, i] = row.a_per_A
    missing = [f"{type_names[i]}-{type_names[j]}" for i, j in zip(*np.nonzero(np.isnan(energy)), strict=True) if i <= j]
    if missing:
        raise InputError(source, "pairs of bead types", f"none for {', '.join(missing)}", "one row per pair")
    return RepulsivePrior(type_names, energy, decay)
