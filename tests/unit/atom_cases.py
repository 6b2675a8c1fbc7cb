"""A small all-atom system written by hand: GRO and TOP as text, TRR through libmdaxdr in GROMACS units.

Five chains of seven atoms (longer than half the cell), three ions of one atom and two residues that consist of
two atoms without a bond.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cgdistill.data.mapping_rules import MappingRules
from MDAnalysis.lib.formats.libmdaxdr import TRRFile

CELLS = {
    "cubic": np.diag([12.0, 12.0, 12.0]),
    # Lower triangular, as GROMACS and LAMMPS want it.
    "triclinic": np.array([[13.0, 0.0, 0.0], [-4.0, 12.0, 0.0], [3.0, -3.5, 11.5]]),
}
CHAIN = ("C1", "C2", "C3", "C4", "O5", "H6", "H7")
CHAIN_MASSES = (12.011, 12.5, 14.0, 12.011, 15.999, 1.008, 2.016)
COUNTS = {"CHN": 5, "ION": 3, "DUO": 2}
ATOMS = {"CHN": CHAIN, "ION": ("Cl",), "DUO": ("X1", "X2")}
MASSES = {"CHN": CHAIN_MASSES, "ION": (35.45,), "DUO": (20.0, 10.0)}
NAMES = [name for residue, count in COUNTS.items() for _ in range(count) for name in ATOMS[residue]]
RESIDUES = [residue for residue, count in COUNTS.items() for _ in range(count) for _ in ATOMS[residue]]
ATOM_MASSES = np.array([mass for residue, count in COUNTS.items() for _ in range(count) for mass in MASSES[residue]])
N_ATOMS = len(NAMES)

RULES = {
    "types": ["Tail", "Head", "Cl", "Duo"],
    "residues": {
        "CHN": {
            "beads": [
                {"name": "Head", "select": "name O5 or name C4"},
                {"name": "TailA", "type": "Tail", "atoms": ["C1", "C2"]},
                {"name": "TailB", "type": "Tail", "atoms": ["C3", "H6"]},
            ],
            "unmapped": ["H7"],
        },
        "ION": {"beads": [{"name": "Cl", "atoms": "all"}]},
        "DUO": {"beads": [{"name": "Duo", "atoms": "all"}]},
    },
}


def rules(**residues) -> MappingRules:
    """`RULES`, with the entries of some residues replaced."""
    data = {"types": RULES["types"], "residues": RULES["residues"] | residues}
    return MappingRules.from_dict(data, "mapping.yaml")


def whole_molecules(seed: int) -> np.ndarray:
    """(n_atoms, 3) positions, A, with every residue in one piece."""
    rng = np.random.default_rng(seed)
    parts = []
    for residue, count in COUNTS.items():
        for _ in range(count):
            n = len(ATOMS[residue])
            direction = rng.normal(size=3)
            steps = 1.45 * direction / np.linalg.norm(direction) + rng.normal(scale=0.15, size=(n, 3))
            parts.append(rng.uniform(0, 12, size=3) + np.cumsum(steps, axis=0))
    return np.concatenate(parts)


def wrapped(positions_A: np.ndarray, cell_A: np.ndarray) -> np.ndarray:
    """Every atom put into the cell by itself."""
    fractions = positions_A @ np.linalg.inv(cell_A)
    return (fractions - np.floor(fractions)) @ cell_A


def make_frames(cell_A: np.ndarray, n_frames: int = 6, seed: int = 0) -> list[dict]:
    """Frames with atoms wrapped one by one: ``whole``, ``positions`` (A), ``forces`` (kJ/mol/nm), ``time`` (ps)."""
    frames = []
    for number in range(n_frames):
        whole = whole_molecules(seed * 1000 + number)
        forces = np.random.default_rng(number).normal(scale=500.0, size=(N_ATOMS, 3))
        frames.append(
            {"whole": whole, "positions": wrapped(whole, cell_A), "forces": forces, "time": 10.0 + 2.0 * number}
        )
    return frames


def write_gro(path: Path, positions_A: np.ndarray, cell_A: np.ndarray, names: Sequence[str] = NAMES) -> Path:
    """GRO file in nm; the residue number changes from residue to residue."""
    lines, number = ["chains and ions", f"{len(names)}"], 0
    starts = np.cumsum([0] + [len(ATOMS[r]) for r, count in COUNTS.items() for _ in range(count)])
    for atom, (name, residue) in enumerate(zip(names, RESIDUES, strict=False)):
        number += atom in starts
        x, y, z = positions_A[atom] / 10.0
        lines.append(f"{number:5d}{residue:<5s}{name:>5s}{atom + 1:5d}{x:8.3f}{y:8.3f}{z:8.3f}")
    a, b, c = cell_A / 10.0
    box = [a[0], b[1], c[2], a[1], a[2], b[0], b[2], c[0], c[1]]
    lines.append(" ".join(f"{value:.5f}" for value in (box if np.any(box[3:]) else box[:3])))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_top(path: Path, counts: dict | None = None, masses: bool = True, bonds: bool = True) -> Path:
    """GROMACS topology with masses and the bonds of the chains."""
    text = "[ defaults ]\n1 1 no 1.0 1.0\n"
    for residue, atoms in ATOMS.items():
        text += f"[ moleculetype ]\n{residue} 3\n[ atoms ]\n"
        for number, (name, mass) in enumerate(zip(atoms, MASSES[residue], strict=True), start=1):
            text += f"{number} {name} 1 {residue} {name} {number} 0.0 {mass if masses else 0.0}\n"
        if residue == "CHN" and bonds:
            text += "[ bonds ]\n" + "".join(f"{number} {number + 1} 1\n" for number in range(1, len(atoms)))
    text += "[ system ]\ntest\n[ molecules ]\n"
    text += "".join(f"{residue} {count}\n" for residue, count in (counts or COUNTS).items())
    path.write_text(text, encoding="utf-8")
    return path


def write_trr(path: Path, frames: Sequence[dict], cell_A: np.ndarray, forces: bool = True) -> Path:
    """TRR file in nm and kJ/mol/nm."""
    with TRRFile(str(path), "w") as file:
        for step, frame in enumerate(frames):
            xyz = (frame["positions"] / 10.0).astype("f4")
            values = frame["forces"].astype("f4") if forces else None
            file.write(xyz, None, values, (cell_A / 10.0).astype("f4"), step, frame["time"], 0.0, len(xyz))
    return path


def write_dump(path: Path, frames: Sequence[dict], cell_A: np.ndarray, units: str, say_units: bool = True) -> Path:
    """LAMMPS dump with forces, rows in disorder, cell origin away from zero."""
    kcal_mol_A = 1.0 / 41.84
    factor = {"real": kcal_mol_A, "metal": kcal_mol_A / 23.060549}[units]
    time_factor = {"real": 1000.0, "metal": 1.0}[units]
    origin = np.array([-3.0, 1.0, 0.5])
    (lx, _, _), (xy, ly, _), (xz, yz, lz) = cell_A
    low = origin + [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
    high = origin + [lx + max(0.0, xy, xz, xy + xz), ly + max(0.0, yz), lz]
    order = np.random.default_rng(0).permutation(N_ATOMS)
    lines = []
    for step, frame in enumerate(frames):
        lines += ["ITEM: UNITS", units] if say_units and step == 0 else []
        lines += ["ITEM: TIME", f"{frame['time'] * time_factor:.6f}", "ITEM: TIMESTEP", f"{step}"]
        lines += ["ITEM: NUMBER OF ATOMS", f"{N_ATOMS}", "ITEM: BOX BOUNDS xy xz yz pp pp pp"]
        lines += [f"{a:.9f} {b:.9f} {c:.9f}" for a, b, c in zip(low, high, (xy, xz, yz), strict=True)]
        lines.append("ITEM: ATOMS id x y z fx fy fz")
        for atom in order:
            values = [*(frame["positions"][atom] + origin), *(frame["forces"][atom] * factor)]
            lines.append(f"{atom + 1} " + " ".join(f"{value:.9f}" for value in values))
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path
