"""What a config plans, by dry runs; nothing runs, so none of this shows whether a job would succeed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from cgdistill.figures.catalogue import JOBS
from planning import plan, snakemake

HEADER = "name\tlabel\tteacher\tw_F\tw_f\tw_E\tw_e\n"


@pytest.fixture
def write_config(root, tmp_path):
    """A function that writes the demo's complete config under an unused name of a run, with other values."""

    def write(students: str | None = None, **changes) -> Path:
        config = yaml.safe_load((root / "tests/configs/complete/demo.yaml").read_text(encoding="utf-8"))
        config["run"] = "planned-only"
        del config["resources"]
        if students is not None:
            table = tmp_path / "students.tsv"
            table.write_text(students, encoding="utf-8")
            config["students"]["table"] = str(table)
        for key, value in changes.items():
            *path, last = key.split("__")
            section = config
            for part in path:
                section = section[part]
            if value is ...:
                del section[last]
            else:
                section[last] = value
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
        return path

    return write


def planned_under_another_name(root, folder, name):
    """Plan of a config of the repository, its run renamed so that nothing of it exists, and the renamed config."""
    config = yaml.safe_load((root / "config" / name).read_text(encoding="utf-8"))
    path = folder / name
    path.write_text(yaml.safe_dump(config | {"run": "planned-only"}), encoding="utf-8")
    return plan(root, "--configfile", path), path


@pytest.fixture(scope="module")
def demo(root, tmp_path_factory):
    """Plan of the default config."""
    return planned_under_another_name(root, tmp_path_factory.mktemp("demo"), "config.yaml")


#: What a user has to write for files of the demo's size: no more than has no default, and two ranges that fit its cell.
MINIMAL = """
run: planned-only
aa:
  files:
    topology: resources/demo/des128.gro
    masses: resources/demo/des128.top
    trajectory: [resources/demo/des128.trr]
mapping: {file: config/mappings/des.yaml}
simulation: {temperature_K: 298.15}
"""
FITTING = "network: {cutoff_A: 11}\nstructure: {rdf: {r_max_A: 11}}\n"


def test_a_minimal_config_plans_the_published_protocol(root, tmp_path):
    """Everything else has its default; distances that do not fit the cell are named with the largest that does."""
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL, encoding="utf-8")
    status, text = snakemake(root, "-n", "--configfile", path)
    assert status == 1
    expected = "found 12 A, expected at most 11.300 A, half the cell of resources/demo/des128.gro"
    assert f"config: network.cutoff_A: {expected}; also for structure.rdf.r_max_A, now 20 A" in text
    path.write_text(MINIMAL + FITTING, encoding="utf-8")
    counts, _ = plan(root, "--configfile", path)
    assert counts["map_trajectory"] == 1 and "build_box" not in counts
    assert counts["train_teacher"] == 8


def test_paper_plans_the_whole_matrix(root, tmp_path):
    """8 teachers, 30 students (3 variants of 8 and 6 of one), 39 models; a job per model."""
    (counts, messages), _ = planned_under_another_name(root, tmp_path, "paper.yaml")
    assert counts["train_teacher"] == counts["predict_teacher"] == 8
    assert counts["train_student"] == 30
    assert counts["export_model"] == counts["simulate"] == 39
    simulated = [re.match(r"Simulate (T8|T|S1|S8).*/(\S+)", message) for message in messages if "Sim" in message]
    models = [match[1] for match in simulated]
    assert {kind: models.count(kind) for kind in set(models)} == {"T": 8, "T8": 1, "S1": 24, "S8": 6}
    assert counts["compute_structure"] == counts["compute_tae"] == 11
    once = "map_trajectory fit_prior judge_teachers average_ensemble collect_tables compare_models write_report"
    aa = "build_box minimise_aa equilibrate_aa produce_aa"
    for rule in (*once.split(), *aa.split(), "record_checksums", "estimate_ceiling", "measure_spread"):
        assert counts[rule] == 1, rule
    for job in JOBS:
        assert counts[f"plot_{job}"] == 1
    assert max(messages.values()) == 1


