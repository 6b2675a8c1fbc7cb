"""LAMMPS as a library: one rank, a prior in LAMMPS's own styles, networks by ``fix external`` or by ML-IAP.

``fix external`` calls back at each step for forces, energy and virial, which LAMMPS adds to those of its styles. An
exception or a number that is
not finite must not pass through LAMMPS: the callback returns zero forces, asks LAMMPS to leave the run
after this step, and the cause is looked at behind it.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..forcefield.architecture import LammpsModel
from ..forcefield.lammps_style import LammpsStyle, lammps_commands, quoted
from ..forcefield.potential import Potential
from ..runtime.lammps_library import load_lammps, mliap_works
from ..runtime.machine_errors import disk_fault
from .lammps_files import integrator, minimise_command
from .protocol import SimulationSpec
from .system import BeadSystem, Frame

#: Numbers beyond this are none to `lammps_dump`.
_LARGEST = 1.0e15
#: What a run can blow up by.
KINDS = ("temperature", "distance", "force", "energy", "not finite", "lost beads", "LAMMPS")
#: Beads that a blow-up names.
MOST_BEADS = 10
#: Ends every restart file that is whole.
_RESTART_END = b"LammpS RestartT\0"
#: What LAMMPS says where a file could not be written.
_WRITING = re.compile(r"error while writing|Error writing|Cannot open", re.IGNORECASE)
#: Coordinates beyond this have left any sensible cell; they would overflow image counts.
_FAR_A = 1.0e6


class Unstable(Exception):
    """The simulation has blown up; the message says how.

    Attributes
    ----------
    kind: one of `KINDS`.
    value, limit, unit: what exceeded which limit; None where none has a number.
    beads: indices of the beads concerned, at most `MOST_BEADS`.
    """

    def __init__(
        self,
        reason: str,
        kind: str,
        value: float | None = None,
        limit: float | None = None,
        unit: str = "",
        beads: Sequence[int] | np.ndarray = (),
    ) -> None:
        super().__init__(reason)
        self.kind, self.value, self.limit, self.unit = kind, value, limit, unit
        self.beads = [int(bead) for bead in beads[:MOST_BEADS]]


class Engine:
    """One LAMMPS run of a bead system.

    Parameters
    ----------
    interaction:
        A `Potential`, called at each step by ``fix external``, or a `LammpsModel`; without what is in ``styles``.
    styles:
        Styles of LAMMPS that are added to it: those of the prior.
    restart:
        File of `write_restart` to go on from; without it the beads stand as in ``system``, at rest.

    Raises
    ------
    InputError
        Types of potential and beads differ; this LAMMPS lacks what the coupling needs.
    """

    def __init__(
        self,
        interaction: Potential | LammpsModel,
        system: BeadSystem,
        spec: SimulationSpec,
        styles: Sequence[LammpsStyle] = (),
        restart: Path | None = None,
        log_path: Path | None = None,
    ) -> None:
        if tuple(interaction.type_names) != tuple(system.type_names):
            raise InputError("model", "type_names", interaction.type_names, f"{system.type_names}, as the beads")
        self.system, self.spec = system, spec
        log = str(log_path) if log_path else "none"
        self.lmp: Any = load_lammps().lammps(cmdargs=["-screen", "none", "-log", log, "-nocite"])
        self._callback: _Callback | None = None
        self._moving = False
        self._ids = np.arange(1, system.n_beads + 1)
        try:
            self._prepare(interaction, styles, restart)
        except BaseException:
            self.close()
            raise

    def _prepare(
        self, interaction: Potential | LammpsModel, styles: Sequence[LammpsStyle], restart: Path | None
    ) -> None:
        spec = self.spec
        self._commands("units real", "atom_style atomic", "atom_modify map array sort 0 0")
        if restart is None:
            self._create()
        else:
            self._commands("boundary p p p", "box tilt large", f"read_restart {quoted(restart)}")
        self._couple(interaction, styles)
        self._commands(
            f"neighbor {spec.skin_A!r} bin",
            "neigh_modify every 1 delay 0 check yes",
            f"timestep {spec.timestep_fs!r}",
            "thermo_style custom step temp pe etotal press",
            "thermo 0",
        )

    def _commands(self, *commands: str) -> None:
        for command in commands:
            self.lmp.command(command)

    def _create(self) -> None:
        cell, masses = self.system.cell_A, self.system.type_masses_g_mol
        x, y, z = (repr(float(edge)) for edge in np.diag(cell))
        tilt = [float(cell[1, 0]), float(cell[2, 0]), float(cell[2, 1])]
        shape = f"block 0 {x} 0 {y} 0 {z}"
        if any(tilt):
            shape = f"prism 0 {x} 0 {y} 0 {z} {tilt[0]!r} {tilt[1]!r} {tilt[2]!r}"
        self._commands(
            "boundary p p p",
            "box tilt large",
            f"region cell {shape} units box",
            f"create_box {len(masses)} cell",
            *(f"mass {index + 1} {float(mass)!r}" for index, mass in enumerate(masses)),
        )
        n = self.lmp.create_atoms(
            self.system.n_beads,
            self._ids.tolist(),
            (self.system.bead_types + 1).tolist(),
            self.system.positions_A.ravel().tolist(),
        )
        if n != self.system.n_beads:
            raise InputError("start frame", "positions_A", f"{n} beads in the cell", self.system.n_beads)

    def _couple(self, interaction: Potential | LammpsModel, styles: Sequence[LammpsStyle]) -> None:
        if isinstance(interaction, LammpsModel):
            if interaction.style.style == "mliap" and not mliap_works(self.lmp):
                raise InputError(
                    "config",
                    "simulation.coupling",
                    "mliap, but this LAMMPS has no ML-IAP Python support",
                    "external, or a LAMMPS built with ML-IAP, PYTHON and MLIAP_ENABLE_PYTHON (conda-forge, Linux)",
                )
            self._commands(*lammps_commands([interaction.style, *styles]))
            return
        self._commands(*lammps_commands(styles))
        self._callback = _Callback(self.lmp, interaction, self.system)
        self._commands("fix potential all external pf/callback 1 1")
        self._commands("fix_modify potential energy yes virial yes")
        self.lmp.set_fix_external_callback("potential", self._callback)

    @property
    def step(self) -> int:
        """The time step that LAMMPS is at."""
        return int(self.lmp.extract_global("ntimestep"))

    def minimise(self) -> None:
        """Minimise the energy by conjugate gradients as the settings say.

        Raises
        ------
        Unstable
            As in `run`.
        """
        if self.spec.minimise.max_iterations:
            self._commands("min_style cg")
            self._guarded(minimise_command(self.spec))

    def start(self, velocity_seed: int) -> None:
        """Set the clock to 0 and draw velocities: Gaussian, no total momentum, exactly the temperature."""
        self._commands(
            "reset_timestep 0 time 0.0",
            f"velocity all create {self.spec.temperature_K!r} {velocity_seed} mom yes rot no dist gaussian loop all",
        )

    def integrate(self) -> None:
        """Set the integrator; behind a restart it takes up the state of its thermostat."""
        self._commands(f"fix integrate all {integrator(self.spec)}")
        self._moving = True

    def setup(self) -> None:
        """Wrap positions and evaluate forces anew (to be done behind `start` and at each checkpoint)."""
        if self._callback is not None:
            # What comes next must not depend on what came before: a run that goes on from here knows nothing of it.
            self._callback.potential.forget()
        self._guarded("run 0 post no")

    def run(self, n_steps: int) -> None:
        """Advance; fewer steps when `stop` was called meanwhile.

        Raises
        ------
        Unstable
            Forces, energy or positions are not finite, or LAMMPS has lost beads.
        """
        self._guarded(f"run {n_steps} pre no post no")

    def stop(self) -> None:
        """Leave the current run, if there is one, behind the current step."""
        if self.lmp.is_running:
            self.lmp.force_timeout()

    def _guarded(self, command: str) -> None:
        failure: Exception | None = None
        try:
            self.lmp.command(command)
        except Exception as error:  # LAMMPS raises the bare class
            failure = error
        if self._callback is not None:
            if self._callback.error is not None:
                raise self._callback.error
            if self._callback.failure is not None:
                raise self._callback.failure from None
        if failure is not None:
            text = str(failure).splitlines()[0]
            if any(sign in text for sign in ("Lost atoms", "Non-numeric", "out of range", "too far", "inner cutoff")):
                raise Unstable(f"LAMMPS stopped: {text}", "LAMMPS") from None
            raise failure

    def thermo(self) -> dict[str, float]:
        """Temperature, energies and pressure of the last step of a run, under the names of thermo.csv."""
        names = {
            "temperature_K": "temp",
            "potential_energy_kcal_mol": "pe",
            "total_energy_kcal_mol": "etotal",
            "pressure_atm": "press",
        }
        return {name: float(self.lmp.get_thermo(keyword)) for name, keyword in names.items()}

    def _per_bead(self, name: str) -> np.ndarray:
        """(n_beads, 3) values in the order of the ids; rows of lost beads are NaN."""
        tags = np.asarray(self.lmp.numpy.extract_atom("id"))
        values = np.asarray(self.lmp.numpy.extract_atom(name))
        ordered = np.full((self.system.n_beads, 3), np.nan)
        n = int(self.lmp.extract_setting("nlocal"))
        ordered[tags[:n] - 1] = values[:n]
        return ordered

    def positions_A(self) -> np.ndarray:
        """(n_beads, 3) positions, in or near the cell."""
        return self._per_bead("x")

    def velocities_A_fs(self) -> np.ndarray:
        """(n_beads, 3)"""
        return self._per_bead("v")

    def forces_kcal_mol_A(self) -> np.ndarray:
        """(n_beads, 3)"""
        return self._per_bead("f")

    def frame(self) -> Frame | None:
        """The current configuration; None where it is not finite, or beads are lost."""
        n, atoms = self.system.n_beads, self.lmp.numpy
        if int(self.lmp.extract_setting("nlocal")) != n:
            return None
        order = np.argsort(atoms.extract_atom("id")[:n])
        positions, velocities, forces = (np.asarray(atoms.extract_atom(name)[:n][order]) for name in "xvf")
        if not _is_near(positions) or not np.isfinite(velocities).all():
            return None
        if self._callback is not None and self._callback.failure is not None:
            forces = self._callback.forces
        # As decode_image_flags of LAMMPS's library, for all beads at once; 10 or 21 bits for each direction.
        bits = 10 if self.lmp.extract_setting("imageint") == 4 else 21
        packed = atoms.extract_atom("image")[:n][order].astype(np.int64)
        images = (packed[:, None] >> bits * np.arange(3) & (1 << bits) - 1) - (1 << bits - 1)
        return Frame(self._clock, positions + images @ self.system.cell_A, velocities, _finite(forces))

    def last_frame(self, before: Frame | None) -> Frame | None:
        """The last configuration known to be finite: the current one, or that of the last evaluation, or ``before``.

        Parameters
        ----------
        before:
            The last one looked at; by it the evaluated one, which is wrapped, is unwrapped.
        """
        # The minimiser puts beads back where a step has failed; what it failed at is what was evaluated.
        current = self.frame() if self._moving or self._callback is None else None
        if current is not None or self._callback is None:
            return current or before
        return self._callback.last_frame(before, self.spec.timestep_fs if self._moving else None) or before

    @property
    def _clock(self) -> int:
        """The time step; LAMMPS counts the iterations of the minimisation, too."""
        return self.step if self._moving else 0

    def write_frame(self, path: Path) -> None:
        """Append the current configuration to a dump.

        Raises
        ------
        OSError
            It is not on disk as a whole.
        """
        before = path.stat().st_size if path.exists() else 0
        self._write(
            f"write_dump all custom {quoted(path)} id type xu yu zu "
            "modify sort id units yes time yes append yes format float %.5f",
            path,
        )
        with open(path, "rb") as stream:
            stream.seek(before)
            rows = stream.read().partition(b"ITEM: ATOMS")[2]
        if rows.count(b"\n") != self.system.n_beads + 1:
            raise _unwritten(path, None)

    def write_restart(self, path: Path) -> None:
        """Write LAMMPS's binary restart file.

        Raises
        ------
        OSError
            It is not on disk as a whole.
        """
        self._write(f"write_restart {quoted(path)}", path)
        # LAMMPS does not look whether its last buffer got to the disk; when it reads, it asks for this ending.
        if not restart_is_whole(path):
            raise _unwritten(path, None)

    def _write(self, command: str, path: Path) -> None:
        """Give a command that writes a file."""
        try:
            self.lmp.command(command)
        except Exception as error:  # LAMMPS raises the bare class
            raise _unwritten(path, error) from None

    def version(self) -> str:
        """LAMMPS's version, a date."""
        return str(self.lmp.version())

    def close(self) -> None:
        """Free LAMMPS."""
        self.lmp.close()


