"""Config, students table and their cross-checks: every fault names its key, before any work."""

from __future__ import annotations

import pytest
import yaml
from cgdistill.config.check import check_config
from cgdistill.config.complete import complete_config, read_config
from cgdistill.config.students import read_students
from cgdistill.core.errors import InputError
from cgdistill.io.text import read_yaml

TYPES = ("Cho", "Cl", "Urea")


@pytest.fixture
def config(root):
    """The paper's config, complete: its input is made by the workflow, so no file has to exist."""
    return read_config(root / "config" / "paper.yaml")


def put(config, key, value):
    """Set a dotted key."""
    *path, last = key.split(".")
    for part in path:
        config = config[part]
    config[last] = value


def test_paper_config_passes_the_cross_checks(config):
    check_config(config, TYPES)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("seed", "1", "integer"),
        ("seed", True, "integer"),
        ("seed", -1, "at least 0"),
        ("run", "a/b/c", "matches"),
        ("run", "../x", "matches"),
        ("device", "gpu", "auto, cpu, cuda"),
        ("training.learning_rate", "1e-3", "number"),
        ("training.learning_rate", 0, "more than 0"),
        ("training.learning_rate", float("nan"), "finite"),
        ("simulation.production_ps", float("inf"), "finite"),
        ("training.factor", 1.0, "less than 1"),
        ("training.batch_size", 2.5, "integer"),
        ("training.schedule", "cosine", "learning-rate, batch-size"),
        ("network.tensor_order", 3, "0, 1, 2"),
        ("network.n_sensitivities", 1, "at least 2"),
        ("teachers.seeds", [], "minItems"),
        ("teachers.seeds", [1, 1], "uniqueItems"),
        ("structure.adf.bin_width_deg", 91, "at most 90"),
        ("structure.adf.triplets", [["Cho", "Cl"]], "minItems"),
        ("aa.files.trajectory", "one.trr", "array"),
        ("simulation.runs_per_job", 0, "at least 1"),
        ("simulation", None, "object"),
    ],
)
def test_wrong_types_and_ranges_name_key_and_expectation(files, key, value, expected):
    put(files, key, value)
    with pytest.raises(InputError) as caught:
        complete_config(files)
    assert caught.value.item.startswith(key)
    assert expected in str(caught.value.expected)


def test_items_of_lists_are_named(config):
    config["aa"]["system"]["molecules"][1]["count"] = 0
    with pytest.raises(InputError) as caught:
        complete_config(config)
    assert caught.value.item == "aa.system.molecules[1].count"


@pytest.mark.parametrize(
    ("key", "value", "item", "message"),
    [
        ("split.train", 0.7, "split", "sum to 0.9"),
        ("network.soft_min_A", 11.5, "network", "increasing"),
        ("network.soft_max_A", 12.5, "network", "increasing"),
        ("network.cutoff_A", 22.43, "network.cutoff_A", "at most 22.420 A"),
        ("structure.rdf.r_max_A", 23.0, "structure.rdf.r_max_A", "half the cell"),
        ("structure.cdf.resolved_every_ps", 0.001, "structure.cdf.resolved_every_ps", "at least simulation.frame"),
        ("structure.adf.r_max_A", [6.0, 23.0], "structure.adf.r_max_A", "half the cell"),
        ("structure.adf.triplets", [["Cho", "Cl", "Na"]], "structure.adf.triplets[0]", "found Na, expected bead types"),
        ("simulation.frame_every_ps", 0.003, "simulation.frame_every_ps", "multiple of the time step"),
        ("simulation.thermo_every_ps", 0.0005, "simulation.thermo_every_ps", "multiple"),
        ("simulation.equilibration_ps", 0.001, "simulation.equilibration_ps", "multiple"),
        ("simulation.production_ps", 4.0, "simulation.frame_every_ps", "at most simulation.production_ps"),
        ("aa.protocol.anneal", [[0, 300.0], [50, 310.0]], "aa.protocol.anneal", "310.0 K at the end"),
        ("aa.protocol.frame_every_ps", 0.003, "aa.protocol.frame_every_ps", "multiple of the time step"),
    ],
)
def test_cross_checks(config, key, value, item, message):
    put(config, key, value)
    with pytest.raises(InputError) as caught:
        check_config(config, TYPES)
    assert caught.value.item == item
    assert message in str(caught.value)


def test_values_at_the_limit_pass(config):
    config["network"]["cutoff_A"] = 22.42
    config["simulation"]["equilibration_ps"] = 0.0
    config["simulation"]["timestep_fs"] = 0.3
    for key in ("frame_every_ps", "production_ps", "thermo_every_ps"):
        config["simulation"][key] = 0.9
    check_config(config, TYPES)