def test_root_and_workflow_plan_the_same(root, demo):
    """The two entry points differ only in the name of the target that stands for everything."""
    (counts, messages), path = demo
    other, other_messages = plan(root, "-s", "workflow/Snakefile", "--configfile", path)
    assert counts["default"] == other.pop("all") == 1
    assert {rule: number for rule, number in counts.items() if rule != "default"} == other
    assert other["simulate"] > 0
    assert messages == other_messages


def test_default_config_plans_from_committed_files(demo):
    (counts, _), _ = demo
    assert "build_box" not in counts
    assert counts["train_teacher"] == 8
    assert counts["write_report"] == 1


def test_one_student_needs_its_teachers_and_no_other_student(root, write_config):
    target = "results/planned-only/structure/S8-aa-kd-bead/summary.csv"
    counts, messages = plan(root, target, "--configfile", write_config())
    assert counts == {
        "map_trajectory": 1,
        "split_frames": 1,
        "fit_prior": 1,
        "train_teacher": 8,
        "predict_teacher": 8,
        "judge_teachers": 1,
        "average_ensemble": 1,
        "train_student": 1,
        "export_model": 1,
        "simulate": 1,
        "compute_reference": 1,
        "compute_structure": 1,
        "compute_tae": 1,
    }
    assert messages["Train student S8-aa-kd-bead/ensemble"] == messages["Simulate S8-aa-kd-bead/ensemble"] == 1


def test_students_of_one_teacher_need_no_mean(root, write_config):
    """A student needs the predictions of its own teacher; which teachers are sound is known when all are trained."""
    path = write_config()
    counts, _ = plan(root, "results/planned-only/structure/S1-aa-bead/summary.csv", "--configfile", path)
    assert "average_ensemble" not in counts
    assert counts["train_student"] == counts["predict_teacher"] == counts["train_teacher"] == counts["simulate"] == 8
    counts, messages = plan(root, "results/planned-only/students/S1-aa-bead/seed-5/metrics.csv", "--configfile", path)
    assert counts["train_teacher"] == 8
    assert counts["judge_teachers"] == counts["predict_teacher"] == counts["train_student"] == 1
    assert "Train student S1-aa-bead/seed-5" in messages
    assert "Predict forces and per-bead energies with teacher seed-5" in messages


def test_trainings_share_jobs(root, write_config, demo):
    """All teachers in one job, and of each variant the students of one teacher each.

    Everything else stays as it is.
    """
    (alone, _), _ = demo
    counts, messages = plan(root, "--configfile", write_config(training__together=True))
    together = {"train_teachers_together": 1, "train_students_together": 3, "train_student": 6}
    assert {rule: counts[rule] for rule in together} == together and "train_teacher" not in counts
    others = {rule: number for rule, number in alone.items() if not rule.startswith("train")}
    assert {rule: number for rule, number in counts.items() if not rule.startswith("train")} == others
    assert "Train students S1-aa-bead" in messages and "Train student S8-aa-kd/ensemble" in messages


def test_a_row_of_the_students_table_is_a_variant(root, write_config, demo):
    """One ensemble student: its training, export, simulation and structure; no other variant's job changes."""
    table = (root / "config" / "students.tsv").read_text(encoding="utf-8")
    (before, old), _ = demo
    after, new = plan(root, "--configfile", write_config(table + "S8-new\tS8 new\tensemble\t3\t1\t0\t2\n"))
    more = {rule: after[rule] - before[rule] for rule in after if after[rule] != before[rule]}
    assert more == {
        "train_student": 1,
        "export_model": 1,
        "simulate": 1,
        "compute_structure": 1,
        "compute_tae": 1,
    }
    assert not old - new
    assert all("S8-new" in message for message in new - old)


def test_pictures_can_be_left_out(root, write_config, demo):
    (before, _), _ = demo
    after, _ = plan(root, "--configfile", write_config(pictures=False))
    assert before["plot_boxes"] == 1
    assert before - after == {"plot_boxes": 1}


def test_teachers_alone(root, write_config):
    """A table without rows: T and T3, no student."""
    counts, messages = plan(root, "--configfile", write_config(HEADER, teachers__seeds=[4, 9, 11]))
    assert "train_student" not in counts
    for name in ("seed-4", "seed-9", "seed-11"):
        assert messages[f"Train teacher {name}"] == messages[f"Export T/{name}"] == 1
    assert messages["Export T3/ensemble"] == 1 and counts["export_model"] == 4


