"""The whole workflow, as a user runs it, on the smallest config that touches every rule."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from cgdistill.cli.main import main
from cgdistill.io.csv_tables import read_table

RUN = "end-to-end"


def snakemake(root, folder, *arguments):
    """Run the workflow from the root's Snakefile in another folder."""
    command = [sys.executable, "-m", "snakemake", "-s", root / "Snakefile", "--directory", folder]
    command += ["--configfile", root / "tests/configs/end-to-end.yaml", "--cores", "2", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=root)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    """A folder with the finished run."""
    folder = tmp_path_factory.mktemp("workflow")
    for name in ("config", "resources", "tests"):
        (folder / name).symlink_to(root / name)
    status, text = snakemake(root, folder)
    assert status == 0, text[-6000:]
    return folder


def test_products(finished):
    """Report, tables, figures and one folder per model; cannot tell whether they are right."""
    results = finished / "results" / RUN
    assert (results / "report.html").stat().st_size > 10_000
    tables = ("tae", "summary", "performance", "training", "runs", "comparisons", "noise", "ceiling", "spread")
    for name in tables:
        assert len(read_table(results / "tables" / f"{name}.csv")) > 0
    curves = pd.read_parquet(results / "tables" / "curves.parquet")
    assert set(curves["variant"]) == {"AA", "T", "T2", "S1-aa-bead", "S2-aa-kd-bead"}
    assert len(list((results / "figures").glob("*.svg"))) >= 30
    models = results / "models"
    cards = sorted(path.parent.relative_to(models).as_posix() for path in models.glob("*/*/card.json"))
    assert cards == [
        "S1-aa-bead/seed-1",
        "S1-aa-bead/seed-2",
        "S2-aa-kd-bead/ensemble",
        "T/seed-1",
        "T/seed-2",
        "T2/ensemble",
    ]


def test_tables_count_every_run(finished):
    """7 runs: 2 T, 1 T2, 2 S1, 2 S2; each has a TAE per metric and an error bar where there are two."""
    results = finished / "results" / RUN
    runs = read_table(results / "tables" / "runs.csv")
    assert runs.groupby("variant").size().to_dict() == {"T": 2, "T2": 1, "S1-aa-bead": 2, "S2-aa-kd-bead": 2}
    summary = read_table(results / "tables" / "summary.csv")
    assert (summary["n"] + summary["n_failed"] == summary["variant"].map(runs.groupby("variant").size())).all()
    tae = read_table(results / "tables" / "tae.csv")
    overall = tae[(tae["item"] == "overall") & (tae["metric"] == "rdf")]
    items = tae[(tae["item"] != "overall") & (tae["metric"] == "rdf")]
    sums = items.groupby(["variant", "member", "replica"])["tae"].sum()
    compared = overall.set_index(["variant", "member", "replica"])["tae"]
    pd.testing.assert_series_equal(compared.sort_index(), sums.sort_index())


def test_runs_of_a_job_share_its_speed(finished):
    """The two replicas of S2 advanced together, and say so."""
    table = read_table(finished / "results" / RUN / "tables" / "performance.csv").set_index(["variant", "replica"])
    together = table["runs_together"].groupby(level="variant").agg(list).to_dict()
    assert together == {"T": [1, 1], "T2": [1], "S1-aa-bead": [1, 1], "S2-aa-kd-bead": [2, 2]}
    assert (table["ns_per_day_together"] >= table["ns_per_day"] * 0.999).all()
    assert table["ns_per_day_together"].loc["S2-aa-kd-bead"].nunique() == 1


