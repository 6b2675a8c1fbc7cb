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

from .console import log
from .errors import InputError

#: Lock files by device: open for as long as this process lives, so that its end, however it comes, gives them back.
_held: dict[str, IO[bytes]] = {}


def choose_device(wanted: str) -> torch.device:
    """Device of a config value ``cpu``, ``cuda`` or ``auto`` (a GPU where this process sees one).

    Of several GPUs the one on which the fewest other processes of cgdistill compute, also those of other runs.

    Raises
    ------
    InputError
        ``cuda`` where there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("config", "device", "no GPU visible to this job", "a GPU, or device: cpu")
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    # Numbers depend on what a process may see; identifiers do not.
    properties = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    number, others = claim([str(each.uuid) for each in properties])
    log.info("GPU %d of %d: %s", number, len(properties), properties[number].name)
    if others:
        log.warning("GPU %d is shared with %d other processes; --resources gpu=N runs N jobs at a time", number, others)
    # Kernels that are not torch's own go to the current device.
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


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
