"""What a config plans, by dry runs; nothing runs, so none of this shows whether a job would succeed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
import yaml
from cgdistill.figures.catalogue import JOBS

HEADER = "name\tlabel\tteacher\tw_F\tw_f\tw_E\tw_e\n"


def dry_run(root: Path, *arguments: str | Path) -> subprocess.CompletedProcess:
    """Snakemake's plan from the repository's root."""
    command = [sys.executable, "-m", "snakemake", "-n", "--nolock", *map(str, arguments)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, encoding="utf-8", check=False)


#: Rules made in a loop are called by one of these and by what they are for.
KINDS = ("train_teacher", "predict_teacher", "train_student", "export_model", "simulate")


def plan(root: Path, *arguments: str | Path) -> tuple[dict[str, int], Counter]:
    """Number of jobs by rule, or kind of rule, and the messages of the jobs."""
    done = dry_run(root, *arguments)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-4000:]
    table = text.split("Job stats:")[1].split("\n\n")[0]
    counts: Counter = Counter()
    for row in (line.split() for line in table.splitlines()):
        if len(row) == 2 and row[1].isdigit():
            kinds = [kind for kind in KINDS if row[0].startswith(f"{kind}_")]
            counts[kinds[0] if kinds else row[0]] += int(row[1])
    messages = Counter(re.findall(r"^Job \d+: (.*)$", text, flags=re.MULTILINE))
    assert counts.pop("total") == sum(counts.values())
    return counts, messages


def named(messages: Counter, what: str) -> dict[str, list[str]]:
    """Members by variant of the jobs whose message is ``what``, a variant and its members."""
    found = (re.fullmatch(rf"{what} (?:(\S+) \((.*)\)|(.*))", message) for message in messages)
    return {match[1] or "": (match[2] or match[3]).split(", ") for match in found if match}


@pytest.fixture
def write_config(root, tmp_path):
    """A function that writes the demo's complete config under an unused name of a run, with other values."""

    def write(students: str | None = None, **changes) -> Path:
        config = yaml.safe_load((root / "tests/configs/complete/demo.yaml").read_text(encoding="utf-8"))
        config["run"] = "planned-only"
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
    done = dry_run(root, "--configfile", path)
    assert done.returncode == 1
    expected = "found 12 A, expected at most 11.300 A, half the cell of resources/demo/des128.gro"
    assert (
        f"config: network.cutoff_A: {expected}; also for structure.rdf.r_max_A, now 20 A" in done.stdout + done.stderr
    )
    path.write_text(MINIMAL + FITTING, encoding="utf-8")
    counts, messages = plan(root, "--configfile", path)
    assert counts["map_trajectory"] == 1 and "build_box" not in counts
    assert named(messages, "Train teachers") == {"": [f"seed-{seed}" for seed in range(1, 9)]}


def test_paper_plans_the_whole_matrix(root, tmp_path):
    """8 teachers, 30 students (3 variants of 8 and 6 of one) and 256 simulations (8, 8, 192 and 48).

    One job trains or simulates up to 8 models of a variant, and one exports all models of a variant.
    """
    (counts, messages), _ = planned_under_another_name(root, tmp_path, "paper.yaml")
    assert counts["train_teacher"] == counts["predict_teacher"] == 1
    assert named(messages, "Train teachers") == {"": [f"seed-{seed}" for seed in range(1, 9)]}
    students = named(messages, "Train students")
    assert sorted(map(len, students.values())) == [1] * 6 + [8] * 3
    assert counts["train_student"] == len(students)
    exported = named(messages, "Export")
    assert counts["export_model"] == len(exported) == 11
    assert sum(map(len, exported.values())) == 39
    simulated = [re.match(r"Simulate (T8|T|S1|S8).* \((.*)\)", message) for message in messages if "Sim" in message]
    assert counts["simulate"] == len(simulated) == 32
    runs = Counter({kind: 0 for kind in ("T", "T8", "S1", "S8")})
    for match in simulated:
        runs[match[1]] += len(match[2].split(", "))
    assert runs == {"T": 8, "T8": 8, "S1": 192, "S8": 48}
    assert counts["compute_structure"] == counts["compute_tae"] == 11
    for rule in ("map_trajectory", "fit_prior", "average_ensemble", "collect_tables", "compare_models", "write_report"):
        assert counts[rule] == 1
    assert counts["record_checksums"] == 1
    for rule in ("estimate_ceiling", "measure_spread", *(f"plot_{job}" for job in JOBS)):
        assert counts[rule] == 1
    for rule in ("build_box", "minimise_aa", "equilibrate_aa", "produce_aa"):
        assert counts[rule] == 1
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
    assert counts["train_teacher"] == 2, "eight teachers, four to a job"
    assert counts["write_report"] == 1


