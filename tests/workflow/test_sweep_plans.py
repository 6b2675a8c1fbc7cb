"""What a sweep plans, by dry runs."""

from __future__ import annotations

import re

import pytest
from planning import planned, snakemake

CONFIG = "tests/configs/end-to-end.yaml"


@pytest.fixture
def plan(root, tmp_path):
    """A function: jobs by rule of a dry run of a sweep in an empty results folder, and all that was printed."""
    for name in ("config", "resources", "tests"):
        (tmp_path / name).symlink_to(root / name)

    def run(text, *arguments, status=0):
        (tmp_path / "sweep.tsv").write_text(text, encoding="utf-8")
        command = ["-n", "-s", root / "Snakefile", "-d", tmp_path, "--configfile", root / CONFIG]
        command += ["--config", f"sweep={tmp_path / 'sweep.tsv'}", "--", *arguments]
        found, output = snakemake(tmp_path, *command)
        assert found == status, output[-3000:]
        return planned(output) if status == 0 else None, output

    return run


def rules_of(jobs, cell):
    """Jobs of a cell by rule."""
    return {name.removeprefix(f"cell_{cell}_"): n for name, n in jobs.items() if name.startswith(f"cell_{cell}_")}


def test_cells_share_what_they_have_in_common(plan):
    """The wide cell trains anew; the second of the same widths simulates, the all-atom data are mapped once."""
    text = "name\tnetwork.n_features\tsimulation.damping_fs\na\t8\t\nb\t16\t\nc\t16\t50.0\n"
    jobs, output = plan(text)
    once = ("map_trajectory", "split_frames", "fit_prior")
    assert all(rules_of(jobs, "a")[rule] == 1 for rule in once)
    for cell in "bc":
        assert not set(once) & set(rules_of(jobs, cell))
    trainings = {cell: {rule for rule in rules_of(jobs, cell) if "_teacher" in rule} for cell in "abc"}
    own = {"train_teachers_together", "predict_teacher", "judge_teachers"}
    assert trainings == {"a": own, "b": own, "c": {"judge_teachers"}}
    assert all(rules_of(jobs, cell)["average_ensemble"] == rules_of(jobs, cell)["write_report"] == 1 for cell in "abc")
    assert jobs["compare_cells"] == 1
    assert re.search(r"results/end-to-end-sweep/b/teachers/seed-1/predictions.h5", output)
    assert "results/end-to-end-sweep/c/teachers/seed-1" not in output


def test_one_cell_by_its_target(plan):
    """Its own jobs, and of another cell what it shares with it."""
    text = "name\tteachers.seeds\none\t[1]\ntwo\t[1, 2]\n"
    jobs, output = plan(text, "results/end-to-end-sweep/two/report.html")
    assert "compare_cells" not in jobs
    assert set(rules_of(jobs, "one")) == {
        "map_trajectory",
        "split_frames",
        "fit_prior",
        "train_teachers_together",
        "predict_teacher",
    }
    assert rules_of(jobs, "two")["write_report"] == 1
    assert rules_of(jobs, "two")["train_teachers_together"] == rules_of(jobs, "two")["predict_teacher"] == 1
    assert "results/end-to-end-sweep/one/teachers/seed-1/predictions.h5" in output
    assert "results/end-to-end-sweep/two/teachers/seed-2/predictions.h5" in output


def test_a_run_alone_is_as_ever(plan):
    """A table of one cell plans the jobs of the same config by itself."""
    jobs, _ = plan("name\tpictures\nsame\ttrue\n")
    own = rules_of(jobs, "same")
    assert own["train_teachers_together"] == own["compute_reference"] == own["write_report"] == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name\tnetwork.widths\na\t8\n", "header: found unknown key 'network.widths'"),
        ("name\tnetwork.n_features\na\t8\nb\tmany\n", r"sweep.tsv, b: network.n_features: found 'many' (str)"),
        ("name\tnetwork.cutoff_A\na\t900\n", "network.cutoff_A: found 900 A"),
    ],
)
def test_faults_end_before_anything_is_planned(plan, text, line):
    _, output = plan(text, status=1)
    assert line in output
    assert "Building DAG" not in output and "Traceback" not in output
