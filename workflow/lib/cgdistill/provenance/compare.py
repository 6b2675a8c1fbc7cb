"""Comparison of two runs of the same config, value by value: does the same input give the same result?

Differences are relative to the larger of the two values, and at least to the median magnitude of the column, since
rounding would appear large in numbers near zero. Times are not compared, nor are provenance and checksums, which
follow from the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..io.csv_tables import read_table
from ..io.lammps_dump import read_dump
from .manifest import checksums
from .verify import Findings, products_of, runs_in

#: Times, speeds and the number of threads, by column of a table or key of a record.
CLOCKS = frozenset({"seconds", "wall_s", "ns_per_day", "ns_per_day_together", "threads"})
#: Parts of records that are not results.
_NOT_RESULTS = frozenset({"provenance", "versions"})
#: Rows of a dataset read at once.
_ROWS = 1000

#: A named column: numbers, or text.
Column = tuple[str, np.ndarray]


@dataclass
class ProductGroup:
    """Comparison of the files of one group.

    Attributes
    ----------
    files, same: number of files, and of those that are identical.
    largest: largest relative difference of a value; None if the files are compared only by their bytes.
    where: file and column of ``largest``.
    """

    files: int = 0
    same: int = 0
    largest: float | None = 0.0
    where: str = ""


def compare_runs(one: str | Path, other: str | Path, tolerance: float, threads: int = 2) -> Findings:
    """Compare the products of two runs.

    Parameters
    ----------
    tolerance:
        Largest relative difference that does not count as a fault.

    Returns
    -------
    Findings
        Faults: files missing in one run, different text or shapes, differences beyond the tolerance. The summary is a
        table by group of products.

    Raises
    ------
    InputError
        A folder is not that of a run.
    """
    one, other = Path(one), Path(other)
    for folder in (one, other):
        if not folder.is_dir() or not list(runs_in(folder)):
            raise InputError(folder, "folder", "no products of a run", "results/<run>")
    files = [{path.relative_to(folder).as_posix(): path for path in products_of(folder)} for folder in (one, other)]
    digests = checksums([*files[0].values(), *files[1].values()], threads, f"{one}, {other}")
    findings = Findings()
    groups: dict[str, ProductGroup] = {}
    for name in sorted(set(files[0]) ^ set(files[1])):
        findings.faults.append(f"{name}: only in {one if name in files[0] else other}")
    for name in sorted(set(files[0]) & set(files[1])):
        pair = (files[0][name], files[1][name])
        group = groups.setdefault(product_group(name), ProductGroup())
        group.files += 1
        reader = _reader(name)
        if reader is None:
            group.largest = None
        if digests[pair[0]] == digests[pair[1]]:
            group.same += 1
        elif reader is not None:
            try:
                largest, column = largest_difference(reader(pair[0]), reader(pair[1]))
            except _Incomparable as error:
                findings.faults.append(f"{name}: {error}")
                continue
            if group.largest is not None and largest > group.largest:
                group.largest, group.where = largest, f"{name}: {column}"
            if largest > tolerance:
                findings.faults.append(f"{name}: {column} differs by {largest:.2g} of its value")
    findings.summary = _table(groups)
    return findings


def product_group(name: str) -> str:
    """Group of a product: its stage and file name; for figures, tables and curves the suffix instead of the name."""
    path = Path(name)
    stage = f"{path.parts[0]}/" if len(path.parts) > 1 else ""
    return f"{stage}*{path.suffix}" if stage in ("figures/", "tables/", "structure/") else f"{stage}{path.name}"


def _table(groups: Mapping[str, ProductGroup]) -> str:
    rows = [("product", "files", "same bytes", "largest relative difference of a value")]
    for name, group in sorted(groups.items()):
        if group.largest is None:
            largest = "" if group.same == group.files else "(compared only by bytes)"
        else:
            largest = f"{group.largest:.2g}  {group.where}".strip()
        rows.append((name, str(group.files), str(group.same), largest))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{row[0]:{widths[0]}s}  {row[1]:>{widths[1]}s}  {row[2]:>{widths[2]}s}  {row[3]}".rstrip() for row in rows
    )


class _Incomparable(Exception):
    """Error: two products cannot be compared value by value."""


def largest_difference(one: Iterator[Column], other: Iterator[Column]) -> tuple[float, str]:
    """Largest relative difference between columns of the same names, and the name of that column."""
    largest, where = 0.0, ""
    for left, right in zip_longest(one, other):
        if left is None or right is None or left[0] != right[0]:
            names = [side[0] if side else "nothing" for side in (left, right)]
            raise _Incomparable(f"{names[0]} in one, {names[1]} in the other")
        name, (a, b) = left[0], (left[1], right[1])
        if a.shape != b.shape:
            raise _Incomparable(f"{name}: shapes {a.shape} and {b.shape}")
        if a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
            different = np.flatnonzero(a.astype(str).ravel() != b.astype(str).ravel())
            if len(different):
                texts = [str(side.ravel()[different[0]]) for side in (a, b)]
                raise _Incomparable(f"{name}: {texts[0]!r} and {texts[1]!r}")
            continue
        found = relative_difference(a, b)
        if found > largest or not where:
            largest, where = max(found, largest), name
    return largest, where


def relative_difference(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference relative to the larger number, and at least to the median of all nonzero numbers.

    Infinite if only one of two numbers is finite, or both are different non-finite numbers.
    """
    a, b = (np.asarray(side, dtype=np.float64).ravel() for side in (one, other))
    different = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if not different.any():
        return 0.0
    size = np.abs(a[np.isfinite(a) & (a != 0)])
    median = float(np.median(size)) if len(size) else 0.0
    a, b = a[different], b[different]
    if not (np.isfinite(a) & np.isfinite(b)).all():
        return float("inf")
    return float((np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), median)).max())


