"""What a process holds: memory, open files, threads, LAMMPS, greenlets, shared memory. Linux alone."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np


def memory_MB() -> float:
    """Resident memory of this process without files that are mapped: the kernel takes their pages back at need."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024.0
    raise OSError("no RssAnon in /proc/self/status (Linux 4.5 and later have it)")


class Peak:
    """The largest `memory_MB` from now on, looked at a hundred times per second from a thread."""

    def __init__(self) -> None:
        self._largest, self._over = memory_MB(), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self._largest = max(self._largest, memory_MB())

    def end(self) -> float:
        """Stop looking; the largest."""
        self._over.set()
        self._thread.join()
        return max(self._largest, memory_MB())


@dataclass(frozen=True)
class Held:
    """What this process holds.

    Attributes
    ----------
    files: open file descriptors, sockets and pipes among them.
    threads: of this process.
    lammps_open: LAMMPS instances that have not been closed.
    lammps: Python objects of LAMMPS, closed ones among them.
    greenlets: that have not come to their end.
    shared: pieces of memory shared with other processes (``/dev/shm``, System V) that are mapped.
    """

    files: int
    threads: int
    lammps_open: int
    lammps: int
    greenlets: int
    shared: int

    @classmethod
    def now(cls, collect: bool = True) -> Held:
        """Count; ``collect``: after garbage has been collected."""
        from cgdistill.runtime.lammps_library import load_lammps
        from greenlet import getcurrent, greenlet

        if collect:
            gc.collect()
        kind: Any = load_lammps().lammps
        objects = gc.get_objects()
        instances = [one for one in objects if issubclass(type(one), kind)]
        own = getcurrent()
        alive = [one for one in objects if type(one) is greenlet and one is not own and not one.dead]
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
        return cls(
            files=len(os.listdir("/proc/self/fd")) - 1,  # that of the folder itself
            threads=len(os.listdir("/proc/self/task")),
            lammps_open=sum(bool(one.opened) for one in instances),
            lammps=len(instances),
            greenlets=len(alive),
            shared=len({line.split(maxsplit=5)[-1] for line in maps if "/dev/shm/" in line or "/SYSV" in line}),
        )

    def growth(self, before: Held) -> dict[str, int]:
        """By name, what there is more of than before."""
        pairs = zip(vars(self).items(), astuple(before), strict=True)
        return {name: value - old for (name, value), old in pairs if value > old}


def slope(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
    """Median of the slopes of all pairs of points (Theil, Sen): single steps do not count.

    ``x``, ``y``: (n,), two points at least.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    first, second = np.triu_indices(len(x), 1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))
