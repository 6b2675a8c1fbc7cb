"""GROMACS as the all-atom engine: minimisation, equilibration, production.

Each stage works in its own checkpoint folder. A stage that was stopped (Ctrl-C, time limit) writes GROMACS' checkpoint
there, and resumes from it when it is called again with the same input. One that was killed resumes from the last
regular checkpoint. mdrun is killed together with the process that started it.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from ..config.aa_protocol import ProtocolSpec
from ..core.errors import InputError
from ..core.units import ANGSTROM_PER_NM, FS_PER_PS, KJ_PER_KCAL
from ..runtime.atomic_files import sync_to_disk, whole_file
from ..runtime.job import Progress, log
from ..runtime.signals import StopRequest
from .gro import read_gro, write_gro
from .stage import StageInput, check_cutoff, require_velocities, stage_folder, title_line, write_thermo
from .system import require_program
from .trr import join_frames

#: Minutes between GROMACS' checkpoints.
_CHECKPOINT_MINUTES = 2
#: Seconds for mdrun to stop: Slurm sends SIGKILL 30 s after SIGTERM.
_STOP_WAIT_S = 20
#: Option of Linux' prctl: signal sent to a process when its parent dies.
_PR_SET_PDEATHSIG = 1
#: Convergence of steepest descent: largest force, kJ/mol/nm.
_MINIMISED_FORCE = 500.0
_PME_SPACING_nm = 0.15
_THERMO_PS = 0.2
#: mdrun's option -nb, by device.
_NONBONDED_ON = {"auto": "auto", "cpu": "cpu", "cuda": "gpu"}


def version() -> str:
    """Version of the GROMACS found on PATH."""
    done = subprocess.run([require_program("gmx"), "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"GROMACS version:\s*(\S+)", done.stdout)
    return match[1] if match else "unknown"


def mdp(stage: str, protocol: ProtocolSpec, seed: int) -> dict[str, str]:
    """GROMACS parameters of a stage (``minimise``, ``equilibrate`` or ``produce``)."""
    if stage == "minimise":
        return _interactions(protocol) | {
            "integrator": "steep",
            "nsteps": str(protocol.minimise_steps),
            "emtol": f"{_MINIMISED_FORCE:g}",
            "emstep": "0.01",
            "constraints": "none",
        }
    options = _interactions(protocol) | _dynamics(protocol, seed)
    return options | (_annealing(protocol, seed) if stage == "equilibrate" else _production(protocol))


def _interactions(protocol: ProtocolSpec) -> dict[str, str]:
    cutoff_nm = f"{protocol.cutoff_A / ANGSTROM_PER_NM:g}"
    return {
        "cutoff-scheme": "Verlet",
        "nstlist": "10",
        "pbc": "xyz",
        "coulombtype": "PME",
        "rcoulomb": cutoff_nm,
        "coulomb-modifier": "None",
        "vdwtype": "Cut-off",
        "rvdw": cutoff_nm,
        "vdw-modifier": "None",
        "DispCorr": "EnerPres" if protocol.dispersion_correction else "no",
        # The order of OpenMM, so that both engines have the same mesh error.
        "fourierspacing": f"{_PME_SPACING_nm}",
        "pme-order": "5",
        "ewald-rtol": "1e-5",
        "constraints": "h-bonds" if protocol.constraints == "hydrogen-bonds" else "none",
    }


def _dynamics(protocol: ProtocolSpec, seed: int) -> dict[str, str]:
    return {
        "integrator": "md",
        "dt": f"{protocol.timestep_fs / FS_PER_PS:g}",
        "constraint-algorithm": "lincs",
        "lincs-order": "4",
        "lincs-iter": "2",
        "comm-mode": "Linear",
        "nstcomm": "100",
        "nstcalcenergy": "100",
        "nstenergy": "100",
        "nstlog": "5000",
        "nstvout": "0",
        "ld-seed": str(seed),
        "tc-grps": "System",
        "tau-t": f"{protocol.thermostat_time_ps:g}",
        "continuation": "no",
    }


def _annealing(protocol: ProtocolSpec, seed: int) -> dict[str, str]:
    return {
        "nsteps": str(protocol.equilibration_steps),
        "tcoupl": "v-rescale",
        "ref-t": f"{protocol.anneal[0][1]:g}",
        "annealing": "single",
        "annealing-npoints": str(len(protocol.anneal)),
        "annealing-time": " ".join(f"{time:g}" for time, _ in protocol.anneal),
        "annealing-temp": " ".join(f"{kelvin:g}" for _, kelvin in protocol.anneal),
        "gen-vel": "yes",
        "gen-temp": f"{protocol.anneal[0][1]:g}",
        "gen-seed": str(seed),
    }


def _production(protocol: ProtocolSpec) -> dict[str, str]:
    thermo_steps = max(round(_THERMO_PS * FS_PER_PS / protocol.timestep_fs), 1)
    return {
        "nsteps": str(protocol.production_steps),
        "tcoupl": protocol.thermostat,
        "ref-t": f"{protocol.temperature_K:g}",
        "gen-vel": "no",
        "nstxout": str(protocol.frame_steps),
        "nstfout": str(protocol.frame_steps),
        "nstcalcenergy": str(thermo_steps),
        "nstenergy": str(thermo_steps),
    }


def minimise(job: StageInput, output: Path) -> None:
    """Minimise the energy by steepest descent, and write ``output`` (.gro).

    Raises
    ------
    InputError
        GROMACS is missing, the cutoff does not fit the cell, or GROMACS refuses the input.
    RuntimeError
        The energy did not become finite.
    """
    check_cutoff(job)
    folder = _run("minimise", job, job.protocol.minimise_steps)
    text = (folder / "run.log").read_text(encoding="utf-8", errors="replace")
    energies = re.findall(r"^Potential Energy\s*=\s*(\S+)", text, re.MULTILINE)
    if not energies or not np.isfinite(float(energies[-1])):
        raise RuntimeError(f"minimisation ended with potential energy {energies[-1:]}; see {folder / 'run.log'}")
    log.info("minimised to %.1f kcal/mol", float(energies[-1]) / KJ_PER_KCAL)
    structure = read_gro(folder / "run.gro")
    write_gro(output, structure.retitled(title_line("minimised", "minimise", job)))


def equilibrate(job: StageInput, output: Path) -> None:
    """Run the annealing schedule with v-rescale, and write ``output`` (.gro with velocities).

    Raises
    ------
    InputError
        See `minimise`.
    """
    check_cutoff(job)
    folder = _run("equilibrate", job, job.protocol.equilibration_steps)
    structure = read_gro(folder / "run.gro")
    write_gro(output, structure.retitled(title_line("equilibrated", "equilibrate", job)))


def produce(job: StageInput, trajectory: Path, structure: Path, thermo: Path) -> None:
    """Run the production at constant volume and temperature.

    Parameters
    ----------
    trajectory:
        Output: .trr with positions and forces every ``frame_every_ps``, from 0 ps.
    structure:
        Output: .gro with the first frame, its names and its cell.
    thermo:
        Output: time_ps, potential_energy_kcal_mol and temperature_K as CSV.

    Raises
    ------
    InputError
        See `minimise`; the start structure holds no velocities.
    RuntimeError
        The trajectory is incomplete or contains values that are not finite.
    """
    start = check_cutoff(job)
    require_velocities(job)
    folder = _run("produce", job, job.protocol.production_steps)
    join_frames([folder / "run.trr"], trajectory, job.protocol)
    write_gro(structure, start.retitled(title_line("start of production", "produce", job)))
    table = _energies(folder)
    write_thermo(thermo, table, job, "gromacs", {"gromacs": version()}, _wall_s(folder, job))


def _environment(threads: int) -> dict[str, str]:
    return {**os.environ, "GMX_MAXBACKUP": "-1", "OMP_NUM_THREADS": str(threads)}


def _run(stage: str, job: StageInput, n_steps: int) -> Path:
    """Folder of a stage after it has finished: it is started, resumed, or found finished."""
    program = require_program("gmx")
    options = mdp(stage, job.protocol, job.seed)
    folder = stage_folder("gromacs", stage, job, options)
    if (folder / "run.gro").is_file():
        log.info("%s: already finished in %s", stage, folder)
        return folder
    if not (folder / "run.tpr").is_file():
        _grompp(program, stage, job, folder, options)
    command = [program, "mdrun", "-deffnm", "run", "-v", "-stepout", "100", "-cpt", str(_CHECKPOINT_MINUTES)]
    command += ["-ntmpi", "1", "-ntomp", str(job.threads), "-pin", "off", "-notunepme"]
    command += ["-nb", _NONBONDED_ON[job.device]]
    if (folder / "run.cpt").is_file():
        log.info("%s: resuming from the checkpoint in %s", stage, folder)
        command += ["-cpi", "run.cpt"]
    # The file marks the stage as finished: mdrun may be killed while it writes the structure, or afterwards.
    with whole_file((folder / "run.gro").resolve()) as partial:
        _mdrun([*command, "-c", partial.name], folder, job.threads, stage, n_steps)
        if not partial.is_file():
            _structure_of_checkpoint(program, folder, partial)
        for file in (folder / "run.trr", folder / "run.edr"):
            if file.is_file():
                sync_to_disk(file)
    return folder


def _structure_of_checkpoint(program: str, folder: Path, output: Path) -> None:
    """Write the structure of a run that was killed after its last step, which mdrun does not write again.

    Raises
    ------
    RuntimeError
        There is no checkpoint either.
    """
    command = [program, "trjconv", "-f", "run.cpt", "-s", "run.tpr", "-o", output.name, "-pbc", "whole"]
    done = subprocess.run(
        command, input="0\n", cwd=folder, env=_environment(1), capture_output=True, text=True, check=False,
        errors="replace",
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"mdrun ended without a structure; see {folder / 'run.log'}")


def _grompp(program: str, stage: str, job: StageInput, folder: Path, options: Mapping[str, str]) -> None:
    """Write run.tpr, atomically."""
    text = "".join(f"{key} = {value}\n" for key, value in options.items())
    (folder / "run.mdp").write_text(text, encoding="utf-8")
    with whole_file((folder / "run.tpr").resolve()) as partial:
        command = [program, "grompp", "-f", "run.mdp", "-po", "run.full.mdp", "-o", partial.name]
        command += ["-p", str(job.topology.resolve()), "-c", str(job.structure.resolve())]
        done = subprocess.run(
            command, cwd=folder, env=_environment(1), capture_output=True, text=True, check=False, errors="replace"
        )
        (folder / "grompp.log").write_text(done.stdout + done.stderr, encoding="utf-8")
        if done.returncode != 0:
            found = _error_lines(done.stderr)
            raise InputError(job.topology, f"gmx grompp ({stage})", found, f"no error; see {folder / 'grompp.log'}")


def _error_lines(text: str) -> str:
    """Lines of GROMACS' output with the error."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\s*(Fatal error|ERROR|Error in user input|WARNING|Inconsistency)", line):
            return " ".join(part.strip() for part in lines[number : number + 4])
    return lines[-1] if lines else "no output"


