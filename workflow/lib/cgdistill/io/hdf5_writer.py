"""HDF5 files to be written, on disks that may be full.

HDF5 that cannot write out its cache when it closes a file ends in a segmentation fault, or says nothing. Here it
writes through a stream that takes everything and remembers the first failure.
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
    """A file for HDF5; ``fault`` is the first error of writing, behind which nothing more is written."""

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
                self.note(error)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        size = self._file.tell() if size is None else size
        try:
            self._file.truncate(size)
        except OSError as error:
            self.note(error)
        return size

    def note(self, error: OSError) -> None:
        """Remember the first failure, under the name of the file."""
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
        Of `h5py.File`.

    Attributes
    ----------
    file: to be written to; behind larger pieces ask `check`.

    Raises
    ------
    OSError
        The disk is full or may not be written to: here, from `check`, and at the end of ``with`` or from `close`.
    """

    def __init__(self, path: str | Path, **options: Any) -> None:
        self._stream = _Stream(Path(path).absolute())
        self.file = h5py.File(self._stream, "w", **options)

    def check(self) -> None:
        """Raise what writing has failed with."""
        if self._stream.fault is not None:
            raise self._stream.fault

    def close(self) -> None:
        """Write out and close."""
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
