"""Atomic writing of files: the complete new file, or the old one."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from .machine_errors import disk_fault

#: Temporary names of `whole_file`: stem, host, process, suffix.
_PARTIAL = re.compile(r"\.(.+)\.partial-(.+)-(\d+)(\.[^.]*)?")
#: A temporary file of another host is considered stale if it has not been modified for this long, s.
_STALE_S = 86400.0
#: Errors of file systems that do not support fsync, some of them only for folders.
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Temporary file in the same folder, renamed to ``path`` after the body has succeeded.

    The temporary name keeps the suffix, by which many writers choose their format. Temporary files of killed writers
    of the same file are removed.

    Raises
    ------
    OSError
        The disk is full or read-only, whatever exception the writer raised.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    partial = path.with_name(f".{path.stem}.partial-{os.uname().nodename}-{os.getpid()}{path.suffix}")
    try:
        yield partial
        # Otherwise the name may reach the disk before the contents: after a power cut the file would be empty.
        sync_to_disk(partial)
        os.replace(partial, path)
        # Files written later may depend on this one and must not reach the disk before it.
        sync_to_disk(path.parent)
    except InputError:
        raise
    except Exception as error:
        if (why := disk_fault(partial, error)) is None:
            raise
        raise OSError(why.errno, why.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no hard links; ``target`` must not exist."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def sync_to_disk(path: str | Path) -> None:
    """Wait until a file's contents, or a folder's names, are on disk (if the file system supports it)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(descriptor)


def _remove_stale(path: Path) -> None:
    """Remove temporary files of ``path`` whose writers have ended."""
    for found in path.parent.glob(".*.partial-*"):
        match = _PARTIAL.fullmatch(found.name)
        if match is None or match[1] + (match[4] or "") != path.name:
            continue
        try:
            if match[2] == os.uname().nodename:
                alive = _is_running(int(match[3]))
            else:
                alive = time.time() - found.stat().st_mtime < _STALE_S
        except FileNotFoundError:  # renamed in the meantime
            continue
        if not alive:
            found.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    """Whether another process with this number runs on this host."""
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
    """Write ``data`` as indented UTF-8 JSON, atomically."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