def _mdrun(command: list[str], folder: Path, threads: int, stage: str, n_steps: int) -> None:
    """Run mdrun with a progress bar; on a signal to stop (`signals`), let it write its checkpoint first.

    mdrun runs in its own session, since it aborts at once after the third signal.

    Raises
    ------
    Interrupted
        A signal was received.
    RuntimeError
        mdrun failed, or was stopped by another process.
    """
    bar: Progress | None = None
    started: list[subprocess.Popen[bytes]] = []
    timers: list[threading.Timer] = []

    def pass_on(_number: int) -> None:
        for process in started:
            log.warning("%s: stopping; GROMACS writes its checkpoint to %s", stage, folder)
            process.terminate()
            timers.append(threading.Timer(_STOP_WAIT_S, process.kill))
            timers[-1].start()

    with StopRequest(pass_on) as stop:
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(threads), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True, preexec_fn=_dying_with_parent(),
        )  # fmt: skip
        started.append(process)
        if stop:  # received before mdrun was started
            pass_on(stop.number)
        tail: list[str] = []
        try:
            assert process.stderr is not None
            for line in _lines(process.stderr):
                tail = [*tail[-40:], line]
                if (step := _step(line)) is not None:
                    if bar is None:
                        first, bar = step, Progress(n_steps - step, stage, "steps")
                    bar.update(max(step - first - bar.done, 0))
            process.wait()
        finally:
            for timer in timers:
                timer.cancel()
            if bar is not None:
                bar.close()
    if stop:
        raise stop.interruption(f"in {stage}: rerun to continue")
    if process.returncode != 0:
        (folder / "mdrun.err").write_text("\n".join(tail) + "\n", encoding="utf-8")
        if any(re.match(r"Received the \w+ signal", line) for line in tail):
            last = max(_step(line) or 0 for line in tail)
            raise RuntimeError(f"mdrun was stopped by another process at step {last}; run again to resume")
        raise RuntimeError(f"mdrun failed: {_error_lines(chr(10).join(tail))}; see {folder / 'run.log'}")


