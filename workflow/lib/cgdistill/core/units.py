"""Units: LAMMPS ``real`` inside, factors for what comes from outside.

Angstrom, kcal/mol, fs, g/mol, K, atm; forces in kcal/mol/Angstrom.
"""

from __future__ import annotations

import numpy as np

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
#: kcal/mol/Angstrom^3 in atm (LAMMPS ``nktv2p`` of ``units real``).
ATM_PER_KCAL_MOL_A3 = 68568.415
#: ps to fs.
FS_PER_PS = 1000.0

#: Unit names as written into files, by quantity.
UNITS: dict[str, str] = {
    "length": "A",
    "force": "kcal/mol/A",
    "energy": "kcal/mol",
    "mass": "g/mol",
    "time": "ps",
    "temperature": "K",
    "pressure": "atm",
}


def ns_per_day(steps: int, timestep_fs: float, wall_s: float) -> float:
    """Simulation speed, ns/day, of ``steps`` steps that took ``wall_s`` seconds."""
    if wall_s <= 0:
        return float("nan")
    return steps * timestep_fs * 1e-6 * 86400.0 / wall_s


def kinetic_temperature_K(
    masses_g_mol: np.ndarray, velocities_A_fs: np.ndarray, degrees_of_freedom: int | None = None
) -> float:
    """Temperature, K, of one set of velocities.

    Parameters
    ----------
    masses_g_mol: (n_beads,)
    velocities_A_fs: (n_beads, 3)
    degrees_of_freedom:
        3 n_beads - 3 when not given (total momentum removed).
    """
    kinetic = 0.5 * float((masses_g_mol[:, None] * velocities_A_fs**2).sum())
    n_dof = 3 * len(masses_g_mol) - 3 if degrees_of_freedom is None else degrees_of_freedom
    return 2.0 * kinetic * KCAL_MOL_PER_G_MOL_A2_FS2 / (n_dof * BOLTZMANN_kcal_mol_K)