def test_the_smallest_edge_counts(config):
    config["aa"]["system"]["cell_A"] = [60.0, 60.0, 23.0]
    also = r"; also for structure\.rdf\.r_max_A, now 20 A"
    message = r"network\.cutoff_A: found 12 A, expected at most 11\.500 A, half .*" + also
    with pytest.raises(InputError, match=message):
        check_config(config, TYPES)


@pytest.fixture
def files(config, tmp_path):
    """Config for files that exist; the topology's cell is 30 A."""
    paths = {"topology": tmp_path / "a.gro", "masses": tmp_path / "a.top", "trr": tmp_path / "a.trr"}
    for path in paths.values():
        path.write_text("title\n0\n   3.0 3.0 3.0\n", encoding="utf-8")
    config["aa"]["source"] = "files"
    config["aa"]["files"] = {
        "topology": str(paths["topology"]),
        "masses": str(paths["masses"]),
        "trajectory": [str(paths["trr"])],
        "units": None,
    }
    config["structure"]["rdf"]["r_max_A"] = 14.0
    return config


def test_cell_of_a_given_topology_counts(files):
    check_config(files, TYPES)
    files["structure"]["rdf"]["r_max_A"] = 15.5
    with pytest.raises(InputError, match=r"structure\.rdf\.r_max_A: .* at most 15\.000 A"):
        check_config(files, TYPES)


@pytest.mark.parametrize("key", ["topology", "masses", "trajectory"])
def test_missing_files_are_named(files, key):
    files["aa"]["files"][key] = ["none.x"] if key == "trajectory" else "none.x"
    with pytest.raises(InputError, match="no file none.x") as caught:
        check_config(files, TYPES)
    assert caught.value.item == f"aa.files.{key}" + ("[0]" if key == "trajectory" else "")


def test_a_protocol_that_is_not_run_is_not_judged(files):
    files["aa"]["protocol"]["anneal"] = [[0, 300.0], [50, 310.0]]
    check_config(files, TYPES)


def test_masses_may_be_left_out(files):
    files["aa"]["files"]["masses"] = None
    check_config(files, TYPES)


HEADER = "name\tlabel\tteacher\tw_F\tw_f\tw_E\tw_e\n"


def students(tmp_path, text):
    path = tmp_path / "students.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_students(path)


def test_committed_students_are_those_of_the_paper(root):
    """Labels and weights, by hand, from the table of losses."""
    found = {v.label: (v.kind, v.weights) for v in read_students(root / "config" / "students.tsv")}
    assert len(found) == 9
    assert found["S1Ffε"] == ("single", {"F": 2.0, "f": 1.0, "E": 0.0, "epsilon": 5.0})
    assert found["S8FfEε"] == ("ensemble", {"F": 2.0, "f": 1.0, "E": 5.0, "epsilon": 5.0})
    assert found["S8fε"] == ("ensemble", {"F": 0.0, "f": 1.0, "E": 0.0, "epsilon": 5.0})
    for label, (_, weights) in found.items():
        targets = {"F": "F", "f": "f", "E": "E", "epsilon": "ε"}
        assert label[2:] == "".join(sign for target, sign in targets.items() if weights[target] > 0)


def test_table_with_byte_order_mark_windows_lines_comments_and_gaps(tmp_path):
    text = "\ufeff" + HEADER + "# a comment\n\nS1-x\tS1 x\tsingle\t1\t0\t0\t5e-1\n"
    (variant,) = students(tmp_path, text.replace("\n", "\r\n"))
    assert (variant.name, variant.label, variant.weights["epsilon"]) == ("S1-x", "S1 x", 0.5)


def test_columns_in_another_order(tmp_path):
    text = "label\tname\tw_e\tw_E\tw_f\tw_F\tteacher\nL\tS8-x\t4\t3\t2\t1\tensemble\n"
    (variant,) = students(tmp_path, text)
    assert variant.weights == {"F": 1.0, "f": 2.0, "E": 3.0, "epsilon": 4.0}


def test_a_weight_without_a_column_is_zero(tmp_path):
    """Tables written before a target was added stay valid."""
    (variant,) = students(tmp_path, HEADER.replace("\tw_e", "") + "S1-x\tx\tsingle\t1\t0\t2\n")
    assert variant.weights == {"F": 1.0, "f": 0.0, "E": 2.0, "epsilon": 0.0}