def test_options_by_the_names_of_rules(root, write_config):
    """--until and --omit-from take names that no config changes (--forcerun: test_end_to_end)."""
    path = write_config()
    counts, _ = plan(root, "--configfile", path, "--until", "train_teacher")
    assert counts == {"map_trajectory": 1, "split_frames": 1, "fit_prior": 1, "train_teacher": 8}
    counts, _ = plan(root, "--configfile", path, "--omit-from", "simulate")
    assert counts["export_model"] == 39 and not {"simulate", "compute_structure", "collect_tables"} & set(counts)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"training__learning_rat": 1e-3}, "config: training: found unknown key 'learning_rat'"),
        ({"shared": {"beads": "demo"}}, "config: top level: found unknown key 'shared'"),
        ({"simulation__temperature_K": ...}, "config: simulation: found no key 'temperature_K'"),
        ({"structure__adf__triplets": [["Cho", "Na", "Cl"]]}, "config: structure.adf.triplets[0]: found Na"),
        (
            {"structure__cdf__resolved_every_ps": 0.2},
            "structure.cdf.resolved_every_ps: found 0.2 ps",
        ),
        ({"stability__largest_cluster": 1.5}, "config: stability.largest_cluster: found 1.5, expected at most 1"),
        ({"aa__files__topology": "none.gro"}, "config: aa.files.topology: found no file none.gro"),
        ({"students": HEADER + "S1-x\tx\tsingle\t0\t0\t0\t0\n"}, "students.tsv: S1-x: found no weight above 0"),
    ],
)
def test_faults_end_before_anything_is_planned(root, write_config, changes, line):
    """With exit status 1 and one line that names file and key; the demo's values do not fill gaps."""
    status, text = snakemake(root, "-n", "--configfile", write_config(**changes))
    assert status == 1
    assert len([found for found in text.splitlines() if line in found]) == 1, text[-3000:]
    assert "Building DAG" not in text
    assert "Traceback" not in text


