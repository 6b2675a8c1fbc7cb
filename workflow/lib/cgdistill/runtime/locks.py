"""One job at a time on a checkpoint: a second one is refused instead of spoiling what the first writes.

A lock of the system (flock) on a file beside the checkpoint, or in its folder. It ends with the process, however that
ends, so that a killed job is not in the way of the next one. The file names who holds it, for the message.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..core.errors import InputError
from .job import log

#: A process that is being killed takes a moment to go, s.
_PATIENCE_S = 3.0
#: What file systems answer that have no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)

#: Locks of `lock_until_exit`, by path: open for as long as this process lives.
_held: dict[Path, int] = {}


def lock_path(checkpoint: str | Path) -> Path:
    """The lock file of a checkpoint, beside it."""
    path = Path(os.path.abspath(checkpoint))
    return path.with_name(f".{path.name}.lock")


@contextmanager
def exclusive(checkpoints: Iterable[str | Path]) -> Iterator[None]:
    """Have checkpoints (files or folders) for oneself within ``with``.

    Where the file system has no locks, work goes on with a warning.

    Raises
    ------
    InputError
        Another process is at work on one of them.
    """
    locks: list[tuple[Path, int]] = []
    try:
        for checkpoint in checkpoints:
            path = lock_path(checkpoint)
            if (descriptor := _lock(checkpoint, path)) is not None:
                locks.append((path, descriptor))
        yield
    finally:
        for path, descriptor in locks:
            # While the lock is held: one who waits for it sees then that the file is no longer the one of this name.
            with suppress(OSError):
                path.unlink(missing_ok=True)
            os.close(descriptor)


def lock_until_exit(folder: str | Path) -> None:
    """Have a folder of work files for oneself until this process ends (`exclusive`)."""
    path = Path(os.path.abspath(folder)) / ".lock"
    if path not in _held and (descriptor := _lock(folder, path)) is not None:
        _held[path] = descriptor


def _lock(checkpoint: str | Path, path: Path) -> int | None:
    """Descriptor of the locked file at ``path``; None where there are no locks."""
    end = time.perf_counter() + _PATIENCE_S
    path.parent.mkdir(parents=True, exist_ok=True)
    told = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            os.close(descriptor)
            if error.errno in _NO_LOCKS:
                log.warning(
                    "%s: no locks here (%s): two jobs at once would not be noticed", path.parent, error.strerror
                )
                return None
            if not isinstance(error, BlockingIOError):
                raise
            if time.perf_counter() > end:
                found = f"{holder or 'another process'} at work on it"
                expected = "one job at a time; wait for it or end it, then run again"
                raise InputError(checkpoint, "checkpoint", found, expected) from None
            if not told:
                log.info("%s: waiting for %s", checkpoint, holder or "another process")
                told = True
            time.sleep(0.1)
            continue
        if _is_named(descriptor, path):
            break
        os.close(descriptor)
    # On a full disk there is no room for the name: the lock holds all the same.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
    return descriptor


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether a path still is the name of an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
