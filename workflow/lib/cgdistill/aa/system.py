"""All-atom system: molecules, topology file and packed start structure."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..provenance.record import config_hash
from ..runtime.atomic_files import whole_file
from ..runtime.job import log
from ..runtime.locks import lock_until_exit
from .gro import Structure, write_gro

#: Packages of the external programs.
PROGRAM_SOURCES = {
    "packmol": "Packmol (Debian and Ubuntu: apt-get install packmol; conda-forge: packmol)",
    "gmx": "GROMACS (Debian and Ubuntu: apt-get install gromacs; conda-forge: gromacs)",
}
_NEUTRAL_e = 1e-4


@dataclass(frozen=True)
class MoleculeSpec:
    """One molecular species: its name in the topology, number of molecules, structure and .itp file."""

    name: str
    count: int
    structure: Path
    topology: Path


@dataclass(frozen=True)
class SystemSpec:
    """Composition, force field and cell.

    Attributes
    ----------
    molecules:
        In the order of the topology.
    force_field:
        GROMACS include files before those of the molecules ([ defaults ], atom types).
    cell_A: (3,) edges of the orthorhombic cell
    packing_tolerance_A:
        Minimum distance between atoms of different molecules in the packed box.
    """

    molecules: tuple[MoleculeSpec, ...]
    force_field: tuple[Path, ...]
    cell_A: tuple[float, float, float]
    packing_tolerance_A: float

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> SystemSpec:
        """System of the config section ``aa.system``; paths are relative to the working directory.

        Raises
        ------
        InputError
            A file is missing, a count or an edge is not positive.
        """
        molecules = tuple(
            MoleculeSpec(row["name"], int(row["count"]), Path(row["structure"]), Path(row["topology"]))
            for row in section["molecules"]
        )
        edges = tuple(float(x) for x in section["cell_A"])
        if len(edges) != 3 or min(edges) <= 0:
            raise InputError("config", "aa.system.cell_A", list(edges), "three edges above 0")
        spec = cls(
            molecules=molecules,
            force_field=tuple(Path(path) for path in section["force_field"]),
            cell_A=(edges[0], edges[1], edges[2]),
            packing_tolerance_A=float(section["packing_tolerance_A"]),
        )
        for molecule in molecules:
            if molecule.count < 1:
                raise InputError("config", f"aa.system.molecules.{molecule.name}.count", molecule.count, "at least 1")
        for path in spec.files:
            if not path.is_file():
                raise InputError("config", "aa.system", f"no file {path}", "an existing file")
        return spec

    @property
    def files(self) -> tuple[Path, ...]:
        """All input files of the system."""
        return (*self.force_field, *(path for m in self.molecules for path in (m.structure, m.topology)))


@dataclass(frozen=True)
class MoleculeTopology:
    """Atoms of one [ moleculetype ]: names, residue names and numbers, charges (e)."""

    name: str
    atom_names: tuple[str, ...]
    residue_names: tuple[str, ...]
    residue_numbers: tuple[int, ...]
    charges_e: tuple[float, ...]


def require_program(name: str) -> str:
    """Path of a program.

    Raises
    ------
    InputError
        It is not on PATH; the message names its package.
    """
    path = shutil.which(name)
    if path is None:
        raise InputError("environment", f"program {name}", "nothing on PATH", PROGRAM_SOURCES.get(name, name))
    return path


def itp_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Rows of a GROMACS topology as (section, fields); without comments and preprocessor lines."""
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.split(";")[0].strip()
        if match := re.fullmatch(r"\[\s*(\S+)\s*\]", text):
            section = match[1]
        elif text and not text.startswith("#"):
            yield section, text.split()


def read_molecule(path: Path, name: str) -> MoleculeTopology:
    """Atoms of the [ moleculetype ] ``name`` in a .itp file.

    Raises
    ------
    InputError
        The file does not define it, or its [ atoms ] rows have no charges.
    """
    current, found, rows = "", [], []
    for section, fields in itp_rows(path):
        if section == "moleculetype":
            current = fields[0]
            found.append(current)
        elif section == "atoms" and current == name:
            if len(fields) < 7:
                raise InputError(path, f"[ atoms ] of {name}", " ".join(fields), "rows with a charge")
            rows.append(fields)
    if not rows:
        raise InputError(path, "[ moleculetype ]", found or "none", f"a molecule named {name}")
    return MoleculeTopology(
        name=name,
        atom_names=tuple(row[4] for row in rows),
        residue_names=tuple(row[3] for row in rows),
        residue_numbers=tuple(int(row[2]) for row in rows),
        charges_e=tuple(float(row[6]) for row in rows),
    )


def total_charge_e(spec: SystemSpec, topologies: Sequence[MoleculeTopology]) -> float:
    """Total charge, e."""
    return sum(m.count * sum(t.charges_e) for m, t in zip(spec.molecules, topologies, strict=True))


