"""Atoms to beads against MDAnalysis' own unwrapping and centres of mass, and against molecules never wrapped.

The truth for positions is the molecule as it was drawn, in one piece: centres may differ from it by a lattice
vector and by nothing else.
"""

from __future__ import annotations

import tracemalloc

import MDAnalysis as mda
import numpy as np
import pytest
from atom_cases import (
    ATOM_MASSES,
    CELLS,
    COUNTS,
    N_ATOMS,
    NAMES,
    RULES,
    make_frames,
    rules,
    write_dump,
    write_gro,
    write_top,
    write_trr,
)
from cgdistill.core.errors import InputError
from cgdistill.data import mapping
from cgdistill.data.atoms import AtomFrame, read_topology
from cgdistill.data.beads import BeadFile
from cgdistill.data.mapping import FrameSelection, Mapper, map_trajectory
from cgdistill.geometry.cells import perpendicular_widths_A

CHAIN_BEADS = {"Head": ("C4", "O5"), "TailA": ("C1", "C2"), "TailB": ("C3", "H6")}
N_CHAIN = COUNTS["CHN"]


@pytest.fixture(params=list(CELLS))
def system(request, tmp_path):
    """Cell, frames, GRO, TOP and TRR of one system."""
    cell = CELLS[request.param]
    frames = make_frames(cell)
    gro = write_gro(tmp_path / "sys.gro", frames[0]["positions"], cell)
    return cell, frames, gro, write_top(tmp_path / "sys.top"), write_trr(tmp_path / "sys.trr", frames, cell)


def bead_atoms():
    """Atom indices of every bead, by hand."""
    groups = []
    for chain in range(N_CHAIN):
        start = 7 * chain
        for atoms in CHAIN_BEADS.values():
            groups.append([start + NAMES[start : start + 7].index(name) for name in atoms])
    ions = 7 * N_CHAIN
    groups += [[ions + number] for number in range(COUNTS["ION"])]
    duos = ions + COUNTS["ION"]
    groups += [[duos + 2 * number, duos + 2 * number + 1] for number in range(COUNTS["DUO"])]
    return groups


def run(path, gro, top, trajectory, **options):
    mapper = Mapper(rules(), read_topology(gro, top))
    more = {name: options.pop(name) for name in ("units", "reach_A", "chunk") if name in options}
    map_trajectory(path, mapper, [trajectory], {}, FrameSelection(**options), **more)
    with BeadFile(path) as file:
        return file.frames(), file.topology


def assert_equal_but_for_lattice(found, expected, cell, tolerance=2e-3):
    fractions = (found - expected) @ np.linalg.inv(cell)
    rest = (fractions - np.round(fractions)) @ cell
    np.testing.assert_allclose(rest, 0, atol=tolerance)


def test_positions_are_centres_of_whole_molecules(tmp_path, system):
    cell, frames, *files = system
    beads, _ = run(tmp_path / "b.h5", *files)
    broken = 0
    for number, frame in enumerate(frames):
        for bead, atoms in enumerate(bead_atoms()):
            expected = np.average(frame["whole"][atoms], axis=0, weights=ATOM_MASSES[atoms])
            assert_equal_but_for_lattice(beads.positions_A[number, bead], expected, cell)
            naive = np.average(frame["positions"][atoms], axis=0, weights=ATOM_MASSES[atoms])
            broken += np.abs(beads.positions_A[number, bead] - naive).max() > 0.1
    assert broken > 20


def test_positions_are_those_of_mdanalysis(tmp_path, system):
    """`AtomGroup.unwrap` needs bonds, so residues without them are left out."""
    cell, frames, gro, top, trr = system
    beads, _ = run(tmp_path / "b.h5", gro, top, trr)
    universe = mda.Universe(str(top), str(trr), topology_format="ITP", infer_system=True, to_guess=())
    chains = universe.select_atoms("resname CHN")
    for number, _ in enumerate(universe.trajectory):
        chains.unwrap(compound="fragments", reference=None)
        for bead, atoms in enumerate(bead_atoms()[: 3 * N_CHAIN]):
            expected = universe.atoms[atoms].center_of_mass()
            assert_equal_but_for_lattice(beads.positions_A[number, bead], expected, cell, 1e-4)


def test_beads_of_one_molecule_are_images_that_belong_together(tmp_path, system):
    """Not only each bead, the whole chain is in one piece: distances within it are those of the drawn chain."""
    _, frames, *files = system
    beads, topology = run(tmp_path / "b.h5", *files)
    for number, frame in enumerate(frames):
        centres = np.array(
            [np.average(frame["whole"][atoms], axis=0, weights=ATOM_MASSES[atoms]) for atoms in bead_atoms()]
        )
        for residue in range(N_CHAIN):
            members = np.flatnonzero(topology.residues == residue)
            found = np.diff(beads.positions_A[number, members], axis=0)
            np.testing.assert_allclose(found, np.diff(centres[members], axis=0), atol=2e-3)


