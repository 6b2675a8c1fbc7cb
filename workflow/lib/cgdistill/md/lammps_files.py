"""Files for LAMMPS: cells in its orientation, data files, stand-alone input scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..forcefield.architecture import LammpsScript
from ..forcefield.lammps_style import LammpsStyle, lammps_commands
from ..geometry.cells import wrap
from ..runtime.atomic_files import whole_file
from .protocol import SimulationSpec
from .system import Frame


def write_data_file(
    path: str | Path,
    positions_A: np.ndarray,
    cell_A: np.ndarray,
    bead_types: np.ndarray,
    type_names: Sequence[str],
    type_masses_g_mol: np.ndarray,
    velocities_A_fs: np.ndarray | None = None,
    comment: str = "",
) -> None:
    """Write a LAMMPS data file (``atom_style atomic``, ``units real``); bead k has the id k + 1.

    Parameters
    ----------
    positions_A: (n_beads, 3), wrapped here; image counts keep what was unwrapped.
    cell_A: (3, 3) as `restricted_cell` gives it.
    bead_types: (n_beads,) index into ``type_names``; LAMMPS types count from 1.
    type_masses_g_mol: (n_types,)
    velocities_A_fs: (n_beads, 3), optional.
    """
    if np.triu(cell_A, 1).any():
        raise ValueError("the cell must have a along x and b in the xy plane, see restricted_cell")
    wrapped, images = wrap(positions_A, cell_A)
    title = " ".join(["LAMMPS data file by cgdistill, units real", *comment.split()])
    lines = [title, "", f"{len(wrapped)} atoms", f"{len(type_names)} atom types", ""]
    for edge, axis in zip(np.diag(cell_A), "xyz", strict=True):
        lines.append(f"0.0 {edge:.10f} {axis}lo {axis}hi")
    if np.tril(cell_A, -1).any():
        lines.append(f"{cell_A[1, 0]:.10f} {cell_A[2, 0]:.10f} {cell_A[2, 1]:.10f} xy xz yz")
    lines += ["", "Masses", ""]
    for index, (name, mass) in enumerate(zip(type_names, type_masses_g_mol, strict=True)):
        lines.append(f"{index + 1} {mass:.6f}  # {name}")
    lines += ["", "Atoms  # atomic", ""]
    for index, (kind, position, image) in enumerate(zip(bead_types, wrapped, images, strict=True)):
        place = " ".join(f"{value:.8f}" for value in position)
        lines.append(f"{index + 1} {kind + 1} {place} {image[0]} {image[1]} {image[2]}")
    if velocities_A_fs is not None:
        lines += ["", "Velocities", ""]
        for index, velocity in enumerate(velocities_A_fs):
            lines.append(f"{index + 1} " + " ".join(f"{value:.12g}" for value in velocity))
    with whole_file(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_dump(
    path: str | Path,
    frames: Iterable[Frame],
    cell_A: np.ndarray,
    bead_types: np.ndarray,
    timestep_fs: float,
) -> None:
    """Write a text dump as LAMMPS does (``units yes time yes``): unwrapped positions, velocities, forces.

    Parameters
    ----------
    cell_A: (3, 3) as `restricted_cell` gives it.
    bead_types: (n_beads,) from 0.
    """
    a, b, c = cell_A
    low = [min(0.0, b[0], c[0], b[0] + c[0]), min(0.0, c[1]), 0.0]
    high = [a[0] + max(0.0, b[0], c[0], b[0] + c[0]), b[1] + max(0.0, c[1]), c[2]]
    tilts: list[tuple[float, ...]] = [(b[0],), (c[0],), (c[1],)] if np.tril(cell_A, -1).any() else [(), (), ()]
    head = ["ITEM: NUMBER OF ATOMS", f"{len(bead_types)}"]
    head.append(f"ITEM: BOX BOUNDS {'xy xz yz ' if tilts[0] else ''}pp pp pp")
    for bounds in zip(low, high, tilts, strict=True):
        head.append(" ".join(f"{value:.16e}" for value in (*bounds[:2], *bounds[2])))
    head.append("ITEM: ATOMS id type xu yu zu vx vy vz fx fy fz")
    lines: list[str] = []
    for frame in frames:
        # LAMMPS says the units once.
        lines += ["ITEM: UNITS", "real"] if not lines else []
        lines += ["ITEM: TIME", f"{frame.step * timestep_fs:.16g}", "ITEM: TIMESTEP", f"{frame.step}", *head]
        values = zip(bead_types, frame.positions_A, frame.velocities_A_fs, frame.forces_kcal_mol_A, strict=True)
        for number, (kind, position, velocity, force) in enumerate(values, start=1):
            words = [f"{value:.5f}" for value in position]
            words += [f"{value:.8g}" for value in (*velocity, *force)]
            lines.append(f"{number} {kind + 1} " + " ".join(words))
    with whole_file(path) as partial:
        partial.write_text("".join(line + "\n" for line in lines), encoding="ascii")


_INPUT = """\
# Coarse-grained simulation with a model exported by cgdistill.
{about}
{variables}
units real
atom_style atomic
{before_box}boundary p p p
box tilt large
read_data {data_file}
{after_box}
{interactions}

