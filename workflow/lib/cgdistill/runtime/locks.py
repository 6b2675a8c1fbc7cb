"""Exclusive access to checkpoints: a second job on the same checkpoint is refused.

An advisory lock (flock) on a file next to the checkpoint, or in its folder. The system releases it when the process
ends, even if it is killed. The file names the owner, for the error message.
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

#: Waiting time for a process that is being killed, s.
_PATIENCE_S = 3.0
#: Errors of file systems without locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)

#: Descriptors of `lock_until_exit` by path, open until this process ends.
_held: dict[Path, int] = {}


def lock_path(checkpoint: str | Path) -> Path:
    """Path of a checkpoint's lock file, in the same folder."""
    path = Path(os.path.abspath(checkpoint))
    return path.with_name(f".{path.name}.lock")


@contextmanager
def exclusive(checkpoints: Iterable[str | Path]) -> Iterator[None]:
    """Lock checkpoints (files or folders) within ``with``; on file systems without locks, log a warning.

    Raises
    ------
    InputError
        Another process uses one of them.
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
            # Removed before the lock is released: a waiting process then sees that the path names another file.
            with suppress(OSError):
                path.unlink(missing_ok=True)
            os.close(descriptor)


def lock_until_exit(folder: str | Path) -> None:
    """Lock a folder of work files until this process ends; see `exclusive` for the errors."""
    path = Path(os.path.abspath(folder)) / ".lock"
    if path not in _held and (descriptor := _lock(folder, path)) is not None:
        _held[path] = descriptor


def _lock(checkpoint: str | Path, path: Path) -> int | None:
    """Descriptor of the locked file at ``path``; None if the file system has no locks."""
    end = time.perf_counter() + _PATIENCE_S
    path.parent.mkdir(parents=True, exist_ok=True)
    announced = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            os.close(descriptor)
            if error.errno in _NO_LOCKS:
                log.warning(
                    "%s: no file locks (%s): two jobs on one checkpoint are not detected", path.parent, error.strerror
                )
                return None
            if not isinstance(error, BlockingIOError):
                raise
            if time.perf_counter() > end:
                found = f"in use by {holder or 'another process'}"
                expected = "one job at a time; wait for the other or end it, then run again"
                raise InputError(checkpoint, "checkpoint", found, expected) from None
            if not announced:
                log.info("%s: waiting for %s", checkpoint, holder or "another process")
                announced = True
            time.sleep(0.1)
            continue
        if _is_named(descriptor, path):
            break
        os.close(descriptor)
    # The name cannot be written on a full disk; the lock is valid without it.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
    return descriptor


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether a path still names an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
