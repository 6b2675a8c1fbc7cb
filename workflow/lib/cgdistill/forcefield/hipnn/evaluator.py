"""What evaluates the networks of a `network_potential.JointNetworkPotential`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...geometry.neighbours import NeighbourList
from ..potential import Evaluation


class Evaluator:
    """How systems are evaluated from their positions, cells and neighbour lists, all by number of the system."""

    def evaluate(
        self, positions: Mapping[int, np.ndarray], cells: Mapping[int, np.ndarray], lists: Sequence[NeighbourList]
    ) -> dict[int, Evaluation]:
        raise NotImplementedError
