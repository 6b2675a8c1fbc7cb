"""All-atom topologies and trajectories: units, order, and faults named by file and frame."""

from __future__ import annotations

import numpy as np
import pytest
from atom_cases import (
    ATOM_MASSES,
    CELLS,
    COUNTS,
    N_ATOMS,
    NAMES,
    RESIDUES,
    make_frames,
    write_dump,
    write_gro,
    write_top,
    write_trr,
)
from cgdistill.core.errors import InputError
from cgdistill.data.atoms import count_frames, read_frames, read_topology

CELL = CELLS["triclinic"]
KCAL_MOL_A_PER_KJ_MOL_NM = 1.0 / 41.84


@pytest.fixture
def topology(tmp_path):
    frames = make_frames(CELL, 1)
    return read_topology(write_gro(tmp_path / "sys.gro", frames[0]["positions"], CELL), write_top(tmp_path / "sys.top"))


def test_topology_from_gro_and_top(topology):
    assert topology.n_atoms == N_ATOMS
    assert topology.names.tolist() == NAMES
    assert topology.residue_names.tolist() == RESIDUES
    np.testing.assert_allclose(topology.masses_g_mol, ATOM_MASSES, rtol=1e-6)
    assert len(topology.bonds) == 6 * COUNTS["CHN"]
    assert (np.diff(topology.residues) >= 0).all()
    assert topology.residues[-1] + 1 == sum(COUNTS.values())


def test_frames_of_a_trr_in_our_units(tmp_path, topology):
    frames = make_frames(CELL, 3)
    read = list(read_frames(topology, [write_trr(tmp_path / "t.trr", frames, CELL)]))
    assert len(read) == 3
    for found, frame in zip(read, frames, strict=True):
        np.testing.assert_allclose(found.positions_A, frame["positions"], atol=1e-4)
        np.testing.assert_allclose(found.forces_kcal_mol_A, frame["forces"] * KCAL_MOL_A_PER_KJ_MOL_NM, rtol=1e-4)
        np.testing.assert_allclose(found.cell_A, CELL, atol=1e-4)
        assert found.time_ps == pytest.approx(frame["time"])


