"""Settings of a simulation: the config section ``simulation``, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import InputError
from ..core.units import FS_PER_PS

COUPLINGS = ("external", "mliap")
ENSEMBLES = ("nvt", "nve")


@dataclass(frozen=True)
class Minimisation:
    """Energy minimisation before the run; ``max_iterations`` 0 leaves it out."""

    max_iterations: int = 100
    energy_tolerance: float = 1.0e-4
    force_tolerance_kcal_mol_A: float = 1.0e-4


@dataclass(frozen=True)
class Limits:
    """What a run must not exceed, looked at every ``check_every_steps``; else it counts as blown up.

    Attributes
    ----------
    min_distance_A: of any two beads; 0 disables the check.
    force_kcal_mol_A: on any bead; 0 disables the check.
    energy_kcal_mol_bead: change of the potential energy since step 0, by the number of beads; 0 disables the check.
    keep_frames: how many of the last configurations looked at a run that blows up leaves, beside the one at which it
        did; 0: none of them, nor that one.
    """

    temperature_K: float = 2000.0
    min_distance_A: float = 1.0
    force_kcal_mol_A: float = 500.0
    energy_kcal_mol_bead: float = 10.0
    check_every_steps: int = 100
    keep_frames: int = 10


@dataclass(frozen=True)
class SimulationSpec:
    """One protocol: minimisation, equilibration, production; ``nvt`` is a Nose-Hoover chain of length 3."""

    coupling: str = "external"
    ensemble: str = "nvt"
    temperature_K: float = 298.15
    damping_fs: float = 100.0
    timestep_fs: float = 2.0
    minimise: Minimisation = field(default_factory=Minimisation)
    equilibration_ps: float = 1000.0
    production_ps: float = 500.0
    frame_every_ps: float = 5.0
    thermo_every_ps: float = 0.5
    skin_A: float = 1.5
    checkpoint_every_steps: int = 10000
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def from_config(cls, section: Mapping[str, Any], source: str = "config") -> SimulationSpec:
        """Settings of the config section ``simulation``; keys left out take their defaults.

        Raises
        ------
        InputError
            A key that does not exist, a value of the wrong kind, sign or range.
        """
        values = dict(section)
        for key, kind in (("minimise", Minimisation), ("limits", Limits)):
            if key in values:
                values[key] = _build(kind, values[key], source, f"simulation.{key}")
        spec: SimulationSpec = _build(cls, values, source, "simulation")
        spec._check(source)
        return spec

    def _check(self, source: str) -> None:
        if self.coupling not in COUPLINGS:
            raise InputError(source, "simulation.coupling", self.coupling, " or ".join(COUPLINGS))
        if self.ensemble not in ENSEMBLES:
            raise InputError(source, "simulation.ensemble", self.ensemble, " or ".join(ENSEMBLES))
        may_be_zero = {"equilibration_ps", "max_iterations", "energy_tolerance", "force_tolerance_kcal_mol_A"}
        may_be_zero |= {"min_distance_A", "force_kcal_mol_A", "energy_kcal_mol_bead", "keep_frames", "skin_A"}
        for prefix, part in (
            ("simulation", self),
            ("simulation.minimise", self.minimise),
            ("simulation.limits", self.limits),
        ):
            for item in dataclasses.fields(part):
                value = getattr(part, item.name)
                if not isinstance(value, (int, float)):
                    continue
                zero = item.name in may_be_zero
                if not (0 <= value < float("inf")) or (value == 0 and not zero):
                    expected = "a number that is not negative" if zero else "a positive number"
                    raise InputError(source, f"{prefix}.{item.name}", value, expected)
        for name in ("frame_every_ps", "thermo_every_ps", "production_ps"):
            if self.steps(getattr(self, name)) < 1:
                raise InputError(
                    source, f"simulation.{name}", getattr(self, name), f"at least a time step, {self.timestep_fs} fs"
                )

    def steps(self, time_ps: float) -> int:
        """Number of time steps of a time, rounded to the nearest."""
        return round(time_ps * FS_PER_PS / self.timestep_fs)

    @property
    def equilibration_steps(self) -> int:
        """Steps before production."""
        return self.steps(self.equilibration_ps)

    @property
    def total_steps(self) -> int:
        """Steps of equilibration and production."""
        return self.equilibration_steps + self.steps(self.production_ps)


def _build(kind: type[Any], values: object, source: str, prefix: str) -> Any:
    """A dataclass from a mapping, by the types of its defaults."""
    if not isinstance(values, Mapping):
        raise InputError(source, prefix, repr(values), "a mapping")
    defaults = kind()
    names = [item.name for item in dataclasses.fields(kind)]
    converted: dict[str, Any] = {}
    for key, value in values.items():
        if key not in names:
            raise InputError(source, f"{prefix}.{key}", "an unknown key", "one of " + ", ".join(names))
        default = getattr(defaults, key)
        if isinstance(default, (int, float)):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise InputError(source, f"{prefix}.{key}", repr(value), "a number")
            if isinstance(default, int) and value != int(value):
                raise InputError(source, f"{prefix}.{key}", value, "a whole number")
            value = type(default)(value)
        elif isinstance(default, str) and not isinstance(value, str):
            raise InputError(source, f"{prefix}.{key}", repr(value), "a word")
        converted[key] = value
    return kind(**converted)
