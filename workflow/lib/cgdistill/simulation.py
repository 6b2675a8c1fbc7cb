"""One simulation of beads: minimise, equilibrate, produce; checkpoints, limits, and what is left behind.

Products in the output folder:

- ``trajectory.lammpstrj``: the frames of production, unwrapped, with units and times (`read_dump` reads it;
  a run that blew up earlier leaves it empty);
- ``thermo.csv``: temperature, energies and pressure of both phases;
- ``final.data``: last configuration with velocities, LAMMPS data file;
- ``run.json``: what was run and how it ended.

A run that blows up ends in order with status ``blown up``: it is a result, to be counted.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from . import __version__
from .beads import BeadTopology
from .checkpoint import CheckpointFolder, ThermoRow, thermo_table
from .console import Progress, log
from .errors import InputError
from .lammps_engine import BeadSystem, Engine, MliapModel, Unstable, bead_names
from .lammps_files import write_data_file
from .neighbours import NeighbourList
from .potential import Potential
from .provenance import config_hash, whole_file, write_json
from .simulation_spec import SimulationSpec
from .tables import write_table
from .units import FS_PER_PS, ns_per_day

#: Radius beyond the limit within which the overlap check keeps its list, A.
_OVERLAP_SKIN_A = 3.0


class Interrupted(SystemExit):
    """The run was told to stop, has left a checkpoint, and the process ends with status 128 + signal."""


def run_simulation(
    interaction: Potential | MliapModel,
    positions_A: np.ndarray,
    cell_A: np.ndarray,
    topology: BeadTopology,
    spec: SimulationSpec,
    *,
    velocity_seed: int,
    out_dir: str | Path,
    checkpoint_dir: str | Path,
    identity: Mapping[str, Any],
    provenance: Mapping[str, Any],
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, Any]:
    """Run one simulation, or go on with it where a checkpoint of the same run lies in ``checkpoint_dir``.

    The same input on the same machine gives the same trajectory to the last bit, also across an
    interruption that falls back on a regular checkpoint. A checkpoint written on SIGTERM or SIGINT lies
    between the regular ones: forces are evaluated anew there, which changes the last bits.

    Parameters
    ----------
    interaction:
        A `Potential` (coupling ``external``) or an `MliapModel` (coupling ``mliap``).
    positions_A, cell_A:
        Start frame: (n_beads, 3), need not be wrapped; (3, 3) cell vectors as rows. LAMMPS wants a along x
        and b in the xy plane: other cells are turned, and the trajectory with them.
    velocity_seed:
        From 1 to 2^31 - 1.
    identity:
        What run.json says about the run: variant, member, replica, start_frame.
    provenance:
        Of `cgdistill.provenance.stamp`; a checkpoint with another one is not used.

    Returns
    -------
    dict
        The content of run.json; ``status`` is ``finished`` or ``blown up``.

    Raises
    ------
    InputError
        See `BeadSystem.from_frame` and `Engine`.
    Interrupted
        SIGTERM or SIGINT came; the checkpoint has been written.
    """
    if not 0 < velocity_seed < 2**31:
        raise InputError("simulation", "velocity_seed", velocity_seed, "1 to 2147483647")
    system = BeadSystem.from_frame(positions_A, cell_A, topology)
    key = config_hash(
        {
            "spec": repr(spec),
            "seed": velocity_seed,
            "system": _digest(system.positions_A, system.cell_A, system.bead_types, system.type_masses_g_mol),
            "from": dict(provenance),
        }
    )
    run = _Run(interaction, system, spec, velocity_seed, CheckpointFolder(checkpoint_dir, key), identity)
    try:
        with _signals(run):
            run.go()
        facts = {"velocity_seed": velocity_seed, "threads": threads, "device": device}
        return run.leave(Path(out_dir), {**identity, **facts}, provenance)
    finally:
        run.close()


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@contextmanager
def _signals(run: _Run) -> Iterator[None]:
    """Turn SIGTERM and SIGINT into a request to stop (in the main thread; elsewhere Python allows none)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def request(number: int, _frame: FrameType | None) -> None:
        run.interrupt(number)

    before = {number: signal.signal(number, request) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Run:
    """The course of one simulation."""

    def __init__(
        self,
        interaction: Potential | MliapModel,
        system: BeadSystem,
        spec: SimulationSpec,
        velocity_seed: int,
        checkpoint: CheckpointFolder,
        identity: Mapping[str, Any],
    ) -> None:
        self.system, self.spec, self.checkpoint = system, spec, checkpoint
        self.velocity_seed = velocity_seed
        self.name = " ".join(str(identity[k]) for k in ("variant", "member", "replica") if k in identity)
        state, self.rows = checkpoint.open()
        self.resumed = state is not None
        self.wall_s = state.wall_s if state else 0.0
        self.step = state.step if state else 0
        self.reason = ""
        self.signal = 0
        self._engine = Engine(interaction, system, spec, checkpoint.restart_path(state) if state else None)
        self._frame_steps = spec.steps(spec.frame_every_ps)
        self._thermo_steps = spec.steps(spec.thermo_every_ps)
        limit_A = spec.limits.min_distance_A
        self._close_pairs = NeighbourList(limit_A, _OVERLAP_SKIN_A) if limit_A > 0 else None
        self._last = (system.positions_A, np.zeros_like(system.positions_A))

    def interrupt(self, number: int) -> None:
        """Stop behind the current step, with a checkpoint."""
        self.signal = number
        self._engine.stop()

    def close(self) -> None:
        """Free LAMMPS."""
        self._engine.close()

    def go(self) -> None:
        """Run to the end, to a blow-up, or to a signal."""
        try:
            if self.resumed:
                log.info("%s: going on from step %d", self.name, self.step)
                self._engine.integrate()
                self._engine.setup()
            else:
                self._begin()
            self._advance()
        except Unstable as error:
            self.reason = str(error)
            log.warning("%s: blown up at step %d: %s", self.name, self.step, self.reason)

    def _begin(self) -> None:
        """Minimise, draw velocities, evaluate step 0."""
        log.info("%s: minimising", self.name)
        try:
            self._engine.minimise()
        except Unstable as error:
            raise Unstable(f"minimisation: {error}") from None
        if self.signal:
            log.error("%s: told to stop before the first step; the next start begins anew", self.name)
            raise Interrupted(128 + self.signal)
        self._engine.start(self.velocity_seed)
        self._engine.integrate()
        self._engine.setup()
        self._check()
        self._record()

    def _advance(self) -> None:
        """The steps of both phases, cut where something is to be done."""
        total = self.spec.total_steps
        bar = Progress(total, self.name or "simulation", "steps")
        bar.update(self.step)
        started, before = time.perf_counter(), self.wall_s
        try:
            while self.step < total:
                begin, stop = self.step, self._next_stop(self.step)
                try:
                    self._engine.run(stop - begin)
                finally:
                    self.step = self._engine.step
                    self.wall_s = before + time.perf_counter() - started
                    note = f"{self.rows[-1]['temperature_K']:.0f} K" if self.rows else ""
                    bar.update(self.step - begin, note)
                if self.step == stop:
                    self._check()
                    self._products_of_step()
                if self.signal and self.step < total:
                    self._leave_on_signal()
        finally:
            bar.close()
        self.wall_s = before + time.perf_counter() - started

    def _next_stop(self, step: int) -> int:
        """The next step at which something is to be done."""
        spec, equilibration = self.spec, self.spec.equilibration_steps
        stops = [spec.total_steps]
        for interval in (spec.limits.check_every_steps, self._thermo_steps, spec.checkpoint_every_steps):
            stops.append((step // interval + 1) * interval)
        if step < equilibration:
            stops.append(equilibration)
        else:
            done = (step - equilibration) // self._frame_steps
            stops.append(equilibration + (done + 1) * self._frame_steps)
        return min(stops)

    def _products_of_step(self) -> None:
        produced = self.step - self.spec.equilibration_steps
        if produced > 0 and produced % self._frame_steps == 0:
            self._engine.write_frame(self.checkpoint.trajectory)
        if self.step % self._thermo_steps == 0:
            self._record()
        if self.step % self.spec.checkpoint_every_steps == 0 and self.step < self.spec.total_steps:
            # Setup first: a run that goes on from here does the same, and so both stay alike to the last bit.
            self._engine.setup()
            self._save()

    def _save(self) -> None:
        path = self.checkpoint.new_restart_path(self.step)
        with whole_file(path) as partial:
            self._engine.write_restart(partial)
        self.checkpoint.save(self.step, self.wall_s, self.rows)

    def _leave_on_signal(self) -> None:
        self._save()
        name = signal.Signals(self.signal).name
        log.error("%s: %s at step %d; checkpoint written, the next start goes on", self.name, name, self.step)
        raise Interrupted(128 + self.signal)

    def _record(self) -> None:
        """One row of thermo.csv."""
        equilibration = 0 < self.spec.equilibration_steps >= self.step
        row: ThermoRow = {
            "phase": "equilibration" if equilibration else "production",
            "step": self.step,
            "time_ps": self.step * self.spec.timestep_fs / FS_PER_PS,
        }
        row.update(self._engine.thermo())
        self.rows.append(row)

    def _check(self) -> None:
        """Raise `Unstable` where a limit is exceeded."""
        limits, values = self.spec.limits, self._engine.thermo()
        for name, value in values.items():
            if not np.isfinite(value):
                raise Unstable(f"{name} is {value}")
        if values["temperature_K"] > limits.temperature_K:
            raise Unstable(f"temperature {values['temperature_K']:.0f} K exceeds {limits.temperature_K:g} K")
        positions = self._engine.positions_A()
        if not np.isfinite(positions).all():
            raise Unstable("beads lost")
        self._last = positions, self._engine.velocities_A_fs()
        if self._close_pairs is None:
            return
        first, second, vectors = self._close_pairs.pairs(positions, self.system.cell_A)
        if len(first):
            lengths = np.linalg.norm(vectors, axis=1)
            nearest = int(lengths.argmin())
            pair = bead_names([first[nearest], second[nearest]], self.system)
            raise Unstable(f"{pair} are {lengths[nearest]:.2f} A apart, the limit is {limits.min_distance_A:g} A")

    def leave(self, out_dir: Path, facts: Mapping[str, Any], provenance: Mapping[str, Any]) -> dict[str, Any]:
        """Write the products, clear the checkpoint, return the record."""
        positions, velocities = self._engine.positions_A(), self._engine.velocities_A_fs()
        if not (np.isfinite(positions).all() and np.isfinite(velocities).all()):
            positions, velocities = self._last
        status = "blown up" if self.reason else "finished"
        write_data_file(
            out_dir / "final.data",
            positions,
            self.system.cell_A,
            self.system.bead_types,
            self.system.type_names,
            self.system.type_masses_g_mol,
            velocities,
            comment=f"step {self.step} ({status})",
        )
        with whole_file(out_dir / "trajectory.lammpstrj") as partial:
            if self.checkpoint.trajectory.exists():
                shutil.copyfile(self.checkpoint.trajectory, partial)
            else:
                partial.touch()
        write_table(out_dir / "thermo.csv", thermo_table(self.rows), provenance)
        versions = {"cgdistill": __version__, "lammps": self._engine.version()}
        versions |= {"python": platform.python_version(), "numpy": np.__version__}
        record = {
            "status": status,
            "reason": self.reason,
            "step": self.step,
            **facts,
            "n_beads": self.system.n_beads,
            "timestep_fs": self.spec.timestep_fs,
            "n_steps": self.spec.total_steps,
            "equilibration_steps": self.spec.equilibration_steps,
            "wall_s": self.wall_s,
            "ns_per_day": ns_per_day(self.step, self.spec.timestep_fs, self.wall_s),
            "coupling": self.spec.coupling,
            "versions": versions,
            "provenance": dict(provenance),
        }
        write_json(out_dir / "run.json", record)
        self.checkpoint.clear()
        return record
