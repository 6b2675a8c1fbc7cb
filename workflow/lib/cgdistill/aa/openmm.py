"""OpenMM as the all-atom engine, with the same topology and the same products as GROMACS.

A stage saves its state as XML in its checkpoint folder, every two minutes and on a signal to stop, and resumes from it
when it is called again with the same input; a production also keeps finished pieces of the trajectory there. A
minimisation is short and starts again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm as mm
import pandas as pd
from openmm import unit

from ..core.errors import InputError
from ..core.seeds import derive
from ..core.units import ANGSTROM_PER_NM, FS_PER_PS, KJ_PER_KCAL, BOLTZMANN_kcal_mol_K
from ..runtime.atomic_files import sync_to_disk, whole_file
from ..runtime.job import Progress, log, progress
from ..runtime.signals import Interrupted, StopRequest
from .gro import Structure, read_gro, write_gro
from .openmm_system import MESH, create_system
from .stage import StageInput, check_cutoff, require_velocities, stage_folder, title_line, write_thermo
from .trr import FrameWriter, join_frames

_CHECKPOINT_S = 120.0
#: Steps between checks for a signal: seconds, for 10,000 atoms on one core.
_STEPS_AT_ONCE = 50
#: Convergence of the minimisation: root mean square force, kJ/mol/nm.
_MINIMISED_FORCE = 100.0
_MINIMISE_PIECES = 20
#: Interval at which the temperature follows the annealing schedule.
_ANNEAL_STEP_PS = 0.5
_NM_PS_PER_A_FS = FS_PER_PS / ANGSTROM_PER_NM
_PLATFORMS = {"cpu": "CPU", "cuda": "CUDA", "reference": "Reference"}


def minimise(job: StageInput, output: Path) -> None:
    """Minimise the energy (L-BFGS), and write ``output`` (.gro).

    Raises
    ------
    InputError
        The platform is not available, the cutoff does not fit the cell, or the topology cannot be used.
    RuntimeError
        The energy did not become finite.
    """
    start = check_cutoff(job)
    kept = stage_folder("openmm", "minimise", job, MESH) / "run.gro"
    if not kept.is_file():
        context, _ = _context(job, start, mm.VerletIntegrator(0.001), constraints="none")
        pieces = min(_MINIMISE_PIECES, job.protocol.minimise_steps)
        for _ in progress(range(pieces), pieces, "minimise", "pieces"):
            mm.LocalEnergyMinimizer.minimize(context, _MINIMISED_FORCE, -(-job.protocol.minimise_steps // pieces))
        energy = context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole)
        if not math.isfinite(energy):
            raise RuntimeError(f"minimisation ended with potential energy {energy} kcal/mol")
        log.info("minimised to %.1f kcal/mol", energy)
        title = title_line("minimised", "minimise", job)
        write_gro(kept, _structure(context, start, title, velocities=False))
    write_gro(output, read_gro(kept))


def equilibrate(job: StageInput, output: Path) -> None:
    """Run the annealing schedule with Langevin dynamics, and write ``output`` (.gro with velocities).

    Raises
    ------
    InputError
        See `minimise`.
    """
    start, protocol = check_cutoff(job), job.protocol
    folder = stage_folder("openmm", "equilibrate", job, MESH)
    friction = 1.0 / protocol.thermostat_time_ps
    integrator = mm.LangevinMiddleIntegrator(protocol.anneal[0][1], friction, protocol.timestep_fs / FS_PER_PS)
    context, done = _context(job, start, integrator, state=folder / "state.xml")
    if done == 0:
        context.setVelocitiesToTemperature(protocol.anneal[0][1], job.seed)
    chunk = max(round(_ANNEAL_STEP_PS * FS_PER_PS / protocol.timestep_fs), 1)

    def before(step: int) -> None:
        integrator.setTemperature(protocol.temperature_at((step + chunk / 2) * protocol.timestep_fs / FS_PER_PS))

    _advance(context, protocol.equilibration_steps, chunk, "equilibrate", folder / "state.xml", before)
    write_gro(output, _structure(context, start, title_line("equilibrated", "equilibrate", job)))


def produce(job: StageInput, trajectory: Path, structure: Path, thermo: Path) -> None:
    """Run the production at constant volume and temperature with a Nose-Hoover chain.

    The frequency of the chain is 2 pi / ``thermostat_time_ps``, so that this time is the same period as in GROMACS.
    Arguments as in `cgdistill.aa.gromacs.produce`.

    Raises
    ------
    InputError
        See `minimise`; the start structure holds no velocities; the thermostat is not nose-hoover.
    RuntimeError
        The trajectory is incomplete or contains values that are not finite.
    """
    start, protocol = check_cutoff(job), job.protocol
    if protocol.thermostat != "nose-hoover":
        raise InputError(
            "config",
            "aa.protocol.thermostat",
            protocol.thermostat,
            "nose-hoover with OpenMM (or source: gromacs)",
        )
    require_velocities(job)
    folder = stage_folder("openmm", "produce", job, MESH)
    frequency = 2 * math.pi / protocol.thermostat_time_ps
    integrator = mm.NoseHooverIntegrator(protocol.temperature_K, frequency, protocol.timestep_fs / FS_PER_PS)
    context, done = _context(job, start, integrator, state=folder / "state.xml")
    if done == 0:
        context.applyConstraints(1e-6)
        context.applyVelocityConstraints(1e-6)
    clock, steps = time.perf_counter(), protocol.production_steps - done
    # The frame of a saved state, and all frames before it, are in finished pieces.
    _record(context, job, start, folder, done // protocol.frame_steps + 1 if done else 0)
    wall_s = time.perf_counter() - clock
    pieces = sorted(folder.glob("piece-*.trr"))
    join_frames(pieces, trajectory, protocol)
    write_gro(structure, start.retitled(title_line("start of production", "produce", job)))
    table = pd.concat([pd.read_csv(piece.with_suffix(".csv")) for piece in pieces], ignore_index=True)
    per_step = wall_s / steps if steps else float("nan")
    total_s = per_step * protocol.production_steps
    write_thermo(thermo, table, job, "openmm", {"openmm": mm.__version__}, total_s)


def _forces(state: mm.State) -> np.ndarray:
    forces: np.ndarray = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.angstrom)
    return forces / KJ_PER_KCAL


def _context(
    job: StageInput, start: Structure, integrator: mm.Integrator, state: Path | None = None,
    constraints: str | None = None,
) -> tuple[mm.Context, int]:  # fmt: skip
    """Context at the start structure, or at the saved ``state`` if there is one, and the number of steps done."""
    platform, properties = _platform(job)
    system = create_system(job, start, constraints or job.protocol.constraints)
    saved = None
    if state is not None and state.is_file():
        saved = mm.XmlSerializer.deserialize(state.read_text(encoding="utf-8"))
    done = saved.getStepCount() if saved is not None else 0
    if hasattr(integrator, "setRandomNumberSeed"):
        # Depends on the steps done: with the seed alone a resumed run would repeat the random numbers of its start.
        integrator.setRandomNumberSeed(derive(job.seed, "openmm", done))
    try:
        context = mm.Context(system, integrator, platform, properties)
    except mm.OpenMMException as error:
        if job.device != "auto" or platform.getName() != "CUDA":
            raise
        log.warning("device: auto: OpenMM finds no working GPU (%s); using the CPU", error)
        return _context(replace(job, device="cpu"), start, integrator, state, constraints)
    if saved is not None:
        log.info("resuming from step %d in %s", done, state)
        context.setState(saved)
        return context, done
    context.setPositions(start.positions_A / ANGSTROM_PER_NM)
    if start.velocities_A_fs is not None:
        context.setVelocities(start.velocities_A_fs * _NM_PS_PER_A_FS)
    return context, 0


def _platform(job: StageInput) -> tuple[mm.Platform, dict[str, str]]:
    """OpenMM's platform for ``job.device``, and its properties."""
    available = [mm.Platform.getPlatform(i).getName() for i in range(mm.Platform.getNumPlatforms())]
    device = job.device
    if device == "auto":
        device = "cuda" if "CUDA" in available and Path("/dev/nvidiactl").exists() else "cpu"
    name = _PLATFORMS.get(device, device)
    if name not in available:
        hint = f"one of OpenMM's platforms here, {', '.join(available)} (CUDA: pip install openmm-cuda-12)"
        raise InputError("config", "device", device, hint)
    properties = {"CPU": {"Threads": str(job.threads)}, "CUDA": {"Precision": "mixed"}}.get(name, {})
    return mm.Platform.getPlatformByName(name), properties


