"""Potential energy and forces of one configuration, from either all-atom engine, for tests that compare them."""

from __future__ import annotations

import numpy as np
from cgdistill.aa import gromacs
from cgdistill.aa.stage import StageInput, check_cutoff, stage_folder
from cgdistill.aa.system import require_program
from cgdistill.core.units import KCAL_MOL_A_PER_KJ_MOL_NM
from MDAnalysis.lib.formats.libmdaxdr import TRRFile

#: No step is made; the short dt keeps grompp from warning about unconstrained bonds.
_SINGLE_POINT = {
    "dt": "0.0005", "nsteps": "0", "continuation": "yes", "tcoupl": "no", "gen-vel": "no",
    "nstxout": "1", "nstfout": "1", "nstenergy": "1", "nstcalcenergy": "1",
}  # fmt: skip


def engine_forces(source: str, job: StageInput) -> tuple[float, np.ndarray]:
    """Potential energy, kcal/mol, and forces, kcal/mol/A, (n_atoms, 3), of the configuration in ``job``.

    Forces of constraints are not included; a constrained bond has no harmonic force.
    """
    return _gromacs(job) if source == "gromacs" else _openmm(job)


def _gromacs(job: StageInput) -> tuple[float, np.ndarray]:
    check_cutoff(job)
    options = gromacs.mdp("produce", job.protocol, job.seed) | _SINGLE_POINT
    folder = stage_folder("gromacs", "produce", job, options)
    program = require_program("gmx")
    if not (folder / "run.gro").is_file():
        gromacs._grompp(program, "forces", job, folder, options)
        command = [program, "mdrun", "-deffnm", "run", "-v", "-ntmpi", "1", "-ntomp", "1", "-nb", "cpu"]
        gromacs._mdrun(command, folder, 1, "forces", 0)
    with TRRFile(str(folder / "run.trr")) as trajectory:
        forces = trajectory.read().f.astype(float) * KCAL_MOL_A_PER_KJ_MOL_NM
    return float(gromacs._energies(folder)["potential_energy_kcal_mol"].iloc[0]), forces


def _openmm(job: StageInput) -> tuple[float, np.ndarray]:
    import openmm as mm
    from cgdistill.aa import openmm
    from openmm import unit

    context, _ = openmm._context(job, check_cutoff(job), mm.VerletIntegrator(0.001))
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole), openmm._forces(state)
