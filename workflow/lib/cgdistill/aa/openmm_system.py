"""OpenMM system of a GROMACS topology, with the same interactions as in GROMACS."""

from __future__ import annotations

import math
from pathlib import Path

import openmm as mm
from openmm import app, unit
from scipy.special import erfcinv

from ..core.errors import InputError
from ..core.units import ANGSTROM_PER_NM
from .gro import Structure
from .stage import StageInput

#: Particle mesh Ewald as in GROMACS: ratio of the direct-space potential at the cutoff to the Coulomb potential, and
#: largest grid spacing.
MESH = {"tolerance": 1e-5, "spacing_nm": 0.15}


def create_system(job: StageInput, start: Structure, constraints: str) -> mm.System:
    """OpenMM system of ``job.topology`` in the cell of ``start``.

    Coulomb interactions by particle mesh Ewald with the splitting and grid spacing of GROMACS, Lennard-Jones truncated
    without shift or switch, the dispersion correction as configured, and only those 1-4 interactions that the topology
    lists in [ pairs ].

    Raises
    ------
    InputError
        OpenMM cannot use the topology, or it does not fit ``start``.
    """
    edges = [float(edge) / ANGSTROM_PER_NM for edge in start.cell_A]
    try:
        topology = app.GromacsTopFile(str(job.topology), unitCellDimensions=mm.Vec3(*edges) * unit.nanometer)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(job.topology, "topology", error, "a GROMACS topology that OpenMM reads") from None
    constrained = constraints == "hydrogen-bonds"
    system: mm.System = topology.createSystem(
        nonbondedMethod=app.PME,
        nonbondedCutoff=job.protocol.cutoff_A / ANGSTROM_PER_NM,
        constraints=app.HBonds if constrained else None,
        rigidWater=constrained,
    )
    if system.getNumParticles() != len(start.atom_names):
        expected = f"{system.getNumParticles()}, as in {job.topology}"
        raise InputError(job.structure, "atoms", len(start.atom_names), expected)
    _remove_unlisted_pairs(system, topology, job.topology)
    for force in system.getForces():
        if isinstance(force, mm.NonbondedForce):
            force.setUseSwitchingFunction(False)
            force.setUseDispersionCorrection(job.protocol.dispersion_correction)
            force.setExceptionsUsePeriodicBoundaryConditions(True)
            _set_mesh(force, job.protocol.cutoff_A / ANGSTROM_PER_NM, edges)
        elif isinstance(force, mm.CustomNonbondedForce):
            force.setUseSwitchingFunction(False)
            force.setUseLongRangeCorrection(job.protocol.dispersion_correction)
        elif hasattr(force, "setUsesPeriodicBoundaryConditions"):
            # Bonded terms across the periodic boundary: molecules of a structure need not be whole.
            force.setUsesPeriodicBoundaryConditions(True)
    return system


def _set_mesh(force: mm.NonbondedForce, cutoff_nm: float, edges_nm: list[float]) -> None:
    """Set the Ewald splitting, erfc(alpha cutoff) = tolerance, and a grid no coarser than the spacing."""
    alpha = float(erfcinv(MESH["tolerance"])) / cutoff_nm
    force.setPMEParameters(alpha, *(_smooth(math.ceil(edge / MESH["spacing_nm"])) for edge in edges_nm))


def _smooth(least: int) -> int:
    """Smallest number from ``least`` with prime factors 2, 3 and 5 only, for which Fourier transforms are fast."""
    number = max(least, 6)
    while True:
        rest = number
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return number
        number += 1


def _remove_unlisted_pairs(system: mm.System, topology: app.GromacsTopFile, path: Path) -> None:
    """Remove 1-4 interactions that the topology does not list.

    With ``gen-pairs yes`` OpenMM adds scaled interactions of all atoms three bonds apart; GROMACS excludes them (up to
    nrexcl bonds) unless they are listed in [ pairs ].
    """
    listed, few = _listed_pairs(topology)
    for force in system.getForces():
        if isinstance(force, mm.NonbondedForce):
            for index in range(force.getNumExceptions()):
                i, j, charge, sigma, epsilon = force.getExceptionParameters(index)
                if _is_active(charge, epsilon) and (min(i, j), max(i, j)) not in listed:
                    force.setExceptionParameters(index, i, j, 0.0, sigma, 0.0)
                    if i in few:
                        raise InputError(path, f"[ moleculetype ] {few[i]}", "nrexcl below 3", "3 for OpenMM")
        elif isinstance(force, mm.CustomBondForce) and force.getName() == "LennardJonesExceptions":
            for index in range(force.getNumBonds()):
                i, j, values = force.getBondParameters(index)
                if (min(i, j), max(i, j)) not in listed:
                    force.setBondParameters(index, i, j, [0.0] * len(values))


def _is_active(charge: unit.Quantity, epsilon: unit.Quantity) -> bool:
    return bool(
        charge.value_in_unit(unit.elementary_charge**2) != 0.0 or epsilon.value_in_unit(unit.kilojoule_per_mole) != 0.0
    )


def _listed_pairs(topology: app.GromacsTopFile) -> tuple[set[tuple[int, int]], dict[int, str]]:
    """Atom pairs in [ pairs ], and the molecule name by atom for molecules with nrexcl below 3.

    OpenMM has no public interface to the parsed topology; its private record is used since it has resolved every
    #include and #ifdef.
    """
    listed: set[tuple[int, int]] = set()
    few: dict[int, str] = {}
    first = 0
    for name, count in topology._molecules:
        molecule = topology._moleculeTypes[name]
        rows = [sorted(int(field) - 1 for field in fields[:2]) for fields in molecule.pairs]
        for _ in range(count):
            listed.update((first + a, first + b) for a, b in rows)
            if molecule.nrexcl < 3:
                few.update((first + atom, name) for atom in range(len(molecule.atoms)))
            first += len(molecule.atoms)
    return listed, few
