"""Simulations of beads: minimise, equilibrate, produce; checkpoints, limits, and what is left behind.

Products in the output folder of a run:

- ``trajectory.lammpstrj``: the frames of production, unwrapped, with units and times (`read_dump` reads it;
  a run that blew up earlier leaves it empty);
- ``equilibration.lammpstrj``: those of equilibration, from step 0 to its end (empty where there is none);
- ``thermo.csv``: temperature, energies and pressure of both phases;
- ``final.data``: last configuration with velocities, LAMMPS data file;
- ``last_frames.lammpstrj``: of a run that blew up, the last configurations that were looked at and the one at which it
  did, with velocities and forces (empty where it finished);
- ``run.json``: what was run and how it ended; ``failure`` says where and by what it blew up (`failure.describe`).

A run that blows up ends in order with status ``blown up``: it is a result, to be counted.

Runs that share a `JointPotential` advance together, in lockstep. Products of runs that are asked for together
are written when all have ended; until then a run that has ended waits in its checkpoint folder. It can be kept there,
for a later call that asks for the same run again.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from signal import Signals
from typing import Any

import numpy as np

from .. import __version__
from ..core.errors import InputError
from ..core.units import FS_PER_PS, ns_per_day
from ..core.vocabulary import RunStatus
from ..data.beads import BeadTopology
from ..forcefield.architecture import LammpsModel
from ..forcefield.lammps_style import LammpsStyle
from ..forcefield.potential import JointPotential, Potential
from ..geometry.cells import wrap
from ..geometry.neighbours import NeighbourList
from ..io.csv_tables import write_table
from ..provenance.record import config_hash
from ..runtime.atomic_files import link_or_copy, whole_file, write_json
from ..runtime.job import Progress, log
from ..runtime.locks import exclusive
from ..runtime.signals import Interrupted, StopRequest
from .blowup import MINIMISATION, LastFrames, describe
from .checkpoint import CheckpointFolder, ThermoRow, thermo_table
from .lammps_engine import Engine, Unstable, bead_names, restart_is_whole
from .lammps_files import write_data_file, write_dump
from .lockstep import Lockstep
from .protocol import SimulationSpec
from .system import BeadSystem, Frame

#: Radius beyond the limit within which the overlap check keeps its list, A.
_OVERLAP_SKIN_A = 3.0


#: Products that grow with a run; a checkpoint of a run that wrote others is not used.
_GROWING = ("equilibration.lammpstrj", "trajectory.lammpstrj", "thermo.csv", "last_frames.lammpstrj")
#: Standard deviations by which the temperature should be able to leave its mean without reaching its limit.
_SIGMAS = 6.0


@dataclass(frozen=True)
class RunPlan:
    """What is one run's own.

    Attributes
    ----------
    positions_A, cell_A:
        Start frame: (n_beads, 3), need not be wrapped; (3, 3) cell vectors as rows. LAMMPS wants a along x
        and b in the xy plane: other cells are turned, and the trajectory with them.
    velocity_seed:
        From 1 to 2^31 - 1.
    out_dir, checkpoint_dir:
        For the products, and for what the run leaves until they are written; not shared with other runs.
    identity:
        What run.json says about the run: variant, member, replica, start_frame.
    provenance:
        Of `cgdistill.provenance.record.stamp`; a checkpoint with another one is not used.
    excluded:
        Why there is no run, since its model is not to be used: status ``excluded``, products without frames and rows.
        Empty otherwise.
    styles:
        Styles of LAMMPS that are added to the interaction: the prior of the model (`PriorTerms.lammps_styles`).
    """

    positions_A: np.ndarray
    cell_A: np.ndarray
    velocity_seed: int
    out_dir: str | Path
    checkpoint_dir: str | Path
    identity: Mapping[str, Any]
    provenance: Mapping[str, Any]
    excluded: str = ""
    styles: Sequence[LammpsStyle] = ()


def run_simulation(
    interaction: Potential | LammpsModel,
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
    styles: Sequence[LammpsStyle] = (),
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, Any]:
    """Run one simulation, or go on with it where a checkpoint of the same run lies in ``checkpoint_dir``.

    See `RunPlan` for the parameters of the run, `run_simulations` for all else; returns the content of run.json.
    """
    plan = RunPlan(positions_A, cell_A, velocity_seed, out_dir, checkpoint_dir, identity, provenance, styles=styles)
    return run_simulations([interaction], [plan], topology, spec, threads=threads, device=device)[0]


def run_simulations(
    interaction: JointPotential | Sequence[Potential | LammpsModel],
    plans: Sequence[RunPlan],
    topology: BeadTopology,
    spec: SimulationSpec,
    *,
    threads: int = 1,
    device: str = "cpu",
    at_once: int | None = None,
    keep: bool = False,
) -> list[dict[str, Any]]:
    """Run simulations of one protocol, each from its start or from its own checkpoint.

    The same input on the same machine gives the same trajectory to the last bit, also across an
    interruption that falls back on a regular checkpoint, and beside other runs as far as the joint
    evaluation gives the same forces. A checkpoint written on a signal to stop (`signals`) lies between the
    regular ones: forces are evaluated anew there, which changes the last bits.

    Parameters
    ----------
    interaction:
        A `JointPotential` whose system k is run k: the runs advance together, and one that ends, blows up
        or fails leaves the others going on. Or a sequence, for each run a `Potential` or a `LammpsModel`: the
        runs follow each other.
    threads, device:
        For run.json.
    at_once:
        At most this number of runs of a `JointPotential` advance together, the next ones after them; by default all.
    keep:
        Whether ended runs stay in their checkpoint folders, as hard links where the file system has them. A later call
        for the same run returns them, products and record unchanged, and does not simulate again.

    Returns
    -------
    list of dict
        The content of each run.json; ``status`` is ``finished``, ``blown up`` or ``excluded``, ``wall_s`` and
        ``ns_per_day`` are of the run by the clock, ``ns_per_day_together`` of all ``runs_together``.

    Raises
    ------
    InputError
        See `BeadSystem.from_frame` and `Engine`; another job is at work on one of the checkpoints.
    Interrupted
        A signal to stop came; the checkpoints have been written.
    """
    with exclusive(plan.checkpoint_dir for plan in plans):
        runs = [_Run(plan, topology, spec) for plan in plans]
        _run_all(interaction, runs, at_once or len(runs))
        facts = {"threads": threads, "device": device, "coupling": _coupling(interaction)}
        records = _publish(runs, spec, facts)
        for run in [] if keep else runs:
            run.checkpoint.clear()
        return records


def _run_all(
    interaction: JointPotential | Sequence[Potential | LammpsModel], runs: Sequence[_Run], at_once: int
) -> None:
    """Bring all runs to their ends."""
    try:
        if isinstance(interaction, Sequence):
            for model, run in zip(interaction, runs, strict=True):
                _go_alone(model, run)
            return
        for start in range(0, len(runs), at_once):
            together = runs[start : start + at_once]
            simulated = [run.key for run in together if not run.checkpoint.record.exists()]
            for run in together:
                run.together = simulated
            _go_together(interaction, runs, range(start, start + len(together)))
    finally:
        for run in runs:
            run.close()


def _publish(runs: Sequence[_Run], spec: SimulationSpec, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Write the products of ended runs; their records."""
    records = []
    for run in runs:
        # As noted when the run ended: a job that is killed while it writes products goes on with the same records.
        keys = (run.end or {}).get("together") or [run.key]
        company = [other for other in runs if other.key in keys] or [run]
        # The last one to end was there all the time.
        clock_s = max(other.wall_s for other in company)
        together = {
            "runs_together": len(company),
            "ns_per_day_together": ns_per_day(sum(other.step for other in company), spec.timestep_fs, clock_s),
        }
        records.append(run.leave({**facts, **together}))
    return records


