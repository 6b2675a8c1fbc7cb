"""Forces against finite differences of the energy, model by model."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch

from ..data.beads import BeadFrames
from ..forcefield.forcefield import ForceField


def check_gradient(
    force_field: ForceField,
    frames: BeadFrames,
    bead_types: np.ndarray,
    n_components: int,
    seed: int,
    step_A: float = 1.0e-3,
) -> dict[str, float]:
    """Compare force components with central differences of the total energy, in float64.

    Parameters
    ----------
    frames:
        Configurations; the components are spread over them.
    n_components:
        Number of force components, drawn at random.
    step_A:
        Displacement; the error of the difference is of order ``step_A``².

    Returns
    -------
    ``n_components, rms_force_kcal_mol_A, rms_difference_kcal_mol_A, max_difference_kcal_mol_A, step_A``.
    """
    # A copy: evaluation in float64 converts the weights of networks.
    potential = deepcopy(force_field).potential(skin_A=0.5, dtype=torch.float64)
    rng = np.random.default_rng(seed)
    forces, differences = [], []
    for number in range(n_components):
        frame = number % len(frames)
        positions, cell = frames.positions_A[frame], frames.cells_A[frame]
        bead, axis = int(rng.integers(len(bead_types))), int(rng.integers(3))
        analytic = potential.evaluate(positions, cell, bead_types).forces_kcal_mol_A[bead, axis]
        energies = []
        for sign in (+1, -1):
            moved = positions.copy()
            moved[bead, axis] += sign * step_A
            energies.append(potential.evaluate(moved, cell, bead_types).energy_kcal_mol)
        forces.append(analytic)
        differences.append(analytic + (energies[0] - energies[1]) / (2 * step_A))
    return {
        "n_components": n_components,
        "rms_force_kcal_mol_A": float(np.sqrt(np.mean(np.square(forces)))),
        "rms_difference_kcal_mol_A": float(np.sqrt(np.mean(np.square(differences)))),
        "max_difference_kcal_mol_A": float(np.abs(differences).max()),
        "step_A": step_A,
    }
