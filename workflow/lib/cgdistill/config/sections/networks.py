"""Models of the beads, one section for each architecture; the key ``architecture`` selects it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..keys import Derived, key

_ARCHITECTURE = (
    "Form of the models: `hipnn` (HIP-NN-TS networks) or `pair-spline` (a spline for each pair of bead types, found by "
    "linear least squares). Each has its own keys."
)
#: Key, what was found and what is expected there.
Fault = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class HipnnNetwork:
    """Models: HIP-NN-TS networks (table 1 of Olowookere et al.)."""

    architecture: Literal["hipnn"] = key(_ARCHITECTURE, "hipnn")
    tensor_order: Literal[0, 1, 2] = key("Order of the tensor sensitivities.", 2)
    n_interaction_layers: int = key("Number of interaction layers.", 1, minimum=1, maximum=8)
    n_atom_layers: int = key("Number of atom layers after each interaction layer.", 3, minimum=0, maximum=64)
    n_sensitivities: int = key("Number of radial sensitivity functions.", 20, minimum=2, maximum=512)
    n_features: int = key("Number of features per bead.", 32, minimum=1, maximum=2048)
    cutoff_A: float = key("Interaction distance; at most half the smallest width of the cell.", 12.0, unit="Å", above=0)
    soft_min_A: float = key("Centre of the first sensitivity function.", 2.5, unit="Å", above=0)
    soft_max_A: float = key(
        "Centre of the last sensitivity function; between `soft_min_A` and `cutoff_A`.",
        Derived("`cutoff_A` - 1", lambda section: round(section["cutoff_A"] - 1.0, 9)),
        unit="Å",
        above=0,
    )

    def faults(self, coupling: str) -> Iterator[Fault]:
        """What is wrong with these settings together; ``coupling``: of the simulations."""
        if not self.soft_min_A < self.soft_max_A <= self.cutoff_A:
            found = f"{self.soft_min_A}, {self.soft_max_A}, {self.cutoff_A}"
            yield "network", f"soft_min_A, soft_max_A, cutoff_A = {found}", "increasing values"
        if coupling == "mliap" and self.n_interaction_layers > 1:
            # A second layer needs the features of ghosts; where LAMMPS does not pass them on, forces are silently
            # wrong.
            yield "simulation.coupling", f"mliap with {self.n_interaction_layers} interaction layers", "external"


@dataclass(frozen=True, kw_only=True)
class PairSplineNetwork:
    """Models: pairwise splines, fitted to forces by linear least squares (the MS-CG method)."""

    architecture: Literal["pair-spline"] = key(_ARCHITECTURE, "pair-spline")
    cutoff_A: float = key("Interaction distance; at most half the smallest width of the cell.", 12.0, unit="Å", above=0)
    knot_spacing_A: float = key("Distance between knots.", 0.25, unit="Å", minimum=0.01)
    degree: int = key("Degree of the polynomials of the force.", 3, minimum=1, maximum=5)
    smoothing_pairs: float = key(
        "Weight of the penalty on the curvature of the force, as the number of pairs of beads that weigh as much; "
        "0 disables it.",
        10.0,
        minimum=0,
    )
    core_stiffness_kcal_mol_A2: float = key(
        "Below the shortest distance of the training data the force rises inwards by at least this much.",
        10.0,
        unit="kcal/mol/Å²",
        above=0,
    )
    bootstrap: bool = key(
        "Whether each model is fitted to training frames drawn with replacement by its seed. With `false` models of "
        "all seeds are the same, and the spread of an ensemble is 0.",
        True,
    )

    def faults(self, coupling: str) -> Iterator[Fault]:
        """What is wrong with these settings together; ``coupling``: of the simulations."""
        if self.knot_spacing_A > self.cutoff_A:
            yield "network.knot_spacing_A", f"{self.knot_spacing_A:g} A", f"at most cutoff_A, {self.cutoff_A:g} A"
        if coupling == "mliap":
            yield "simulation.coupling", "mliap with pair-spline", "external: LAMMPS evaluates its own tables"


Network = HipnnNetwork | PairSplineNetwork