def _coupling(interaction: JointPotential | Sequence[Potential | LammpsModel]) -> str:
    """How LAMMPS evaluates the models, for run.json: the pair style, or ``external`` for ``fix external``."""
    first = interaction[0] if isinstance(interaction, Sequence) and interaction else None
    return first.style.style if isinstance(first, LammpsModel) else "external"


def _go_alone(interaction: Potential | LammpsModel, run: _Run) -> None:
    if run.end is None:
        run.open(interaction)
        with StopRequest(run.interrupt), _progress([run]) as bar:
            run.go(bar)
        run.close()


def _go_together(potential: JointPotential, runs: Sequence[_Run], numbers: Iterable[int]) -> None:
    """Run those of the numbers that have not ended yet; raise what one of them failed with when all have stopped."""
    lockstep = Lockstep(potential, len(runs))
    going = {number: runs[number] for number in numbers if runs[number].end is None}
    if not going:
        return
    for number, run in going.items():
        run.open(lockstep.potentials[number])

    def hand_on_signal() -> None:
        # Here every run waits for forces; at other times one of them is within LAMMPS.
        for run in going.values() if stop else ():
            run.interrupt(stop.number)

    def go(run: _Run) -> None:
        try:
            run.go(bar)
        except Exception as error:
            log.error("%s: failed at step %d: %r", run.name, run.step, error)
            raise

    with StopRequest() as stop, _progress(list(going.values())) as bar:
        failures = lockstep.run({number: partial(go, run) for number, run in going.items()}, hand_on_signal)
    # A fault tells more than that the others were told to stop.
    for error in sorted(failures.values(), key=lambda error: isinstance(error, Interrupted)):
        raise error


