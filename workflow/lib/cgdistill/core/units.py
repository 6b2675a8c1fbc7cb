"""Physical constants, and conversion factors to the internal units, those of LAMMPS ``units real``.

Angstrom, kcal/mol, fs, g/mol, K, atm; forces in kcal/mol/Angstrom.
"""

from __future__ import annotations

#: Boltzmann constant, kcal/mol/K (the value of LAMMPS ``units real``).
BOLTZMANN_kcal_mol_K = 0.0019872067
#: kcal to kJ (thermochemical calorie, exact).
KJ_PER_KCAL = 4.184
#: nm to Angstrom.
ANGSTROM_PER_NM = 10.0
#: GROMACS force, kJ/mol/nm, to kcal/mol/Angstrom.
KCAL_MOL_A_PER_KJ_MOL_NM = 1.0 / (KJ_PER_KCAL * ANGSTROM_PER_NM)
#: LAMMPS ``metal`` (eV) to kcal/mol.
KCAL_MOL_PER_EV = 23.060549
#: g/mol * (Angstrom/fs)^2 in kcal/mol (LAMMPS ``mvv2e`` of ``units real``).
KCAL_MOL_PER_G_MOL_A2_FS2 = 48.88821291**2
#: ps to fs.
FS_PER_PS = 1000.0


def ns_per_day(steps: int, timestep_fs: float, wall_s: float) -> float:
    """Simulation speed, ns/day, of ``steps`` steps in ``wall_s`` seconds; NaN without a time."""
    if wall_s <= 0:
        return float("nan")
    return steps * timestep_fs * 1e-6 * 86400.0 / wall_s
