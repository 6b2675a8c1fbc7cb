"""Files that somebody else made: read as data, their sizes known before memory is taken.

Nothing here executes what a file holds. What libraries written in C make of a damaged file is theirs; what they would
do on a file's word (follow pointers, as h5py does with one kind of type) is refused before they are asked.
"""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path
from typing import Any

import h5py

from ..core.errors import InputError

#: A file of settings is not larger: JSON of this size takes less than 200 MB as data.
LARGEST_JSON_BYTES = 4 * 2**20
#: What folders and networks may be called: no path, no option, nothing that a shell or LAMMPS would read otherwise.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
#: What bead types may be called: they stand in LAMMPS input, where NULL is none; in tables the others mean something.
TYPE_NAME = re.compile(r"(?!(NULL|all|any|overall)$)[A-Za-z][A-Za-z0-9]{0,39}")
#: HDF5 types of numbers and text, and those made of others.
_PLAIN = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM, h5py.h5t.BITFIELD, h5py.h5t.REFERENCE)

#: Data that take more memory than this are there in the file, compressed by no more than a factor.
_UNFILLED_BYTES, _MOST_COMPRESSED = 2**24, 2000
#: Where HDF5 keeps texts of any length: how such a collection begins, and the size of its header and of each object's.
_HEAP, _HEAP_HEADER_BYTES = b"GCOL\x01\0\0\0", 16


def regular_file_in(folder: str | Path, name: str, expected: str) -> Path:
    """A regular file of a folder.

    Raises
    ------
    InputError
        There is none, or a link leads out of the folder: what is handed on stands alone, and a link could name a
        device or a pipe.
    """
    path = Path(folder) / name
    if not path.is_file():
        raise InputError(path, "file", "nothing" if not path.exists() else "no regular file", expected)
    if not path.resolve().is_relative_to(Path(folder).resolve()):
        raise InputError(path, "file", f"a link to {path.resolve()}", "a file in it (cp -rL copies what is linked)")
    return path


def read_json(path: str | Path, expected: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises
    ------
    InputError
        No regular file, larger than `LARGEST_JSON_BYTES`, not JSON, a key twice, nested without end, or no object.
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
    """The object that JSON in UTF-8 stands for; errors as of `read_json`."""
    try:
        found = json.loads(content.decode("utf-8"), object_pairs_hook=_each_key_once)
    except (ValueError, RecursionError) as error:
        raise InputError(source, item, error, expected) from None
    if not isinstance(found, dict):
        raise InputError(source, item, type(found).__name__, expected)
    return found


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key '{next(key for key in keys if keys.count(key) > 1)}' twice")
    return found


def open_hdf5(path: str | Path, expected: str, item: str = "file") -> h5py.File:
    """Open an HDF5 file in which every type, of attributes too, is one of numbers or text.

    h5py takes the name of a numpy type from the file; one of Python objects would make it follow pointers that the
    file holds. So the types are looked at before anything is read.

    Raises
    ------
    InputError
        No HDF5 file, a type of another kind, data in other files, sizes that nothing in the file fills, or a damaged
        collection of texts (HDF5 would look for its end for ever).
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
    """Check as `open_hdf5` what another library is going to read as ``item``; files of other formats pass.

    Raises
    ------
    InputError
        See `open_hdf5`.
    """
    if h5py.is_hdf5(path):
        open_hdf5(path, "a whole HDF5 file of numbers and text", item).close()


def _check_heaps(path: str | Path) -> None:
    """Every step through a collection of texts leads on, and to its end."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_HEAP)
        while start >= 0:
            size = int.from_bytes(content[start + 8 : start + 16], "little")
            place, end = start + _HEAP_HEADER_BYTES, min(start + size, len(content))
            while place + _HEAP_HEADER_BYTES <= end:
                index = int.from_bytes(content[place : place + 2], "little")
                length = int.from_bytes(content[place + 8 : place + 16], "little")
                # Object 0 is the free space with its header; of the others the length stands without.
                step = length if index == 0 else _HEAP_HEADER_BYTES + (length + 7) // 8 * 8
                if step < _HEAP_HEADER_BYTES or place + step > start + size:
                    raise InputError(path, f"texts at byte {start}", f"one of {length} bytes", f"within {size} bytes")
                place += step
            start = content.find(_HEAP, start + len(_HEAP))


def _check_group(root: h5py.Group, path: str | Path) -> None:
    """Types of all that can be reached by name; a group that several names lead to is looked at once."""
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
            kind = found.links.get_info(key).type
            if kind == h5py.h5l.TYPE_EXTERNAL:
                raise InputError(path, child, "a link into another file", "data in this file")
            if kind == h5py.h5l.TYPE_HARD:
                waiting.append((child, h5py.h5o.open(found, key)))
            # What a soft link names is met under its own name, or is not there.


def _check_type(found: Any, path: str | Path, item: str) -> None:
    kind = found.get_class()
    if kind == h5py.h5t.COMPOUND:
        for number in range(found.get_nmembers()):
            _check_type(found.get_member_type(number), path, item)
    elif kind in (h5py.h5t.ARRAY, h5py.h5t.VLEN):
        _check_type(found.get_super(), path, item)
    elif kind not in _PLAIN:
        raise InputError(path, item, "a type that is neither numbers nor text", "numbers or text")


def _check_data(found: Any, path: str | Path, item: str) -> None:
    settings = found.get_create_plist()
    if settings.get_layout() == h5py.h5d.VIRTUAL or settings.get_external_count():
        raise InputError(path, item, "data in another file", "data in this file")
    size, stored = found.get_space().get_simple_extent_npoints() * found.get_type().get_size(), found.get_storage_size()
    if size > max(_UNFILLED_BYTES, _MOST_COMPRESSED * stored):
        raise InputError(path, item, f"{size} bytes, of which {stored} are in the file", "all of them")
