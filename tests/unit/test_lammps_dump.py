"""LAMMPS dump reader against frames written here by hand from known arrays.

Cannot detect a misreading of the format that the writer below shares; the integration tests read dumps that
LAMMPS itself wrote.
"""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from cgdistill.core.errors import InputError
from cgdistill.io.lammps_dump import read_dump, truncate_dump

CELL = np.diag([10.0, 11.0, 12.0])
ORIGIN = np.array([-1.0, 2.0, 0.5])
POSITIONS = np.array([[1.5, 2.5, 3.5], [14.0, -6.0, 30.0], [-3.0, 5.0, 7.0]])


def orthogonal(cell=CELL, origin=ORIGIN):
    """Box lines of an orthogonal cell."""
    rows = [f"{o} {o + edge}" for o, edge in zip(origin, np.diag(cell), strict=True)]
    return ["ITEM: BOX BOUNDS pp pp pp", *rows]


def frame(columns, values, step=0, box=None, units="real", time=None):
    """Text of one frame; ``values`` are rows of the table."""
    lines = ["ITEM: UNITS", units] if units else []
    lines += ["ITEM: TIME", str(time)] if time is not None else []
    lines += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(values))]
    lines += box or orthogonal()
    lines += ["ITEM: ATOMS " + columns, *(" ".join(str(value) for value in row) for row in values)]
    return "\n".join(lines) + "\n"


def unwrapped(step=0, n=3, **kwargs):
    """A frame of unwrapped positions, ids from 1."""
    return frame("id type xu yu zu", [(i + 1, 1, *POSITIONS[i]) for i in range(n)], step=step, **kwargs)


def read(tmp_path, text, default_units=None, name="a.lammpstrj"):
    """All frames of a dump of this text."""
    (tmp_path / name).write_text(text)
    return list(read_dump(tmp_path / name, default_units))


def test_unwrapped_sorted_by_id(tmp_path):
    """Rows in any order come back in the order of their ids; unknown columns are passed over."""
    rows = [(7, "Cl", *POSITIONS[2], 3), (2, "O", *POSITIONS[0], 1), (4, "H", *POSITIONS[1], 2)]
    (found,) = read(tmp_path, frame("id element xu yu zu type", rows, step=40, time=80.0))
    assert found.ids.tolist() == [2, 4, 7] and found.types.tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.positions_A, POSITIONS)
    np.testing.assert_allclose(found.cell_A, CELL)
    np.testing.assert_allclose(found.origin_A, ORIGIN)
    assert (found.step, found.time_ps, found.units, found.unwrapped) == (40, 0.08, "real", True)
    assert found.forces_kcal_mol_A is None and found.velocities_A_fs is None


@pytest.mark.parametrize("triclinic", [False, True])
@pytest.mark.parametrize("form", ["x", "xsu", "xs"])
def test_other_position_columns(tmp_path, form, triclinic):
    """Wrapped with image counts, scaled, and both; in an orthogonal and in a triclinic cell."""
    cell = np.array([[10.0, 0, 0], [-3.0, 11.0, 0], [2.0, -4.0, 12.0]]) if triclinic else CELL
    xy, xz, yz = cell[1, 0], cell[2, 0], cell[2, 1]
    corners = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)]) @ cell + ORIGIN
    low, high = corners.min(axis=0), corners.max(axis=0)
    box = None
    if triclinic:
        tilts = (xy, xz, yz)
        rows = [f"{low[k]} {high[k]} {tilts[k]}" for k in range(3)]
        box = ["ITEM: BOX BOUNDS xy xz yz pp pp pp", *rows]
    scaled = (POSITIONS - ORIGIN) @ np.linalg.inv(cell)
    images = np.floor(scaled).astype(int)
    if form == "x":
        columns, values = "x y z ix iy iz", np.hstack([(scaled - images) @ cell + ORIGIN, images])
    elif form == "xs":
        columns, values = "xs ys zs ix iy iz", np.hstack([scaled - images, images])
    else:
        columns, values = "xsu ysu zsu", scaled
    rows = [(i + 1, 1, *row) for i, row in enumerate(values)]
    (found,) = read(tmp_path, frame("id type " + columns, rows, box=box))
    np.testing.assert_allclose(found.positions_A, POSITIONS, atol=1e-9)
    np.testing.assert_allclose(found.cell_A, cell, atol=1e-9)
    np.testing.assert_allclose(found.origin_A, ORIGIN, atol=1e-9)
    assert found.unwrapped


def test_general_triclinic_cell(tmp_path):
    """The cell as three free vectors with origin, as ``dump_modify triclinic/general`` writes it."""
    cell = np.array([[9.0, 1.0, 0.5], [-2.0, 8.0, 0.3], [0.4, 1.5, 7.0]])
    rows = [" ".join(map(str, (*cell[k], ORIGIN[k]))) for k in range(3)]
    (found,) = read(tmp_path, unwrapped(box=["ITEM: BOX BOUNDS abc origin pp pp pp", *rows]))
    np.testing.assert_allclose(found.cell_A, cell)
    np.testing.assert_allclose(found.origin_A, ORIGIN)


def test_wrapped_without_images_says_so(tmp_path):
    """Positions as in the cell are returned as they are, and marked."""
    (found,) = read(tmp_path, frame("id x y z", [(1, 1.0, 2.5, 3.0)]))
    assert not found.unwrapped and found.types is None
    np.testing.assert_allclose(found.positions_A, [[1.0, 2.5, 3.0]])