@pytest.mark.parametrize("units", ["real", "metal"])
def test_frames_of_a_dump_are_those_of_the_trr(tmp_path, topology, units):
    frames = make_frames(CELL, 3)
    dump = write_dump(tmp_path / "t.lammpstrj", frames, CELL, units)
    pairs = zip(
        read_frames(topology, [dump]), read_frames(topology, [write_trr(tmp_path / "t.trr", frames, CELL)]), strict=True
    )
    for one, other in pairs:
        shift = one.positions_A - other.positions_A
        np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-4)
        np.testing.assert_allclose(one.forces_kcal_mol_A, other.forces_kcal_mol_A, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(one.cell_A, other.cell_A, atol=1e-4)
        assert one.time_ps == pytest.approx(other.time_ps)


def test_several_files_in_order(tmp_path, topology):
    frames = make_frames(CELL, 4)
    parts = [write_trr(tmp_path / f"{n}.trr", frames[2 * n : 2 * n + 2], CELL) for n in range(2)]
    times = [frame.time_ps for frame in read_frames(topology, parts)]
    assert times == [frame["time"] for frame in frames]
    assert count_frames(topology, parts) == 4
    dump = write_dump(tmp_path / "t.lammpstrj", frames, CELL, "real")
    assert count_frames(topology, [dump]) is None
    with pytest.raises(InputError, match="times that increase") as caught:
        list(read_frames(topology, parts[::-1]))
    assert (caught.value.source, caught.value.item) == (str(parts[0]), "frame 0")


@pytest.mark.parametrize("kind", ["trr", "dump"])
@pytest.mark.parametrize("fault", ["atoms", "forces", "nan position", "nan force", "time"])
def test_faults_of_a_trajectory_name_file_and_frame(tmp_path, topology, kind, fault):
    """In the second frame where a frame can be at fault by itself."""
    frames = make_frames(CELL, 3)
    if fault == "nan position":
        frames[1]["positions"][4, 1] = np.nan
    elif fault == "nan force":
        frames[1]["forces"][4, 1] = np.inf
    elif fault == "time":
        frames[1]["time"] = frames[0]["time"]
    if kind == "trr":
        if fault == "atoms":
            frames = [frame | {key: frame[key][:-1] for key in ("positions", "forces")} for frame in frames]
        path = write_trr(tmp_path / "t.trr", frames, CELL, forces=fault != "forces")
    else:
        path = write_dump(tmp_path / "t.lammpstrj", frames, CELL, "real")
        text = path.read_text(encoding="ascii")
        if fault == "forces":
            text = text.replace("fx fy fz", "vx vy vz")
        elif fault == "atoms":
            lines = [line for line in text.splitlines() if not line.startswith(f"{N_ATOMS} ")]
            text = "\n".join(lines).replace(f"ATOMS\n{N_ATOMS}\n", f"ATOMS\n{N_ATOMS - 1}\n") + "\n"
        path.write_text(text, encoding="ascii")
    with pytest.raises(InputError) as caught:
        list(read_frames(topology, [path]))
    assert caught.value.source == str(path)
    if fault in ("nan position", "nan force", "time"):
        assert "frame 1" in caught.value.item
    if kind == "trr" and fault == "nan force":
        assert caught.value.found == "forces of atom 5 not finite"


def test_a_dump_without_units_asks_for_them(tmp_path, topology):
    frames = make_frames(CELL, 2)
    path = write_dump(tmp_path / "t.lammpstrj", frames, CELL, "metal", say_units=False)
    with pytest.raises(InputError, match="units"):
        list(read_frames(topology, [path]))
    found = next(iter(read_frames(topology, [path], units="metal")))
    np.testing.assert_allclose(found.forces_kcal_mol_A, frames[0]["forces"] / 41.84, rtol=1e-4, atol=1e-5)


def test_a_trr_without_positions_is_refused(tmp_path, topology):
    from MDAnalysis.lib.formats.libmdaxdr import TRRFile

    path = tmp_path / "t.trr"
    with TRRFile(str(path), "w") as file:
        forces = np.ones((N_ATOMS, 3), "f4")
        file.write(None, None, forces, (CELL / 10.0).astype("f4"), 0, 0.0, 0.0, N_ATOMS)
    with pytest.raises(InputError, match="positions") as caught:
        list(read_frames(topology, [path]))
    assert caught.value.source == str(path)


def test_a_truncated_trajectory_is_refused(tmp_path, topology):
    """An engine that was killed leaves half a frame. MDAnalysis drops that of a TRR; here no frame is read."""
    frames = make_frames(CELL, 3)
    path = write_trr(tmp_path / "t.trr", frames, CELL)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="frame 2: found end of file"):
        next(read_frames(topology, [path]))
    dump = write_dump(tmp_path / "t.lammpstrj", frames, CELL, "real")
    dump.write_bytes(dump.read_bytes()[:-200])
    with pytest.raises(InputError, match="frame 2"):
        list(read_frames(topology, [dump]))


def test_missing_files_are_named(tmp_path, topology):
    with pytest.raises(InputError, match="no such file"):
        read_topology(tmp_path / "none.gro")
    with pytest.raises(InputError, match="no such file"):
        list(read_frames(topology, [tmp_path / "none.trr"]))


def test_topology_without_masses_says_what_to_do(tmp_path):
    gro = write_gro(tmp_path / "sys.gro", make_frames(CELL, 1)[0]["positions"], CELL)
    with pytest.raises(InputError, match=r"aa\.files\.masses"):
        read_topology(gro)
    with pytest.raises(InputError, match=r"mass of atom 1 \(C1\)"):
        read_topology(gro, write_top(tmp_path / "sys.top", masses=False))


def test_two_topologies_must_agree(tmp_path):
    positions = make_frames(CELL, 1)[0]["positions"]
    gro = write_gro(tmp_path / "sys.gro", positions, CELL)
    with pytest.raises(InputError, match="number of atoms"):
        read_topology(gro, write_top(tmp_path / "more.top", counts=COUNTS | {"ION": 4}))
    other = write_gro(tmp_path / "other.gro", positions, CELL, names=[*NAMES[:3], "C9", *NAMES[4:]])
    with pytest.raises(InputError, match="atom 4"):
        read_topology(other, write_top(tmp_path / "sys.top"))


def test_an_unreadable_topology_is_named(tmp_path):
    path = tmp_path / "sys.gro"
    path.write_text("nothing\nof use\n", encoding="utf-8")
    with pytest.raises(InputError, match="MDAnalysis") as caught:
        read_topology(path)
    assert caught.value.source == str(path)
