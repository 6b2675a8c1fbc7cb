"""What a sweep plans, by dry runs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest

CONFIG = "tests/configs/end-to-end.yaml"


@pytest.fixture
def plan(root, tmp_path):
    """A function: jobs by rule of a dry run of a sweep in an empty results folder, and all that was printed."""
    for name in ("config", "resources", "tests"):
        (tmp_path / name).symlink_to(root / name)

    def run(text, *arguments, status=0):
        (tmp_path / "sweep.tsv").write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "-n", "--nolock", "-s", root / "Snakefile", "-d", tmp_path]
        command += ["--configfile", root / CONFIG, "--config", f"sweep={tmp_path / 'sweep.tsv'}", "--", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False)
        output = done.stdout + done.stderr
        assert done.returncode == status, output[-3000:]
        rows = [line.split() for line in output.split("Job stats:")[-1].split("\n\n")[0].splitlines()]
        return Counter({row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}), output

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
    trainings = {cell: [rule for rule in rules_of(jobs, cell) if "_teacher_" in rule] for cell in "abc"}
    assert trainings == {
        "a": ["train_teacher_1", "predict_teacher_1"],
        "b": ["train_teacher_1", "predict_teacher_1"],
        "c": [],
    }
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
        "train_teacher_1",
        "predict_teacher_1",
    }
    assert rules_of(jobs, "two")["write_report"] == 1
    assert "Train teachers seed-2\n" in output and "Train teachers seed-1\n" in output


def test_a_run_alone_is_as_ever(plan):
    """A table of one cell plans the jobs of the same config by itself."""
    jobs, _ = plan("name\tpictures\nsame\ttrue\n")
    own = {re.sub(r"_\d+$", "", rule): n for rule, n in rules_of(jobs, "same").items()}
    assert own["train_teacher"] == own["compute_reference"] == own["write_report"] == 1


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