def write_topology(spec: SystemSpec, path: Path, title: str = "cgdistill system") -> None:
    """Write a GROMACS topology that includes the system's files by paths relative to its own folder.

    Raises
    ------
    InputError
        The system has a net charge.
    """
    topologies = [read_molecule(m.topology, m.name) for m in spec.molecules]
    charge = total_charge_e(spec, topologies)
    if abs(charge) > _NEUTRAL_e:
        counts = ", ".join(f"{m.count} {m.name}" for m in spec.molecules)
        raise InputError("config", "aa.system.molecules", f"a net charge of {charge:+.3f} e ({counts})", "0 e")
    folder = path.parent.resolve()
    includes: list[Path] = []
    for include in (*spec.force_field, *(m.topology for m in spec.molecules)):
        if include.resolve() not in includes:
            includes.append(include.resolve())
    lines = [f"; {title}"]
    lines += [f'#include "{Path(os.path.relpath(include, folder)).as_posix()}"' for include in includes]
    lines += ["", "[ system ]", title, "", "[ molecules ]"]
    lines += [f"{m.name:<8} {m.count}" for m in spec.molecules]
    with whole_file(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def included_files(topology: Path) -> list[Path]:
    """A topology and all files that it includes, in order.

    Raises
    ------
    InputError
        An included file does not exist, relative to the file that includes it.
    """
    found: list[Path] = []

    def visit(path: Path) -> None:
        if path in found:
            return
        found.append(path)
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := re.match(r'\s*#include\s+[<"](.+?)[>"]', line):
                target = (path.parent / match[1]).resolve()
                if not target.is_file():
                    raise InputError(path, "#include", f"no file {target}", "an existing file")
                visit(target)

    visit(topology.resolve())
    return found


def build_box(spec: SystemSpec, seed: int, topology: Path, structure: Path, folder: Path) -> None:
    """Write the topology and a packed box.

    Packmol (Martinez et al., J. Comput. Chem. 2009, 30, 2157) places the molecules within the cell, reduced by half the
    tolerance at each face so that periodic images keep the tolerance as well.

    Parameters
    ----------
    seed: seed of the packing
    topology, structure:
        Outputs: .top and .gro.
    folder:
        Folder of Packmol's files.

    Raises
    ------
    InputError
        Packmol is missing or finds no packing; a structure does not match its topology; the system is charged.
    """
    program = require_program("packmol")
    molecules = [read_molecule(m.topology, m.name) for m in spec.molecules]
    write_topology(spec, topology)
    folder.mkdir(parents=True, exist_ok=True)
    lock_until_exit(folder)
    lines = [f"tolerance {spec.packing_tolerance_A}", f"seed {seed}", "filetype xyz", "output packed.xyz"]
    margin = spec.packing_tolerance_A / 2
    corners = " ".join(f"{x:.6f}" for x in [margin] * 3 + [edge - margin for edge in spec.cell_A])
    for m, t in zip(spec.molecules, molecules, strict=True):
        _write_xyz(m, t, folder / f"{m.name}.xyz")
        lines += [f"structure {m.name}.xyz", f"  number {m.count}", f"  inside box {corners}", "end structure"]
    (folder / "packmol.inp").write_text("\n".join(lines) + "\n", encoding="utf-8")
    positions = _run_packmol(program, folder, spec)
    write_gro(structure, _named(spec, molecules, positions, seed))
    log.info("packed %d atoms into %s A", len(positions), " x ".join(f"{x:g}" for x in spec.cell_A))


def _write_xyz(molecule: MoleculeSpec, topology: MoleculeTopology, path: Path) -> None:
    """Write one molecule as .xyz for Packmol, from any format that MDAnalysis reads."""
    from MDAnalysis import Universe

    positions = Universe(str(molecule.structure)).atoms.positions
    if len(positions) != len(topology.atom_names):
        expected = f"{len(topology.atom_names)}, as in {molecule.topology}"
        raise InputError(molecule.structure, f"atoms of {molecule.name}", len(positions), expected)
    rows = [f"{name} {x:.5f} {y:.5f} {z:.5f}" for name, (x, y, z) in zip(topology.atom_names, positions, strict=True)]
    path.write_text("\n".join([str(len(rows)), molecule.name, *rows]) + "\n", encoding="utf-8")


def _run_packmol(program: str, folder: Path, spec: SystemSpec) -> np.ndarray:
    """(n_atoms, 3) positions in the packed box, A."""
    with open(folder / "packmol.inp", encoding="utf-8") as stream:
        done = subprocess.run(
            [program], stdin=stream, cwd=folder, capture_output=True, text=True, check=False, errors="replace"
        )
    (folder / "packmol.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    if "Success!" not in done.stdout:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        found = lines[0] if lines else f"no packing (see {folder / 'packmol.log'})"
        edges = " x ".join(f"{x:g}" for x in spec.cell_A)
        expected = f"all molecules {spec.packing_tolerance_A} A apart in {edges} A; try a larger cell"
        raise InputError("packmol", "packing", found, expected)
    rows = (folder / "packed.xyz").read_text(encoding="utf-8").splitlines()[2:]
    return np.array([[float(x) for x in row.split()[1:4]] for row in rows if row.strip()])


def _named(spec: SystemSpec, molecules: Sequence[MoleculeTopology], positions_A: np.ndarray, seed: int) -> Structure:
    """Packed structure with the names of the topology and consecutive residue numbers."""
    numbers: list[int] = []
    residues: list[str] = []
    atoms: list[str] = []
    last = 0
    for m, t in zip(spec.molecules, molecules, strict=True):
        first = min(t.residue_numbers)
        for _ in range(m.count):
            numbers += [last + number - first + 1 for number in t.residue_numbers]
            residues += t.residue_names
            atoms += t.atom_names
            last = numbers[-1]
    if len(atoms) != len(positions_A):
        raise InputError("packmol", "packed.xyz", f"{len(positions_A)} atoms", f"{len(atoms)} of the topology")
    digest = config_hash({"cell_A": spec.cell_A, "counts": [m.count for m in spec.molecules], "seed": seed})
    return Structure(
        residue_numbers=np.array(numbers),
        residue_names=tuple(residues),
        atom_names=tuple(atoms),
        positions_A=positions_A,
        velocities_A_fs=None,
        cell_A=np.array(spec.cell_A),
        title=f"cgdistill packed box, config {digest[:12]}",
    )