def test_one_student_needs_its_teachers_and_no_other_student(root, write_config):
    target = "results/planned-only/structure/S8-aa-kd-bead/summary.csv"
    counts, messages = plan(root, target, "--configfile", write_config(training__models_per_job=8))
    assert counts == {
        "map_trajectory": 1,
        "split_frames": 1,
        "fit_prior": 1,
        "train_teacher": 1,
        "predict_teacher": 1,
        "judge_teachers": 1,
        "average_ensemble": 1,
        "train_student": 1,
        "export_model": 1,
        "simulate": 1,
        "compute_reference": 1,
        "compute_structure": 1,
        "compute_tae": 1,
    }
    assert named(messages, "Train students") == {"S8-aa-kd-bead": ["ensemble"]}
    assert named(messages, "Simulate") == {"S8-aa-kd-bead": [f"ensemble/replica-{k}" for k in (1, 2, 3, 4)]}


def test_one_run_needs_the_runs_of_its_job_alone(root, write_config):
    """Seven runs in jobs of three: run 5 comes with 4 and 6, and with no other model's."""
    path = write_config(simulation__replicas__ensemble=7, simulation__runs_per_job=3)
    target = "results/planned-only/simulations/S8-aa-kd-bead/ensemble/replica-{}/final.data"
    counts, messages = plan(root, target.format(5), "--configfile", path)
    assert counts["simulate"] == counts["train_student"] == counts["export_model"] == 1
    assert named(messages, "Simulate") == {"S8-aa-kd-bead": [f"ensemble/replica-{k}" for k in (4, 5, 6)]}
    counts, _ = plan(root, *(target.format(k) for k in (1, 2, 3, 7)), "--configfile", path)
    assert counts["simulate"] == 2


def test_students_of_one_teacher_need_no_mean(root, write_config):
    """They learn from the teachers of their own job alone: teacher 5 is in the second of three.

    Which teachers are sound is known when all are trained.
    """
    path = write_config(training__models_per_job=3)
    counts, messages = plan(root, "results/planned-only/structure/S1-aa-bead/summary.csv", "--configfile", path)
    assert "average_ensemble" not in counts
    assert counts["train_student"] == counts["predict_teacher"] == counts["train_teacher"] == 3
    assert counts["export_model"] == 1
    counts, messages = plan(root, "results/planned-only/students/S1-aa-bead/seed-5/metrics.csv", "--configfile", path)
    assert counts["train_teacher"] == 3
    assert counts["judge_teachers"] == counts["predict_teacher"] == counts["train_student"] == 1
    assert named(messages, "Train students") == {"S1-aa-bead": ["seed-4", "seed-5", "seed-6"]}
    assert "Predict forces and per-bead energies with teachers seed-4, seed-5, seed-6" in messages


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
    assert named(messages, "Train teachers") == {"": ["seed-4", "seed-9", "seed-11"]}
    assert named(messages, "Export") == {"T": ["seed-4", "seed-9", "seed-11"], "T3": ["ensemble"]}


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
    done = dry_run(root, "--configfile", write_config(**changes))
    text = done.stdout + done.stderr
    assert done.returncode == 1
    assert len([found for found in text.splitlines() if line in found]) == 1, text[-3000:]
    assert "Building DAG" not in text
    assert "Traceback" not in text