def test_forces_are_sums_over_the_atoms(tmp_path, system):
    _, frames, *files = system
    beads, _ = run(tmp_path / "b.h5", *files)
    for number, frame in enumerate(frames):
        expected = np.array([frame["forces"][atoms].sum(axis=0) for atoms in bead_atoms()]) / 41.84
        np.testing.assert_allclose(beads.forces_kcal_mol_A[number], expected, rtol=1e-4, atol=1e-4)


def test_total_force_and_mass_are_conserved_where_all_atoms_are_mapped(tmp_path, system):
    _, frames, gro, top, trr = system
    everything = rules(CHN={"beads": [{"name": "Head", "select": "name C* O5"}, {"name": "Tail", "select": "name H*"}]})
    mapper = Mapper(everything, read_topology(gro, top))
    map_trajectory(tmp_path / "b.h5", mapper, [trr], {})
    with BeadFile(tmp_path / "b.h5") as file:
        total = file.frames().forces_kcal_mol_A.sum(axis=1)
        assert file.topology.masses_g_mol.sum() == pytest.approx(ATOM_MASSES.sum(), rel=1e-6)
        assert (file.topology.atom_beads >= 0).all()
    expected = [frame["forces"].sum(axis=0) / 41.84 for frame in frames]
    np.testing.assert_allclose(total, expected, rtol=1e-4, atol=1e-3)


def test_topology_of_the_beads(tmp_path, system):
    _, _, *files = system
    _, topology = run(tmp_path / "b.h5", *files)
    assert topology.type_names == tuple(RULES["types"])
    assert topology.bead_names[:3] == ("Head", "TailA", "TailB")
    assert topology.bead_types[:3].tolist() == [1, 0, 0]
    assert topology.residues[:6].tolist() == [0, 0, 0, 1, 1, 1]
    for bead, atoms in enumerate(bead_atoms()):
        assert np.flatnonzero(topology.atom_beads == bead).tolist() == sorted(atoms)
        assert topology.masses_g_mol[bead] == pytest.approx(ATOM_MASSES[atoms].sum(), rel=1e-6)
    unmapped = np.flatnonzero(topology.atom_beads < 0)
    assert [NAMES[atom] for atom in unmapped] == ["H7"] * N_CHAIN


@pytest.mark.parametrize("units", ["real", "metal"])
def test_lammps_dump_gives_the_same_beads(tmp_path, system, units):
    """The dump's cell has another origin, so positions agree but for one shift of everything."""
    cell, frames, gro, top, trr = system
    dump = write_dump(tmp_path / "sys.lammpstrj", frames, cell, units)
    one, _ = run(tmp_path / "one.h5", gro, top, trr)
    other, _ = run(tmp_path / "other.h5", gro, top, dump)
    np.testing.assert_allclose(other.forces_kcal_mol_A, one.forces_kcal_mol_A, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(other.times_ps, one.times_ps)
    shift = np.array([-3.0, 1.0, 0.5])
    for number in range(len(frames)):
        assert_equal_but_for_lattice(other.positions_A[number] - shift, one.positions_A[number], cell)


def test_chunk_size_does_not_change_the_result(tmp_path, system):
    _, frames, *files = system
    results = [run(tmp_path / f"{chunk}.h5", *files, chunk=chunk)[0] for chunk in (1, 4, 6, 100)]
    for other in results[1:]:
        np.testing.assert_array_equal(other.positions_A, results[0].positions_A)
        np.testing.assert_array_equal(other.forces_kcal_mol_A, results[0].forces_kcal_mol_A)
        np.testing.assert_array_equal(other.times_ps, results[0].times_ps)
    assert len(results[0]) == len(frames)


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({}, [10, 12, 14, 16, 18, 20]),
        ({"start_ps": 13.0}, [14, 16, 18, 20]),
        ({"start_ps": 14.0, "stride": 2}, [14, 18]),
        ({"stride": 3}, [10, 16]),
        ({"max_frames": 2, "stride": 2}, [10, 14]),
        ({"start_ps": 12.0, "stride": 2, "max_frames": 1}, [12]),
    ],
)
def test_choice_of_frames(tmp_path, options, times):
    cell = CELLS["cubic"]
    frames = make_frames(cell)
    gro = write_gro(tmp_path / "s.gro", frames[0]["positions"], cell)
    trr = write_trr(tmp_path / "s.trr", frames, cell)
    beads, _ = run(tmp_path / "b.h5", gro, write_top(tmp_path / "s.top"), trr, **options)
    assert beads.times_ps.tolist() == times


def test_no_frame_left_is_refused(tmp_path, system):
    _, _, *files = system
    with pytest.raises(InputError, match="none at or after 99"):
        run(tmp_path / "b.h5", *files, start_ps=99.0)