def _reader(name: str) -> Callable[[Path], Iterator[Column]] | None:
    return _READERS.get(Path(name).suffix)


def _csv(path: Path) -> Iterator[Column]:
    table = read_table(path)
    for column in table.columns:
        if column not in CLOCKS:
            yield str(column), table[column].to_numpy()


def _parquet(path: Path) -> Iterator[Column]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    for column in file.schema_arrow.names:
        yield column, file.read([column]).column(0).to_numpy()


def _hdf5(path: Path) -> Iterator[Column]:
    import h5py

    from ..io.untrusted import open_hdf5

    with open_hdf5(path, "an HDF5 file") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in names:
            data = file[name]
            if data.shape == ():
                yield name, np.asarray(data[()])
            for start in range(0, len(data) if data.shape else 0, _ROWS):
                yield name, data[start : start + _ROWS]


def _weights(path: Path) -> Iterator[Column]:
    from safetensors.numpy import load_file

    yield from sorted(load_file(path).items())


def _dump(path: Path) -> Iterator[Column]:
    for frame in read_dump(path):
        yield "step", np.array([frame.step])
        for name in ("cell_A", "ids", "positions_A", "velocities_A_fs", "forces_kcal_mol_A"):
            values = getattr(frame, name)
            if values is not None:
                yield name, values


def _json(path: Path) -> Iterator[Column]:
    yield from _leaves(json.loads(path.read_text(encoding="utf-8")), "")


def _leaves(item: Any, key: str) -> Iterator[Column]:
    if isinstance(item, Mapping):
        for name, value in item.items():
            if name not in CLOCKS | _NOT_RESULTS and not str(name).endswith("sha256"):
                yield from _leaves(value, f"{key}.{name}".lstrip("."))
    elif isinstance(item, list) and not all(isinstance(value, int | float) for value in item):
        for number, value in enumerate(item):
            yield from _leaves(value, f"{key}[{number}]")
    else:
        yield key, np.atleast_1d(np.asarray(item, dtype=None if isinstance(item, int | float | list) else str))


def _words(path: Path) -> Iterator[Column]:
    """Numbers and words of each line of a text file."""
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            numbers, words = [], []
            for word in line.split():
                try:
                    numbers.append(float(word))
                except ValueError:
                    words.append(word)
            yield f"line {number}", np.array(numbers)
            yield f"line {number}", np.array(words, dtype=str)


_READERS: dict[str, Callable[[Path], Iterator[Column]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".h5": _hdf5,
    ".safetensors": _weights,
    ".lammpstrj": _dump,
    ".json": _json,
    ".data": _words,
    ".gro": _words,
    ".top": _words,
    ".lammps": _words,
    ".cgdistill": _words,
    ".md": _words,
}
