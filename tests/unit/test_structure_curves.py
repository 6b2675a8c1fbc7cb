"""The table of curves: invariances, checks of the input, files."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from cgdistill.core.errors import InputError
from cgdistill.structure import curves as module
from cgdistill.structure.curves import compute_curves
from cgdistill.structure.files import CURVE_COLUMNS, label_run, read_curves, write_curves
from cgdistill.structure.spec import StructureSpec, check_grids
from scipy.spatial.transform import Rotation
from structure_cases import CUBIC, NAMES, TRICLINIC, gas, section

SPEC = StructureSpec.from_config(section())


@pytest.fixture(scope="module")
def system():
    """Five frames of 150 beads in a tilted cell, not wrapped."""
    return gas(5, 150, TRICLINIC, seed=9, spread=1)


@pytest.fixture(scope="module")
def expected(system):
    """Their curves."""
    positions, cells, types = system
    return compute_curves([(positions, cells)], NAMES, types, SPEC)


def assert_same(found, expected, exact=False):
    """Equal tables; not exact means that rounding may move no bead pair across an edge but last digits."""
    pd.testing.assert_frame_equal(found, expected, check_exact=exact, rtol=1e-9)


def test_table_has_all_items_with_units(expected):
    """6 pairs, 2 triplets at 2 radii, 3 types, one grid per metric."""
    assert list(expected.columns) == CURVE_COLUMNS
    counts = expected.groupby("metric").apply(lambda part: len(part[["item", "parameter"]].drop_duplicates()))
    assert counts.to_dict() == {"rdf": 6, "adf": 4, "cdf": 3}
    units = expected.drop_duplicates("metric").set_index("metric")[["x_unit", "value_unit"]]
    assert units.loc["rdf"].tolist() == ["A", "1"]
    assert units.loc["adf"].tolist() == ["deg", "1/deg"]
    assert units.loc["cdf"].tolist() == ["A", "1/A"]
    assert expected.loc[expected["metric"] != "adf", "parameter"].isna().all()


def test_chunks_and_threads_do_not_matter(system, expected):
    """To the last bit; single frames too."""
    positions, cells, types = system
    chunks = [(positions[:2], cells[:2]), (positions[2:], cells[2:])]
    assert_same(compute_curves(chunks, NAMES, types, SPEC, threads=2), expected, exact=True)
    singles = zip(positions, cells, strict=True)
    assert_same(compute_curves(singles, NAMES, types, SPEC), expected, exact=True)


def test_rotation_of_cell_and_beads(system, expected):
    """Cannot detect a fault that is the same along all directions."""
    positions, cells, types = system
    turn = Rotation.from_euler("xyz", [0.3, -1.1, 2.0]).as_matrix().T
    assert_same(compute_curves([(positions @ turn, cells @ turn)], NAMES, types, SPEC), expected)


def test_translation_and_wrapping(system, expected):
    """Beads moved together and put back into the cell."""
    positions, cells, types = system
    fractional = (positions + np.array([3.3, -17.0, 8.8])) @ np.linalg.inv(TRICLINIC)
    wrapped = (fractional % 1.0) @ TRICLINIC
    assert_same(compute_curves([(wrapped, cells)], NAMES, types, SPEC), expected)


def test_permutation(system, expected):
    """Beads in another order with their types."""
    positions, cells, types = system
    order = np.random.default_rng(1).permutation(len(types))
    assert_same(compute_curves([(positions[:, order], cells)], NAMES, types[order], SPEC), expected)


def test_other_description_of_the_same_lattice(system, expected):
    """Cell vectors a, b + a, c span the same lattice (still wide enough for the radii)."""
    positions, cells, types = system
    sheared = cells.copy()
    sheared[:, 1] -= sheared[:, 0]
    assert_same(compute_curves([(positions, sheared)], NAMES, types, SPEC), expected)


def test_metrics_alone_equal_metrics_together(system, expected):
    """Sharing a frame changes nothing."""
    positions, cells, types = system
    for metric in ("rdf", "adf", "cdf"):
        alone = compute_curves([(positions, cells)], NAMES, types, SPEC.only(metric))
        together = expected[expected["metric"] == metric].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, together, check_dtype=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"triplets": [["Cho", "Cl", "Water"]]}, r"structure\.adf\.triplets\[0\]: found Water.*Cho, Cl, Urea"),
        ({"rdf_r_max": 10.0}, r"structure\.rdf\.r_max_A: found 10 A, expected at most"),
        ({"r_max": [5.0, 10.0]}, r"structure\.adf\.r_max_A: found 10 A, expected at most"),
    ],
)
def test_check_grids_names_the_key(change, message):
    """The tilted cell is narrower than its vectors are long."""
    spec = StructureSpec.from_config(section(**change), source="config.yaml")
    assert 0.5 * np.linalg.norm(TRICLINIC, axis=1).min() >= 10.0
    with pytest.raises(InputError, match="config.yaml: " + message):
        check_grids(spec, NAMES, np.array([0, 0, 0, 1, 2]), TRICLINIC)


def test_half_of_the_cell_is_allowed():
    """A radius of exactly half the width."""
    spec = StructureSpec.from_config(section(rdf_r_max=10.0))
    check_grids(spec, NAMES, np.array([0, 0, 0, 1, 2]), CUBIC)


def test_triplet_that_the_beads_cannot_form():
    """Two cholines cannot surround a third."""
    with pytest.raises(InputError, match=r"triplets\[0\]: found 2 bead\(s\) of type Cho, expected at least 3"):
        check_grids(SPEC, NAMES, np.array([0, 0, 1, 2]), CUBIC)


def test_a_cell_that_shrinks_is_seen_in_its_frame(system):
    """The first frame passes, a later one does not."""
    positions, cells, types = system
    shrunk = cells.copy()
    shrunk[3] *= 0.5
    with pytest.raises(InputError, match="rdf.r_max_A"):
        compute_curves([(positions, shrunk)], NAMES, types, SPEC)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("rdf", "bin_width_A"), 0.3, r"structure\.rdf\.bin_width_A.*divides 8"),
        (("rdf", "bin_width_A"), 0.0, r"structure\.rdf\.bin_width_A: found 0\.0"),
        (("cdf", "r_max_A"), "wide", r"structure\.cdf\.r_max_A: found wide"),
        (("cdf", "rmax"), 3.0, r"structure\.cdf: found the keys .*rmax"),
        (("adf", "bin_width_deg"), 7.0, r"structure\.adf\.bin_width_deg.*divides 180"),
        (("adf", "r_max_A"), [], r"structure\.adf\.r_max_A: found \[\]"),
        (("adf", "r_max_A"), [6.0, 6.0], "each radius once"),
        (("adf", "triplets"), [["Cho", "Cl"]], r"triplets\[0\]: found \['Cho', 'Cl'\]"),
        (("adf", "triplets"), [["Cho", "Cl", "Urea"], ["Urea", "Cl", "Cho"]], r"triplets\[1\].*once"),
    ],
)
def test_bad_section(path, value, message):
    """Each message names the key."""
    config = section()
    config[path[0]][path[1]] = value
    with pytest.raises(InputError, match=message):
        StructureSpec.from_config(config)


def test_bad_frames(system):
    """No frames, beads missing, a bead at infinity."""
    positions, cells, types = system
    with pytest.raises(InputError, match="run-1: frames: found 0"):
        compute_curves([], NAMES, types, SPEC, source="run-1")
    with pytest.raises(InputError, match="frame 0: found shape"):
        compute_curves([(positions[:, 1:], cells)], NAMES, types, SPEC)
    broken = positions.copy()
    broken[4, 7, 1] = np.nan
    with pytest.raises(InputError, match="frame 4: found positions that are not finite"):
        compute_curves([(broken[:2], cells[:2]), (broken[2:], cells[2:])], NAMES, types, SPEC)


def test_warnings_for_curves_that_hold_too_little(caplog, monkeypatch):
    """Mergers beyond the grid, and a triplet without any angle."""
    monkeypatch.setattr(module.log, "propagate", True)
    positions = np.array([[0.0, 0, 0], [9.0, 0, 0], [0, 9.0, 0], [0, 0, 9.0], [9.0, 9.0, 9.0]])
    config = section(triplets=[["Cho", "Cho", "Cho"]], r_max=[5.0])
    config["cdf"]["r_max_A"] = 8.0
    found = compute_curves(
        [(positions, CUBIC)], NAMES, np.zeros(5, dtype=int), StructureSpec.from_config(config), source="run-2"
    )
    assert "run-2: cdf of Cho: 100.0 % of the merge distances" in caplog.text
    assert "run-2: no angle Cho-Cho-Cho within 5 A" in caplog.text
    assert found["value"].notna().all()


def test_an_adf_alone_needs_triplets(system):
    """Together with others it is left out."""
    positions, cells, types = system
    spec = StructureSpec.from_config(section(triplets=[]))
    assert set(compute_curves([(positions, cells)], NAMES, types, spec)["metric"]) == {"rdf", "cdf"}
    with pytest.raises(InputError, match="structure: found no curve of adf"):
        compute_curves([(positions, cells)], NAMES, types, spec.only("adf"))


def test_curves_on_disk(tmp_path, expected):
    """What is read is what was written, with its provenance."""
    path = tmp_path / "curves.parquet"
    curves = label_run(expected, "S8Ff", "ensemble", 2)
    write_curves(path, curves, {"config_sha256": "abc"})
    pd.testing.assert_frame_equal(read_curves(path), curves, check_dtype=False, check_exact=True)
    declaration = json.loads(pq.read_schema(path).metadata[b"cgdistill"])
    assert declaration["provenance"] == {"config_sha256": "abc"}
    assert list(curves.columns[:3]) == ["variant", "member", "replica"]


def test_files_without_declaration_are_refused(tmp_path, expected):
    """A foreign Parquet file and a file that is none."""
    foreign = tmp_path / "foreign.parquet"
    label_run(expected, "S8Ff", "ensemble", 2).to_parquet(foreign)
    with pytest.raises(InputError, match="foreign.parquet: metadata: found no declaration"):
        read_curves(foreign)
    text = tmp_path / "text.parquet"
    text.write_text("metric,item\n")
    with pytest.raises(InputError, match="text.parquet: file"):
        read_curves(text)