def restart_is_whole(path: Path) -> bool:
    """Whether a LAMMPS restart file ends as it should."""
    with open(path, "rb") as stream:
        stream.seek(max(path.stat().st_size - len(_RESTART_END), 0))
        return stream.read() == _RESTART_END


def _unwritten(path: Path, error: Exception | None) -> Exception:
    """What to raise for a file that LAMMPS has not written: what the disk says, else what LAMMPS said."""
    if error is not None and not _WRITING.search(str(error)):
        return error
    message = str(error).splitlines()[0] if error is not None else "LAMMPS wrote a part of it"
    return disk_fault(path, error or RuntimeError(message)) or OSError(errno.EIO, message, str(path))


class _Callback:
    """What ``fix external`` calls at each step.

    Attributes
    ----------
    failure: why the simulation has blown up.
    error: what the potential, or this, failed with.
    forces: (n_beads, 3) of the last evaluation, those of LAMMPS's styles included, kcal/mol/A; not always finite.
    """

    def __init__(self, lmp: Any, potential: Potential, system: BeadSystem) -> None:
        self.lmp, self.potential, self.system = lmp, potential, system
        self.failure: Unstable | None = None
        self.error: BaseException | None = None
        self._ids = np.arange(1, system.n_beads + 1)
        # The last two configurations that were finite, the last one first, and room for the next: LAMMPS may have lost
        # them when a run blows up.
        self._positions = [np.empty((system.n_beads, 3)) for _ in range(3)]
        self._steps = [-1, -1]
        self.forces = np.zeros((system.n_beads, 3))

    def __call__(
        self, _caller: object, step: int, n_local: int, tags: np.ndarray, x: np.ndarray, f: np.ndarray
    ) -> None:
        try:
            if self.failure is None and self.error is None:
                self._evaluate(step, n_local, tags, x, f)
        except Unstable as error:
            self.failure = error
        except BaseException as error:  # ctypes would drop it
            self.error = error
        if self.failure is not None or self.error is not None:
            f[:] = 0.0
            self.lmp.force_timeout()

    def _evaluate(self, step: int, n_local: int, tags: np.ndarray, x: np.ndarray, f: np.ndarray) -> None:
        if n_local != self.system.n_beads:
            lost = np.setdiff1d(self._ids, tags[:n_local]) - 1
            raise Unstable(f"beads lost: {self._some(lost)}", "lost beads", beads=lost)
        in_order = np.array_equal(tags, self._ids)
        positions = self._positions[-1]
        if in_order:
            positions[:] = x
        else:
            positions[tags - 1] = x
        if not _is_near(positions):
            far = _not_within(positions, _FAR_A)
            reason = f"positions are not finite or beyond {_FAR_A:g} A, {self._some(far)}"
            raise Unstable(reason, "not finite", beads=far)
        self._positions.insert(0, self._positions.pop())
        self._steps = [step, self._steps[0]]
        result = self.potential.evaluate(positions, self.system.cell_A, self.system.bead_types)
        forces = result.forces_kcal_mol_A
        # LAMMPS has computed its styles before it calls, contributions of ghosts included.
        in_styles = np.asarray(self.lmp.numpy.extract_atom("f"))[:n_local]
        self.forces = forces + (in_styles if in_order else in_styles[np.argsort(tags)])
        if not np.isfinite(self.forces).all():
            broken = _not_within(self.forces, np.inf)
            raise Unstable(f"forces are not finite, {self._some(broken)}", "not finite", beads=broken)
        if not np.isfinite(result.energy_kcal_mol) or not np.isfinite(result.virial_kcal_mol).all():
            raise Unstable("energy or virial is not finite", "not finite")
        f[:] = forces if in_order else forces[tags - 1]
        self.lmp.fix_external_set_energy_global("potential", float(result.energy_kcal_mol))
        self.lmp.fix_external_set_virial_global("potential", [float(value) for value in result.virial_kcal_mol])

    def _some(self, beads: np.ndarray) -> str:
        return f"{bead_names(beads[:3], self.system)}{' and more' if len(beads) > 3 else ''}"

    def last_frame(self, before: Frame | None, timestep_fs: float | None) -> Frame | None:
        """The last configuration that was evaluated, unwrapped by an earlier one.

        Velocities are those of the half step before it, 0 without ``timestep_fs`` (the beads are being minimised).
        """
        (step, earlier), (positions, others, _) = self._steps, self._positions
        if step < 0 or (before is not None and timestep_fs is not None and step == before.step):
            return before
        cell = self.system.cell_A
        velocities = np.zeros_like(positions)
        if timestep_fs is not None and earlier == step - 1:
            velocities = nearest_image(positions - others, cell) / timestep_fs
        known = self.system.positions_A if before is None else before.positions_A
        unwrapped = known + nearest_image(positions - known, cell)
        return Frame(step if timestep_fs is not None else 0, unwrapped, velocities, _finite(self.forces))


def nearest_image(vectors_A: np.ndarray, cell_A: np.ndarray) -> np.ndarray:
    """Vectors (n, 3) moved by whole cells into the parallelepiped around the origin."""
    fractions = vectors_A @ np.linalg.inv(cell_A)
    return np.asarray(vectors_A - np.round(fractions) @ cell_A)


def _is_near(positions: np.ndarray) -> bool:
    return bool(np.abs(positions).max() < _FAR_A)


def _not_within(values: np.ndarray, bound: float) -> np.ndarray:
    """Indices of the rows of which not all values are below a bound."""
    return np.flatnonzero(~(np.abs(values) < bound).all(axis=1))


def _finite(values: np.ndarray) -> np.ndarray:
    """A copy in which 0 stands for what is not finite, or larger than any reader of dumps takes."""
    return np.where(np.abs(values) < _LARGEST, values, 0.0)


def bead_names(indices: Sequence[int] | np.ndarray, system: BeadSystem) -> str:
    """Beads for messages: ``bead 17 (Cl), bead 40 (Urea)``, numbered by LAMMPS id."""
    return ", ".join(f"bead {i + 1} ({system.type_names[system.bead_types[i]]})" for i in indices)
