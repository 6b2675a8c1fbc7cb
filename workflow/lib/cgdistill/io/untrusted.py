"""Reading of untrusted files: as data only, with their sizes known before memory is allocated.

Nothing here executes the contents of a file. Features by which a file makes a library follow pointers, open other files
or loop for ever are refused before the library reads them; errors of the C libraries themselves are not covered.
"""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path
from typing import Any

import h5py

from ..core.errors import InputError

#: Largest file of settings, bytes: JSON of this size takes less than 200 MB as data.
LARGEST_JSON_BYTES = 4 * 2**20
#: Valid names of folders and networks: no paths, options, or characters with a meaning in a shell or in LAMMPS.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
#: Valid names of bead types; the excluded words have a meaning in LAMMPS (NULL) or in tables.
TYPE_NAME = re.compile(r"(?!(NULL|all|any|overall)$)[A-Za-z][A-Za-z0-9]{0,39}")
#: HDF5 classes of numbers and text.
_PLAIN = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM, h5py.h5t.BITFIELD, h5py.h5t.REFERENCE)

#: Datasets above this size, bytes, must be stored in the file, compressed by at most this factor.
_MAX_UNFILLED_BYTES, _MAX_COMPRESSION = 2**24, 2000
#: Signature of a global heap collection, where HDF5 keeps strings of variable length, and the size of its header and of
#: each object's header.
_HEAP, _HEAP_HEADER_BYTES = b"GCOL\x01\0\0\0", 16


def shown(value: object) -> str:
    """A value of a file for a message; a whole number may have thousands of digits."""
    return "a larger number" if isinstance(value, int) and abs(value) > 10**18 else repr(value)


def regular_file_in(folder: str | Path, name: str, expected: str) -> Path:
    """Path of a regular file within a folder.

    Raises
    ------
    InputError
        There is none, or a link leads out of the folder: a model folder is self-contained, and a link could name a
        device or a pipe.
    """
    path = Path(folder) / name
    if not path.is_file():
        raise InputError(path, "file", "nothing" if not path.exists() else "no regular file", expected)
    if not path.resolve().is_relative_to(Path(folder).resolve()):
        raise InputError(
            path, "file", f"a link to {path.resolve()}", "a file within the folder (cp -rL copies linked files)"
        )
    return path


def read_json(path: str | Path, expected: str) -> dict[str, Any]:
    """Object in a JSON file.

    Raises
    ------
    InputError
        No regular file, above `LARGEST_JSON_BYTES`, invalid JSON, a duplicate key, nested too deeply, or no object.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "file", "nothing" if not path.exists() else "no regular file", expected)
    try:
        with open(path, "rb") as stream:
            content = stream.read(LARGEST_JSON_BYTES + 1)
    except OSError as error:
        raise InputError(path, "file", error, expected) from None
    if len(content) > LARGEST_JSON_BYTES:
        raise InputError(path, "file", f"more than {LARGEST_JSON_BYTES} bytes", expected)
    return parse_json(content, path, "file", expected)


def parse_json(content: bytes, source: str | Path, item: str, expected: str) -> dict[str, Any]:
    """Object in JSON text (UTF-8); errors as in `read_json`."""
    try:
        found = json.loads(content.decode("utf-8"), object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        raise InputError(source, item, error, expected) from None
    if not isinstance(found, dict):
        raise InputError(source, item, type(found).__name__, expected)
    return found


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key '{next(key for key in keys if keys.count(key) > 1)}' twice")
    return found


def open_hdf5(path: str | Path, expected: str, item: str = "file") -> h5py.File:
    """HDF5 file, open for reading, in which all types, including those of attributes, are numbers or text.

    h5py takes the name of a numpy type from the file; for a type of Python objects it would follow pointers in the
    file. The types are therefore checked before any data are read.

    Raises
    ------
    InputError
        No HDF5 file, another type, data in other files, datasets larger than their stored data, or a damaged collection
        of strings (HDF5 1.14 would search for its end for ever, without reacting to signals).
    """
    try:
        file = h5py.File(path, "r")
    except (OSError, ValueError) as error:
        raise InputError(path, item, error, expected) from None
    try:
        _check_heaps(path)
        _check_group(file, path)
    except InputError:
        file.close()
        raise
    except (OSError, RuntimeError, LookupError, ValueError, TypeError) as error:
        file.close()
        raise InputError(path, item, f"{type(error).__name__}: {error}", expected) from None
    return file


def check_hdf5(path: str | Path, item: str) -> None:
    """Check a file that another library will read, as `open_hdf5` does; files of other formats pass.

    Raises
    ------
    InputError
        See `open_hdf5`.
    """
    if h5py.is_hdf5(path):
        open_hdf5(path, "a complete HDF5 file of numbers and text", item).close()


def _check_heaps(path: str | Path) -> None:
    """Check that the objects of each global heap collection follow one another to its end."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_HEAP)
        while start >= 0:
            size = int.from_bytes(content[start + 8 : start + 16], "little")
            place, end = start + _HEAP_HEADER_BYTES, min(start + size, len(content))
            while place + _HEAP_HEADER_BYTES <= end:
                index = int.from_bytes(content[place : place + 2], "little")
                length = int.from_bytes(content[place + 8 : place + 16], "little")
                # Object 0 is the free space, whose length includes its header; that of the others does not.
                step = length if index == 0 else _HEAP_HEADER_BYTES + (length + 7) // 8 * 8
                if step < _HEAP_HEADER_BYTES or place + step > start + size:
                    raise InputError(
                        path, f"strings at byte {start}", f"one of {length} bytes", f"at most {size} bytes in all"
                    )
                place += step
            start = content.find(_HEAP, start + len(_HEAP))