def test_products_say_where_they_come_from(finished):
    """Every table, the card and the record carry version, config hash and checksums of their inputs."""
    results = finished / "results" / RUN
    records = [json.loads(path.read_text())["provenance"] for path in results.glob("models/*/*/card.json")]
    records += [json.loads(path.read_text())["provenance"] for path in results.glob("simulations/*/*/*/run.json")]
    for path in results.glob("**/*.csv"):
        records.append(json.loads(path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# cgdistill ")))
    assert len(records) > 20
    for record in records:
        assert {"program", "version", "config_sha256", "inputs"} <= set(record)


def test_running_again_does_nothing(finished, root):
    """A finished run stays finished."""
    status, text = snakemake(root, finished)
    assert status == 0 and "Nothing to be done" in text, text[-3000:]


def test_verify_of_a_finished_run(finished, root, capsys):
    """No fault in what the rules have made, all of it in the manifest; a changed dump is found, and is put back."""
    results = finished / "results" / RUN
    arguments = ["verify", str(results), "--config", str(root / "tests/configs/end-to-end.yaml")]
    assert main(arguments) == 0
    summary = capsys.readouterr().out
    assert summary.count("\n") == 1 and "missing" not in summary
    dump = results / "simulations/T/seed-1/replica-1/trajectory.lammpstrj"
    text, times = dump.read_text(), dump.stat()
    dump.write_text(text.replace("7", "8", 1))
    assert main(arguments) == 1
    faults = capsys.readouterr().out.splitlines()[:-1]
    assert faults[0] == f"{dump} (simulate): changed"
    # By its variant's structure, the spread of the teachers (first runs), and nobody else.
    assert {fault.split(" ")[0].removeprefix(f"{results}/") for fault in faults[1:]} == {
        *(f"structure/T/{name}.parquet" for name in ("curves", "blocks", "resolved", "series")),
        "structure/T/runs.csv",
        "tables/spread.csv",
    }
    dump.write_text(text)
    os.utime(dump, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_one_variant_reruns_alone(finished, root):
    """A student trained anew: the target of its variant makes what follows from it, and nothing of the others."""
    target = f"results/{RUN}/structure/S2-aa-kd-bead/summary.csv"
    status, text = snakemake(root, finished, "--dry-run", "--forcerun", "train_student", "--", target)
    assert status == 0, text
    table = text[text.index("Job stats:") :].splitlines()[3:]
    jobs = {line.split()[0]: int(line.split()[1]) for line in table[: [*map(str.strip, table)].index("")]}
    assert jobs == {
        "train_student": 1,
        "export_model": 1,
        "simulate": 1,
        "compute_structure": 1,
        "compute_tae": 1,
        "total": 5,
    }
    status, text = snakemake(root, finished, "--dry-run", "--forcerun", "train_student")
    assert status == 0 and "record_checksums" in text, "the manifest follows"


def planned(root, folder, config):
    """Number of jobs, as text, by rule that a changed config plans on a finished run."""
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "-s", root / "Snakefile", "--directory", folder, "-n"]
    command += ["--configfile", path]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(re.findall(r"^([\w-]+) +(\d+)$", done.stdout + done.stderr, re.M))


def test_other_jobs_rerun_no_simulation(finished, root):
    """How many replicas advance together, or how many frames one leaves after a divergence, does not matter."""
    config = yaml.safe_load((root / "tests/configs/end-to-end.yaml").read_text(encoding="utf-8"))
    config["simulation"]["runs_per_job"] = 1
    config["simulation"]["limits"]["keep_frames"] = 3
    assert planned(root, finished, config) == {}


def test_more_replicas_keep_those_that_are_finished(finished, root, tmp_path):
    """A third replica of S2: its job runs again, and the first two come out as they were, to the byte."""
    shutil.copytree(finished, tmp_path / "more", symlinks=True)
    config = yaml.safe_load((root / "tests/configs/end-to-end.yaml").read_text(encoding="utf-8"))
    config["simulation"]["replicas"]["ensemble"] += 1
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    runs = Path(f"results/{RUN}/simulations/S2-aa-kd-bead/ensemble")
    command = [sys.executable, "-m", "snakemake", "-s", root / "Snakefile", "--directory", tmp_path / "more"]
    command += ["--configfile", tmp_path / "more.yaml", "--cores", "1", "--", runs]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    for number in (1, 2):
        for path in (finished / runs / f"replica-{number}").iterdir():
            assert (tmp_path / "more" / runs / f"replica-{number}" / path.name).read_bytes() == path.read_bytes()
    new = json.loads((tmp_path / "more" / runs / "replica-3/run.json").read_text(encoding="utf-8"))
    assert (new["status"], new["replica"], new["runs_together"]) == ("finished", 3, 1)
    log = (tmp_path / f"more/logs/{RUN}/simulations/S2-aa-kd-bead/ensemble/simulate.log").read_text(encoding="utf-8")
    assert "ensemble 3: minimising" in log and "ensemble 1: minimising" not in log


#: Rules that draw or write from tables.
LAST = {"collect_tables", "compare_models", "estimate_ceiling", "measure_spread", "write_report", "default", "total"}
LAST |= {"record_checksums"}
LAST |= {f"plot_{name}" for name in ("structure", "models", "stability", "networks", "boxes")}
ANALYSIS = LAST | {"compute_reference", "compute_structure", "compute_tae"}


#: Rules that train, export and simulate a student.
MODEL = {"train_student", "export_model", "simulate"}


@pytest.mark.parametrize(
    ("change", "needed", "allowed"),
    [
        # What has to run, and what may besides.
        ("confidence", {"compute_tae", "write_report"}, LAST | {"compute_tae"}),
        ("label", {"plot_structure", "write_report"}, LAST | {"compute_tae", "export_model"}),
        ("bins", {"compute_reference", "compute_structure"}, ANALYSIS),
        ("new student", MODEL | {"compute_structure"}, ANALYSIS),
        ("weight", MODEL | {"compute_structure"}, ANALYSIS),
    ],
)
def test_a_change_reruns_what_follows_from_it(finished, root, change, needed, allowed):
    """A weight trains its one variant anew; labels, statistics and bins train nothing; none maps the trajectory."""
    config = yaml.safe_load((root / "tests/configs/end-to-end.yaml").read_text(encoding="utf-8"))
    rows = (root / "tests/configs/two-students.tsv").read_text(encoding="utf-8")
    changed = {
        "new student": rows + "S2-new\tS2new\tensemble\t1\t1\t0\t0\n",
        "weight": rows.replace("ensemble\t2\t1\t5\t5", "ensemble\t2\t1\t5\t4"),
        "label": rows.replace("S2Ffε", "renamed"),
    }
    if change in changed:
        assert changed[change] != rows
        table = finished / "students.tsv"
        table.write_text(changed[change], encoding="utf-8")
        config["students"]["table"] = str(table)
    elif change == "bins":
        config["structure"]["adf"]["bin_width_deg"] = 20.0
    else:
        config["statistics"]["confidence"] = 0.9
    jobs = planned(root, finished, config)
    assert needed <= set(jobs), needed - set(jobs)
    assert set(jobs) <= needed | allowed, set(jobs) - needed - allowed
    assert all(jobs[rule] == "1" for rule in MODEL & needed), "of one student"


def test_another_mapping_redoes_all(finished, root):
    """The same beads from a file with another name of its contents: every rule but none of the all-atom ones."""
    config = yaml.safe_load((root / "tests/configs/end-to-end.yaml").read_text(encoding="utf-8"))
    mapping = finished / "mapping.yaml"
    text = (root / config["mapping"]["file"]).read_text(encoding="utf-8")
    mapping.write_text(text + "# changed\n", encoding="utf-8")
    config["mapping"]["file"] = str(mapping)
    rules = set(planned(root, finished, config))
    labels = {"train_teachers_together", "predict_teacher", "judge_teachers", "average_ensemble"}
    assert ANALYSIS | MODEL | labels | {"map_trajectory", "split_frames", "fit_prior"} <= rules


def test_another_look_of_the_figures_draws_them(finished, root, tmp_path):
    """A change in the drawing code: figures and report, no model, no simulation, no analysis."""
    shutil.copytree(root / "workflow", tmp_path / "workflow", ignore=shutil.ignore_patterns("__pycache__", "*.nb?"))
    style = tmp_path / "workflow/lib/cgdistill/figures/style.py"
    text = style.read_text(encoding="utf-8")
    assert "_PNG_DPI = 160" in text
    style.write_text(text.replace("_PNG_DPI = 160", "_PNG_DPI = 161"), encoding="utf-8")
    shutil.copy(root / "Snakefile", tmp_path)
    config = yaml.safe_load((root / "tests/configs/end-to-end.yaml").read_text(encoding="utf-8"))
    plots = {f"plot_{name}" for name in ("structure", "models", "stability", "networks", "boxes")}
    assert set(planned(tmp_path, finished, config)) == plots | {"write_report", "record_checksums", "default", "total"}


def test_summary_command(finished, capsys):
    """`cgdistill summary` prints a line per model and the report's path; a missing run is one clear line."""
    assert main(["summary", str(finished / "results" / RUN)]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1:5]] == ["T", "T2", "S1Fε", "S2Ffε"]
    assert "report.html" in out
    assert main(["summary", str(finished / "nowhere")]) == 1
    assert "found nothing, expected the table of a finished run" in capsys.readouterr().err