def test_metal_is_converted(tmp_path):
    """eV/A and A/ps become kcal/mol/A and A/fs; times are ps already."""
    text = frame("id type x y z fx fy fz vx vy vz", [(1, 1, 1, 3, 3, 1, -2, 0, 500, 0, 1)], units=None, time=2.5)
    (found,) = read(tmp_path, text, default_units="metal")
    np.testing.assert_allclose(found.forces_kcal_mol_A, [[23.0605, -46.1211, 0]], rtol=1e-5)
    np.testing.assert_allclose(found.velocities_A_fs, [[0.5, 0, 0.001]])
    assert found.time_ps == 2.5
    (real,) = read(tmp_path, text, default_units="real")
    np.testing.assert_allclose(real.forces_kcal_mol_A, [[1, -2, 0]])
    assert real.time_ps == pytest.approx(0.0025)


def test_units_given_once_hold_for_the_file(tmp_path):
    """LAMMPS writes the units into the first frame only; what the file says wins over the argument."""
    frames = read(tmp_path, unwrapped(0) + unwrapped(5, units=None), default_units="metal")
    assert [f.units for f in frames] == ["real", "real"] and [f.step for f in frames] == [0, 5]


def test_gzip(tmp_path):
    """The same frames from a compressed file; a cut one is refused."""
    data = gzip.compress((unwrapped(0) + unwrapped(5)).encode())
    (tmp_path / "a.gz").write_bytes(data)
    assert [f.step for f in read_dump(tmp_path / "a.gz")] == [0, 5]
    (tmp_path / "a.gz").write_bytes(data[:-20])
    with pytest.raises(InputError, match="a.gz: frame"):
        list(read_dump(tmp_path / "a.gz"))


NO_UNITS = unwrapped(units=None)
FAULTS = {
    "no units": (NO_UNITS, "frame 0, units: found no ITEM: UNITS"),
    "other units": (unwrapped(units="lj"), "frame 0, units: found 'lj'"),
    "truncated table": (unwrapped(0) + unwrapped(5)[:-30], r"frame 1, ATOMS: found end of file after"),
    "cut number": (unwrapped(0) + unwrapped(5)[:-2], r"frame 1, ATOMS: found end of file"),
    "truncated header": (unwrapped(0) + "ITEM: TIMESTEP\n5\n", "frame 1: found end of file within the header"),
    "atom count": (unwrapped(0) + unwrapped(5, n=2), "frame 1, NUMBER OF ATOMS: found 2, expected 3"),
    "ids": (
        unwrapped(0) + unwrapped(5).replace("\n3 1 ", "\n9 1 "),
        "frame 1, ATOMS: found other ids",
    ),
    "double id": (unwrapped(0).replace("\n3 1 ", "\n2 1 "), "frame 0, ATOMS: found id 2 twice"),
    "no id": (frame("type xu yu zu", [(1, 0, 0, 0)]), "frame 0, columns: found type xu yu zu"),
    "no positions": (frame("id type xu yu", [(1, 1, 0, 0)]), "frame 0, columns: found id type xu yu"),
    "not a number": (unwrapped(0) + unwrapped(5).replace("30.0", "nan"), r"frame 1, ATOMS line 2: found zu = nan"),
    "text": (unwrapped(0).replace("30.0", "x"), "frame 0, ATOMS: found"),
    "missing value": (unwrapped(0).replace(" 30.0", ""), "frame 0, ATOMS: found"),
    "open boundary": (unwrapped(0).replace("pp pp pp", "pp pp ff"), "BOX BOUNDS: found pp pp ff"),
    "flat cell": (unwrapped(0).replace("0.5 12.5", "0.5 0.5"), "BOX BOUNDS: found"),
    "other file": ("12\ncomment\nH 0 0 0\n", "frame 0: found '12'"),
    "empty": ("", "found no frame"),
    "bad step": (unwrapped(0).replace("TIMESTEP\n0", "TIMESTEP\nx"), "frame 0, TIMESTEP: found"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_name_file_and_frame(tmp_path, name):
    """Each fault is one clear message; frames before it are read."""
    text, message = FAULTS[name]
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, text)
    assert caught.value.source.endswith("a.lammpstrj")


def test_missing_file_and_bad_argument(tmp_path):
    """No file; a unit style that is neither real nor metal."""
    with pytest.raises(InputError, match="readable LAMMPS dump"):
        list(read_dump(tmp_path / "none"))
    with pytest.raises(InputError, match="real or metal"):
        list(read_dump(tmp_path / "none", "cgs"))


@pytest.mark.parametrize(("last_step", "kept"), [(0, 1), (7, 2), (-1, 0), (100, 3)])
def test_truncate(tmp_path, last_step, kept):
    """Frames up to the step stay byte for byte, and a frame that was not finished goes."""
    frames = [unwrapped(step) for step in (0, 5, 10)]
    path = tmp_path / "a.lammpstrj"
    path.write_text("".join(frames) + unwrapped(15)[:-8])
    assert truncate_dump(path, last_step) == kept
    assert path.read_text() == "".join(frames[:kept])


def test_truncate_cut_header(tmp_path):
    """A cut within the header, also within a number of it."""
    path = tmp_path / "a.lammpstrj"
    for end in range(len(unwrapped(5))):
        path.write_text(unwrapped(0) + unwrapped(5)[:end])
        assert truncate_dump(path, 1000) == 1
        assert path.read_text() == unwrapped(0)
