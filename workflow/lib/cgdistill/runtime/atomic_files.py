"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from .machine_errors import disk_fault

#: Temporary names of `whole_file`: stem, machine, process, suffix.
_PARTIAL = re.compile(r"\.(.+)\.partial-(.+)-(\d+)(\.[^.]*)?")
#: A temporary file of another machine that has not been modified for this long is considered stale, s.
_LEFT_OVER_S = 86400.0
#: What file systems answer that cannot wait for the disk, some of them for folders alone.
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Write to a temporary neighbour and move it to ``path`` when the body has succeeded.

    The temporary name keeps the suffix, since many writers choose their format by it. What killed writers of the
    same file have left under such names is removed.

    Raises
    ------
    OSError
        The disk is full or may not be written to, whatever the writer made of that.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(path)
    partial = path.with_name(f".{path.stem}.partial-{os.uname().nodename}-{os.getpid()}{path.suffix}")
    try:
        yield partial
        # Else the name may be on disk before the contents: after a power cut it would stand for an empty file.
        sync_to_disk(partial)
        os.replace(partial, path)
        # What is written next may rely on this file, and must not be on disk without it.
        sync_to_disk(path.parent)
    except InputError:
        raise
    except Exception as error:
        if (why := disk_fault(partial, error)) is None:
            raise
        raise OSError(why.errno, why.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def sync_to_disk(path: str | Path) -> None:
    """Wait until the contents of a file, or the names in a folder, are on disk (where the file system can do that)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(descriptor)


def _remove_left_over(path: Path) -> None:
    """Remove temporary files of ``path`` that nobody writes to any more."""
    for found in path.parent.glob(".*.partial-*"):
        match = _PARTIAL.fullmatch(found.name)
        if match is None or match[1] + (match[4] or "") != path.name:
            continue
        try:
            if match[2] == os.uname().nodename:
                alive = _is_running(int(match[3]))
            else:
                alive = time.time() - found.stat().st_mtime < _LEFT_OVER_S
        except FileNotFoundError:  # it has been moved into place
            continue
        if not alive:
            found.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    """Whether another process of this number runs on this machine."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def write_json(path: str | Path, data: Mapping[str, Any]) -> None:
    """Write ``data`` as indented UTF-8 JSON, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