def blocks(root):
    """Rules of the workflow but for those that inherit from another: file, name and text."""
    for path in sorted((root / "workflow" / "rules").glob("*.smk")):
        for block in re.split(r"^(?=(?:use )?rule \w+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            if name := re.match(r"rule (\w+):", block):
                yield path, name[1], block


def test_every_rule_has_log_environment_message_resources_and_script(root):
    names = []
    for path, name, block in blocks(root):
        names.append(name)
        for directive in ("log", "conda", "message", "resources", "script"):
            assert re.search(rf"^    {directive}:", block, flags=re.MULTILINE), f"{path.name}, {name}: no {directive}"
        for kind in ("conda", "script"):
            file = re.search(rf"^    {kind}:\s+\"(.*)\"", block, flags=re.MULTILINE)[1]
            assert (path.parent / file).is_file(), f"{name}: {file}"
    assert len(names) == len(set(names)) >= 19


def test_every_script_belongs_to_a_rule(root):
    used = {file for _, _, block in blocks(root) for file in re.findall(r"scripts/(\w+\.py)\"", block)}
    assert used == {path.name for path in (root / "workflow" / "scripts").glob("*.py")}


def test_committed_configs_are_whole(root, tmp_path):
    """Every config of the repository, also those of the tests, passes the checks of the workflow."""
    from cgdistill.config.complete import read_config

    paths = [*(root / "config").glob("*.yaml"), *(root / "tests" / "configs").glob("*.yaml")]
    assert len(paths) >= 3
    runs = []
    for path in paths:
        runs.append(read_config(path)["run"])
    assert len(set(runs)) == len(runs)


#: The workflow, and what each of its rules asks for in its first and second attempt, as Snakemake works it out.
ASKING = """
include: "{root}/Snakefile"

import json, sys

for rule in list(workflow.rules):
    attempts = [dict(rule.expand_resources({{}}, [], attempt).items()) for attempt in (1, 2)]
    told = [{{key: asked.get(key) for key in ("mem_mb", "runtime", "gpu", "gres")}} for asked in attempts]
    threads = rule.resources["_cores"]
    print("ASKS", rule.name, threads if isinstance(threads, int) else 1, json.dumps(told), file=sys.stderr)
"""
NAMES = ("mem_mb", "runtime", "gpu", "gres")


def asked_by_rules(root, folder, config, *arguments):
    """By rule what it asks for in two attempts: memory, time, GPU in two ways."""
    (folder / "Snakefile").write_text(ASKING.format(root=root), encoding="utf-8")
    status, text = snakemake(root, "-n", "-s", folder / "Snakefile", "--configfile", config, *arguments)
    assert status == 0, text[-4000:]
    found = re.findall(r"^ASKS (\S+) \S+ (.*)$", text, re.M)
    return {name: [tuple(asked[key] for key in NAMES) for asked in json.loads(told)] for name, told in found}


def test_rules_ask_for_more_in_the_second_attempt(root, tmp_path, write_config):
    """Every rule of the workflow but for targets; nobody asks for a GPU where nobody says so."""
    rules = asked_by_rules(root, tmp_path, write_config())
    targets = ("all", "default")
    for name, (first, second) in rules.items():
        if name not in targets:
            assert second[:2] == (2 * first[0], 2 * first[1]) and first[2:] == second[2:] == (None, None), name


def test_the_slurm_profile_asks_by_rule(root, tmp_path, write_config):
    """For the paper's system; every name in the profile is that of a rule, and a GPU is asked for by either name."""
    profile = yaml.safe_load((root / "workflow/profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    profile["set-resources"]["simulate"]["gpu"] = 1
    profile["set-resources"]["train_student"] = profile["set-resources"]["train_student"] | {"gres": "'gpu:a100:1'"}
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "config.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    path, options = write_config(), ["--profile", tmp_path / "site", "--executor", "local", "--cores", "2"]
    rules = asked_by_rules(root, tmp_path, path, *options)
    aa = {"minimise_aa", "equilibrate_aa", "produce_aa"}
    assert set(profile["set-resources"]) | set(profile["set-threads"]) <= set(rules) | aa
    assert rules["train_teacher"] == [(16000, 1440, None, None), (32000, 2880, None, None)]
    assert rules["simulate"] == [(8000, 1440, 1, None), (16000, 2880, 1, None)]
    assert rules["train_student"][1] == (32000, 2880, None, "gpu:a100:1")
    assert rules["compute_tae"][0] == (4000, 60, None, None)
    rules = asked_by_rules(root, tmp_path, path, *options, "--resources", "mem_mb=9000", "runtime=2000")
    assert [asked[:2] for asked in rules["simulate"]] == [(8000, 1440), (9000, 2000)]


def test_resources_of_an_old_config(root, tmp_path, write_config):
    """A section `resources` is obeyed, and what a profile or the command line says goes before it."""
    job = {"threads": 1, "mem_mb": 700, "runtime_min": 7, "gpu": 0}
    section = {kind: job for kind in ("aa", "light", "train", "predict", "simulate", "analyse")}
    section["train"] = {"threads": 3, "mem_mb": 9000, "runtime_min": 99, "gpu": 1}
    path = write_config(resources=section)
    rules = asked_by_rules(root, tmp_path, path, "--set-resources", "simulate:mem_mb=1234")
    assert rules["train_teacher"] == rules["train_students_together"] == [(9000, 99, 1, None), (18000, 198, 1, None)]
    assert rules["map_trajectory"][0] == (700, 7, None, None)
    assert rules["simulate"][0] == (1234, 7, None, None)


def test_no_rule_is_named_by_a_config(root, tmp_path, write_config):
    """Other seeds, students and switches: the same rules, and those of all-atom data where they are made."""
    first = asked_by_rules(root, tmp_path, write_config())
    other = write_config(HEADER, teachers__seeds=[7], training__together=True, pictures=False, aa__source="openmm")
    aa = {"build_box", "minimise_aa", "equilibrate_aa", "produce_aa"}
    assert set(asked_by_rules(root, tmp_path, other)) == set(first) | aa
    assert 25 <= len(first) <= 40


def test_rulegraph_has_a_box_per_rule(root, write_config):
    status, text = snakemake(root, "--rulegraph", "--configfile", write_config())
    assert status == 0
    boxes = re.findall(r'label = "(\w+)"', text)
    assert len(boxes) == len(set(boxes)) == 25
    assert {"train_teacher", "simulate", "compute_tae"} <= set(boxes)
