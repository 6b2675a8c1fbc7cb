"""Small bead systems, models and files that the tests of the core modules share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from cgdistill.data.beads import BeadFrames, BeadTopology, BeadWriter
from cgdistill.forcefield.forcefield import ForceField
from cgdistill.forcefield.hipnn.model import BeadModel, NetworkSpec
from cgdistill.forcefield.prior.repulsion import Repulsion
from cgdistill.forcefield.prior.terms import PriorTerms

TYPES = ("Cho", "Cl")
CELLS = {
    "cubic": np.diag([11.0, 11.0, 11.0]),
    "flat": np.diag([9.0, 12.0, 15.0]),
    "triclinic": np.array([[11.0, 0.0, 0.0], [-3.5, 10.5, 0.0], [2.5, 3.0, 10.0]]),
}
REPULSION = Repulsion(TYPES, np.array([[300.0, 200.0], [200.0, 150.0]]), np.array([[2.1, 1.9], [1.9, 1.7]]))
PRIOR = PriorTerms(TYPES, (REPULSION,))
PRIOR_SETTINGS = {"delta_A": 0.15, "fraction": 0.05, "outlier_iqr": 1.5}


def network_spec(tensor_order: int = 2, cutoff_A: float = 5.0, **changes) -> NetworkSpec:
    """A network that is small but has all parts."""
    settings = {
        "tensor_order": tensor_order,
        "n_interaction_layers": 1,
        "n_atom_layers": 2,
        "n_sensitivities": 6,
        "n_features": 5,
        "cutoff_A": cutoff_A,
        "soft_min_A": 2.0,
        "soft_max_A": cutoff_A - 0.5,
    }
    return NetworkSpec(**(settings | changes))


def make_model(seed: int = 0, tensor_order: int = 2, **changes) -> BeadModel:
    """A network of `TYPES` with random weights."""
    return BeadModel(network_spec(tensor_order, **changes), TYPES, seed).eval()


def force_field(*models: BeadModel) -> ForceField:
    """The mean of networks, and `PRIOR`."""
    return ForceField(PRIOR, models)


def configuration(cell_A: np.ndarray, seed: int = 0, side: int = 3, jitter: float = 0.1) -> tuple[np.ndarray, ...]:
    """Positions (side³, 3), A, on a disturbed lattice, some outside the cell, and alternating bead types."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) / side
    fractions = grid + rng.uniform(-jitter, jitter, grid.shape) + rng.integers(-1, 2, grid.shape)
    return fractions @ cell_A, np.arange(len(grid)) % len(TYPES)


def bead_topology(bead_types: np.ndarray) -> BeadTopology:
    """Beads of `TYPES` without atoms behind them."""
    return BeadTopology(
        type_names=TYPES,
        bead_types=np.asarray(bead_types),
        bead_names=tuple(TYPES[kind] for kind in bead_types),
        masses_g_mol=np.array([104.17, 35.45])[bead_types],
        residues=np.arange(len(bead_types)),
        atom_beads=np.empty(0, dtype=np.int64),
    )


def make_frames(n_frames: int, cell_A: np.ndarray | None = None, seed: int = 0) -> tuple[BeadFrames, np.ndarray]:
    """Unrelated configurations in one cell with random forces, and their bead types."""
    cell = CELLS["cubic"] if cell_A is None else cell_A
    rng = np.random.default_rng(seed)
    positions = [configuration(cell, seed=seed * 1000 + number)[0] for number in range(n_frames)]
    types = configuration(cell)[1]
    frames = BeadFrames(
        positions_A=np.array(positions),
        forces_kcal_mol_A=rng.normal(size=(n_frames, len(types), 3)),
        cells_A=np.repeat(cell[None], n_frames, axis=0),
        times_ps=np.arange(n_frames, dtype=float),
    )
    return frames, types


def write_beads(path: Path, n_frames: int, forces: bool = True, seed: int = 0) -> Path:
    """A bead file of `make_frames`."""
    frames, types = make_frames(n_frames, seed=seed)
    with BeadWriter(path, bead_topology(types), {}, forces) as writer:
        writer.append(frames)
    return path


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)
