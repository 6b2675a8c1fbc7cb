"""All-atom data: files of an existing simulation, or system and protocol of one to make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..keys import Derived, key

#: A double quote would end the path in the files of GROMACS.
PATH: dict[str, Any] = {"min_length": 1, "pattern": '^[^"]*$'}
_MADE = ("gromacs", "openmm")


@dataclass(frozen=True, kw_only=True)
class AllAtomFiles:
    """Files of an existing all-atom simulation."""

    topology: str = key(
        "Atoms and residues: `.gro`, `.tpr`, `.top`, `.pdb`, `.psf`, or another format that MDAnalysis reads.", **PATH
    )
    masses: str | None = key(
        "Second topology with masses and bonds, needed if the first has none (`.gro` files have none): `.top`, `.tpr` "
        "or LAMMPS data; `null` if not needed.",
        None,
    )
    trajectory: tuple[str, ...] = key(
        "Trajectory files in order, with positions and forces: `.trr`, H5MD, Amber NetCDF, or LAMMPS dumps "
        "(`.lammpstrj`, `.dump`, also `.gz`) with `id x y z fx fy fz`, atoms in the order of the topology, and "
        "`dump_modify time yes`.",
        min_items=1,
        **PATH,
    )
    units: Literal["real", "metal"] | None = key(
        "Units of LAMMPS dumps written without `dump_modify units yes`; otherwise `null`.", None
    )


@dataclass(frozen=True, kw_only=True)
class Molecule:
    """Molecules of one species."""

    name: str = key("Name of the molecule in its topology.", pattern="^[A-Za-z0-9_+-]{1,60}$")
    count: int = key("Number of molecules.", minimum=1)
    structure: str = key("Structure of one molecule, PDB.", **PATH)
    topology: str = key("Topology of the molecule, GROMACS `.itp`.", **PATH)


@dataclass(frozen=True, kw_only=True)
class AllAtomSystem:
    """Composition and cell of the all-atom system to make."""

    molecules: tuple[Molecule, ...] = key(
        "List of molecules with `name` (as in the topology), `count`, `structure` (PDB) and `topology` (`.itp`); "
        "its order is the order of the system.",
        min_items=1,
    )
    force_field: tuple[str, ...] = key(
        "GROMACS `.itp` files with `[ defaults ]` and atom types, included before the molecules.", min_items=1, **PATH
    )
    cell_A: tuple[float, float, float] = key("Edges of the orthorhombic cell.", unit="Å", above=0)
    packing_tolerance_A: float = key(
        "Smallest distance between atoms of different molecules when Packmol fills the cell.", 1.5, unit="Å", above=0
    )


@dataclass(frozen=True, kw_only=True)
class AllAtomProtocol:
    """Protocol of the all-atom simulation: minimisation, equilibration and production at constant volume.

    Coulomb interactions are computed by particle mesh Ewald, Lennard-Jones interactions are cut at the same distance
    without shift or switch. The equilibration follows ``anneal`` with a dissipative thermostat (v-rescale in GROMACS,
    Langevin in OpenMM); the production uses ``thermostat``.
    """

    timestep_fs: float = key("Time step.", 2.0, unit="fs", above=0)
    temperature_K: float = key("Temperature of the production.", unit="K", above=0)
    thermostat: Literal["nose-hoover", "v-rescale"] = key("Thermostat of the production.", "nose-hoover")
    thermostat_time_ps: float = key("Time constant of the thermostat.", 0.5, unit="ps", above=0)
    cutoff_A: float = key("Cutoff of the Lennard-Jones and the real-space PME interactions.", 10.0, unit="Å", above=0)
    dispersion_correction: bool = key("Long-range dispersion correction of energy and pressure.", True)
    constraints: Literal["hydrogen-bonds", "none"] = key("Bonds with constrained lengths.", "hydrogen-bonds")
    minimise_steps: int = key("Maximum number of steps of the energy minimisation.", 5000, minimum=1)
    anneal: tuple[tuple[float, float], ...] = key(
        "Temperature during the equilibration as points `[time, temperature]` with linear interpolation; starts at "
        "0 ps and ends at `temperature_K`.",
        Derived(
            "5,000 ps at `temperature_K`",
            lambda section: [[0.0, section["temperature_K"]], [5000.0, section["temperature_K"]]],
        ),
        unit="ps, K",
        minimum=0,
        min_items=2,
    )
    production_ps: float = key("Length of the production.", 1000.0, unit="ps", above=0)
    frame_every_ps: float = key("Time between frames of the production.", 1.0, unit="ps", above=0)


@dataclass(frozen=True, kw_only=True)
class AllAtom:
    """All-atom data: positions and forces of the atoms."""

    source: Literal["files", "gromacs", "openmm"] = key(
        "`files`: read an existing trajectory, described in `aa.files`; `gromacs` or `openmm`: simulate the system of "
        "`aa.system` with the protocol of `aa.protocol`. Only the subsections in use are needed.",
        "files",
    )
    files: AllAtomFiles | None = key("", only_if=("source", ("files",)))
    system: AllAtomSystem | None = key("", only_if=("source", _MADE))
    protocol: AllAtomProtocol | None = key("", only_if=("source", _MADE))
