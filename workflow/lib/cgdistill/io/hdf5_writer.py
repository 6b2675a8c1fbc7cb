"""Writing of HDF5 files with detection of full disks.

If HDF5 cannot flush its cache on closing a file, it ends in a segmentation fault or reports nothing. Here it writes
through a stream that accepts everything and records the first error.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py

from ..runtime.machine_errors import disk_fault


class _Stream(io.RawIOBase):
    """Output stream for HDF5; ``fault`` is the first error of writing, after which nothing more is written."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._file = open(path, "w+b", buffering=0)
        self.fault: OSError | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and self.fault is None:
            try:
                done += self._file.write(view[done:]) or 0
            except OSError as error:
                self.record(error)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        size = self._file.tell() if size is None else size
        try:
            self._file.truncate(size)
        except OSError as error:
            self.record(error)
        return size

    def record(self, error: OSError) -> None:
        """Record the first error, with the name of the file."""
        self.fault = self.fault or disk_fault(self.path, error) or error
        self.fault.filename = self.fault.filename or str(self.path)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class Hdf5Output:
    """A new HDF5 file.

    Parameters
    ----------
    options:
        Options of `h5py.File`.

    Attributes
    ----------
    file: the open file; call `check` after writing larger parts.

    Raises
    ------
    OSError
        The disk is full or read-only: on opening, from `check`, and from `close` or at the end of ``with``.
    """

    def __init__(self, path: str | Path, **options: Any) -> None:
        self._stream = _Stream(Path(path).absolute())
        self.file = h5py.File(self._stream, "w", **options)

    def check(self) -> None:
        """Raise the first error of writing, if there was one."""
        if self._stream.fault is not None:
            raise self._stream.fault

    def close(self) -> None:
        """Flush and close."""
        try:
            self.file.close()
        finally:
            self._stream.close()
        self.check()

    def __enter__(self) -> Hdf5Output:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        self.file.close()
        self._stream.close()
