"""What is measured: bead systems of any size at the density of the demo's fluid, made of its data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from cgdistill.config.complete import read_config
from cgdistill.core.units import KJ_PER_KCAL
from cgdistill.data.atoms import AtomTopology, read_frames, read_topology
from cgdistill.data.beads import BeadFile, BeadTopology
from cgdistill.data.mapping import Mapper, map_trajectory
from cgdistill.data.mapping_rules import MappingRules
from cgdistill.forcefield.hipnn.model import BeadModel, NetworkSpec
from cgdistill.forcefield.prior.terms import PriorTerms, fit_prior, prior_from_table
from cgdistill.structure.spec import StructureSpec
from MDAnalysis.lib.formats.libmdaxdr import TRRFile

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "resources" / "demo"
#: Images along each vector of the demo's box of 128 beads: 1,024 and 102,400 beads.
THOUSAND, HUNDRED_THOUSAND = (2, 2, 2), (10, 10, 8)
#: Random displacement of every bead, which makes the images differ.
JITTER_A = 0.05


def paper_config() -> dict[str, Any]:
    """config/paper.yaml: the network of table 1 and the grids of the structure analysis."""
    return read_config(ROOT / "config" / "paper.yaml")


def demo_config() -> dict[str, Any]:
    """config/config.yaml: what fits into the demo's box."""
    return read_config(ROOT / "config" / "config.yaml")


@dataclass(frozen=True)
class Beads:
    """Frames of one bead system: positions and forces (n_frames, n_beads, 3), one cell (3, 3)."""

    positions_A: np.ndarray
    forces_kcal_mol_A: np.ndarray
    cell_A: np.ndarray
    topology: BeadTopology

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return self.topology.n_beads


class Demo:
    """The demo's data, mapped, and what is fitted to it; works in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.atoms = read_topology(DEMO / "des128.gro", DEMO / "des128.top")
        path = folder / "beads.h5"
        map_trajectory(path, Mapper(mapping_rules(), self.atoms), [DEMO / "des128.trr"], {})
        with BeadFile(path) as file:
            frames, topology = file.frames(), file.topology
        forces = np.asarray(frames.forces_kcal_mol_A)
        self.beads = Beads(frames.positions_A, forces, frames.cells_A[0], topology)
        table = fit_prior([frames], topology, paper_config()["prior"])
        self.prior: PriorTerms = prior_from_table(table, topology.type_names, path)
        self.network = NetworkSpec(**paper_config()["network"])

    def model(self, seed: int) -> BeadModel:
        """A network of the paper's table 1 with random weights."""
        return BeadModel(self.network, self.prior.type_names, seed).eval()

    def replicated(self, images: tuple[int, int, int], frames: slice, seed: int = 1) -> Beads:
        """Frames of a larger box, beads sorted by kind and in random order within it, as in a packed box."""
        rng = np.random.default_rng(seed)
        n = int(np.prod(images))
        one, cell = self.beads, self.beads.cell_A
        shifts = np.stack(np.meshgrid(*map(np.arange, images), indexing="ij"), axis=-1).reshape(-1, 1, 3) @ cell
        order = np.lexsort([rng.random(n * one.n_beads), np.tile(one.topology.bead_types, n)])
        positions = np.array([(frame + shifts).reshape(-1, 3)[order] for frame in one.positions_A[frames]])
        positions += rng.normal(scale=JITTER_A, size=positions.shape)
        forces = np.tile(one.forces_kcal_mol_A[frames], (1, n, 1))[:, order]
        topology = BeadTopology(
            type_names=one.topology.type_names,
            bead_types=np.tile(one.topology.bead_types, n)[order],
            bead_names=tuple(np.tile(one.topology.bead_names, n)[order].tolist()),
            masses_g_mol=np.tile(one.topology.masses_g_mol, n)[order],
            residues=np.arange(n * one.n_beads),
            atom_beads=np.empty(0, dtype=np.int64),
        )
        return Beads(positions, forces, cell * np.array(images)[:, None], topology)

    def replicated_atoms(self, images: tuple[int, int, int], n_frames: int) -> tuple[Path, Path, Path]:
        """Structure, topology and trajectory (.gro, .top, .trr) of a larger all-atom box."""
        n, kinds = int(np.prod(images)), ("CHOL", "Cl", "UREA")
        frames = list(islice(read_frames(self.atoms, [DEMO / "des128.trr"]), n_frames))
        cell = frames[0].cell_A
        shifts = np.stack(np.meshgrid(*map(np.arange, images), indexing="ij"), axis=-1).reshape(-1, 1, 3) @ cell
        members = [np.flatnonzero(self.atoms.residue_names == kind) for kind in kinds]
        gro, top, trr = (self.folder / f"atoms.{suffix}" for suffix in ("gro", "top", "trr"))
        _write_gro(gro, self.atoms, members, n, cell * np.array(images)[:, None])
        text = (DEMO / "des128.top").read_text(encoding="utf-8").replace("../", f"{DEMO.parent}/")
        for kind, group in zip(kinds, members, strict=True):
            count = len(np.unique(self.atoms.residues[group]))
            text = text.replace(f"{kind:<8} {count}\n", f"{kind} {count * n}\n")
        top.write_text(text, encoding="utf-8")
        with TRRFile(str(trr), "w") as file:
            for number, frame in enumerate(frames):
                positions = np.concatenate([(frame.positions_A[group] + shifts).reshape(-1, 3) for group in members])
                forces = np.concatenate([np.tile(frame.forces_kcal_mol_A[group], (n, 1)) for group in members])
                arrays = positions / 10.0, None, forces * KJ_PER_KCAL * 10.0, cell * np.array(images)[:, None] / 10.0
                x, v, f, box = (None if values is None else values.astype("f4") for values in arrays)
                file.write(x, v, f, box, number, float(number), 0.0, len(positions))
        return gro, top, trr


def mapping_rules() -> MappingRules:
    """config/mappings/des.yaml."""
    path = ROOT / "config" / "mappings" / "des.yaml"
    return MappingRules.from_dict(yaml.safe_load(path.read_text(encoding="utf-8")), path)


def structure_spec() -> StructureSpec:
    """Grids of the paper's structure analysis."""
    return StructureSpec.from_config(paper_config()["structure"])


def _write_gro(path: Path, atoms: AtomTopology, members: list[np.ndarray], n: int, cell_A: np.ndarray) -> None:
    """Names alone count: the positions are those of the trajectory."""
    lines: list[str] = []
    residue = 0
    for group in members:
        for _ in range(n):
            last = -1
            for atom in group:
                residue += int(atoms.residues[atom] != last)
                last = int(atoms.residues[atom])
                name = f"{atoms.residue_names[atom]:<5}{atoms.names[atom]:>5}"
                lines.append(f"{residue % 100000:5d}{name}{(len(lines) + 1) % 100000:5d}" + "   0.000" * 3)
    box = " ".join(f"{edge / 10.0:.5f}" for edge in np.diag(cell_A))
    path.write_text("\n".join(["replicated", str(len(lines)), *lines, box]) + "\n", encoding="ascii")