def test_widths_of_a_cell():
    """Distance between opposite faces: the reciprocal of a reciprocal vector's length."""
    cell = CELLS["triclinic"]
    np.testing.assert_allclose(perpendicular_widths_A(cell), 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0))
    np.testing.assert_allclose(perpendicular_widths_A(np.diag([3.0, 4.0, 5.0])), [3, 4, 5])


@pytest.mark.parametrize(
    ("residue", "entry", "message"),
    [
        ("CHN", {"beads": [{"name": "Head", "atoms": "all"}, {"name": "Tail", "atoms": ["C2"]}]}, "C2 again"),
        (
            "CHN",
            {"beads": [{"name": "Head", "atoms": ["C1"]}, {"name": "Tail", "select": "name C2 C3 C4"}]},
            "in no bead: O5, H6, H7",
        ),
        (
            "CHN",
            {"beads": [{"name": "Head", "atoms": ["C8"]}, {"name": "Tail", "atoms": ["C2"]}]},
            r"unknown \['C8'\]",
        ),
        ("CHN", {"beads": [{"name": "Head", "select": "name Q"}, {"name": "Tail", "atoms": "all"}]}, "no atom"),
        ("CHN", {"beads": [{"name": "Head", "select": "nmae C1"}, {"name": "Tail", "atoms": "all"}]}, "selection"),
    ],
)
def test_faults_of_the_mapping_name_residue_and_atom(tmp_path, residue, entry, message):
    cell = CELLS["cubic"]
    gro = write_gro(tmp_path / "s.gro", make_frames(cell, 1)[0]["positions"], cell)
    atoms = read_topology(gro, write_top(tmp_path / "s.top"))
    with pytest.raises(InputError, match=message) as caught:
        Mapper(rules(**{residue: entry}), atoms)
    assert caught.value.source == "mapping.yaml"
    assert residue in caught.value.item


def test_residues_without_a_rule_and_types_without_beads_are_refused(tmp_path):
    cell = CELLS["cubic"]
    gro = write_gro(tmp_path / "s.gro", make_frames(cell, 1)[0]["positions"], cell)
    atoms = read_topology(gro, write_top(tmp_path / "s.top"))
    known = {name: entry for name, entry in RULES["residues"].items() if name != "DUO"}
    fewer = mapping.MappingRules.from_dict({"types": ["Tail", "Head", "Cl"], "residues": known}, "mapping.yaml")
    with pytest.raises(InputError, match="residue DUO"):
        Mapper(fewer, atoms)
    more = {
        "types": [*RULES["types"], "Na"],
        "residues": RULES["residues"] | {"NA": {"beads": [{"name": "Na", "atoms": "all"}]}},
    }
    with pytest.raises(InputError, match="no bead of type Na"):
        Mapper(mapping.MappingRules.from_dict(more, "mapping.yaml"), atoms)


def test_without_bonds_a_residue_as_long_as_half_the_cell_is_refused(tmp_path):
    """It cannot be made whole by minimum images to its first atom; shorter ones can."""
    cell = CELLS["cubic"]
    frames = make_frames(cell, 1)
    gro = write_gro(tmp_path / "s.gro", frames[0]["positions"], cell)
    trr = write_trr(tmp_path / "s.trr", frames, cell)
    with pytest.raises(InputError, match="topology with bonds"):
        run(tmp_path / "b.h5", gro, write_top(tmp_path / "s.top", bonds=False), trr)
    wide = 30.0 * np.eye(3)
    frames = make_frames(wide, 1)
    trr = write_trr(tmp_path / "s.trr", frames, wide)
    beads, _ = run(tmp_path / "b.h5", gro, write_top(tmp_path / "s.top", bonds=False), trr)
    for bead, atoms in enumerate(bead_atoms()):
        expected = np.average(frames[0]["whole"][atoms], axis=0, weights=ATOM_MASSES[atoms])
        assert_equal_but_for_lattice(beads.positions_A[0, bead], expected, wide)


def test_memory_does_not_grow_with_the_frames(tmp_path, monkeypatch):
    """Python's and numpy's allocations; what HDF5 holds in C is not seen."""
    cell = CELLS["cubic"]
    gro = write_gro(tmp_path / "s.gro", make_frames(cell, 1)[0]["positions"], cell)
    mapper = Mapper(rules(), read_topology(gro, write_top(tmp_path / "s.top")))
    positions = make_frames(cell, 1)[0]["positions"]

    def peak(n_frames):
        def stream(*_):
            for number in range(n_frames):
                yield AtomFrame(positions + 0.0, np.ones((N_ATOMS, 3)), cell, float(number))

        monkeypatch.setattr(mapping, "read_frames", stream)
        tracemalloc.start()
        map_trajectory(tmp_path / f"{n_frames}.h5", mapper, ["none"], {}, chunk=8)
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    peak(10)
    held_by_a_frame = 2 * mapper.topology.n_beads * 3 * 8
    # Python objects of h5py that await collection make up a part.
    assert peak(400) - peak(40) < 0.5 * 360 * held_by_a_frame