neighbor {skin_A:g} bin
neigh_modify every 1 delay 0 check yes
timestep {timestep_fs:g}
thermo_style custom step time temp pe etotal press
thermo {thermo_steps}
{minimise}
reset_timestep 0 time 0.0
velocity all create {temperature_K:g} {velocity_seed} mom yes rot no dist gaussian{loop}
fix integrate all {integrator}
{equilibrate}
dump frames all custom {frame_steps} trajectory.lammpstrj id type xu yu zu
dump_modify frames units yes time yes sort id format float %.5f
run {production_steps}
write_data final.data
"""


def integrator(spec: SimulationSpec) -> str:
    """Arguments of the integrating fix, behind its group."""
    if spec.ensemble == "nve":
        return "nve"
    return f"nvt temp {spec.temperature_K!r} {spec.temperature_K!r} {spec.damping_fs!r}"


def minimise_command(spec: SimulationSpec) -> str:
    """The LAMMPS command that minimises the energy."""
    settings = spec.minimise
    tolerances = f"{settings.energy_tolerance!r} {settings.force_tolerance_kcal_mol_A!r}"
    return f"minimize {tolerances} {settings.max_iterations} {10 * settings.max_iterations}"


def write_lammps_input(
    path: str | Path,
    script: LammpsScript,
    prior: Sequence[LammpsStyle],
    data_file: str,
    spec: SimulationSpec,
    velocity_seed: int,
) -> None:
    """Write an input script that runs the protocol of ``spec``.

    Parameters
    ----------
    script: of the architecture.
    prior: styles of the prior.
    data_file: as seen from the folder where LAMMPS will run, without blanks.
    velocity_seed: from 1 to 2147483647.
    """
    text = _INPUT.format(
        about="\n".join(f"# {line}" for line in script.about.splitlines()),
        variables=_lines(script.variables, before="\n"),
        before_box=_lines(script.before_box),
        data_file=data_file,
        after_box=_lines(script.after_box),
        interactions="\n".join(lammps_commands([script.style, *prior])),
        skin_A=spec.skin_A,
        timestep_fs=spec.timestep_fs,
        thermo_steps=spec.steps(spec.thermo_every_ps),
        minimise=minimise_command(spec) if spec.minimise.max_iterations else "",
        temperature_K=spec.temperature_K,
        velocity_seed=velocity_seed,
        loop=" loop geom" if script.any_number_of_ranks else "",
        integrator=integrator(spec),
        equilibrate=f"run {spec.equilibration_steps}" if spec.equilibration_steps else "",
        frame_steps=spec.steps(spec.frame_every_ps),
        production_steps=spec.steps(spec.production_ps),
    )
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _lines(commands: Sequence[str], before: str = "") -> str:
    """Commands, each with the end of its line; nothing, not even ``before``, where there are none."""
    return before + "".join(f"{command}\n" for command in commands) if commands else ""