def _check_group(root: h5py.Group, path: str | Path) -> None:
    """Check the types of all objects that can be reached by name, each group once."""
    seen: set[Any] = set()
    waiting: list[tuple[str, Any]] = [("", root.id)]
    while waiting:
        name, found = waiting.pop()
        for number in range(h5py.h5a.get_num_attrs(found)):
            attribute = h5py.h5a.open(found, index=number)
            label = attribute.name.decode("utf-8", "replace")
            _check_type(attribute.get_type(), path, f"{name or '/'}, attribute '{label}'")
        if isinstance(found, h5py.h5d.DatasetID):
            _check_type(found.get_type(), path, name)
            _check_data(found, path, name)
        if not isinstance(found, h5py.h5g.GroupID):
            continue
        where = h5py.h5o.get_info(found)
        if (where.fileno, where.addr) in seen:
            continue
        seen.add((where.fileno, where.addr))
        for key in found:
            child = f"{name}/{key.decode('utf-8', 'replace')}"
            link = found.links.get_info(key).type
            if link == h5py.h5l.TYPE_EXTERNAL:
                raise InputError(path, child, "a link into another file", "data in this file")
            if link == h5py.h5l.TYPE_HARD:
                waiting.append((child, h5py.h5o.open(found, key)))
            # The target of a soft link is checked under its own name, if it exists.


def _check_type(found: Any, path: str | Path, item: str) -> None:
    type_class = found.get_class()
    if type_class == h5py.h5t.COMPOUND:
        for number in range(found.get_nmembers()):
            _check_type(found.get_member_type(number), path, item)
    elif type_class in (h5py.h5t.ARRAY, h5py.h5t.VLEN):
        _check_type(found.get_super(), path, item)
    elif type_class not in _PLAIN:
        raise InputError(path, item, "a type that is neither numbers nor text", "numbers or text")


def _check_data(found: Any, path: str | Path, item: str) -> None:
    settings = found.get_create_plist()
    if settings.get_layout() == h5py.h5d.VIRTUAL or settings.get_external_count():
        raise InputError(path, item, "data in another file", "data in this file")
    size, stored = found.get_space().get_simple_extent_npoints() * found.get_type().get_size(), found.get_storage_size()
    if size > max(_MAX_UNFILLED_BYTES, _MAX_COMPRESSION * stored):
        raise InputError(path, item, f"{size} bytes, of which {stored} are stored in the file", "complete data")
