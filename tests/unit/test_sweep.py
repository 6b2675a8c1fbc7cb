"""Tables of settings: what they become, what cells share, and faults. Plans: tests/workflow/test_sweep_plans.py."""

import copy

import pytest
import yaml
from cgdistill.config.complete import complete_config
from cgdistill.config.sweep import common_config, read_sweep, shared_products, study_name
from cgdistill.core.errors import InputError
from cgdistill.io.text import read_yaml


@pytest.fixture
def base(root):
    """The demo's config, every key written out."""
    return yaml.safe_load((root / "tests/configs/complete/demo.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def write(tmp_path):
    """A function that writes a table."""

    def table(text, name="widths.tsv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return table


def test_cells_replace_values(base, write):
    before = copy.deepcopy(base)
    table = write("# a comment\nname\tnetwork.n_features\tteachers.seeds\nnarrow\t8\t\nwide\t64\t[1, 2]\n")
    narrow, wide = read_sweep(table, base)
    assert study_name(table, base) == "demo-widths"
    assert [cell.config["run"] for cell in (narrow, wide)] == ["demo-widths/narrow", "demo-widths/wide"]
    assert narrow.settings == {"network.n_features": 8, "teachers.seeds": base["teachers"]["seeds"]}
    assert wide.config["network"] == base["network"] | {"architecture": "hipnn", "n_features": 64}
    assert wide.config["teachers"]["seeds"] == [1, 2]
    untouched = set(base) - {"run", "network", "teachers"}
    assert all(wide.config[key] == complete_config(base)[key] for key in untouched)
    assert base == before


def test_values_are_yaml(base, write):
    text = "name\tsplit.max_train_frames\tpictures\tsimulation.damping_fs\tdevice\na\tnull\tfalse\t1e-3\tcpu\n"
    (cell,) = read_sweep(write(text), base)
    found = cell.config["split"]["max_train_frames"], cell.config["pictures"], cell.config["simulation"]["damping_fs"]
    assert found == (None, False, 0.001)


@pytest.mark.parametrize(
    ("text", "item", "found"),
    [
        ("", "header", "columns []"),
        ("name\na\n", "header", "columns ['name']"),
        ("cell\tnetwork.n_features\na\t8\n", "header", "columns"),
        ("name\tpictures\tpictures\na\ttrue\tfalse\n", "header", "pictures twice"),
        ("name\tnetwork.width\na\t8\n", "header", "unknown key 'network.width'"),
        ("name\tnetwork\na\t8\n", "header", "which holds architecture, tensor_order"),
        ("name\tseed.more\na\t8\n", "header", "unknown key 'seed.more'"),
        ("name\trun\na\tb\n", "header", "run"),
        ("name\tpictures\n", "rows", "none"),
        ("name\tpictures\na\ttrue\tfalse\n", "row 1 (a)", "another number of values"),
        ("name\tpictures\na\n", "row 1 (a)", "another number of values"),
        ("name\tpictures\n../a\ttrue\n", "row 1 (../a)", "name '../a'"),
        ("name\tpictures\na b\ttrue\n", "row 1 (a b)", "name 'a b'"),
        ("name\tpictures\n\ttrue\n", "row 1 ()", "name ''"),
        ("name\tpictures\na\ttrue\nA\tfalse\n", "row 2 (A)", "the name a already"),
        ("name\tpictures\na\ttrue\nb\t\n", "row 2 (b)", "the settings of a"),
        ("name\tpictures\na\t[1, 2\n", "row 1 (a).pictures", "'[1, 2'"),
    ],
)
def test_faults_name_the_row(base, write, text, item, found):
    path = write(text)
    with pytest.raises(InputError) as caught:
        read_sweep(path, base)
    assert (caught.value.source, caught.value.item) == (str(path), item)
    assert found in str(caught.value.found)


def test_name_of_the_table_becomes_a_folder(base, write):
    with pytest.raises(InputError, match="file name"):
        read_sweep(write("name\tpictures\na\ttrue\n", "a b.tsv"), base)


ALL = ["aa", "beads", "split", "prior", "teachers"]


@pytest.mark.parametrize(
    ("key", "value", "shared"),
    [
        ("simulation.production_ps", 8.0, ALL),
        ("statistics.blocks", 5, ALL),
        ("students.table", "other.tsv", ALL),
        ("training.together", True, ALL),
        ("simulation.runs_per_job", 7, ALL),
        ("network.n_features", 8, ALL[:4]),
        ("training.max_epochs", 3, ALL[:4]),
        ("prior.delta_A", 0.9, ALL[:3]),
        ("split.max_train_frames", 50, ALL[:2]),
        ("mapping.stride", 2, ALL[:1]),
        ("aa.source", "gromacs", []),
        ("seed", 1, []),
    ],
)
def test_what_a_setting_leaves_shared(base, write, key, value, shared):
    """A product is shared where nothing before it differs: an earlier stage's change leaves fewer."""
    text = f"name\t{key}\nfirst\t\nsecond\t{value}\n"
    first, second = shared_products([cell.config for cell in read_sweep(write(text), base)])
    assert first == {}
    assert list(second) == shared
    assert {name for name in second if name != "teachers" and second[name] != "demo-widths/first"} == set()
    if "teachers" in shared:
        assert second["teachers"] == {f"seed-{seed}": "demo-widths/first" for seed in base["teachers"]["seeds"]}


def test_what_cells_have_in_common(base, write):
    """Without what they set, and without defaults that follow from it."""
    del base["network"]["soft_max_A"]
    cells = read_sweep(write("name\tnetwork.cutoff_A\nnear\t6\nfar\t8\n"), base)
    common = common_config([cell.config for cell in cells])
    complete = complete_config(base)
    assert set(complete["network"]) - set(common["network"]) == {"cutoff_A", "soft_max_A"}
    assert "run" not in common
    assert all(common[key] == complete[key] for key in set(complete) - {"network", "run"})


def test_teachers_are_shared_one_by_one(base, write):
    """Each by the first cell that has it, whatever the order."""
    text = "name\tteachers.seeds\ntwo\t[1, 2]\nfour\t[4, 3, 2, 1]\nthree\t[1, 3, 9]\n"
    two, four, three = shared_products([cell.config for cell in read_sweep(write(text), base)])
    assert two == {}
    assert four["teachers"] == {"seed-2": "demo-widths/two", "seed-1": "demo-widths/two"}
    assert three["teachers"] == {"seed-1": "demo-widths/two", "seed-3": "demo-widths/four"}


def test_committed_sweeps_are_whole(root):
    """With the demo's and the paper's config, every cell has a complete config."""
    tables = sorted((root / "config" / "sweeps").glob("*.tsv"))
    assert len(tables) >= 3
    for name in ("config.yaml", "paper.yaml"):
        config = read_yaml(root / "config" / name)
        for table in tables:
            for cell in read_sweep(table, config):
                assert complete_config(cell.config) == cell.config
