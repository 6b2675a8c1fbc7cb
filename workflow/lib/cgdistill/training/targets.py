"""How the values of each training target (`config.targets`) are computed: from a model, and of a teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config.targets import TARGETS
from ..forcefield.trainable import ModelOutput
from .predictions import Predictions, centre_per_type


@dataclass(frozen=True)
class Computation:
    """Values of one target, with the frames as first axis.

    Attributes
    ----------
    of_model: from the output of a model, of torch or of numpy.
    of_teacher: from its predictions, the reference values; None for a target that comes with the frames.
    without_constants: values (n_frames, ...) less what training leaves undetermined, given the bead types (n_beads,);
        metrics compare these.
    """

    of_model: Callable[[ModelOutput[Any]], Any]
    of_teacher: Callable[[Predictions], np.ndarray] | None
    without_constants: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda values, bead_types: values


COMPUTATIONS: Mapping[str, Computation] = {
    "F": Computation(of_model=lambda output: output.forces_kcal_mol_A, of_teacher=None),
    "f": Computation(
        of_model=lambda output: output.forces_kcal_mol_A,
        of_teacher=lambda predictions: predictions.forces_kcal_mol_A,
    ),
    "E": Computation(
        of_model=lambda output: output.epsilon_kcal_mol.sum(1),
        of_teacher=lambda predictions: predictions.energy_kcal_mol,
        without_constants=lambda values, bead_types: values - values.mean(),
    ),
    "epsilon": Computation(
        of_model=lambda output: output.epsilon_kcal_mol,
        of_teacher=lambda predictions: predictions.epsilon_kcal_mol,
        without_constants=centre_per_type,
    ),
}


def teacher_values(predictions: Predictions) -> dict[str, np.ndarray]:
    """Reference values by target of all that a teacher predicts, float32."""
    computed = {name: COMPUTATIONS[name].of_teacher for name in TARGETS}
    return {name: of_teacher(predictions).astype(np.float32) for name, of_teacher in computed.items() if of_teacher}