def _versions() -> dict[str, str]:
    return {"cgdistill": __version__, "python": platform.python_version(), "numpy": np.__version__}


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@contextmanager
def _progress(runs: Sequence[_Run]) -> Iterator[Progress]:
    """Progress over the steps of all runs, those done before included."""
    label = runs[0].name or "simulation"
    if len(runs) > 1:
        label += f" and {len(runs) - 1} more"
    bar = Progress(sum(run.spec.total_steps for run in runs), label, "steps")
    try:
        bar.update(sum(run.step for run in runs))
        yield bar
    finally:
        bar.close()


class _Run:
    """The course of one simulation; ``end`` says how it ended, None before."""

    def __init__(self, plan: RunPlan, topology: BeadTopology, spec: SimulationSpec) -> None:
        if not 0 < plan.velocity_seed < 2**31:
            raise InputError("simulation", "velocity_seed", plan.velocity_seed, "1 to 2147483647")
        self.plan, self.spec = plan, spec
        self.system = system = BeadSystem.from_frame(plan.positions_A, plan.cell_A, topology)
        self._frames = LastFrames(
            spec.limits.keep_frames, spec.limits.check_every_steps, self._frame_at_rest(system.positions_A)
        )
        key = config_hash(
            {
                "products": _GROWING,
                # The number of diagnostic frames changes nothing else.
                "spec": repr(replace(spec, limits=replace(spec.limits, keep_frames=0))),
                "seed": plan.velocity_seed,
                "styles": repr(plan.styles),
                "system": _digest(system.positions_A, system.cell_A, system.bead_types, system.type_masses_g_mol),
                "from": dict(plan.provenance),
            }
        )
        self.checkpoint = CheckpointFolder(plan.checkpoint_dir, key)
        #: Of this run, and of those that advance together with it.
        self.key = str(plan.checkpoint_dir)
        self.together = [self.key]
        self.name = " ".join(str(plan.identity[k]) for k in ("variant", "member", "replica") if k in plan.identity)
        self._state = self.checkpoint.open()
        if self._state and self._state.restart and not restart_is_whole(self.checkpoint.restart_path(self._state)):
            log.warning("%s: the checkpoint in %s is damaged, starting anew", self.name, self.checkpoint.folder)
            self.checkpoint.clear()
            self._state = None
        self.rows = self.checkpoint.rows
        self.end = self._state.end if self._state else None
        if plan.excluded:
            self.end = {"status": RunStatus.EXCLUDED, "failure": None, "versions": _versions(), "together": []}
        self.wall_s = self._state.wall_s if self._state else 0.0
        self.step = self._state.step if self._state else 0
        self.signal = 0
        self._begun = self._state is not None
        self._lammps: Engine | None = None
        self._frame_steps = spec.steps(spec.frame_every_ps)
        self._thermo_steps = spec.steps(spec.thermo_every_ps)
        limit_A = spec.limits.min_distance_A
        self._close_pairs = NeighbourList(limit_A, _OVERLAP_SKIN_A) if limit_A > 0 else None

    @staticmethod
    def _frame_at_rest(positions_A: np.ndarray) -> Frame:
        return Frame(0, positions_A, np.zeros_like(positions_A), np.zeros_like(positions_A))

    def open(self, interaction: Potential | LammpsModel) -> None:
        """Start LAMMPS, where the run begins or goes on."""
        restart = self.checkpoint.restart_path(self._state) if self._state else None
        self._lammps = Engine(interaction, self.system, self.spec, self.plan.styles, restart)

    @property
    def _engine(self) -> Engine:
        if self._lammps is None:
            raise RuntimeError(f"{self.name}: LAMMPS is not open")
        return self._lammps

    def interrupt(self, number: int) -> None:
        """Stop behind the current step, with a checkpoint."""
        self.signal = number
        self._engine.stop()

    def close(self) -> None:
        """Free LAMMPS, if it is open."""
        if self._lammps is not None:
            self._lammps.close()
        self._lammps = None

    def go(self, bar: Progress) -> None:
        """Run to the end, to a blow-up, or to a signal."""
        failure = frame = None
        try:
            if self._state is not None:
                log.info("%s: going on from step %d", self.name, self.step)
                self._frames.load(self.checkpoint.looks_path(self._state.step))
                self._engine.integrate()
                self._engine.setup()
            else:
                self._begin()
            self._advance(bar)
        except Unstable as error:
            frame = self._engine.last_frame(self._frames.look) or self._frames.look
            phase = self._phase if self._begun else MINIMISATION
            failure = describe(error, frame, self.step, phase, self.system, self.spec)
            log.warning("%s: blown up at step %d: %s", self.name, self.step, failure["reason"])
        self._finish(failure, frame)

    def _begin(self) -> None:
        """Minimise, draw velocities, evaluate step 0."""
        self._warn_of_fluctuations()
        log.info("%s: minimising", self.name)
        self._engine.minimise()
        self._begun = True
        if self.signal:
            message = "told to stop before the first step; the next start begins anew"
            log.error("%s: %s", self.name, message)
            raise Interrupted(self.signal, f"{self.name}: {message}")
        self._engine.start(self.plan.velocity_seed)
        self._engine.integrate()
        self._engine.setup()
        self._check()
        if self.spec.equilibration_steps:
            self._engine.write_frame(self.checkpoint.equilibration)
        self._record()

    def _advance(self, bar: Progress) -> None:
        """The steps of both phases, cut where something is to be done."""
        total = self.spec.total_steps
        started, before = time.perf_counter(), self.wall_s
        while self.step < total:
            begin, stop = self.step, self._next_stop(self.step)
            try:
                self._engine.run(stop - begin)
            finally:
                self.step = self._engine.step
                self.wall_s = before + time.perf_counter() - started
                note = f"{self.rows.last['temperature_K']:.0f} K" if self.rows.last else ""
                bar.update(self.step - begin, note)
            if self.step == stop:
                self._check()
                self._products_of_step()
            if self.signal and self.step < total:
                self._leave_on_signal()
        self.wall_s = before + time.perf_counter() - started

    def _next_stop(self, step: int) -> int:
        """The next step at which something is to be done."""
        spec, equilibration = self.spec, self.spec.equilibration_steps
        stops = [spec.total_steps]
        for interval in (spec.limits.check_every_steps, self._thermo_steps, spec.checkpoint_every_steps):
            stops.append((step // interval + 1) * interval)
        start = 0 if step < equilibration else equilibration  # of the phase
        stops.append(start + ((step - start) // self._frame_steps + 1) * self._frame_steps)
        if step < equilibration:
            stops.append(equilibration)
        return min(stops)

    def _products_of_step(self) -> None:
        produced = self.step - self.spec.equilibration_steps
        if produced <= 0 and self.step % self._frame_steps == 0:
            self._engine.write_frame(self.checkpoint.equilibration)
        if produced > 0 and produced % self._frame_steps == 0:
            self._engine.write_frame(self.checkpoint.trajectory)
        if self.step % self._thermo_steps == 0:
            self._record()
        if self.step % self.spec.checkpoint_every_steps == 0 and self.step < self.spec.total_steps:
            self._save()
            # As in a run that goes on from here, so that both stay alike to the last bit. LAMMPS rounds positions in a
            # tilted cell when it reads them, and in each setup.
            for _ in range(2 if np.tril(self.system.cell_A, -1).any() else 1):
                self._engine.setup()

    def _save(self) -> None:
        path = self.checkpoint.new_restart_path(self.step)
        with whole_file(path) as partial:
            self._engine.write_restart(partial)
        self._frames.save(self.checkpoint.looks_path(self.step))
        self.checkpoint.save(self.step, self.wall_s)

    def _leave_on_signal(self) -> None:
        self._save()
        message = f"{Signals(self.signal).name} at step {self.step}; checkpoint written, the next start goes on"
        log.error("%s: %s", self.name, message)
        raise Interrupted(self.signal, f"{self.name}: {message}")

    def _record(self) -> None:
        """One row of thermo.csv."""
        row: ThermoRow = {
            "phase": self._phase,
            "step": self.step,
            "time_ps": self.step * self.spec.timestep_fs / FS_PER_PS,
        }
        row.update(self._engine.thermo())
        self.rows.append(row)

    @property
    def _phase(self) -> str:
        return "equilibration" if 0 < self.spec.equilibration_steps >= self.step else "production"

    def _warn_of_fluctuations(self) -> None:
        """Say that a sound run of few beads may reach the limit of temperature."""
        spec, free = self.spec, max(3 * self.system.n_beads - 3, 1)
        deviation_K = spec.temperature_K * (2.0 / free) ** 0.5
        if spec.limits.temperature_K < spec.temperature_K + _SIGMAS * deviation_K:
            text = (
                "%s: simulation.limits.temperature_K is %g K; %d beads at %g K fluctuate by %.0f K (standard deviation)"
            )
            values = spec.limits.temperature_K, self.system.n_beads, spec.temperature_K, deviation_K
            log.warning(text, self.name, *values)

    def _check(self) -> None:
        """Raise `Unstable` where a limit is exceeded."""
        values = self._engine.thermo()
        for name, value in values.items():
            if not np.isfinite(value):
                raise Unstable(f"{name} is {value}", "not finite")
        found, limit = values["temperature_K"], self.spec.limits.temperature_K
        if found > limit:
            raise Unstable(f"temperature {found:.0f} K exceeds {limit:g} K", "temperature", found, limit, "K")
        frame = self._engine.frame()
        if frame is None:
            raise Unstable("beads lost", "lost beads")
        self._check_distances()
        self._check_forces(frame)
        self._check_energy(values["potential_energy_kcal_mol"])
        self._frames.add(frame)

    def _check_distances(self) -> None:
        if self._close_pairs is None:
            return
        limit_A = self.spec.limits.min_distance_A
        first, second, vectors = self._close_pairs.pairs(self._engine.positions_A(), self.system.cell_A)
        if len(first):
            lengths = np.linalg.norm(vectors, axis=1)
            nearest = int(lengths.argmin())
            beads = sorted((int(first[nearest]), int(second[nearest])))
            text = f"{bead_names(beads, self.system)} are {lengths[nearest]:.2f} A apart, the limit is {limit_A:g} A"
            raise Unstable(text, "distance", float(lengths[nearest]), limit_A, "A", beads)

    def _check_forces(self, frame: Frame) -> None:
        limit = self.spec.limits.force_kcal_mol_A
        squares = np.einsum("ij,ij->i", frame.forces_kcal_mol_A, frame.forces_kcal_mol_A)
        bead = int(squares.argmax())
        found = float(squares[bead]) ** 0.5
        if 0 < limit < found:
            text = f"force on {bead_names([bead], self.system)}, {found:.4g} kcal/mol/A, exceeds {limit:g} kcal/mol/A"
            raise Unstable(text, "force", found, limit, "kcal/mol/A", [bead])

    def _check_energy(self, energy_kcal_mol: float) -> None:
        limit = self.spec.limits.energy_kcal_mol_bead
        start = self.rows.first
        if start is None or limit == 0:
            return
        change = (energy_kcal_mol - float(start["potential_energy_kcal_mol"])) / self.system.n_beads
        if abs(change) > limit:
            text = f"potential energy {'fell' if change < 0 else 'rose'} by {abs(change):.3g} kcal/mol per bead"
            raise Unstable(f"{text}, the limit is {limit:g}", "energy", change, limit, "kcal/mol per bead")

    def _finish(self, failure: Mapping[str, Any] | None, frame: Frame | None) -> None:
        """Leave what the run has come to in the checkpoint folder; ``frame`` is the last one of a blow-up."""
        if frame is None:
            positions, velocities = self._engine.positions_A(), self._engine.velocities_A_fs()
        else:
            positions, velocities = wrap(frame.positions_A, self.system.cell_A)[0], frame.velocities_A_fs
            frames = self._frames.until(frame)
            write_dump(
                self.checkpoint.last_frames, frames, self.system.cell_A, self.system.bead_types, self.spec.timestep_fs
            )
        status = RunStatus.FINISHED if failure is None else RunStatus.BLOWN_UP
        write_data_file(
            self.checkpoint.final,
            positions,
            self.system.cell_A,
            self.system.bead_types,
            self.system.type_names,
            self.system.type_masses_g_mol,
            velocities,
            comment=f"step {self.step} ({status})",
        )
        versions = _versions() | {"lammps": self._engine.version()}
        self.end = {"status": status, "failure": failure, "versions": versions, "together": self.together}
        self.checkpoint.save_end(self.step, self.wall_s, self.end)

    def leave(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write the products of an ended run, return the record."""
        if self.end is None:
            raise RuntimeError(f"{self.name} has not ended")
        out_dir, provenance = Path(self.plan.out_dir), self.plan.provenance
        for name, source in (
            ("final.data", self.checkpoint.final),
            ("equilibration.lammpstrj", self.checkpoint.equilibration),
            ("trajectory.lammpstrj", self.checkpoint.trajectory),
            ("last_frames.lammpstrj", self.checkpoint.last_frames),
        ):
            with whole_file(out_dir / name) as partial:
                if source.exists():
                    link_or_copy(source, partial)
                else:
                    partial.touch()
        write_table(out_dir / "thermo.csv", thermo_table(self.rows), provenance)
        record = self._kept_record() or self._record_of(facts)
        write_json(self.checkpoint.record, record)
        write_json(out_dir / "run.json", record)
        return record

    def _kept_record(self) -> dict[str, Any] | None:
        """Record of a run that was kept: who asks for it later has not simulated it."""
        try:
            record: dict[str, Any] = json.loads(self.checkpoint.record.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return record

    def _record_of(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        if self.end is None:
            raise RuntimeError(f"{self.name} has not ended")
        failure = self.end["failure"]
        return {
            "status": self.end["status"],
            "reason": failure["reason"] if failure else self.plan.excluded,
            "step": self.step,
            "failure": failure,
            **self.plan.identity,
            "velocity_seed": self.plan.velocity_seed,
            "n_beads": self.system.n_beads,
            "timestep_fs": self.spec.timestep_fs,
            "n_steps": self.spec.total_steps,
            "equilibration_steps": self.spec.equilibration_steps,
            "equilibration_ps": self.spec.equilibration_steps * self.spec.timestep_fs / FS_PER_PS,
            "frame_every_ps": self._frame_steps * self.spec.timestep_fs / FS_PER_PS,
            "wall_s": self.wall_s,
            "ns_per_day": ns_per_day(self.step, self.spec.timestep_fs, self.wall_s),
            **facts,
            "versions": self.end["versions"],
            "provenance": dict(self.plan.provenance),
        }
