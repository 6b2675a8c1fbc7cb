"""Choice of the device of a job; jobs on one machine are distributed over the visible GPUs."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import IO

import torch

from ..core.errors import InputError
from .job import log
from .machine_errors import first_line

#: Lock files by device, open until this process ends, which releases them in any case.
_held: dict[str, IO[bytes]] = {}


def choose_device(wanted: str) -> torch.device:
    """Device for a config value ``cpu``, ``cuda`` or ``auto`` (a working GPU if there is one, else the CPU).

    Of several GPUs, the one used by the fewest other processes of cgdistill, including those of other runs. If a GPU is
    expected but none works, ``auto`` uses the CPU and logs a warning.

    Raises
    ------
    InputError
        ``cuda``, but no GPU works.
    """
    if wanted == "cpu":
        return torch.device("cpu")
    names, faults = _names(), []
    while left := {name: number for number, name in enumerate(names) if name}:
        place, others = claim(list(left))
        name = list(left)[place]
        number = left[name]
        if not (fault := probe(number)):
            label = torch.cuda.get_device_properties(number).name
            log.info("GPU %d of %d: %s", number, len(names), label)
            if others:
                hint = "--resources gpu=N runs N jobs at a time"
                log.warning("GPU %d is shared with %d other processes; %s", number, others, hint)
            # Kernels outside torch run on the current device.
            torch.cuda.set_device(number)
            return torch.device("cuda", number)
        faults.append(f"GPU {number}: {fault}")
        names[number] = ""
        if (lock := _held.pop(name, None)) is not None:
            lock.close()
    found = "; ".join(faults) or "no GPU visible to this job"
    if wanted == "cuda":
        raise InputError("config", "device", found, "a GPU, or device: cpu")
    if faults or (hint := _assigned()):
        log.warning("device: auto: %s%s; using the CPU", found, "" if faults else f" ({hint})")
    return torch.device("cpu")


def _names() -> list[str]:
    """Identifiers of the visible GPUs, the same in all processes; empty if there is none."""
    try:
        if not torch.cuda.is_available():
            return []
        # Device numbers depend on which GPUs are visible to a process; UUIDs do not.
        return [str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())]
    except (RuntimeError, AssertionError) as error:
        log.warning("GPUs: %s", first_line(error))
        return []


def probe(number: int) -> str:
    """Error of a small test computation on a GPU; empty if its result is correct."""
    try:
        found = float((torch.ones(8, device=torch.device("cuda", number)) * 2).sum())
    except (RuntimeError, AssertionError) as error:
        return first_line(error)
    return "" if found == 16.0 else f"2 * 8 is {found:g} there"


def _assigned() -> str:
    """Evidence that a GPU was assigned to this job; empty if there is none."""
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS"):
        if (value := os.environ.get(name, "")) not in ("", "-1", "NoDevFiles"):
            return f"{name}={value}"
    if torch.version.cuda and list(Path("/dev").glob("nvidia[0-9]*")):
        return "there is one in /dev"
    return ""


def claim(devices: Sequence[str], folder: str | Path | None = None) -> tuple[int, int]:
    """Number of a device reserved for this process until it ends, and the number of processes already using it.

    Parameters
    ----------
    devices:
        Identifiers, the same in all processes.
    folder:
        Folder of the lock files, the same for all processes of the machine; default: a folder of this user in the
        system's folder for temporary files.
    """
    for number, device in enumerate(devices):
        if device in _held:
            return number, 0
    place = Path(folder) if folder else Path(tempfile.gettempdir()) / f"cgdistill-devices-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    if place.lstat().st_uid != os.getuid():
        log.warning("%s belongs to another user: jobs are not distributed over the GPUs", place)
        return 0, 0
    for others in count():
        for number, device in enumerate(devices):
            stream = (place / f"{device.replace(os.sep, '_')}.{others}").open("wb")
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stream.close()
                continue
            _held[device] = stream
            return number, others
    raise AssertionError("unreachable")