def test_a_table_without_rows_has_no_students(tmp_path):
    assert students(tmp_path, HEADER) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER.replace("\tteacher", ""), "header"),
        (HEADER.replace("w_e", "w_E"), "header"),
        (HEADER.replace("w_e", "w_x"), "header"),
        (HEADER.replace("\t", ","), "separated by tabs"),
        ("", "header"),
        (HEADER + "S1-x\tx\tsingle\t1\t0\t0\n", r"row 1 \(S1-x\): found another number of cells"),
        (HEADER + "S1-x\tx\tsingle\t1\t0\t0\t0\t0\n", r"row 1 \(S1-x\): found another number of cells"),
        (HEADER + "S1-x\tx\tsingle\tone\t0\t0\t0\n", r"row 1 \(S1-x\)\.w_F: found 'one'"),
        (HEADER + "S1-x\tx\tsingle\tnan\t0\t0\t1\n", r"row 1 \(S1-x\)\.w_F: .*finite"),
        (HEADER + "S1-x\tx\tsingle\t-1\t0\t0\t0\n", r"row 1 \(S1-x\)\.w_F: found -1\.0, expected at least 0"),
        (HEADER + "S1-x\tx\tboth\t1\t0\t0\t0\n", r"row 1 \(S1-x\)\.teacher"),
        (HEADER + "S1_x\tx\tsingle\t1\t0\t0\t0\n", r"row 1 \(S1_x\)\.name"),
        (HEADER + "../x\tx\tsingle\t1\t0\t0\t0\n", r"row 1 \(\.\./x\)\.name"),
        (HEADER + "S1-x\t\tsingle\t1\t0\t0\t0\n", r"row 1 \(S1-x\)\.label"),
        (HEADER + "S1-x\tx\tsingle\t0\t0\t0\t0\n", "no weight above 0"),
        (HEADER + "S1-x\tx\tsingle\t1\t0\t0\t0\ns1-X\ty\tsingle\t1\t0\t0\t0\n", "differ by more than case"),
        (HEADER + "S1-x\tx\tsingle\t1\t0\t0\t0\nS1-y\tx\tsingle\t1\t0\t0\t0\n", "x twice"),
        (HEADER + "T8\tx\tsingle\t1\t0\t0\t0\n", "kept for the teachers"),
        (HEADER.encode() + "S1-x\tS1ε\tsingle\t1\t0\t0\t0\n".encode("utf-16-le"), "UTF-8|cells|number"),
        (HEADER.encode() + b"S1-x\tS1\xb5\tsingle\t1\t0\t0\t0\n", "UTF-8"),
    ],
)
def test_faults_of_the_table_are_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        students(tmp_path, text)
    assert caught.value.source.endswith("students.tsv")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.tsv"):
        read_students(tmp_path / "none.tsv")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a: [1\nb: 2\n", "line 2"), (b"a: \xff\n", "byte 3"), (b"a: 1\n\tb: 2\n", "line 2")],
)
def test_faults_of_yaml_name_the_place(tmp_path, content, message):
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_yaml(path)
    assert caught.value.source == str(path)


def test_empty_and_missing_yaml(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="type object"):
        read_config(path)
    with pytest.raises(InputError, match="readable YAML"):
        read_yaml(tmp_path / "none.yaml")


def test_config_survives_yaml(config):
    """What Snakemake hands on is what was checked."""
    assert yaml.safe_load(yaml.safe_dump(config)) == config


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"knot_spacing_A": 8.0}, "network.knot_spacing_A", "at most cutoff_A, 7.5 A"),
        ({"degree": 6}, "network.degree", "at most 5"),
        ({"tensor_order": 1}, "network", "only architecture, bootstrap"),
        ({"architecture": "spline"}, "network.architecture", "one of hipnn, pair-spline"),
    ],
)
def test_pair_splines_have_their_own_keys(config, changes, key, message):
    config["network"] = {"architecture": "pair-spline", "cutoff_A": 7.5} | changes
    with pytest.raises(InputError) as caught:
        check_config(complete_config(config, TYPES), TYPES)
    assert caught.value.item == key and message in str(caught.value)


def test_pair_splines_run_in_styles_of_lammps_alone(config):
    config["network"] = {"architecture": "pair-spline", "cutoff_A": 7.5}
    check_config(complete_config(config, TYPES), TYPES)
    config["simulation"]["coupling"] = "mliap"
    with pytest.raises(InputError, match=r"simulation.coupling: found mliap with pair-spline"):
        check_config(complete_config(config, TYPES), TYPES)