def _save(context: mm.Context, path: Path) -> None:
    state = context.getState(positions=True, velocities=True, parameters=True, integratorParameters=True)
    with whole_file(path) as partial:
        partial.write_text(mm.XmlSerializer.serialize(state), encoding="utf-8")


def _step_to(context: mm.Context, target: int, stop: StopRequest) -> bool:
    """Whether a step count was reached; False if a signal was received before."""
    while (left := target - context.getStepCount()) > 0:
        if stop:
            return False
        context.getIntegrator().step(min(left, _STEPS_AT_ONCE))
    return True


def _interruption(stop: StopRequest, label: str, context: mm.Context) -> Interrupted:
    error = stop.interruption(f"in {label} at step {context.getStepCount()}; state saved, rerun to continue")
    log.error("%s", error)
    return error


def _advance(
    context: mm.Context, n_steps: int, chunk: int, label: str, state: Path, before: Callable[[int], None]
) -> None:
    """Run to step ``n_steps`` in chunks; save the state every two minutes, on a signal to stop, and at the end."""
    done = context.getStepCount()
    bar = Progress(n_steps - done, label, "steps")
    saved = time.perf_counter()
    with StopRequest() as stop:
        while done < n_steps:
            begin = done - done % chunk
            before(begin)
            reached = _step_to(context, min(begin + chunk, n_steps), stop)
            now_done = context.getStepCount()
            bar.update(now_done - done)
            done = now_done
            if not reached or done == n_steps or time.perf_counter() - saved > _CHECKPOINT_S:
                _save(context, state)
                saved = time.perf_counter()
            if not reached:
                raise _interruption(stop, label, context)
    bar.close()