def blocks(root):
    """Rules of the workflow: file, name (of one made in a loop the kind) and text without the loop's indentation."""
    for path in sorted((root / "workflow" / "rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        for block in re.split(r"^(?=[ ]*(?:rule|checkpoint)\b.*:$)", text, flags=re.MULTILINE)[1:]:
            block = textwrap.dedent(re.match(r"(?:[ ]*\n|([ ]*)\S.*\n(?:\1[ ]+.*\n|[ ]*\n)*)", block)[0])
            name = re.match(r"\w+ (\w+):", block) or re.search(r"name:\s+f\"(\w+)_\{", block)
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
    used = {Path(file).name for _, _, block in blocks(root) for file in re.findall(r"scripts/\w+\.py", block)}
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
    print("ASKS", rule.name, json.dumps(told), file=sys.stderr)
"""


def asked_by_rules(root, folder, *more):
    """What rules of config/paper.yaml ask for in two attempts, with the default resources of the Slurm profile."""
    (folder / "Snakefile").write_text(ASKING.format(root=root), encoding="utf-8")
    profile = yaml.safe_load((root / "workflow/profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    defaults = [f"{name}={value}" for name, value in profile["default-resources"].items()]
    arguments = ["-s", folder / "Snakefile", "--configfile", "config/paper.yaml", "--default-resources", *defaults]
    done = dry_run(root, *arguments, *more)
    assert done.returncode == 0, done.stderr[-4000:]
    return {name: json.loads(text) for name, text in re.findall(r"^ASKS (\S+) (.*)$", done.stderr, re.M)}


@pytest.mark.parametrize("gpu_gres", [None, "gpu", "gpu:a100"])
def test_gpus_are_asked_for_as_the_profile_says(root, tmp_path, gpu_gres):
    """`gpu` for the executor's --gpus; with the profile's `gpu_gres` instead `gres`, its name and the number."""
    more = [] if gpu_gres is None else [f"gpu_gres={gpu_gres}"]
    rules = asked_by_rules(root, tmp_path, *more)
    kinds = ("train_teacher", "predict_teacher", "train_student", "simulate")
    on_gpu = [name for name in rules if name.startswith(kinds)] + ["measure_spread"]
    assert len(on_gpu) > 40
    for name, attempts in rules.items():
        for asked in attempts:
            found = (asked["gpu"] or 0, asked["gres"])
            if name not in on_gpu:
                assert found == (0, None), name
            else:
                assert found == ((1, None) if gpu_gres is None else (0, f"{gpu_gres}:1")), name


def test_second_attempt_asks_for_twice_the_time_and_memory(root, tmp_path):
    """All rules with a kind of job, up to the limits of the site."""
    from cgdistill.config.complete import read_config

    config = read_config(root / "config" / "paper.yaml")
    rules = asked_by_rules(root, tmp_path)
    for name, kind in (("simulate_T8_1", "simulate"), ("train_teacher_1", "train"), ("map_trajectory", "light")):
        mem_mb, minutes = (config["resources"][kind][key] for key in ("mem_mb", "runtime_min"))
        assert [(asked["mem_mb"], asked["runtime"]) for asked in rules[name]] == [
            (mem_mb, minutes),
            (2 * mem_mb, 2 * minutes),
        ]
    # Rules without a kind: targets, which make nothing.
    growing = {name for name, (first, second) in rules.items() if second["mem_mb"] == 2 * first["mem_mb"]}
    assert set(rules) - growing <= {"all", "default"}
    limited = asked_by_rules(root, tmp_path, "--resources", "mem_mb=9000", "runtime=2000")
    assert [(asked["mem_mb"], asked["runtime"]) for asked in limited["simulate_T8_1"]] == [(8000, 1440), (9000, 2000)]
