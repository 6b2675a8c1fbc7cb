"""Register of the training targets: what a network can be trained on and is compared with.

A target is declared here and computed in `training.targets`; everything else (columns of the table of students, loss,
metrics, figures, report) follows from the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..core.errors import InputError


@dataclass(frozen=True)
class Target:
    """One training target.

    Attributes
    ----------
    name: in files, as ``epsilon``.
    symbol: in text and figures, as ``ε``.
    description: in words, as ``bead energies``.
    unit: of its values, as in tables.
    weight_column: its weight in the table of students.
    is_energy: energies and forces are distinguished where students are grouped by their targets.
    per_bead: whether it has values for each bead. Otherwise it is a sum over all beads, and its error is divided by
        their number in the loss.
    file_part: stands for the target in names of files. ``F`` and ``f`` would not do: some file systems do not
        distinguish capitals from small letters.
    """

    name: str
    symbol: str
    description: str
    unit: str
    weight_column: str
    is_energy: bool
    per_bead: bool
    file_part: str

    @property
    def label(self) -> str:
        """Symbol and description: ``ε (bead energies)``."""
        return f"{self.symbol} ({self.description})"

    @property
    def unit_symbol(self) -> str:
        """The unit as printed in figures and on the report page: ``kcal/mol/Å``."""
        return self.unit.replace("/A", "/Å")


_FORCE, _ENERGY = "kcal/mol/A", "kcal/mol"
_REGISTER = (
    Target("F", "F", "all-atom forces", _FORCE, "w_F", is_energy=False, per_bead=True, file_part="aa"),
    Target("f", "f", "teacher forces", _FORCE, "w_f", is_energy=False, per_bead=True, file_part="kd"),
    Target("E", "E", "system energy", _ENERGY, "w_E", is_energy=True, per_bead=False, file_part="sys"),
    Target("epsilon", "ε", "bead energies", _ENERGY, "w_e", is_energy=True, per_bead=True, file_part="bead"),
)
#: All targets by name, in the order of tables and figures.
TARGETS: Mapping[str, Target] = {target.name: target for target in _REGISTER}
#: Name of the forces mapped from the all-atom trajectory, the labels of teachers.
ALL_ATOM_FORCES = "F"


def complete_weights(weights: Mapping[str, float], source: str = "loss weights") -> dict[str, float]:
    """Weight of every target by name, in the order of `TARGETS`; 0 for those not given.

    Raises
    ------
    InputError
        A name that is no target.
    """
    if unknown := sorted(set(weights) - set(TARGETS)):
        raise InputError(source, "targets", ", ".join(unknown), f"only {', '.join(TARGETS)}")
    return {name: float(weights.get(name, 0.0)) for name in TARGETS}


def active_weights(weights: Mapping[str, float], source: str = "loss weights") -> dict[str, float]:
    """Weights above 0 by name, in the order of `TARGETS`; `InputError` as `complete_weights`."""
    return {name: weight for name, weight in complete_weights(weights, source).items() if weight > 0}
