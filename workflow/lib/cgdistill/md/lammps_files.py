"""Files for LAMMPS: cells in its orientation, data files, stand-alone input scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..forcefield.prior.base import LammpsStyle
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


_MLIAP = """\
# Coarse-grained simulation with a network exported by cgdistill.
# Needs a LAMMPS with the packages ML-IAP and PYTHON, built with MLIAP_ENABLE_PYTHON=yes
# (conda-forge's build for Linux is one), and a Python that can import what the model file needs.

units real
atom_style atomic
atom_modify map array
boundary p p p
box tilt large
read_data {data_file}

{interactions}

"""

_PLUGIN = """\
# Coarse-grained simulation over MPI ranks with networks exported by cgdistill.
# Needs a LAMMPS with the package PLUGIN, and the plugin, which `cgdistill lammps-plugin` makes; no Python.
#   mpiexec -n 64 lmp -in in.plugin.lammps -var nx 5 -var ny 5 -var nz 4

variable plugin index ./pair_cgdistill.so
variable precision index single
variable nx index 1
variable ny index 1
variable nz index 1

units real
atom_style atomic
boundary p p p
box tilt large
read_data {data_file}
replicate ${{nx}} ${{ny}} ${{nz}}

plugin load ${{plugin}}
{interactions}

"""

_PROTOCOL = """\
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


def mliap_style(model_file: str, type_names: Sequence[str]) -> LammpsStyle:
    """``pair_style mliap unified``; the names of the bead types in the order of the LAMMPS types."""
    return LammpsStyle("pair", "mliap", f"unified {model_file} 0", (("* *", " ".join(type_names)),))


def plugin_style(model_file: str, type_names: Sequence[str]) -> LammpsStyle:
    """``pair_style cgdistill``, its precision by the variable of the script; types as in `mliap_style`."""
    return LammpsStyle(
        "pair", "cgdistill", "precision ${precision}", (("* *", f"{model_file} {' '.join(type_names)}"),)
    )


def lammps_commands(styles: Sequence[LammpsStyle]) -> list[str]:
    """Commands for the sum of some styles; several of one category are overlaid (pairs) or combined."""
    commands = []
    for category in dict.fromkeys(style.category for style in styles):
        own = [style for style in styles if style.category == category]
        parts = [f"{style.style} {style.arguments}".strip() for style in own]
        joined = {"pair": "hybrid/overlay "}.get(category, "hybrid ") if len(own) > 1 else ""
        commands.append(f"{category}_style {joined}{' '.join(parts)}")
        for style in own:
            name = f"{style.style} " if joined else ""
            commands += [f"{category}_coeff {types} {name}{values}" for types, values in style.coefficients]
    return commands


def write_lammps_input(
    path: str | Path, styles: Sequence[LammpsStyle], data_file: str, spec: SimulationSpec, velocity_seed: int
) -> None:
    """Write an input script that runs the protocol of ``spec``, with styles of which one is `mliap_style`.

    Files are named as seen from the folder where LAMMPS will run, without blanks.
    """
    _write_input(path, _MLIAP, styles, data_file, spec, velocity_seed, "")


def write_plugin_input(
    path: str | Path, styles: Sequence[LammpsStyle], data_file: str, spec: SimulationSpec, velocity_seed: int
) -> None:
    """As `write_lammps_input` with `plugin_style`, for boxes replicated by ``-var nx 5 -var ny 5 -var nz 4``.

    Velocities do not depend on the number of ranks.
    """
    _write_input(path, _PLUGIN, styles, data_file, spec, velocity_seed, " loop geom")


def _write_input(
    path: str | Path,
    head: str,
    styles: Sequence[LammpsStyle],
    data_file: str,
    spec: SimulationSpec,
    velocity_seed: int,
    loop: str,
) -> None:
    equilibrate = f"run {spec.equilibration_steps}" if spec.equilibration_steps else ""
    text = (head + _PROTOCOL).format(
        data_file=data_file,
        interactions="\n".join(lammps_commands(styles)),
        skin_A=spec.skin_A,
        timestep_fs=spec.timestep_fs,
        thermo_steps=spec.steps(spec.thermo_every_ps),
        minimise=minimise_command(spec) if spec.minimise.max_iterations else "",
        temperature_K=spec.temperature_K,
        velocity_seed=velocity_seed,
        loop=loop,
        integrator=integrator(spec),
        equilibrate=equilibrate,
        frame_steps=spec.steps(spec.frame_every_ps),
        production_steps=spec.steps(spec.production_ps),
    )
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
