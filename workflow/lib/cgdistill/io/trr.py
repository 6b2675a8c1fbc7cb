"""Check of the frame headers of a GROMACS ``.trr`` file, without reading its coordinates.

MDAnalysis treats a frame that is truncated, or has a damaged header, as the end of the file. Headers have about eighty
bytes per frame, so that an incomplete file is detected before any work starts.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from ..core.errors import InputError

_MAGIC = 1993
_VERSION = b"GMX_trn_file"
#: Sizes in bytes of the parts of a frame, in the order in which they follow the header.
_PARTS = ("ir", "e", "box", "vir", "pres", "top", "sym", "x", "v", "f")
#: Magic number, length of the version with and without its terminator, the version; then the sizes and three numbers.
_START = struct.Struct(">3i12s")
_SIZES = struct.Struct(f">{len(_PARTS) + 3}i")


def check_trr(path: Path, n_atoms: int) -> int:
    """Number of frames, after checking that each is complete and contains a cell, positions and forces.

    Raises
    ------
    InputError
        No frame, or a frame that is damaged, truncated, of another size, or without cell, positions or forces.
    """
    n_bytes = path.stat().st_size
    number = 0
    with open(path, "rb") as stream:
        while stream.tell() < n_bytes:
            _check_frame(stream, path, f"frame {number}", n_bytes, n_atoms)
            number += 1
    if number == 0:
        raise InputError(path, "file", "no frame", "a GROMACS trajectory (.trr)")
    return number


def _check_frame(stream: IO[bytes], path: Path, where: str, n_bytes: int, n_atoms: int) -> None:
    """Check one header and skip the data that it announces."""
    begin = stream.tell()
    head = stream.read(_START.size + _SIZES.size)
    complete = "complete frames (copy the file again, or keep the complete ones: gmx trjconv -force)"
    if len(head) < _START.size + _SIZES.size:
        raise InputError(path, where, f"end of file within its header, at byte {n_bytes}", complete)
    magic, _, _, version = _START.unpack_from(head)
    if magic != _MAGIC or version != _VERSION:
        swapped = int.from_bytes(head[:4], "little") == _MAGIC
        found = "the header of a file with swapped bytes" if swapped else f"no header at byte {begin}"
        raise InputError(path, where, found, f"the number {_MAGIC} (big-endian) and {_VERSION.decode()}")
    *sizes, atoms, _, _ = _SIZES.unpack_from(head, _START.size)
    parts = dict(zip(_PARTS, sizes, strict=True))
    if min(sizes) < 0:
        raise InputError(path, where, f"parts of {sizes} bytes", "no negative sizes")
    if atoms != n_atoms:
        raise InputError(path, where, f"{atoms} atoms", f"{n_atoms} as in the topology")
    for part, name in (("x", "positions"), ("f", "forces"), ("box", "cell")):
        if not parts[part]:
            raise InputError(path, where, f"no {name}", "cell, positions and forces in every frame (nstxout = nstfout)")
    number_bytes = parts["box"] // 9
    if (
        number_bytes not in (4, 8)
        or parts["box"] % 9
        or any(parts[part] not in (0, 3 * number_bytes * atoms) for part in "xvf")
    ):
        raise InputError(path, where, f"parts of {sizes} bytes", f"positions and forces of {atoms} atoms")
    end = begin + len(head) + 2 * number_bytes + sum(sizes)
    if end > n_bytes:
        raise InputError(path, where, f"end of file after {n_bytes - begin} of {end - begin} bytes", complete)
    stream.seek(end)
