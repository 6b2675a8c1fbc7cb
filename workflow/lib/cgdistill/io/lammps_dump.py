"""LAMMPS text dumps (``dump custom``), read frame by frame, plain or gzip-compressed.

The units are taken from the dump (``dump_modify units yes``) or from the caller; a dump without units is refused.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from ..core.errors import InputError
from ..core.units import FS_PER_PS, KCAL_MOL_PER_EV

#: LAMMPS unit style -> factors to A, kcal/mol/A, A/fs and ps.
_FACTORS = {
    "real": {"position": 1.0, "force": 1.0, "velocity": 1.0, "time": 1.0 / FS_PER_PS},
    "metal": {"position": 1.0, "force": KCAL_MOL_PER_EV, "velocity": 1.0 / FS_PER_PS, "time": 1.0},
}
#: Position columns in the order of preference, whether they are scaled, and whether image counts apply to them.
_POSITIONS: tuple[tuple[tuple[str, str, str], bool, bool], ...] = (
    (("xu", "yu", "zu"), False, False),
    (("x", "y", "z"), False, True),
    (("xsu", "ysu", "zsu"), True, False),
    (("xs", "ys", "zs"), True, True),
)
_IMAGES = ("ix", "iy", "iz")
_SUFFIXES = (".lammpstrj", ".dump", ".lammpsdump")
#: Bounds of plausible numbers, in any unit, and of plausible numbers of atoms; beyond them a file is damaged.
_MAX_VALUE = 1e15
_MAX_ATOMS = 10**10


def is_dump(path: str | Path) -> bool:
    """Whether a file is a LAMMPS dump, plain or compressed, judged by its name."""
    return Path(path).name.removesuffix(".gz").endswith(_SUFFIXES)


@dataclass(frozen=True)
class DumpFrame:
    """One frame; all arrays are sorted by id.

    Attributes
    ----------
    step: time step.
    time_ps: time, None if the dump does not contain it.
    units: LAMMPS unit style of the file (``real`` or ``metal``); the arrays are converted to internal units.
    cell_A: (3, 3) cell vectors as rows.
    origin_A: (3,) lower corner of the cell.
    ids: (n_atoms,)
    types: (n_atoms,) LAMMPS types (from 1), None without this column.
    positions_A: (n_atoms, 3), wrapped unless ``unwrapped``.
    unwrapped: whether the dump holds unwrapped positions or image counts.
    forces_kcal_mol_A, velocities_A_fs: (n_atoms, 3), None without these columns.
    """

    step: int
    time_ps: float | None
    units: str
    cell_A: np.ndarray
    origin_A: np.ndarray
    ids: np.ndarray
    types: np.ndarray | None
    positions_A: np.ndarray
    unwrapped: bool
    forces_kcal_mol_A: np.ndarray | None
    velocities_A_fs: np.ndarray | None


@dataclass
class _RawFrame:
    """Items of one frame as written in the file."""

    step: int | None = None
    time: float | None = None
    units: str | None = None
    n_atoms: int | None = None
    bounds_head: str = ""
    bounds: list[str] | None = None


def read_dump(path: str | Path, default_units: str | None = None) -> Iterator[DumpFrame]:
    """Frames of a dump, one at a time.

    Parameters
    ----------
    path:
        The dump; decompressed on the fly if the name ends in ``.gz``.
    default_units:
        ``real`` or ``metal``, of a dump without ``ITEM: UNITS``.

    Raises
    ------
    InputError
        Unknown units, a cell that is not periodic, a truncated or damaged frame, missing columns, values that are not
        finite, duplicate ids, or ids that change from frame to frame.
    """
    if default_units is not None and default_units not in _FACTORS:
        raise InputError(path, "units", repr(default_units), "real or metal")
    reader = _Reader(Path(path), default_units)
    try:
        with _open(Path(path)) as stream:
            yield from reader.frames(stream)
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise InputError(path, reader.item, error, "a complete text dump, plain or gzip") from None
    except OSError as error:
        raise InputError(path, "file", error, "a readable LAMMPS dump") from None


def _open(path: Path) -> IO[str]:
    # Some editors insert a byte-order mark.
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return open(path, encoding="utf-8-sig")


class _Reader:
    """Parser of one dump, with the properties that must not change from frame to frame."""

    def __init__(self, path: Path, default_units: str | None) -> None:
        self.path = path
        self.units = default_units
        self.index = 0
        self.ids: np.ndarray | None = None

    @property
    def item(self) -> str:
        """Frame being read, for messages (counted from 0)."""
        return f"frame {self.index}"

    def fault(self, what: str, found: object, expected: object) -> InputError:
        """Error that names file and frame."""
        return InputError(self.path, f"{self.item}, {what}" if what else self.item, found, expected)

    def frames(self, stream: IO[str]) -> Iterator[DumpFrame]:
        raw = _RawFrame()
        begun = False
        for line in stream:
            if not line.strip():
                continue
            begun = True
            if line.startswith("ITEM: ATOMS"):
                yield self._frame(raw, line.split()[2:], stream)
                self.index += 1
                raw, begun = _RawFrame(), False
            else:
                self._header(raw, line, stream)
        if begun:
            raise self.fault("", "end of file within the header", "a complete frame")
        if self.index == 0:
            raise InputError(self.path, "file", "no frame", "a LAMMPS text dump")

    def _lines(self, stream: IO[str], n: int, what: str) -> list[str]:
        lines = list(islice(stream, n))
        if len(lines) < n or not lines[-1].endswith("\n"):
            raise self.fault(what, f"end of file after {len(lines)} of {n} lines", "a complete frame")
        return lines

    def _header(self, raw: _RawFrame, line: str, stream: IO[str]) -> None:
        name = line[5:].strip() if line.startswith("ITEM:") else ""
        try:
            if name == "TIMESTEP":
                raw.step = int(self._lines(stream, 1, name)[0])
            elif name == "TIME":
                raw.time = float(self._lines(stream, 1, name)[0])
                if not abs(raw.time) < _MAX_VALUE:
                    raise self.fault(name, raw.time, "a time")
            elif name == "UNITS":
                self.units = raw.units = self._lines(stream, 1, name)[0].strip()
            elif name == "NUMBER OF ATOMS":
                raw.n_atoms = int(self._lines(stream, 1, name)[0])
                if not 0 < raw.n_atoms < _MAX_ATOMS:
                    raise self.fault(name, raw.n_atoms, "at least one atom")
            elif name.startswith("BOX BOUNDS"):
                raw.bounds_head = name
                raw.bounds = self._lines(stream, 3, "BOX BOUNDS")
            else:
                raise self.fault("", repr(line.strip()[:60]), "a line 'ITEM: ...' of dump custom")
        except ValueError as error:
            raise self.fault(name, error, "a number") from None

    def _frame(self, raw: _RawFrame, columns: list[str], stream: IO[str]) -> DumpFrame:
        if self.units is None:
            raise self.fault(
                "units", "no ITEM: UNITS", "units real or metal (dump_modify units yes, or the key 'units')"
            )
        if self.units not in _FACTORS:
            raise self.fault("units", repr(self.units), "real or metal")
        if raw.step is None or raw.n_atoms is None or raw.bounds is None:
            raise self.fault("header", "an incomplete header", "TIMESTEP, NUMBER OF ATOMS, BOX BOUNDS")
        factors = _FACTORS[self.units]
        cell, origin = self._cell(raw.bounds_head, raw.bounds)
        names, scaled, images = self._position_columns(columns)
        optional = ("type", "fx", "fy", "fz", "vx", "vy", "vz", *(_IMAGES if images else ()))
        wanted = ["id", *names, *(name for name in optional if name in columns)]
        table = self._table(stream, raw.n_atoms, columns, wanted)
        positions = np.stack([table[name] for name in names], axis=1)
        if scaled:
            positions = positions @ cell + origin
        unwrapped = not images or all(name in table for name in _IMAGES)
        if images and unwrapped:
            positions = positions + np.stack([table[name] for name in _IMAGES], axis=1) @ cell
        return DumpFrame(
            step=raw.step,
            time_ps=None if raw.time is None else raw.time * factors["time"],
            units=self.units,
            cell_A=cell,
            origin_A=origin,
            ids=table["id"].astype(np.int64),
            types=table["type"].astype(np.int64) if "type" in table else None,
            positions_A=positions,
            unwrapped=unwrapped,
            forces_kcal_mol_A=_vectors(table, "f", factors["force"]),
            velocities_A_fs=_vectors(table, "v", factors["velocity"]),
        )

    def _position_columns(self, columns: list[str]) -> tuple[tuple[str, str, str], bool, bool]:
        if "id" not in columns:
            raise self.fault("columns", " ".join(columns), "a column 'id'")
        present = [choice for choice in _POSITIONS if set(choice[0]) <= set(columns)]
        with_images = [choice for choice in present if not choice[2] or set(_IMAGES) <= set(columns)]
        if not present:
            raise self.fault("columns", " ".join(columns), "xu yu zu, or x y z ix iy iz, or xsu ysu zsu")
        return (with_images or present)[0]

    def _table(self, stream: IO[str], n_atoms: int, columns: list[str], wanted: list[str]) -> dict[str, np.ndarray]:
        """The wanted columns, sorted by id; (n_atoms,) each."""
        lines = self._lines(stream, n_atoms, "ATOMS")
        try:
            values = np.loadtxt(lines, usecols=[columns.index(c) for c in wanted], ndmin=2, comments=None)
        except (ValueError, IndexError) as error:
            raise self.fault("ATOMS", error, "numbers in the columns " + " ".join(wanted)) from None
        if len(values) != n_atoms:
            raise self.fault("ATOMS", f"{len(values)} atoms", f"{n_atoms}, as NUMBER OF ATOMS says")
        if not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0]
            raise self.fault(f"ATOMS line {row + 1}", f"{wanted[column]} = {values[row, column]}", "a number")
        if not (np.abs(values) < _MAX_VALUE).all():
            row, column = np.argwhere(~(np.abs(values) < _MAX_VALUE))[0]
            raise self.fault(f"ATOMS line {row + 1}", f"{wanted[column]} = {values[row, column]}", "a smaller number")
        for column in (number for number, name in enumerate(wanted) if name in ("id", "type")):
            broken = np.flatnonzero((values[:, column] % 1 != 0) | (values[:, column] < 1))
            if len(broken):
                found = f"{wanted[column]} = {values[broken[0], column]:g}"
                raise self.fault(f"ATOMS line {broken[0] + 1}", found, "a whole number from 1")
        values = values[np.argsort(values[:, 0], kind="stable")]
        ids = values[:, 0].astype(np.int64)
        if (np.diff(ids) == 0).any():
            raise self.fault("ATOMS", f"id {ids[:-1][np.diff(ids) == 0][0]} twice", "each id once")
        if self.ids is not None and len(ids) != len(self.ids):
            raise self.fault("NUMBER OF ATOMS", len(ids), f"{len(self.ids)}, as in the previous frames")
        if self.ids is not None and not np.array_equal(ids, self.ids):
            raise self.fault("ATOMS", "other ids", "the ids of the previous frames")
        self.ids = ids
        return {name: values[:, column] for column, name in enumerate(wanted)}

    def _cell(self, head: str, lines: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Cell (vectors as rows) and origin; see the LAMMPS manual, "Triclinic (non-orthogonal) simulation boxes"."""
        boundaries = [word for word in head.split()[2:] if len(word) == 2 and set(word) <= set("pfsm")]
        if boundaries and boundaries != ["pp"] * 3:
            raise self.fault("BOX BOUNDS", " ".join(boundaries), "pp pp pp (a periodic cell)")
        try:
            rows = np.array([[float(word) for word in line.split()] for line in lines])
        except ValueError as error:
            raise self.fault("BOX BOUNDS", error, "three lines of numbers") from None
        if "abc origin" in head and rows.shape == (3, 4):
            cell, origin = rows[:, :3], rows[:, 3]
        elif "xy xz yz" in head and rows.shape == (3, 3):
            xy, xz, yz = rows[:, 2]
            # The dump contains the bounding box of the tilted cell.
            low = rows[:, 0] - [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
            high = rows[:, 1] - [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
            cell = np.diag(high - low)
            cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
            origin = low
        elif rows.shape == (3, 2):
            cell, origin = np.diag(rows[:, 1] - rows[:, 0]), rows[:, 0]
        else:
            raise self.fault("BOX BOUNDS", f"{head!r}, {rows.shape[1]} numbers a line", "lo hi [tilt]")
        if not (np.abs(rows) < _MAX_VALUE).all() or not np.linalg.det(cell) > 0:
            raise self.fault("BOX BOUNDS", rows.tolist(), "a cell of positive volume")
        return cell, origin


def _vectors(table: dict[str, np.ndarray], letter: str, factor: float) -> np.ndarray | None:
    names = [letter + axis for axis in "xyz"]
    if not all(name in table for name in names):
        return None
    return np.stack([table[name] for name in names], axis=1) * factor


def truncate_dump(path: str | Path, last_step: int) -> int:
    """Number of frames left after truncating a plain-text dump to the complete frames up to ``last_step``.

    Frames written after a checkpoint, and an incomplete frame, are removed.
    """
    kept = end = position = 0

    def lines_of(stream: IO[bytes]) -> Iterator[bytes]:
        nonlocal position
        for line in stream:
            position += len(line)
            yield line

    with open(path, "r+b") as stream:
        source = lines_of(stream)
        step = n_atoms = None
        for line in source:
            if line.startswith(b"ITEM: TIMESTEP"):
                step = _integer(next(source, b""))
            elif line.startswith(b"ITEM: NUMBER OF ATOMS"):
                n_atoms = _integer(next(source, b""))
            elif line.startswith(b"ITEM: ATOMS"):
                lines = list(islice(source, n_atoms or 0))
                complete = len(lines) == n_atoms and bool(lines) and lines[-1].endswith(b"\n")
                if step is None or step > last_step or not complete:
                    break
                kept, end = kept + 1, position
                step = n_atoms = None
        stream.truncate(end)
    return kept


def _integer(line: bytes) -> int | None:
    return int(line) if line.endswith(b"\n") and line.strip().isdigit() else None
