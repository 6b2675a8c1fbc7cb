"""Reading and writing of structures in GROMACS' .gro format: names, positions, velocities, cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..core.errors import InputError
from ..core.units import ANGSTROM_PER_NM
from ..runtime.atomic_files import whole_file

#: nm/ps to Angstrom/fs.
_A_FS_PER_NM_PS = ANGSTROM_PER_NM / 1000.0


@dataclass(frozen=True)
class Structure:
    """One configuration.

    Attributes
    ----------
    residue_numbers: (n_atoms,), from 1
    residue_names, atom_names: n_atoms names each
    positions_A: (n_atoms, 3)
    velocities_A_fs: (n_atoms, 3) or None
    cell_A: (3,) edges of the orthorhombic cell
    """

    residue_numbers: np.ndarray
    residue_names: tuple[str, ...]
    atom_names: tuple[str, ...]
    positions_A: np.ndarray
    velocities_A_fs: np.ndarray | None
    cell_A: np.ndarray
    title: str = ""

    def retitled(self, title: str) -> Structure:
        """The same configuration with another title."""
        return replace(self, title=title)


def write_gro(path: str | Path, structure: Structure) -> None:
    """Write a structure with five decimals in nm and six in nm/ps, two more than usual."""
    lines = [structure.title.replace("\n", " "), f"{len(structure.atom_names):5d}"]
    positions = structure.positions_A / ANGSTROM_PER_NM
    velocities = None
    if structure.velocities_A_fs is not None:
        velocities = structure.velocities_A_fs / _A_FS_PER_NM_PS
    for atom, (number, residue, name) in enumerate(
        zip(structure.residue_numbers, structure.residue_names, structure.atom_names, strict=True)
    ):
        head = f"{number % 100000:5d}{residue:<5.5s}{name:>5.5s}{(atom + 1) % 100000:5d}"
        line = head + "".join(f"{x:10.5f}" for x in positions[atom])
        if velocities is not None:
            line += "".join(f"{x:10.6f}" for x in velocities[atom])
        lines.append(line)
    lines.append("".join(f"{x:10.5f}" for x in structure.cell_A / ANGSTROM_PER_NM))
    with whole_file(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_gro(path: str | Path) -> Structure:
    """Structure in a .gro file with any number of decimals.

    Raises
    ------
    InputError
        The file is truncated, its columns cannot be read, or its cell is not orthorhombic.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    try:
        n_atoms = int(lines[1])
        rows, box = lines[2 : 2 + n_atoms], [float(x) for x in lines[2 + n_atoms].split()]
    except (IndexError, ValueError):
        raise InputError(path, "atoms", f"{len(lines)} lines", "a title, a count, the atoms and a cell") from None
    if len(box) not in (3, 9) or any(abs(x) > 0 for x in box[3:]):
        raise InputError(path, "cell", lines[2 + n_atoms].strip(), "an orthorhombic cell: three edges in nm")
    try:
        width = _field_width(rows[0])
        numbers = np.array([int(row[:5]) for row in rows])
        positions = _columns(rows, 20, width)
        has_velocities = len(rows[0].rstrip()) > 20 + 3 * width
        velocities = _columns(rows, 20 + 3 * width, width) if has_velocities else None
    except (IndexError, ValueError) as error:
        raise InputError(path, "atoms", error, "fixed columns of numbers") from None
    return Structure(
        residue_numbers=numbers,
        residue_names=tuple(row[5:10].strip() for row in rows),
        atom_names=tuple(row[10:15].strip() for row in rows),
        positions_A=positions * ANGSTROM_PER_NM,
        velocities_A_fs=None if velocities is None else velocities * _A_FS_PER_NM_PS,
        cell_A=np.array(box[:3]) * ANGSTROM_PER_NM,
        title=lines[0],
    )


def _field_width(row: str) -> int:
    """Width of a number, characters: the distance between two decimal points."""
    first = row.index(".", 20)
    return row.index(".", first + 1) - first


def _columns(rows: Sequence[str], start: int, width: int) -> np.ndarray:
    return np.array([[float(row[start + i * width : start + (i + 1) * width]) for i in range(3)] for row in rows])
