"""Faults of input, one by one: how each is made, and what a user is told.

Truth is the fault itself: each case makes a sound input, breaks one thing, and hands it to what the rules call.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import MDAnalysis as mda
import numpy as np
import yaml
from MDAnalysis.lib.formats.libmdaxdr import TRRFile

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "unit"))

from atom_cases import (  # noqa: E402
    CELLS,
    COUNTS,
    N_ATOMS,
    NAMES,
    RULES,
    make_frames,
    write_dump,
    write_gro,
    write_top,
    write_trr,
)
from bead_cases import PRIOR_SETTINGS, bead_topology, write_beads  # noqa: E402
from bead_cases import make_frames as make_bead_frames  # noqa: E402
from cgdistill.config.check import check_config  # noqa: E402
from cgdistill.config.complete import complete_config  # noqa: E402
from cgdistill.config.students import read_students  # noqa: E402
from cgdistill.config.validate import validate  # noqa: E402
from cgdistill.data.atoms import read_topology  # noqa: E402
from cgdistill.data.beads import BeadFile, BeadFrames  # noqa: E402
from cgdistill.data.mapping import FrameSelection, Mapper, map_trajectory  # noqa: E402
from cgdistill.data.mapping_rules import MappingRules  # noqa: E402
from cgdistill.data.split import read_split, split_frames, write_split  # noqa: E402
from cgdistill.forcefield.prior.terms import fit_prior, read_prior, write_prior  # noqa: E402
from cgdistill.io.csv_tables import read_table  # noqa: E402
from cgdistill.io.text import read_yaml  # noqa: E402
from cgdistill.runtime.atomic_files import whole_file  # noqa: E402

DEMO = ROOT / "resources" / "demo"
CELL = CELLS["triclinic"]
KJ_MOL_NM = 41.84


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes
    ----------
    group, title: where in the table, and what is wrong.
    act: makes the fault in a folder and runs what meets it.
    outcome: ``refused`` (`InputError`), ``warning`` (logged; the job continues) or ``works``.
    message: regular expression of the error or the warning; what happens, in words, where it works.
    """

    group: str
    title: str
    act: Callable[[Path], Any]
    outcome: str
    message: str


FAULTS: list[Fault] = []


def fault(group: str, title: str, message: str, outcome: str = "refused") -> Callable:
    """Decorator that adds a case."""

    def add(act: Callable[[Path], Any]) -> Callable[[Path], Any]:
        FAULTS.append(Fault(group, title, act, outcome, message))
        return act

    return add


@cache
def schema(name: str) -> dict[str, Any]:
    """A schema of the workflow."""
    return read_yaml(ROOT / "workflow" / "schemas" / f"{name}.schema.yaml")


# What the scripts do -------------------------------------------------------------------------------------------------


def map_files(
    folder: Path, topology: Path, masses: Path | None, trajectories: Sequence[Path], mapping: Path, **options: Any
) -> BeadFile:
    """As scripts/map_trajectory.py."""
    data = read_yaml(mapping)
    validate(data, schema("mapping"), mapping)
    atoms = read_topology(topology, masses)
    mapper = Mapper(MappingRules.from_dict(data, mapping), atoms)
    with whole_file(folder / "beads.h5") as partial:
        more = {name: options.pop(name) for name in ("units", "reach_A") if name in options}
        map_trajectory(partial, mapper, trajectories, {}, FrameSelection(**options), **more)
    return BeadFile(folder / "beads.h5")


def mapping_file(folder: Path, data: Any = RULES) -> Path:
    """A mapping as YAML; text is written as it is."""
    path = folder / "mapping.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data), encoding="utf-8")
    return path


def small(folder: Path, trajectory: Callable[[list[dict]], Any] | None = None, **options: Any) -> BeadFile:
    """Map a system of ten residues; ``trajectory`` writes its trajectory from the frames (a TRR file if None)."""
    frames = make_frames(CELL, 3)
    gro = write_gro(folder / "system.gro", frames[0]["positions"], CELL)
    top = write_top(folder / "system.top")
    made = write_trr(folder / "run.trr", frames, CELL) if trajectory is None else trajectory(frames)
    paths = made if isinstance(made, list) else [made]
    return map_files(folder, gro, top, paths, mapping_file(folder), **options)


