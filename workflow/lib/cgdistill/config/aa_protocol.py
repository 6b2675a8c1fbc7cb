"""What an all-atom simulation is asked to do, independent of the engine that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..core.errors import InputError
from ..core.units import FS_PER_PS

THERMOSTATS = ("nose-hoover", "v-rescale")
CONSTRAINTS = ("hydrogen-bonds", "none")

#: What of the protocol each stage depends on (its checkpoints are kept apart by these values).
_COMMON = ("cutoff_A", "dispersion_correction", "constraints")
_DYNAMICS = (*_COMMON, "timestep_fs", "thermostat_time_ps")
STAGE_FIELDS: dict[str, tuple[str, ...]] = {
    "minimise": (*_COMMON, "minimise_steps"),
    "equilibrate": (*_DYNAMICS, "anneal"),
    "produce": (*_DYNAMICS, "temperature_K", "thermostat", "production_ps", "frame_every_ps"),
}


@dataclass(frozen=True)
class ProtocolSpec:
    """Protocol of minimisation, equilibration and production at constant volume.

    Coulomb interactions by particle mesh Ewald, Lennard-Jones cut at the same distance without
    shift or switch. Equilibration follows ``anneal`` with a thermostat that damps (v-rescale in
    GROMACS, Langevin in OpenMM); production uses ``thermostat``.

    Parameters
    ----------
    anneal:
        Points (time_ps, temperature_K) of the equilibration, linear in between; starts at 0 ps and
        ends at ``temperature_K``.
    """

    timestep_fs: float
    temperature_K: float
    thermostat: str
    thermostat_time_ps: float
    cutoff_A: float
    dispersion_correction: bool
    constraints: str
    minimise_steps: int
    anneal: tuple[tuple[float, float], ...]
    production_ps: float
    frame_every_ps: float

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> ProtocolSpec:
        """Protocol from the config section ``aa.protocol``.

        Raises
        ------
        InputError
            A key is missing or unknown, or its value cannot be simulated.
        """
        known = set(cls.__dataclass_fields__)
        for key in sorted(set(section) ^ known):
            found = "missing" if key in known else "an unknown key"
            raise InputError("config", f"aa.protocol.{key}", found, f"the keys {', '.join(sorted(known))}")
        values = dict(section)
        values["anneal"] = tuple((float(time), float(kelvin)) for time, kelvin in section["anneal"])
        for key in ("timestep_fs", "temperature_K", "thermostat_time_ps", "cutoff_A"):
            values[key] = float(values[key])
        for key in ("production_ps", "frame_every_ps"):
            values[key] = float(values[key])
        spec = cls(**values)
        spec._check()
        return spec

    def _check(self) -> None:
        def fail(key: str, found: object, expected: str) -> None:
            raise InputError("config", f"aa.protocol.{key}", found, expected)

        if self.thermostat not in THERMOSTATS:
            fail("thermostat", self.thermostat, f"one of {', '.join(THERMOSTATS)}")
        if self.constraints not in CONSTRAINTS:
            fail("constraints", self.constraints, f"one of {', '.join(CONSTRAINTS)}")
        for key in ("timestep_fs", "temperature_K", "thermostat_time_ps", "cutoff_A", "minimise_steps"):
            if getattr(self, key) <= 0:
                fail(key, getattr(self, key), "a positive number")
        times = [time for time, _ in self.anneal]
        if not times or times[0] != 0 or any(b <= a for a, b in zip(times, times[1:], strict=False)):
            fail("anneal", [list(point) for point in self.anneal], "times that start at 0 and increase")
        if min(kelvin for _, kelvin in self.anneal) <= 0:
            fail("anneal", [list(point) for point in self.anneal], "temperatures above 0 K")
        if self.anneal[-1][1] != self.temperature_K:
            fail("anneal", f"{self.anneal[-1][1]} K at the end", f"temperature_K, {self.temperature_K} K")
        if not 0 < self.frame_every_ps <= self.production_ps:
            fail("frame_every_ps", self.frame_every_ps, "above 0 and at most production_ps")
        if not _is_multiple(self.frame_every_ps * FS_PER_PS, self.timestep_fs):
            fail("frame_every_ps", self.frame_every_ps, f"a multiple of the time step, {self.timestep_fs} fs")
        if not _is_multiple(self.production_ps, self.frame_every_ps):
            fail("production_ps", self.production_ps, f"a multiple of frame_every_ps, {self.frame_every_ps}")

    @property
    def equilibration_steps(self) -> int:
        """Steps of the equilibration."""
        return round(self.anneal[-1][0] * FS_PER_PS / self.timestep_fs)

    @property
    def production_steps(self) -> int:
        """Steps of the production."""
        return self.frame_steps * round(self.production_ps / self.frame_every_ps)

    @property
    def frame_steps(self) -> int:
        """Steps from one frame to the next."""
        return round(self.frame_every_ps * FS_PER_PS / self.timestep_fs)

    @property
    def n_frames(self) -> int:
        """Frames of the production, the one at time 0 included."""
        return self.production_steps // self.frame_steps + 1

    def temperature_at(self, time_ps: float) -> float:
        """Temperature, K, of the equilibration at ``time_ps``: linear between the points."""
        before = self.anneal[0]
        for point in self.anneal:
            if time_ps <= point[0]:
                if point[0] == before[0]:
                    return point[1]
                share = (time_ps - before[0]) / (point[0] - before[0])
                return before[1] + share * (point[1] - before[1])
            before = point
        return self.anneal[-1][1]

    def part(self, stage: str) -> dict[str, Any]:
        """The values that determine ``stage``."""
        values = asdict(self)
        return {key: values[key] for key in STAGE_FIELDS[stage]}


def _is_multiple(whole: float, part: float) -> bool:
    return abs(whole / part - round(whole / part)) < 1e-6