def _dying_with_parent() -> Callable[[], None] | None:
    """Function for a child process to call first, so that it is killed when this process ends; None if not on Linux.

    An mdrun that survives a killed job would write to the files of the next one.
    """
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent has already ended
            os._exit(1)

    return prepare


def _step(line: str) -> int | None:
    """Step number in a line of mdrun's progress, else None."""
    match = re.match(r"(?:imb .*?)?step\s*=?\s*(\d+)", line, re.IGNORECASE)
    return int(match[1]) if match else None


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Lines ended by newline or by carriage return (GROMACS' step counter)."""
    rest = b""
    read = getattr(stream, "read1", stream.read)
    while chunk := read(4096):
        *whole, rest = re.split(rb"[\r\n]+", rest + chunk)
        for line in whole:
            yield line.decode(errors="replace").strip()
    if rest:
        yield rest.decode(errors="replace").strip()


def _energies(folder: Path) -> pd.DataFrame:
    """Potential energy and temperature over time, from run.edr."""
    terms: Mapping[str, str] = {"Potential": "potential_energy_kcal_mol", "Temperature": "temperature_K"}
    done = subprocess.run(
        [require_program("gmx"), "energy", "-f", "run.edr", "-o", "energy.xvg", "-dp"],
        input="\n".join(terms) + "\n\n", cwd=folder, env=_environment(1), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"gmx energy failed: {_error_lines(done.stderr)}")
    rows = [line for line in (folder / "energy.xvg").read_bytes().splitlines() if line[:1] not in (b"@", b"#", b"&")]
    values = np.loadtxt(BytesIO(b"\n".join(rows)), ndmin=2)
    table = pd.DataFrame({"time_ps": values[:, 0], "potential_energy_kcal_mol": values[:, 1] / KJ_PER_KCAL})
    table["temperature_K"] = values[:, 2]
    return table


def _wall_s(folder: Path, job: StageInput) -> float:
    """Wall time, s, of the complete production at the speed of its last part; NaN if unknown."""
    text = (folder / "run.log").read_text(encoding="utf-8", errors="replace")
    speeds = re.findall(r"^Performance:\s+(\S+)", text, re.MULTILINE)
    if not speeds or float(speeds[-1]) <= 0:
        return float("nan")
    total_ns = job.protocol.production_steps * job.protocol.timestep_fs * 1e-6
    return total_ns / float(speeds[-1]) * 86400
