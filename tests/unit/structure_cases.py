"""Small systems for the tests of the structure analysis, and slow independent geometry."""

from __future__ import annotations

import itertools

import numpy as np
from cgdistill.structure.grids import Grid

NAMES = ("Cho", "Cl", "Urea")
CUBIC = np.eye(3) * 20.0
#: LAMMPS convention (a along x, b in the xy plane), as freud and mdtraj expect it; strongly tilted.
TRICLINIC = np.array([[20.0, 0.0, 0.0], [7.0, 19.0, 0.0], [-6.0, 5.0, 21.0]])


def section(rdf_r_max: float = 8.0, triplets: list | None = None, r_max: list | None = None) -> dict:
    """A config section ``structure``."""
    return {
        "rdf": {"r_max_A": rdf_r_max, "bin_width_A": 0.1},
        "adf": {
            "triplets": [["Cho", "Cho", "Cho"], ["Cho", "Cl", "Urea"]] if triplets is None else triplets,
            "r_max_A": [5.0, 7.0] if r_max is None else r_max,
            "bin_width_deg": 2.0,
        },
        "cdf": {"r_max_A": 12.0, "bin_width_A": 0.1},
    }


def gas(
    n_frames: int, n_beads: int, cell: np.ndarray, seed: int, spread: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Independent uniform positions, cells and types; ``spread`` scatters beads over further images."""
    rng = np.random.default_rng(seed)
    fractional = rng.random((n_frames, n_beads, 3)) + rng.integers(-spread, spread + 1, (n_frames, n_beads, 3))
    return fractional @ cell, np.repeat(cell[None], n_frames, 0), rng.integers(0, 3, n_beads)


def nearest_vectors(positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """(n, n, 3) shortest vector from bead i to bead j: the best of the 125 images around the wrapped one."""
    delta = (positions[None] - positions[:, None]) @ np.linalg.inv(cell)
    delta -= np.round(delta)
    images = np.array(list(itertools.product(range(-2, 3), repeat=3)), dtype=float)
    every = (delta[:, :, None] + images) @ cell
    best = np.linalg.norm(every, axis=-1).argmin(-1)
    return np.take_along_axis(every, best[:, :, None, None], axis=2)[:, :, 0]


def shared_by_hand(values: np.ndarray, grid: Grid) -> np.ndarray:
    """Histogram that shares each value between the two bins with the nearest centres, in proportion to its nearness."""
    counts = np.zeros(grid.n_bins)
    for value in values[(values >= grid.start) & (values <= grid.stop)]:
        share = np.clip(1.0 - np.abs(value - grid.centres) / grid.width, 0.0, None)
        # Beyond the outermost centres there is one neighbour alone.
        counts += share / share.sum()
    return counts