def _record(context: mm.Context, job: StageInput, start: Structure, folder: Path, frame: int) -> None:
    """Run the production from ``frame``, in pieces of trajectory that end where the state is saved.

    Each piece is completed before the state after it is saved, so that a resumed run has every frame up to its state;
    an incomplete piece is written again. On a signal to stop, the piece ends with the last frame, the state is saved,
    and the process ends.
    """
    protocol, n_atoms = job.protocol, len(start.atom_names)
    n_degrees = _degrees_of_freedom(context.getSystem())
    bar = Progress(protocol.n_frames - frame, "produce", "frames")
    with StopRequest() as stop:
        while frame < protocol.n_frames:
            piece = folder / f"piece-{frame:08d}.trr"
            rows: list[tuple[float, float, float]] = []
            begun = time.perf_counter()
            writer, reached = FrameWriter(piece, protocol), True
            while frame < protocol.n_frames and (not rows or time.perf_counter() - begun < _CHECKPOINT_S):
                reached = _step_to(context, frame * protocol.frame_steps, stop)
                if not reached:
                    break
                state = context.getState(positions=True, forces=True, energy=True)
                positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
                writer.write(frame, positions, _forces(state), start.cell_A)
                potential = state.getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole)
                kinetic = state.getKineticEnergy().value_in_unit(unit.kilocalorie_per_mole)
                if not math.isfinite(potential):
                    raise RuntimeError(f"the potential energy of {n_atoms} atoms is {potential} at frame {frame}")
                temperature = 2 * kinetic / (n_degrees * BOLTZMANN_kcal_mol_K)
                rows.append((frame * protocol.frame_every_ps, potential, temperature))
                frame += 1
                bar.update(note=f"{temperature:.0f} K")
            writer.close()
            _finish_piece(piece, rows)
            _save(context, folder / "state.xml")
            if not reached:
                raise _interruption(stop, "produce", context)
    bar.close()


def _finish_piece(piece: Path, rows: list[tuple[float, float, float]]) -> None:
    """Write the energies of a closed piece of trajectory, and sync both to disk; a piece without frames is removed."""
    if not rows:
        piece.unlink()
        return
    table = piece.with_suffix(".csv")
    columns = ["time_ps", "potential_energy_kcal_mol", "temperature_K"]
    pd.DataFrame(rows, columns=columns).to_csv(table, index=False)
    for file in (piece, table):
        sync_to_disk(file)


def _degrees_of_freedom(system: mm.System) -> int:
    particles = sum(system.getParticleMass(i).value_in_unit(unit.dalton) > 0 for i in range(system.getNumParticles()))
    return int(3 * particles - system.getNumConstraints() - 3)


def _structure(context: mm.Context, start: Structure, title: str, velocities: bool = True) -> Structure:
    """Configuration of the context, with the names of ``start``."""
    state = context.getState(positions=True, velocities=velocities)
    speed = None
    if velocities:
        speed = state.getVelocities(asNumpy=True).value_in_unit(unit.angstrom / unit.femtosecond)
    return Structure(
        residue_numbers=start.residue_numbers,
        residue_names=start.residue_names,
        atom_names=start.atom_names,
        positions_A=state.getPositions(asNumpy=True).value_in_unit(unit.angstrom),
        velocities_A_fs=speed,
        cell_A=start.cell_A,
        title=title,
    )
