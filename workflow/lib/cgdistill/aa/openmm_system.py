"""The OpenMM system of a GROMACS topology, with the interactions that GROMACS computes from it."""

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

#: Particle mesh Ewald as in the GROMACS runs: the direct-space Coulomb potential at the cutoff relative
#: to the bare one, and the coarsest grid.
MESH = {"tolerance": 1e-5, "spacing_nm": 0.15}


def create_system(job: StageInput, start: Structure, constraints: str) -> mm.System:
    """System of ``job.topology`` in the cell of ``start``.

    Coulomb by particle mesh Ewald at the splitting and grid spacing of the GROMACS runs, Lennard-Jones
    cut off plainly with the dispersion correction as configured, 1-4 interactions only where the
    topology lists them in [ pairs ].

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
            # Bonded terms across the cell's faces: a structure may hold molecules that are not whole.
            force.setUsesPeriodicBoundaryConditions(True)
    return system


def _set_mesh(force: mm.NonbondedForce, cutoff_nm: float, edges_nm: list[float]) -> None:
    """Ewald splitting, erfc(alpha cutoff) = tolerance, and a grid no coarser than the spacing."""
    alpha = float(erfcinv(MESH["tolerance"])) / cutoff_nm
    force.setPMEParameters(alpha, *(_smooth(math.ceil(edge / MESH["spacing_nm"])) for edge in edges_nm))


def _smooth(least: int) -> int:
    """The smallest number from ``least`` on whose prime factors are 2, 3 and 5 (quick transforms)."""
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
    """Switch off 1-4 interactions that the topology does not list.

    With ``gen-pairs yes`` OpenMM scales the interaction of all atoms three bonds apart, whereas
    GROMACS leaves them out (they are excluded up to nrexcl bonds) unless [ pairs ] names them.
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
    """Atom pairs of all [ pairs ] rows, and the molecule name of atoms with nrexcl below 3.

    OpenMM has no public access to what it parsed; its own record is used since it has followed
    every #include and #ifdef.
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
