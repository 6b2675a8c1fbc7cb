"""Mapping of an all-atom trajectory to beads.

For bead I of atoms i (Olowookere et al., arXiv 2510.26650; Shinkle et al., JCTC 2024, eq. 1-6)::

    M_I = sum m_i,    R_I = sum m_i r_i / M_I,    F_I = sum f_i

after each residue has been made whole across the periodic boundary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from MDAnalysis.lib.distances import minimize_vectors
from MDAnalysis.lib.mdamath import triclinic_box
from scipy.sparse import csr_matrix

from ..core.errors import InputError
from ..geometry.cells import perpendicular_widths_A
from ..runtime.job import log, progress
from .atoms import AtomFrame, AtomTopology, count_frames, read_frames
from .beads import BeadFrames, BeadTopology, BeadWriter
from .mapping_rules import BeadRule, MappingRules
from .unwrapping import carried, differences, placement


class Mapper:
    """Mapping of the frames of one all-atom system to beads.

    Parameters
    ----------
    rules, topology:
        Rules for every residue of the topology.

    Raises
    ------
    InputError
        A residue without a rule, or an atom that is in no bead or in two and not listed as unmapped; both are named.
    """

    def __init__(self, rules: MappingRules, topology: AtomTopology) -> None:
        self.rules, self.atoms = rules, topology
        atom_beads = np.full(topology.n_atoms, -1, dtype=np.int64)
        types: list[int] = []
        names: list[str] = []
        residues: list[int] = []
        starts = np.flatnonzero(np.diff(topology.residues, prepend=-1))
        plans: dict[tuple[str, ...], list[tuple[BeadRule, np.ndarray]]] = {}
        for start, end in zip(starts, [*starts[1:], topology.n_atoms], strict=True):
            members = np.arange(start, end)
            residue = str(topology.residue_names[start])
            # Residues with the same name and atoms share their plan, since selections are slow.
            key = (residue, *topology.names[members])
            if key not in plans:
                plans[key] = self._plan(residue, members)
            for rule, offsets in plans[key]:
                atom_beads[start + offsets] = len(types)
                types.append(rules.types.index(rule.type))
                names.append(rule.name)
                residues.append(int(topology.residues[start]))
        absent = [name for index, name in enumerate(rules.types) if index not in types]
        if absent:
            raise InputError(
                rules.source, "types", f"no bead of type {', '.join(absent)} in the data", "beads of every type"
            )
        mapped = np.flatnonzero(atom_beads >= 0)
        shape = (len(types), topology.n_atoms)
        mass = topology.masses_g_mol
        bead_mass = np.bincount(atom_beads[mapped], mass[mapped], minlength=len(types))
        weights = mass[mapped] / bead_mass[atom_beads[mapped]]
        self._centre = csr_matrix((weights, (atom_beads[mapped], mapped)), shape=shape)
        self._sum = csr_matrix((np.ones(len(mapped)), (atom_beads[mapped], mapped)), shape=shape)
        self.topology = BeadTopology(
            type_names=rules.types,
            bead_types=np.array(types),
            bead_names=tuple(names),
            masses_g_mol=bead_mass,
            residues=np.array(residues),
            atom_beads=atom_beads,
        )
        # (n_beads, n_placed): fraction of each bead's mass that moves with a placed atom.
        self._placed, parents, _ = placement(topology.residues, topology.bonds)
        self._differences = differences(self._placed, parents, topology.n_atoms)
        self._carried = carried(self._centre, self._placed, parents)
        self._has_bonds = len(topology.bonds) > 0
        self._last_cell: tuple[np.ndarray, float, np.ndarray] | None = None

    def _plan(self, residue: str, members: np.ndarray) -> list[tuple[BeadRule, np.ndarray]]:
        """Beads of one residue with the offsets of their atoms from its first atom."""
        rules, names = self.rules, self.atoms.names[members]
        if residue not in rules.residues:
            raise InputError(
                rules.source,
                "residues",
                f"no entry for residue {residue}",
                f"an entry besides {sorted(rules.residues)}",
            )
        owner = np.full(len(members), -1)
        plan = []
        for index, rule in enumerate(rules.residues[residue]):
            where = f"residues.{residue}.beads[{index}] ({rule.name})"
            offsets = self._offsets(rule, members, names, where)
            twice = offsets[owner[offsets] >= 0]
            if len(twice):
                raise InputError(rules.source, where, f"atom {names[twice[0]]} again", "each atom in one bead")
            owner[offsets] = index
            plan.append((rule, offsets))
        left = [name for name in names[owner < 0] if name not in rules.unmapped[residue]]
        if left:
            found = f"atoms in no bead: {', '.join(map(str, left[:6]))}"
            raise InputError(rules.source, f"residues.{residue}", found, "all atoms in beads or under 'unmapped'")
        return plan

    def _offsets(self, rule: BeadRule, members: np.ndarray, names: np.ndarray, where: str) -> np.ndarray:
        if rule.select is not None:
            try:
                chosen = self.atoms.universe.atoms[members].select_atoms(rule.select).indices - members[0]
            except Exception as error:  # MDAnalysis raises exceptions of many classes
                raise InputError(self.rules.source, f"{where}.select", error, "an MDAnalysis selection") from None
        elif rule.atoms == "all":
            chosen = np.arange(len(members))
        else:
            wanted = set(rule.atoms or ())
            missing = wanted - set(names)
            if missing:
                raise InputError(
                    self.rules.source, f"{where}.atoms", f"unknown {sorted(missing)}", f"of {sorted(set(names))}"
                )
            chosen = np.flatnonzero([name in wanted for name in names])
        if len(chosen) == 0:
            raise InputError(self.rules.source, where, "no atom", "at least one atom")
        return np.asarray(chosen)

    def map_frame(self, frame: AtomFrame) -> tuple[np.ndarray, np.ndarray]:
        """Positions, A, and forces, kcal/mol/A, of the beads, each (n_beads, 3).

        Raises
        ------
        InputError
            A residue without bonds that is too large to be made whole.
        """
        positions = self._centre @ frame.positions_A
        vectors = self._differences @ frame.positions_A
        x, y, z = vectors.T
        squares = x * x + y * y + z * z
        width_A, box = self._cell(frame.cell_A)
        # A vector shorter than half the smallest width is the shortest of its images.
        broken = np.flatnonzero(squares > (0.5 * width_A) ** 2)
        if len(broken):
            moves = np.zeros_like(vectors)
            moves[broken] = minimize_vectors(vectors[broken], box) - vectors[broken]
            positions += self._carried @ moves
            if not self._has_bonds:
                squares = ((vectors + moves) ** 2).sum(axis=1)
        if not self._has_bonds:
            self._check_size(np.sqrt(squares), width_A)
        return positions, self._sum @ frame.forces_kcal_mol_A

    def _cell(self, cell_A: np.ndarray) -> tuple[float, np.ndarray]:
        """Smallest width, and box as MDAnalysis describes it, of a cell; the last one is cached."""
        if self._last_cell is None or not np.array_equal(cell_A, self._last_cell[0]):
            width_A = float(perpendicular_widths_A(cell_A).min())
            self._last_cell = cell_A.copy(), width_A, triclinic_box(*cell_A)
        return self._last_cell[1:]

    def _check_size(self, reach_A: np.ndarray, width_A: float) -> None:
        """Check that residues without bonds extend less than half the cell from their first atom."""
        if len(reach_A) and reach_A.max() > 0.45 * width_A:
            atom = int(self._placed[reach_A.argmax()])
            raise InputError(
                "topology",
                f"residue of atom {atom + 1} ({self.atoms.residue_names[atom]})",
                f"extent of {reach_A.max():.1f} A without bonds",
                f"under {0.45 * width_A:.1f} A, or a topology with bonds (.tpr, .top)",
            )


@dataclass(frozen=True)
class FrameSelection:
    """Selection of the all-atom frames that are mapped.

    Attributes
    ----------
    start_ps: frames before this time are skipped.
    stride: every stride-th of the remaining frames is used.
    max_frames: maximum number of frames used; None: all.
    check_forces: whether implausible forces are an error, see `atoms.read_frames`.
    """

    start_ps: float = 0.0
    stride: int = 1
    max_frames: int | None = None
    check_forces: bool = True

    def select(self, frames: Iterator[AtomFrame]) -> Iterator[AtomFrame]:
        """Frames that are used."""
        selected = used = 0
        for frame in frames:
            if frame.time_ps < self.start_ps:
                continue
            if selected % self.stride == 0:
                yield frame
                used += 1
                if used == self.max_frames:
                    return
            selected += 1


def map_trajectory(
    path: str | Path,
    mapper: Mapper,
    trajectories: Sequence[str | Path],
    provenance: Mapping[str, Any],
    selection: FrameSelection = FrameSelection(),
    units: str | None = None,
    reach_A: float = 0.0,
    chunk: int = 64,
) -> int:
    """Number of frames written to the bead file of a mapped trajectory.

    Parameters
    ----------
    units:
        LAMMPS unit style of dumps without ``ITEM: UNITS``.
    reach_A:
        Largest distance needed later: cutoff of the network, range of RDF and ADF.
    chunk:
        Number of frames written at once.

    Raises
    ------
    InputError
        See `atoms.read_frames`; no frame selected; a cell smaller than twice ``reach_A``.
    """
    written = 0
    buffer: list[tuple[np.ndarray, np.ndarray, np.ndarray, float]] = []
    total = count_frames(mapper.atoms, trajectories) or 0
    with BeadWriter(path, mapper.topology, provenance) as writer:

        def flush() -> None:
            if buffer:
                arrays = [np.array(column) for column in zip(*buffer, strict=True)]
                writer.append(BeadFrames(arrays[0], arrays[1], arrays[2], arrays[3]))
                buffer.clear()

        frames = read_frames(mapper.atoms, trajectories, units, selection.check_forces)
        checked = _checked_cell(progress(frames, total, "mapping", "frames"), reach_A, trajectories[0])
        for frame in selection.select(checked):
            positions, forces = mapper.map_frame(frame)
            buffer.append((positions, forces, frame.cell_A, frame.time_ps))
            written += 1
            if len(buffer) == chunk:
                flush()
        flush()
    if written == 0:
        raise InputError(trajectories[0], "frames", f"none at or after {selection.start_ps} ps", "at least one")
    log.info("mapped %d frames of %d atoms to %d beads", written, mapper.atoms.n_atoms, mapper.topology.n_beads)
    return written


def _checked_cell(frames: Iterator[AtomFrame], reach_A: float, source: str | Path) -> Iterator[AtomFrame]:
    """The same frames; half of the smallest width of the first cell is at least ``reach_A``."""
    for number, frame in enumerate(frames):
        half_A = 0.5 * float(perpendicular_widths_A(frame.cell_A).min()) if number == 0 else reach_A
        if reach_A > half_A:
            found = f"{2 * half_A:.3f} A between its faces"
            expected = (
                f"at least {2 * reach_A:g} A, twice the largest of network.cutoff_A and the r_max_A of RDF and ADF"
            )
            raise InputError(source, "frame 0, cell", found, expected)
        yield frame
