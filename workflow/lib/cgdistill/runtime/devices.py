"""On which device a job computes; jobs of one machine that see the same GPUs spread over them."""

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

#: Lock files by device: open for as long as this process lives, so that its end, however it comes, gives them back.
_held: dict[str, IO[bytes]] = {}


def choose_device(wanted: str) -> torch.device:
    """Device of a config value ``cpu``, ``cuda`` or ``auto`` (a GPU where this process sees one that computes).

    Of several GPUs the one on which the fewest other processes of cgdistill compute, also those of other runs. Where
    there should be a GPU and none computes, ``auto`` goes on with the CPU, and the log says why.

    Raises
    ------
    InputError
        ``cuda`` where no GPU computes.
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
            # Kernels that are not torch's own go to the current device.
            torch.cuda.set_device(number)
            return torch.device("cuda", number)
        faults.append(f"GPU {number}: {fault}")
        names[number] = ""
        if (lock := _held.pop(name, None)) is not None:
            lock.close()
    found = "; ".join(faults) or "no GPU visible to this job"
    if wanted == "cuda":
        raise InputError("config", "device", found, "a GPU, or device: cpu")
    if faults or (hint := _promised()):
        log.warning("device: auto: %s%s; going on with the CPU", found, "" if faults else f" ({hint})")
    return torch.device("cpu")


def _names() -> list[str]:
    """What tells the visible GPUs from each other in all processes; empty where there is none."""
    try:
        if not torch.cuda.is_available():
            return []
        # Numbers depend on what a process may see; identifiers do not.
        return [str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())]
    except (RuntimeError, AssertionError) as error:
        log.warning("GPUs: %s", _first_line(error))
        return []


def probe(number: int) -> str:
    """What is wrong with a GPU, by a small computation; empty where its result is right."""
    try:
        found = float((torch.ones(8, device=torch.device("cuda", number)) * 2).sum())
    except (RuntimeError, AssertionError) as error:
        return _first_line(error)
    return "" if found == 16.0 else f"2 * 8 is {found:g} there"


def _promised() -> str:
    """What says that this job should have a GPU; empty where nothing does."""
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS"):
        if (value := os.environ.get(name, "")) not in ("", "-1", "NoDevFiles"):
            return f"{name}={value}"
    if torch.version.cuda and list(Path("/dev").glob("nvidia[0-9]*")):
        return "there is one in /dev"
    return ""


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def claim(devices: Sequence[str], folder: str | Path | None = None) -> tuple[int, int]:
    """Take a place on one of several devices until this process ends.

    Parameters
    ----------
    devices:
        What tells each from the others, in all processes.
    folder:
        Of the locks, the same for all processes of the machine; default: one of this user in the system's folder for
        temporary files.

    Returns
    -------
    number, others
        Of the device, and how many processes had a place there already.
    """
    for number, device in enumerate(devices):
        if device in _held:
            return number, 0
    place = Path(folder) if folder else Path(tempfile.gettempdir()) / f"cgdistill-devices-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    if place.lstat().st_uid != os.getuid():
        log.warning("%s belongs to somebody else: GPUs are not shared out between jobs", place)
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