def trr_bytes(folder: Path, change: Callable[[bytearray, int], bytes | bytearray]) -> BeadFile:
    """Map the small system after a change of the bytes of its TRR file; the change gets them and the frame's size."""

    def write(frames: list[dict]) -> Path:
        path = write_trr(folder / "run.trr", frames, CELL)
        data = bytearray(path.read_bytes())
        path.write_bytes(change(data, len(data) // len(frames)))
        return path

    return small(folder, write)


def trr_frames(folder: Path, change: Callable[[list[dict]], Any]) -> BeadFile:
    """Map the small system after a change of the frames that are written."""

    def write(frames: list[dict]) -> Path:
        change(frames)
        return write_trr(folder / "run.trr", frames, CELL)

    return small(folder, write)


def dump_text(folder: Path, change: Callable[[str], str], **options: Any) -> BeadFile:
    """Map the small system after a change of the text of its dump."""

    def write(frames: list[dict]) -> Path:
        path = write_dump(folder / "run.lammpstrj", frames, CELL, "real")
        path.write_bytes(change(path.read_text(encoding="ascii")).encode("utf-8"))
        return path

    return small(folder, write, **options)


# TRR -----------------------------------------------------------------------------------------------------------------

TRR = "GROMACS trajectory (.trr)"


@fault(TRR, "truncated within a frame", r"run\.trr: frame 2: found end of file after \d+ of \d+ bytes")
def _(folder: Path) -> None:
    trr_bytes(folder, lambda data, size: data[: 2 * size + size // 2])


@fault(TRR, "truncated within the header of a frame", r"frame 2: found end of file within its header")
def _(folder: Path) -> None:
    trr_bytes(folder, lambda data, size: data[: 2 * size + 10])


@fault(TRR, "empty", r"run\.trr: file: found no frame")
def _(folder: Path) -> None:
    trr_bytes(folder, lambda data, size: b"")


@fault(TRR, "another file under this name", r"frame 0: found no header at byte 0")
def _(folder: Path) -> None:
    trr_bytes(folder, lambda data, size: b"nothing that GROMACS wrote\n" * 100)


@fault(TRR, "bytes swapped (written little-endian)", r"frame 0: found the header of a file with swapped bytes")
def _(folder: Path) -> None:
    trr_bytes(folder, lambda data, size: np.frombuffer(bytes(data), ">i4").astype("<i4").tobytes())


@fault(TRR, "damaged header in the middle", r"frame 1: found no header at byte \d+")
def _(folder: Path) -> None:
    trr_bytes(folder, lambda data, size: data[:size] + b"\0\0\0\0" + data[size + 4 :])


@fault(TRR, "some bytes lost in the middle", r"frame 2: found no header at byte \d+")
def _(folder: Path) -> None:
    trr_bytes(folder, lambda data, size: data[: size + 300] + data[size + 308 :])


@fault(TRR, "no forces", r"run\.trr: frame 0: found no forces, expected .*nstxout = nstfout")
def _(folder: Path) -> None:
    small(folder, lambda frames: write_trr(folder / "run.trr", frames, CELL, forces=False))


def write_parts(path: Path, frames: list[dict], number: int, part: str) -> Path:
    """A TRR file in which one frame lacks a part."""
    with TRRFile(str(path), "w") as file:
        for step, frame in enumerate(frames):
            values = {
                "xyz": (frame["positions"] / 10.0).astype("f4"),
                "forces": frame["forces"].astype("f4"),
                "box": (CELL / 10.0).astype("f4"),
            }
            if step == number:
                values[part] = np.zeros((3, 3), "f4") if part == "box" else None
            file.write(values["xyz"], None, values["forces"], values["box"], step, frame["time"], 0.0, N_ATOMS)
    return path


@fault(TRR, "one frame without forces", r"frame 1: found no forces, expected cell, positions and forces")
def _(folder: Path) -> None:
    small(folder, lambda frames: write_parts(folder / "run.trr", frames, 1, "forces"))


@fault(TRR, "one frame without positions", r"frame 2: found no positions")
def _(folder: Path) -> None:
    small(folder, lambda frames: write_parts(folder / "run.trr", frames, 2, "xyz"))


@fault(TRR, "one frame without a cell", r"frame 1: found no cell, expected a periodic cell")
def _(folder: Path) -> None:
    small(folder, lambda frames: write_parts(folder / "run.trr", frames, 1, "box"))


@fault(TRR, "other number of atoms than the topology", rf"frame 0: found {N_ATOMS - 1} atoms, expected {N_ATOMS}")
def _(folder: Path) -> None:
    trr_frames(folder, lambda frames: [f.update({k: f[k][:-1] for k in ("positions", "forces")}) for f in frames])


@fault(TRR, "damaged cache of frame offsets", "the cache is renewed; all frames are read", outcome="works")
def _(folder: Path) -> None:
    small(folder).close()
    (cache_file,) = folder.glob(".run.trr_offsets.npz")
    cache_file.write_bytes(b"PK damaged")
    with small(folder) as beads:
        assert len(beads) == 3


# Numbers, times and cells ---------------------------------------------------------------------------------------------

NUMBERS = "Numbers, times, cells"


def put(frames: list[dict], number: int, key: str, value: float) -> None:
    """Set a component of atom 5 of a frame."""
    frames[number][key][4, 1] = value


@fault(NUMBERS, "NaN in a position", r"frame 1: found positions of atom 5 not finite")
def _(folder: Path) -> None:
    trr_frames(folder, lambda frames: put(frames, 1, "positions", np.nan))


@fault(NUMBERS, "infinite force", r"frame 2: found forces of atom 5 not finite")
def _(folder: Path) -> None:
    trr_frames(folder, lambda frames: put(frames, 2, "forces", np.inf))


@fault(
    NUMBERS, "a bit of a position's exponent flipped", r"frame 1: found positions of atom 5 up to \S+ A, expected at"
)
def _(folder: Path) -> None:
    trr_frames(folder, lambda frames: put(frames, 1, "positions", 1e22))


@fault(NUMBERS, "one force far too large", r"frame 2: found forces of \S+ kcal/mol/A \(RMS\), expected about \d+")
def _(folder: Path) -> None:
    trr_frames(folder, lambda frames: put(frames, 2, "forces", 3e6))


@fault(NUMBERS, "NaN in the cell", r"frame 0: found .*cell")
def _(folder: Path) -> None:
    broken = CELL.copy()
    broken[1, 1] = np.nan
    small(folder, lambda frames: write_trr(folder / "run.trr", frames, broken))


@fault(NUMBERS, "a cell without volume", r"frame 0: found .*(cell|volume)")
def _(folder: Path) -> None:
    small(folder, lambda frames: write_trr(folder / "run.trr", frames, np.diag([12.0, 12.0, 0.0])))


@fault(NUMBERS, "a frame twice", r"frame 2: found time 12 ps after 12 ps, expected times that increase")
def _(folder: Path) -> None:
    trr_frames(folder, lambda frames: frames.insert(1, frames[1]))


@fault(NUMBERS, "frames in disorder", r"frame 1: found time 12 ps after 14 ps")
def _(folder: Path) -> None:
    trr_frames(folder, lambda frames: frames.reverse())


@fault(NUMBERS, "files in the wrong order", r"early\.trr: frame 0: found time 10 ps after 14 ps")
def _(folder: Path) -> None:
    small(
        folder,
        lambda frames: [
            write_trr(folder / "late.trr", frames[1:], CELL),
            write_trr(folder / "early.trr", frames[:1], CELL),
        ],
    )


@fault(NUMBERS, "a cell that jumps (frames of two systems)", r"b\.trr: frame 0: found a cell of \S+ A\^3 after one of")
def _(folder: Path) -> None:
    small(
        folder,
        lambda frames: [
            write_trr(folder / "a.trr", frames[:1], CELL),
            write_trr(folder / "b.trr", frames[1:], 1.3 * CELL),
        ],
    )


@fault(NUMBERS, "a cell that changes (constant pressure)", r"b\.trr: frame 0: the cell changes", outcome="warning")
def _(folder: Path) -> None:
    small(
        folder,
        lambda frames: [
            write_trr(folder / "a.trr", frames[:1], CELL),
            write_trr(folder / "b.trr", frames[1:], 1.01 * CELL),
        ],
    )


@fault(
    NUMBERS, "a cell too small for the cutoff", r"frame 0, cell: found \S+ A between its faces, expected at least 24 A"
)
def _(folder: Path) -> None:
    small(folder, reach_A=12.0)


@fault(NUMBERS, "no frame after mapping.start_ps", r"frames: found none at or after 99 ps")
def _(folder: Path) -> None:
    small(folder, start_ps=99)


# LAMMPS dumps ---------------------------------------------------------------------------------------------------------

DUMP = "LAMMPS dump"


@fault(DUMP, "truncated within a frame", r"run\.lammpstrj: frame 2, ATOMS: found end of file after \d+ of \d+ lines")
def _(folder: Path) -> None:
    dump_text(folder, lambda text: text[:-400])


@fault(DUMP, "truncated within a header", r"frame 2: found end of file within the header")
def _(folder: Path) -> None:
    dump_text(folder, lambda text: text[: text.rindex("ITEM: BOX")])


@fault(DUMP, "empty", r"run\.lammpstrj: file: found no frame")
def _(folder: Path) -> None:
    dump_text(folder, lambda text: "")


def gzipped(folder: Path, change: Callable[[bytes], bytes]) -> BeadFile:
    """Map the small system from a compressed dump whose bytes were changed."""

    def write(frames: list[dict]) -> Path:
        plain = write_dump(folder / "run.lammpstrj", frames, CELL, "real")
        path = folder / "run.lammpstrj.gz"
        path.write_bytes(change(gzip.compress(plain.read_bytes())))
        return path

    return small(folder, write)


@fault(DUMP, "compressed and cut off", r"run\.lammpstrj\.gz: frame \d+: found Compressed file ended")
def _(folder: Path) -> None:
    gzipped(folder, lambda data: data[:-40])


@fault(DUMP, "compressed and damaged", r"run\.lammpstrj\.gz: .*found .*(Error|check|invalid)")
def _(folder: Path) -> None:
    gzipped(folder, lambda data: data[: len(data) // 2] + bytes(64) + data[len(data) // 2 + 64 :])


@fault(DUMP, "not compressed under a .gz name", r"run\.lammpstrj\.gz: frame 0: found Not a gzipped file")
def _(folder: Path) -> None:
    gzipped(folder, gzip.decompress)


@fault(DUMP, "no units", r"frame 0, units: found no ITEM: UNITS")
def _(folder: Path) -> None:
    small(folder, lambda frames: write_dump(folder / "run.dump", frames, CELL, "real", say_units=False))


@fault(DUMP, "no forces", r"frame 0: found no forces, expected columns fx fy fz")
def _(folder: Path) -> None:
    dump_text(folder, lambda text: text.replace("fx fy fz", "vx vy vz"))


@fault(DUMP, "no times", r"frame 0: found no time, expected ITEM: TIME")
def _(folder: Path) -> None:
    dump_text(folder, lambda text: "\n".join(drop_after(text.splitlines(), "ITEM: TIME", 2)) + "\n")


def drop_after(lines: list[str], head: str, n: int) -> list[str]:
    """Lines without those that equal ``head`` and what follows each, ``n`` in all."""
    dropped = {number + k for number, line in enumerate(lines) if line == head for k in range(n)}
    return [line for number, line in enumerate(lines) if number not in dropped]


@fault(DUMP, "an atom missing from a frame", r"frame 1, NUMBER OF ATOMS: found \d+, expected \d+")
def _(folder: Path) -> None:
    def lose(text: str) -> str:
        head, middle, last = (
            text.split("ITEM: TIME\n")[0],
            text.split("ITEM: TIME\n")[1:2],
            text.split("ITEM: TIME\n")[2:],
        )
        rest = [
            part.replace(f"ATOMS\n{N_ATOMS}\n", f"ATOMS\n{N_ATOMS - 1}\n").rsplit("\n", 2)[0] + "\n" for part in last
        ]
        return "ITEM: TIME\n".join([head, *middle, *rest])

    dump_text(folder, lose)


@fault(DUMP, "an atom twice", r"frame 0, ATOMS: found id \d+ twice, expected each id once")
def _(folder: Path) -> None:
    dump_text(folder, lambda text: text.replace("\n7 ", "\n8 ", 1))


@fault(DUMP, "an invalid number", r"frame 0, ATOMS: found could not convert string '1x'")
def _(folder: Path) -> None:
    dump_text(folder, lambda text: text.replace("\n7 ", "\n7 1x", 1).replace("1x", "1x ", 1))


@fault(DUMP, "NaN", r"frame 0, ATOMS line \d+: found x = nan")
def _(folder: Path) -> None:
    def spoil(text: str) -> str:
        start = text.index("\n7 ") + 3
        return text[:start] + "nan" + text[text.index(" ", start) :]

    dump_text(folder, spoil)


@fault(DUMP, "a cell that is not periodic", r"BOX BOUNDS: found pp pp ff, expected pp pp pp")
def _(folder: Path) -> None:
    dump_text(folder, lambda text: text.replace("pp pp pp", "pp pp ff"))


@fault(DUMP, "a negative number of atoms", r"frame 0, NUMBER OF ATOMS: found -5, expected at least one atom")
def _(folder: Path) -> None:
    dump_text(folder, lambda text: text.replace(f"ATOMS\n{N_ATOMS}\n", "ATOMS\n-5\n"))


@fault(DUMP, "a byte that is not text", r"run\.lammpstrj: frame \d+: found 'utf-8' codec can't decode")
def _(folder: Path) -> None:
    def write(frames: list[dict]) -> Path:
        path = write_dump(folder / "run.lammpstrj", frames, CELL, "real")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] = 0xB5
        path.write_bytes(data)
        return path

    small(folder, write)


def same_as_trr(folder: Path, change: Callable[[str], str]) -> None:
    """The changed dump gives the forces of the TRR file."""
    expected = small(folder).frames().forces_kcal_mol_A
    with dump_text(folder, change) as beads:
        np.testing.assert_allclose(beads.frames().forces_kcal_mol_A, expected, rtol=1e-4, atol=1e-4)


@fault(DUMP, "Windows line ends", "accepted", outcome="works")
def _(folder: Path) -> None:
    same_as_trr(folder, lambda text: text.replace("\n", "\r\n"))


@fault(DUMP, "a byte-order mark in front", "accepted", outcome="works")
def _(folder: Path) -> None:
    same_as_trr(folder, lambda text: "\ufeff" + text)


@fault(DUMP, "cell vectors in any direction (triclinic/general)", "rotated together with the forces", outcome="works")
def _(folder: Path) -> None:
    """Distances and forces along them stay: bead forces dotted with the vector between two beads."""
    angle = 0.7
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    turn = turn @ np.array([[1.0, 0, 0], [0, np.cos(0.4), np.sin(0.4)], [0, -np.sin(0.4), np.cos(0.4)]])

    def write(frames: list[dict]) -> Path:
        lines = ["ITEM: UNITS", "real"]
        for step, frame in enumerate(frames):
            lines += ["ITEM: TIME", f"{frame['time'] * 1000:.3f}", "ITEM: TIMESTEP", str(step)]
            lines += ["ITEM: NUMBER OF ATOMS", str(N_ATOMS), "ITEM: BOX BOUNDS abc origin pp pp pp"]
            lines += [" ".join(map(repr, [*map(float, row), 0.0])) for row in CELL @ turn]
            lines.append("ITEM: ATOMS id x y z fx fy fz")
            both = np.hstack([frame["positions"] @ turn, frame["forces"] @ turn / KJ_MOL_NM])
            lines += [f"{atom + 1} " + " ".join(f"{value:.9f}" for value in both[atom]) for atom in range(N_ATOMS)]
        path = folder / "turned.lammpstrj"
        path.write_text("\n".join(lines) + "\n", encoding="ascii")
        return path

    with small(folder) as straight:
        expected = straight.frames()
    with small(folder, write) as turned:
        found = turned.frames()
    for one, other, cell in zip(found.positions_A, expected.positions_A, found.cells_A, strict=True):
        np.testing.assert_allclose(cell, CELL, atol=1e-4)
        np.testing.assert_allclose(one, other, atol=2e-3)
    np.testing.assert_allclose(found.forces_kcal_mol_A, expected.forces_kcal_mol_A, rtol=1e-3, atol=1e-3)


# Other trajectories ---------------------------------------------------------------------------------------------------

OTHER = "Other trajectories"


def write_mda(path: Path, frames: list[dict], forces: bool = True) -> Path:
    """NetCDF or H5MD by MDAnalysis' own writers."""
    gro = write_gro(path.with_name("source.gro"), frames[0]["positions"], CELL)
    source = mda.Universe(str(gro), str(write_trr(path.with_name("source.trr"), frames, CELL, forces)))
    with mda.Writer(str(path), n_atoms=N_ATOMS, forces=forces) as writer:
        for _ in source.trajectory:
            writer.write(source.atoms)
    return path


def other(folder: Path, name: str, change: Callable[[bytes], bytes] = bytes, forces: bool = True) -> BeadFile:
    """Map the small system from a file of MDAnalysis whose bytes were changed."""

    def write(frames: list[dict]) -> Path:
        path = write_mda(folder / name, frames, forces)
        path.write_bytes(change(path.read_bytes()))
        return path

    return small(folder, write)


for kind, file in (("Amber NetCDF", "run.ncdf"), ("H5MD", "run.h5md")):

    @fault(OTHER, f"{kind}, sound", "the forces of the .trr file", outcome="works")
    def _(folder: Path, file: str = file) -> None:
        with small(folder) as beads:
            expected = beads.frames().forces_kcal_mol_A
        with other(folder, file) as beads:
            np.testing.assert_allclose(beads.frames().forces_kcal_mol_A, expected, rtol=1e-4, atol=1e-4)

    @fault(OTHER, f"{kind}, cut off", rf"{file}: (trajectory|frame \d|particles\S*): found \w+")
    def _(folder: Path, file: str = file) -> None:
        other(folder, file, lambda data: data[: int(0.7 * len(data))])

    @fault(OTHER, f"{kind}, empty", rf"{file}: (trajectory|particles\S*): found \w+")
    def _(folder: Path, file: str = file) -> None:
        other(folder, file, lambda data: b"")

    @fault(OTHER, f"{kind}, no forces", rf"{file}: frame 0: found no forces")
    def _(folder: Path, file: str = file) -> None:
        other(folder, file, forces=False)


@fault(OTHER, "H5MD with a cell turned in space", r"frame 0, trajectory/box/edges: found .* expected a along x")
def _(folder: Path) -> None:
    def write(frames: list[dict]) -> Path:
        path = write_mda(folder / "run.h5md", frames)
        with h5py.File(path, "r+") as file:
            edges = file["particles/trajectory/box/edges/value"]
            edges[...] = edges[...][:, :, [1, 2, 0]]
        return path

    small(folder, write)


@fault(OTHER, "a format without forces (.xtc)", r"run\.xtc: frame 0: found no forces")
def _(folder: Path) -> None:
    def write(frames: list[dict]) -> Path:
        path = folder / "run.xtc"
        universe = mda.Universe.empty(N_ATOMS, trajectory=True)
        universe.atoms.positions = frames[0]["positions"]
        universe.trajectory.ts.triclinic_dimensions = CELL
        universe.atoms.write(str(path))
        return path

    small(folder, write)


@fault(OTHER, "an unknown format", r"run\.abc: trajectory: found \w+")
def _(folder: Path) -> None:
    def write(frames: list[dict]) -> Path:
        (folder / "run.abc").write_bytes(b"abc")
        return folder / "run.abc"

    small(folder, write)


@fault(OTHER, "a folder instead of a file", r"run\.trr: trajectory: found no such file")
def _(folder: Path) -> None:
    (folder / "run.trr").mkdir()
    small(folder, lambda frames: folder / "run.trr")


# Forces that are none -------------------------------------------------------------------------------------------------

FORCES = "Forces (by physics, on the demo's data)"


@cache
def demo_frames() -> tuple[Any, list[dict]]:
    """Topology and 64 frames of the demo: a real liquid with real forces, kJ/mol/nm."""
    topology = read_topology(DEMO / "des128.gro", DEMO / "des128.top")
    universe = mda.Universe(topology.universe._topology, str(DEMO / "des128.trr"))
    frames = [
        {
            "positions": step.positions.astype(float),
            "forces": step.forces.astype(float) * 10.0,
            "time": step.time,
            "cell": np.array(step.triclinic_dimensions, dtype=float),
        }
        for step in universe.trajectory[:64]
    ]
    return topology, frames


def write_demo(path: Path, change: Callable[[np.ndarray], np.ndarray] | None, reverse: bool = False) -> Path:
    """The demo's frames as TRR, their forces (kJ/mol/nm) changed; in reverse order of the atoms."""
    _, frames = demo_frames()
    order = slice(None, None, -1) if reverse else slice(None)
    with TRRFile(str(path), "w") as file:
        for step, frame in enumerate(frames):
            forces = frame["forces"] if change is None else change(frame["forces"])
            arrays = [np.ascontiguousarray(values[order], dtype="f4") for values in (frame["positions"] / 10, forces)]
            file.write(
                arrays[0], None, arrays[1], (frame["cell"] / 10).astype("f4"), step, frame["time"], 0.0, len(forces)
            )
    return path


def map_demo(folder: Path, change: Callable[[np.ndarray], np.ndarray] | None, **options: Any) -> BeadFile:
    """Map the demo with changed forces."""
    reverse = options.pop("reverse", False)
    path = write_demo(folder / "run.trr", change, reverse)
    return map_demo_files(folder, [path], **options)


def map_demo_files(folder: Path, paths: list[Path], **options: Any) -> BeadFile:
    """Map trajectories of the demo's system."""
    mapping = ROOT / "config" / "mappings" / "des.yaml"
    return map_files(folder, DEMO / "des128.gro", DEMO / "des128.top", paths, mapping, **options)


for factor, message in (
    (KJ_MOL_NM, r"kJ/mol/nm read as kcal/mol/A \(41\.84 times too large\)"),
    (1 / KJ_MOL_NM, r"kcal/mol/A read as kJ/mol/nm \(41\.84 times too small\)"),
    (23.060549, r"kcal/mol/A read as eV/A \(23\.06 times too large\)"),
    (1 / 23.060549, r"eV/A read as kcal/mol/A \(23\.06 times too small\)"),
    (1185.82, r"kcal/mol/A read as Hartree/Bohr \(1186 times too large\)"),
    (1 / 1185.82, r"Hartree/Bohr read as kcal/mol/A \(1186 times too small\)"),
    (10.0, r"kJ/mol/nm read as kJ/mol/A \(10 times too large\)"),
    (0.1, r"kJ/mol/A read as kJ/mol/nm \(10 times too small\)"),
):

    @fault(
        FORCES,
        f"{factor:.4g} times too large" if factor > 1 else f"{1 / factor:.4g} times too small",
        rf"run\.trr: frame 0: found forces of \S+ kcal/mol/A \(RMS\), apparently {message}.*check_forces",
    )
    def _(folder: Path, factor: float = factor) -> None:
        map_demo(folder, lambda forces: forces * factor)


for factor in (4.184, 1 / 4.184):

    @fault(
        FORCES,
        "4.184 times too large" if factor > 1 else "4.184 times too small",
        r"imply a temperature of \S+ ± \S+ K; forces are apparently k\w+/mol/A read as k\w+/mol/A \(4\.184 times too",
        outcome="warning",
    )
    def _(folder: Path, factor: float = factor) -> None:
        map_demo(folder, lambda forces: forces * factor)


@fault(FORCES, "another unit from the second file on", r"two\.trr: frame 0: found forces of .*41\.84 times too large")
def _(folder: Path) -> None:
    one = write_demo(folder / "one.trr", None)
    two = write_demo(folder / "two.trr", lambda forces: forces * KJ_MOL_NM)
    data = bytearray(two.read_bytes())
    size = len(data) // 64
    # The time of each frame (float32 behind the 84 bytes in front) follows on the first file.
    for number in range(64):
        data[number * size + 76 : number * size + 80] = np.array(1000.0 + 3 * number, ">f4").tobytes()
    two.write_bytes(data)
    map_demo_files(folder, [one, two])


@fault(FORCES, "velocities instead of forces", r"frame 0: found m<x\^2> .* they are velocities")
def _(folder: Path) -> None:
    masses = demo_frames()[0].masses_g_mol
    rng = np.random.default_rng(0)
    map_demo(folder, lambda forces: rng.normal(size=forces.shape) * np.sqrt(2.48 / masses)[:, None])


@fault(FORCES, "constraint forces, or intramolecular forces only", r"frame 0: found forces that cancel within every")
def _(folder: Path) -> None:
    residues = demo_frames()[0].residues
    counts = np.bincount(residues)

    def cancel(forces: np.ndarray) -> np.ndarray:
        means = np.stack([np.bincount(residues, forces[:, axis]) / counts for axis in range(3)], axis=1)
        return forces - means[residues]

    map_demo(folder, cancel)


@fault(FORCES, "forces of another frame", r"they do not match, unless bonds between", outcome="warning")
def _(folder: Path) -> None:
    """Of the frame after: positions moved on by 3 ps."""
    frames = demo_frames()[1]
    later = iter([frame["forces"] for frame in frames[1:] + frames[:1]])
    map_demo(folder, lambda forces: next(later))


@fault(FORCES, "all zero", r"frame 0: found forces that are all 0")
def _(folder: Path) -> None:
    map_demo(folder, np.zeros_like)


@fault(FORCES, "atoms in another order than the topology", r"found \d+ of 1088 bonds longer than 3\.5 A")
def _(folder: Path) -> None:
    map_demo(folder, None, reverse=True)


@fault(FORCES, "wrong unit with check_forces: false", r"41\.84 times too large.*check_forces", outcome="warning")
def _(folder: Path) -> None:
    with map_demo(folder, lambda forces: forces * KJ_MOL_NM, check_forces=False) as beads:
        assert len(beads) == 64


@fault(FORCES, "sound forces", "no warning; the temperature from forces and positions is logged", "works")
def _(folder: Path) -> None:
    with map_demo(folder, None) as beads:
        assert len(beads) == 64


# Topology and mapping -------------------------------------------------------------------------------------------------

TOPOLOGY = "Topology"
MAPPING = "Mapping"


@fault(TOPOLOGY, "empty", r"system\.gro: topology: found \w+.*expected a topology that MDAnalysis reads")
def _(folder: Path) -> None:
    (folder / "system.gro").write_bytes(b"")
    read_topology(folder / "system.gro")


@fault(TOPOLOGY, "cut off", r"system\.gro: topology: found \w+")
def _(folder: Path) -> None:
    path = write_gro(folder / "system.gro", make_frames(CELL, 1)[0]["positions"], CELL)
    path.write_text(path.read_text(encoding="utf-8")[:700], encoding="utf-8")
    read_topology(path, write_top(folder / "system.top"))


@fault(TOPOLOGY, "does not exist", r"none\.gro: topology: found no such file")
def _(folder: Path) -> None:
    read_topology(folder / "none.gro")


@fault(TOPOLOGY, "no masses", r"system\.gro: masses: found none, expected masses \(set aa\.files\.masses")
def _(folder: Path) -> None:
    read_topology(write_gro(folder / "system.gro", make_frames(CELL, 1)[0]["positions"], CELL))


@fault(TOPOLOGY, "masses of zero", r"system\.top: mass of atom 1 \(C1\): found 0\.0, expected a positive mass")
def _(folder: Path) -> None:
    gro = write_gro(folder / "system.gro", make_frames(CELL, 1)[0]["positions"], CELL)
    read_topology(gro, write_top(folder / "system.top", masses=False))


@fault(TOPOLOGY, "two topologies with other numbers of atoms", r"system\.top: number of atoms: found 43, expected 42")
def _(folder: Path) -> None:
    gro = write_gro(folder / "system.gro", make_frames(CELL, 1)[0]["positions"], CELL)
    read_topology(gro, write_top(folder / "system.top", counts=COUNTS | {"ION": 4}))


@fault(TOPOLOGY, "two topologies with atoms in another order", r"system\.top: atom 4: found C4, expected C9")
def _(folder: Path) -> None:
    names = [*NAMES[:3], "C9", *NAMES[4:]]
    gro = write_gro(folder / "system.gro", make_frames(CELL, 1)[0]["positions"], CELL, names)
    read_topology(gro, write_top(folder / "system.top"))


@fault(TOPOLOGY, "an include that is missing", r"system\.top: topology: found \w+")
def _(folder: Path) -> None:
    path = write_top(folder / "system.top")
    path.write_text('#include "forcefield.itp"\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    read_topology(path)


@fault(TOPOLOGY, "no bonds, and a molecule too long to be made whole", r"residue of atom \d+ \(CHN\): found extent of")
def _(folder: Path) -> None:
    frames = make_frames(CELL, 1)
    gro = write_gro(folder / "system.gro", frames[0]["positions"], CELL)
    top = write_top(folder / "system.top", bonds=False)
    map_files(folder, gro, top, [write_trr(folder / "run.trr", frames, CELL)], mapping_file(folder))


@fault(TOPOLOGY, "Windows line ends", "accepted", outcome="works")
def _(folder: Path) -> None:
    gro = write_gro(folder / "system.gro", make_frames(CELL, 1)[0]["positions"], CELL)
    top = write_top(folder / "system.top")
    for path in (gro, top):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_topology(gro, top).names.tolist() == NAMES


def mapped(folder: Path, data: Any = None, **residues: Any) -> Mapper:
    """A mapper from a mapping file with other residues, as the rule makes it."""
    path = mapping_file(folder, RULES | {"residues": RULES["residues"] | residues} if data is None else data)
    contents = read_yaml(path)
    validate(contents, schema("mapping"), path)
    gro = write_gro(folder / "system.gro", make_frames(CELL, 1)[0]["positions"], CELL)
    return Mapper(MappingRules.from_dict(contents, path), read_topology(gro, write_top(folder / "system.top")))


HEAD_TAIL = ({"name": "Head", "atoms": ["O5"]}, {"name": "Tail", "atoms": ["C1", "C2", "C3", "C4"]})


@fault(MAPPING, "an unknown residue", r"mapping\.yaml: residues: found no entry for residue DUO")
def _(folder: Path) -> None:
    known = {name: entry for name, entry in RULES["residues"].items() if name != "DUO"}
    mapped(folder, {"types": ["Tail", "Head", "Cl"], "residues": known})


@fault(MAPPING, "atoms left out", r"residues\.CHN: found atoms in no bead: H6, H7")
def _(folder: Path) -> None:
    mapped(folder, CHN={"beads": list(HEAD_TAIL)})


@fault(MAPPING, "an atom in two beads", r"residues\.CHN\.beads\[1\] \(Tail\): found atom O5 again")
def _(folder: Path) -> None:
    mapped(folder, CHN={"beads": [HEAD_TAIL[0], {"name": "Tail", "atoms": "all"}]})


@fault(MAPPING, "an atom that does not exist", r"beads\[0\] \(Head\)\.atoms: found unknown \['O9'\]")
def _(folder: Path) -> None:
    mapped(folder, CHN={"beads": [{"name": "Head", "atoms": ["O9"]}, {"name": "Tail", "atoms": "all"}]})


@fault(MAPPING, "a selection of no atoms", r"beads\[0\] \(Head\): found no atom, expected at least one")
def _(folder: Path) -> None:
    mapped(folder, CHN={"beads": [{"name": "Head", "select": "name Q"}, {"name": "Tail", "atoms": "all"}]})


@fault(MAPPING, "an invalid selection", r"beads\[0\] \(Head\)\.select: found .* expected an MDAnalysis selection")
def _(folder: Path) -> None:
    mapped(folder, CHN={"beads": [{"name": "Head", "select": "nmae C1"}, {"name": "Tail", "atoms": "all"}]})


@fault(MAPPING, "a type without beads", r"mapping\.yaml: types: found .*'Na'.* expected the types of the beads")
def _(folder: Path) -> None:
    mapped(folder, RULES | {"types": [*RULES["types"], "Na"]})


@fault(MAPPING, "a type without beads in the data", r"types: found no bead of type Na in the data")
def _(folder: Path) -> None:
    residues = RULES["residues"] | {"NA": {"beads": [{"name": "Na", "atoms": "all"}]}}
    mapped(folder, {"types": [*RULES["types"], "Na"], "residues": residues})


@fault(MAPPING, "a type twice", r"mapping\.yaml: types: found .*non-unique")
def _(folder: Path) -> None:
    mapped(folder, RULES | {"types": [*RULES["types"], "Cl"]})


@fault(MAPPING, "two beads of one name", r"residues\.DUO\.beads: found names \['Duo', 'Duo'\]")
def _(folder: Path) -> None:
    mapped(folder, DUO={"beads": [{"name": "Duo", "atoms": ["X1"]}, {"name": "Duo", "atoms": ["X2"]}]})


@fault(
    MAPPING, "a residue NO, false to YAML", r"mapping\.yaml: line \d+: found the key NO, which YAML takes for 'bool'"
)
def _(folder: Path) -> None:
    mapped(folder, "types: [N]\nresidues:\n  NO: {beads: [{name: N, atoms: all}]}\n")


@fault(MAPPING, "an atom NO, false to YAML", r"beads\[0\]\.atoms\[1\]: found False \(bool\), expected .*in quotes")
def _(folder: Path) -> None:
    mapped(folder, "types: [N]\nresidues:\n  X: {beads: [{name: N, atoms: [C, NO]}]}\n")


@fault(MAPPING, "neither atoms nor select", r"residues\.CHN\.beads\[0\]")
def _(folder: Path) -> None:
    mapped(folder, CHN={"beads": [{"name": "Head"}, {"name": "Tail", "atoms": "all"}]})


# Config ---------------------------------------------------------------------------------------------------------------

CONFIG = "Config"
#: The demo's config with every key written out.
COMPLETE = ROOT / "tests" / "configs" / "complete" / "demo.yaml"


def configured(folder: Path, change: Callable[[str], str | bytes] | None = None, **keys: Any) -> dict[str, Any]:
    """A complete config after a change of its text or of dotted keys (``__`` for the dot), checked as the rules do."""
    text: str | bytes = COMPLETE.read_text(encoding="utf-8")
    path = folder / "config.yaml"
    if change is not None:
        assert isinstance(text, str)
        changed = change(text)
        assert changed != text
        text = changed
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    config = read_yaml(path)
    for key, value in keys.items():
        *sections, last = key.split("__")
        section = config
        for part in sections:
            section = section[part]
        if value is ...:
            del section[last]
        else:
            section[last] = value
    config = complete_config(config, source=path)
    here = Path.cwd()
    os.chdir(ROOT)
    try:
        check_config(config, ("Cho", "Cl", "Urea"))
    finally:
        os.chdir(here)
    return config


@fault(CONFIG, "a key twice", r"config\.yaml: line \d+: found the key 'seed' again \(first in line \d+\)")
def _(folder: Path) -> None:
    configured(folder, lambda text: text + "seed: 3\n")


@fault(CONFIG, "tabs", r"config\.yaml: line \d+: found .*cannot start any token")
def _(folder: Path) -> None:
    configured(folder, lambda text: text.replace("  start_ps", "\tstart_ps"))


@fault(CONFIG, "a bracket that is never closed", r"config\.yaml: line \d+: found .*expected valid YAML")
def _(folder: Path) -> None:
    configured(folder, lambda text: text.replace("seeds: [1, 2, 3, 4, 5, 6, 7, 8]", "seeds: [1, 2"))


@fault(CONFIG, "empty", r"config\.yaml: top level: found None \(NoneType\), expected type object")
def _(folder: Path) -> None:
    configured(folder, lambda text: "")


@fault(
    CONFIG,
    "an unknown key",
    r"training: found unknown key 'learning_rat', expected only .*did you mean learning_rate\?",
)
def _(folder: Path) -> None:
    configured(folder, training__learning_rat=1e-3)


@fault(CONFIG, "a key without default left out", r"simulation: found no key 'temperature_K'")
def _(folder: Path) -> None:
    configured(folder, simulation__temperature_K=...)


@fault(
    CONFIG, "1e-3, text to YAML", r"learning_rate: found '1e-3' \(str\), expected type number \(without quotes, with a"
)
def _(folder: Path) -> None:
    configured(folder, lambda text: text.replace("learning_rate: 5.0e-3", "learning_rate: 1e-3"))


@fault(CONFIG, "run: no, false to YAML", r"run: found False \(bool\), expected type string \(in quotes\)")
def _(folder: Path) -> None:
    configured(folder, lambda text: text.replace("run: demo", "run: no"))


@fault(CONFIG, "a date", r"line \d+: found a value that YAML takes for 'timestamp'")
def _(folder: Path) -> None:
    configured(folder, lambda text: text.replace("run: demo", "run: 2025-11-01"))


@fault(CONFIG, "1.5 where a count belongs", r"training\.batch_size: found 1\.5 \(float\), expected type integer")
def _(folder: Path) -> None:
    configured(folder, training__batch_size=1.5)


@fault(CONFIG, "2.0 where a count belongs", r"training\.max_epochs: found 2\.0 \(float\), expected type integer")
def _(folder: Path) -> None:
    configured(folder, training__max_epochs=2.0)


@fault(CONFIG, "NaN", r"skin_A: found nan, expected a finite number")
def _(folder: Path) -> None:
    configured(folder, lambda text: text.replace("skin_A: 1.5", "skin_A: .nan"))


@fault(CONFIG, "a number beyond all bounds", r"production_ps: found 1e\+300, expected a number up to 1e\+15")
def _(folder: Path) -> None:
    configured(folder, simulation__production_ps=1e300)


@fault(CONFIG, "a name that ends a line", r"run: found 'demo\\n', expected")
def _(folder: Path) -> None:
    configured(folder, lambda text: text.replace("run: demo", 'run: "demo\\n"'))


@fault(CONFIG, "a name that leaves the folder", r"run: found '\.\./other', expected a name that matches")
def _(folder: Path) -> None:
    configured(folder, run="../other")


@fault(
    CONFIG, "YAML that builds objects", r"line 1: found a value that YAML takes for '.*python/object/apply:os\.mkdir'"
)
def _(folder: Path) -> None:
    trap = folder / "trap"
    try:
        configured(folder, lambda text: f"shared: !!python/object/apply:os.mkdir ['{trap}']\n" + text)
    finally:
        assert not trap.exists()


@fault(
    CONFIG, "nested aliases that expand to gigabytes", r"line \d+: found aliases \(\*\) that make more than a million"
)
def _(folder: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    configured(folder, lambda text: "\n".join(lines) + "\n" + text)


@fault(CONFIG, "a recursive alias", r"line \d+: found data that contain themselves")
def _(folder: Path) -> None:
    configured(folder, lambda text: text.replace("seeds: [1, 2, 3, 4, 5, 6, 7, 8]", "seeds: &s [1, *s]"))


@fault(CONFIG, "anchors and aliases", "aliases are expanded", outcome="works")
def _(folder: Path) -> None:
    config = configured(
        folder,
        lambda text: text.replace("equilibration_ps: 4 ", "equilibration_ps: &time 4 ").replace(
            "resolved_every_ps: 4}", "resolved_every_ps: *time}"
        ),
    )
    assert config["structure"]["cdf"]["resolved_every_ps"] == config["simulation"]["equilibration_ps"] == 4


@fault(CONFIG, "another encoding (Latin-1)", r"config\.yaml: byte \d+: found text that is not UTF-8")
def _(folder: Path) -> None:
    configured(folder, lambda text: ("# für alle\n" + text.encode("ascii", "ignore").decode()).encode("latin-1"))


@fault(CONFIG, "another encoding (UTF-16)", r"config\.yaml: byte 0: found text that is not UTF-8")
def _(folder: Path) -> None:
    configured(folder, lambda text: text.encode("utf-16"))


@fault(CONFIG, "a byte-order mark and Windows line ends", "accepted", outcome="works")
def _(folder: Path) -> None:
    changed = configured(folder, lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode("utf-8"))
    assert changed == complete_config(read_yaml(COMPLETE))


@fault(
    CONFIG, "fractions that do not sum to 1", r"config: split: found fractions that sum to 0\.9, expected a sum of 1"
)
def _(folder: Path) -> None:
    configured(folder, split__train=0.7)


@fault(
    CONFIG, "a cutoff beyond half the cell", r"network\.cutoff_A: found 12 A, expected at most 11\.\d+ A, half the cell"
)
def _(folder: Path) -> None:
    configured(folder, network__cutoff_A=12.0)


@fault(CONFIG, "a triplet of an unknown type", r"structure\.adf\.triplets\[0\]: found Na, expected bead types")
def _(folder: Path) -> None:
    configured(folder, structure__adf__triplets=[["Cho", "Na", "Cl"]])


@fault(CONFIG, "an input file that does not exist", r"aa\.files\.trajectory\[0\]: found no file none\.trr")
def _(folder: Path) -> None:
    configured(folder, aa__files__trajectory=["none.trr"])


@fault(CONFIG, "an impossible file name", r"aa\.files\.topology: found no file a{300}, expected an existing")
def _(folder: Path) -> None:
    configured(folder, aa__files__topology="a" * 300)


# Students -------------------------------------------------------------------------------------------------------------

STUDENTS = "Table of students"
HEADER = "name\tlabel\tteacher\tw_F\tw_f\tw_E\tw_e\n"
ROW = "S1-x\tS1x\tsingle\t1\t0\t0\t0\n"


def students(folder: Path, text: str | bytes) -> list:
    """Read a table of students as the rules do."""
    path = folder / "students.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return read_students(path)


for title, text, message in (
    (
        "names that differ only in case",
        HEADER + ROW + ROW.upper().replace("SINGLE", "single"),
        r"names that differ by more",
    ),
    ("labels twice", HEADER + ROW + ROW.replace("S1-x", "S1-y"), r"label: found S1x twice, expected one label"),
    ("a name with a slash", HEADER + ROW.replace("S1-x", "a/b"), r"row 1 \(a/b\)\.name: found 'a/b'"),
    ("a name of dots", HEADER + ROW.replace("S1-x", ".."), r"row 1 \(\.\.\)\.name: found '\.\.'"),
    ("a name with shell syntax", HEADER + ROW.replace("S1-x", "$(rm x)"), r"row 1 .*\.name: found '\$\(rm x\)'"),
    ("a name reserved for teachers", HEADER + ROW.replace("S1-x", "T8"), r"T8: found a name kept for the teachers"),
    ("a name too long for a folder", HEADER + ROW.replace("S1-x", "a" * 300), r"\.name: found .*too long"),
    ("a label that is mathematics", HEADER + ROW.replace("S1x", r"$\frac$"), r"row 1 \(S1-x\)\.label: found"),
    ("a column missing", HEADER.replace("\tteacher", ""), r"header: found columns .* expected the columns"),
    ("a column too many", HEADER.replace("w_e", "w_e\tw_x"), r"header: found columns .*w_x"),
    ("commas instead of tabs", (HEADER + ROW).replace("\t", ","), r"header: .*separated by tabs"),
    ("a cell missing", HEADER + ROW.replace("\t0\n", "\n"), r"row 1 \(S1-x\): found another number of cells"),
    ("a cell too many", HEADER + ROW.replace("\n", "\t0\n"), r"row 1 \(S1-x\): found another number of cells"),
    ("a negative weight", HEADER + ROW.replace("\t1\t", "\t-1\t"), r"\(S1-x\)\.w_F: found -1\.0, expected at least 0"),
    ("a weight NaN", HEADER + ROW.replace("\t1\t", "\tnan\t"), r"\(S1-x\)\.w_F: found nan, expected a finite number"),
    (
        "a weight that is not a number",
        HEADER + ROW.replace("\t1\t", "\tone\t"),
        r"\.w_F: found 'one', expected a number",
    ),
    ("no weight above 0", HEADER + ROW.replace("\t1\t", "\t0\t"), r"S1-x: found no weight above 0"),
    ("an unknown teacher", HEADER + ROW.replace("single", "both"), r"\.teacher: found 'both', expected one of single"),
    (
        "another encoding",
        (HEADER + ROW.replace("S1x", "S1µ")).encode("latin-1"),
        r"byte \d+: found text that is not UTF-8",
    ),
    ("empty", "", r"students\.tsv: header: found columns \[\]"),
):

    @fault(STUDENTS, title, message)
    def _(folder: Path, text: str | bytes = text) -> None:
        students(folder, text)


@fault(STUDENTS, "a quote that is never closed", "a quote is a character; no row is lost", outcome="works")
def _(folder: Path) -> None:
    found = students(folder, HEADER + ROW.replace("S1x", '"S1') + ROW.replace("S1-x", "S1-y"))
    assert [(variant.name, variant.label) for variant in found] == [("S1-x", '"S1'), ("S1-y", "S1x")]


@fault(STUDENTS, "byte-order mark, Windows line ends, comments, gaps", "accepted", outcome="works")
def _(folder: Path) -> None:
    (variant,) = students(folder, ("\ufeff" + HEADER + "# note\n\n" + ROW).replace("\n", "\r\n"))
    assert (variant.name, variant.weights["F"]) == ("S1-x", 1.0)


# Files between the stages ---------------------------------------------------------------------------------------------

BETWEEN = "Files between stages"


def beads_after(folder: Path, change: Callable[[h5py.File], Any]) -> BeadFrames:
    """All frames of a bead file after a change."""
    path = write_beads(folder / "beads.h5", 6)
    with h5py.File(path, "r+") as file:
        change(file)
    with BeadFile(path) as beads:
        return beads.frames()


@fault(BETWEEN, "beads: a bit flipped on disk", r"beads\.h5: positions of frames 0 to 5: found .*(checksum|filter)")
def _(folder: Path) -> None:
    path = write_beads(folder / "beads.h5", 6)
    with h5py.File(path, "r") as file:
        place = file["positions"].id.get_chunk_info(3).byte_offset
    data = bytearray(path.read_bytes())
    data[place + 5] ^= 4
    path.write_bytes(data)
    with BeadFile(path) as beads:
        beads.frames()


@fault(BETWEEN, "beads: cut off", r"beads\.h5: file: found .*truncated file")
def _(folder: Path) -> None:
    path = write_beads(folder / "beads.h5", 6)
    path.write_bytes(path.read_bytes()[:-500])
    BeadFile(path)


@fault(BETWEEN, "beads: another unit", r"beads\.h5: unit of 'positions': found nm, expected A")
def _(folder: Path) -> None:
    beads_after(folder, lambda file: file["positions"].attrs.modify("unit", "nm"))


@fault(BETWEEN, "beads: a dataset shorter than the others", r"forces: found .*expected numbers of shape \(6, 27, 3\)")
def _(folder: Path) -> None:
    beads_after(folder, lambda file: file["forces"].resize(4, axis=0))


@fault(BETWEEN, "beads: a type that has no name", r"bead_types: found 7, expected 0 to 1")
def _(folder: Path) -> None:
    beads_after(folder, lambda file: file["bead_types"].__setitem__(3, 7))


@fault(BETWEEN, "beads: NaN", r"frame 2, forces: found values that are not finite")
def _(folder: Path) -> None:
    beads_after(folder, lambda file: file["forces"].__setitem__((2, 1, 0), np.nan))


@fault(BETWEEN, "beads: another file under this name", r"beads\.h5: file: found .*expected an HDF5 file of format")
def _(folder: Path) -> None:
    (folder / "beads.h5").write_text("text", encoding="utf-8")
    BeadFile(folder / "beads.h5")


@fault(
    BETWEEN, "too few frames for the split", r"config: split\.valid: found no frame of 4, expected at least one frame"
)
def _(folder: Path) -> None:
    split_frames(4, {"train": 0.8, "valid": 0.1, "test": 0.1}, "random", 0)


def split_after(folder: Path, change: Callable[[dict], Any]) -> None:
    """Read a split of 20 frames after a change of its JSON."""
    path = folder / "split.json"
    write_split(path, split_frames(20, {"train": 0.8, "valid": 0.1, "test": 0.1}, "random", 0), {})
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    read_split(path, 20)


@fault(BETWEEN, "split: a frame in two sets", r"split\.json: parts: found a frame in two sets")
def _(folder: Path) -> None:
    split_after(folder, lambda data: data.update(valid=[data["train"][0]]))


@fault(BETWEEN, "split: a frame that does not exist", r"split\.json: test, frame: found 20, expected frames below 20")
def _(folder: Path) -> None:
    split_after(folder, lambda data: data["test"].append(20))


@fault(BETWEEN, "split: a broken number", r"split\.json: valid: found other values, expected a list of frame indices")
def _(folder: Path) -> None:
    split_after(folder, lambda data: data["valid"].append(2.7))


@fault(BETWEEN, "split: of other beads", r"split\.json: train, frame: found \d+, expected frames below 10")
def _(folder: Path) -> None:
    write_split(folder / "split.json", split_frames(20, {"train": 0.8, "valid": 0.1, "test": 0.1}, "blocks", 0), {})
    read_split(folder / "split.json", 10)


@fault(BETWEEN, "split: cut off", r"split\.json: file: found JSONDecodeError")
def _(folder: Path) -> None:
    (folder / "split.json").write_text('{"train": [1, 2', encoding="utf-8")
    read_split(folder / "split.json", 20)


def prior_of(positions_A: list[list[float]], types: list[int]) -> Any:
    """Prior of one frame in a cell of 50 A."""
    frames = BeadFrames(np.array([positions_A]), np.ones((1, len(types), 3)), 50.0 * np.eye(3)[None], np.zeros(1))
    return fit_prior([frames], bead_topology(np.array(types)), PRIOR_SETTINGS)


@fault(
    BETWEEN,
    "prior: a pair of types never within the cutoff",
    r"pair Cl-Cl: never within 8 A.* at 3\.00 A",
    outcome="warning",
)
def _(folder: Path) -> None:
    """One solute has no second one: its wall is at the 3 A at which it was seen near a bead of the other type."""
    table = prior_of([[0, 0, 0], [5.0, 0, 0], [0, 3.0, 0]], [0, 0, 1])
    assert table.lowest_distance_A.tolist() == [5.0, 3.0, 3.0]


@fault(
    BETWEEN, "prior: two types apart from each other", r"pair Cho-Cl: never within 8 A.* at 2\.00 A", outcome="warning"
)
def _(folder: Path) -> None:
    """The nearer of the two distances, to beads of the same type here: 5 A and 2 A."""
    table = prior_of([[0, 0, 0], [5.0, 0, 0], [25.0, 0, 0], [27.0, 0, 0]], [0, 0, 1, 1])
    assert table.lowest_distance_A.tolist() == [5.0, 2.0, 2.0]


@fault(
    BETWEEN, "prior: a type without pairs within the cutoff", r"pairs Cl-Cho, Cl-Cl: found none within 8 A in any frame"
)
def _(folder: Path) -> None:
    prior_of([[0, 0, 0], [5.0, 0, 0], [0, 25.0, 0]], [0, 0, 1])


def prior_after(folder: Path, change: Callable[[str], str]) -> None:
    """Read a prior after a change of its text."""
    frames, types = make_bead_frames(3)
    path = folder / "prior.csv"
    write_prior(path, fit_prior([frames], bead_topology(types), PRIOR_SETTINGS), {})
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    read_prior(path, ("Cho", "Cl"))


@fault(BETWEEN, "prior: a pair missing", r"prior\.csv: pairs of bead types: found none for Cl-Cl")
def _(folder: Path) -> None:
    prior_after(folder, lambda text: text.rsplit("\n", 2)[0] + "\n")


@fault(BETWEEN, "prior: a pair twice", r"prior\.csv: pair Cl-Cl: found a second row")
def _(folder: Path) -> None:
    prior_after(folder, lambda text: text + text.rsplit("\n", 2)[1] + "\n")


@fault(BETWEEN, "prior: an invalid number", r"prior\.csv: pair Cho-Cho, E0_kcal_mol: found .*expected a number from 0")
def _(folder: Path) -> None:
    prior_after(folder, lambda text: text.replace("Cho,Cho,", "Cho,Cho,-"))


@fault(BETWEEN, "table: no provenance in the first line", r"prior\.csv: line 1: found .*expected a line starting with")
def _(folder: Path) -> None:
    prior_after(folder, lambda text: text.split("\n", 1)[1])


@fault(BETWEEN, "table: a column missing", r"prior\.csv: columns: found .*expected a column 'a_per_A'")
def _(folder: Path) -> None:
    prior_after(folder, lambda text: text.replace("a_per_A", "a"))


@fault(BETWEEN, "table: rows of other lengths", r"table\.csv: table: found .*Expected 2 fields")
def _(folder: Path) -> None:
    (folder / "table.csv").write_text("# cgdistill {}\na,b\n1,2\n1,2,3\n", encoding="utf-8")
    read_table(folder / "table.csv")


# Names and disks ------------------------------------------------------------------------------------------------------

PATHS = "Paths and disks"


@fault(PATHS, "spaces, umlauts and signs in paths", "accepted", outcome="works")
def _(folder: Path) -> None:
    awkward = folder / "Größe & {Maß} 'x' $HOME 分子"
    awkward.mkdir()
    with small(awkward) as beads:
        assert len(beads) == 3


@fault(PATHS, "symbolic links", "followed", outcome="works")
def _(folder: Path) -> None:
    def link(frames: list[dict]) -> Path:
        (folder / "elsewhere").mkdir()
        target = write_trr(folder / "elsewhere" / "data.trr", frames, CELL)
        (folder / "run.trr").symlink_to(target)
        return folder / "run.trr"

    with small(folder, link) as beads:
        assert len(beads) == 3


@fault(PATHS, "a link to nothing", r"run\.trr: trajectory: found no such file")
def _(folder: Path) -> None:
    def link(frames: list[dict]) -> Path:
        (folder / "run.trr").symlink_to(folder / "gone.trr")
        return folder / "run.trr"

    small(folder, link)
