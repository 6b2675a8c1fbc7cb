"""This workflow as a module of another one; dry runs, so none of this shows whether a job would succeed."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path

import cgdistill
import pytest
import yaml
from planning import planned, snakemake

RUN = "planned-only"

HOST = """\
configfile: "config.yaml"


report: "report.rst"
"""
MODULE = """

module {name}:
    snakefile:
        "deps/cgdistill/workflow/Snakefile"
    prefix:
        {prefix!r}
    config:
        config["cgdistill"]


use rule * from {name} as {name}_*
"""
#: Another rule of the importing workflow, with a product of the module.
OWN = """

rule everything:
    default_target: True
    input:
        rules.cg_all.input,
        rules.cg_compute_reference.output.curves,
    output:
        "own.txt",
    shell:
        "echo > {output}"
"""
ALONE = """\
include: "deps/cgdistill/workflow/Snakefile"
"""
#: Writes files and parameters of all rules; of parameters that are functions of wildcards the value for one teacher.
#: Files that functions return get their prefix later: a plan shows whether they are found.
RECORD = """

import inspect
import json
import os
from types import SimpleNamespace


def plain(value):
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (str, int, float, type(None))):
        return value if isinstance(value, (int, float)) else str(value)
    if callable(value):
        asked = list(inspect.signature(value).parameters)
        if not set(asked) <= {"wildcards", "output"}:
            return "function"
        wildcards = SimpleNamespace(teacher="seed-1", variant="T", member="seed-1")
        return plain(value(**{name: wildcards if name == "wildcards" else None for name in asked}))
    return [plain(item) for item in value]


found = {}
for made in workflow.rules:
    kinds = {kind: getattr(made, kind) for kind in ("input", "output", "log", "params")}
    found[made.name] = {
        kind: plain({key: "function" if kind == "input" and callable(item) else item for key, item in rows.items()})
        for kind, rows in ((kind, dict(enumerate(items)) | dict(items.items())) for kind, items in kinds.items())
    } | {"benchmark": plain(made.benchmark)}
with open(os.environ["RECORD"], "w") as stream:
    json.dump(found, stream)
"""


def reached(value):
    """A config whose files of the repository are reached through the folder ``deps/cgdistill``."""
    if isinstance(value, dict):
        return {key: reached(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reached(item) for item in value]
    return f"deps/cgdistill/{value}" if str(value).startswith(("resources/", "config/")) else value


@pytest.fixture
def folder(root, tmp_path) -> Path:
    """Folder of an importing workflow: this repository below it, its own config around ours."""
    config = yaml.safe_load((root / "tests/configs/complete/demo.yaml").read_text(encoding="utf-8"))
    config = reached(config | {"run": RUN})
    (tmp_path / "alone.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"project": "p", "cgdistill": config}), encoding="utf-8")
    (tmp_path / "deps").mkdir()
    (tmp_path / "deps" / "cgdistill").symlink_to(root, target_is_directory=True)
    return tmp_path


def plan(folder, name, text, *arguments):
    """Number of jobs by rule in a dry run of a workflow, and what its rules are made of."""
    (folder / name).write_text(text + RECORD, encoding="utf-8")
    record = folder / f"{name}.json"
    status, output = snakemake(folder, "-n", "-s", name, *arguments, environment={"RECORD": str(record)})
    assert status == 0, output[-4000:]
    return planned(output), json.loads(record.read_text(encoding="utf-8"))


def below(prefix, row):
    """Files and parameters of a rule with a prefix before all that the workflow makes, and before nothing else."""
    text = json.dumps(row)
    for top in ("results", "logs", "benchmarks"):
        text = text.replace(f"{top}/{RUN}", f"{prefix}{top}/{RUN}")
    return json.loads(text)


@pytest.mark.parametrize("prefix", [None, "coarse/grained"])
def test_a_module_plans_the_same_jobs_below_its_prefix(folder, prefix):
    """Files that jobs make and the parameters that name them move together; files that the config names stay."""
    counts, rules = plan(folder, "alone.smk", ALONE, "all", "--configfile", "alone.yaml")
    host = HOST + MODULE.format(name="cg", prefix=prefix) + OWN
    hosted_counts, hosted_rules = plan(folder, "host.smk", host)
    assert counts.pop("all") == hosted_counts.pop("everything") == 1
    assert hosted_counts == {f"cg_{name}": number for name, number in counts.items()}
    assert hosted_rules.pop("everything")
    start = f"{prefix}/" if prefix else ""
    assert hosted_rules == {f"cg_{name}": below(start, row) for name, row in rules.items()}
    # Not vacuous: there are such files of each kind, and inputs from elsewhere.
    teacher = hosted_rules["cg_train_teacher"]
    [task] = teacher["params"]["tasks"]
    assert task["folder"] == f"{start}results/{RUN}/teachers/seed-1"
    assert task["checkpoint"].startswith(f"{start}results/{RUN}/checkpoints/")
    assert teacher["benchmark"].startswith(f"{start}benchmarks/{RUN}/")
    assert teacher["log"]["0"].startswith(f"{start}logs/{RUN}/")
    assert hosted_rules["cg_map_trajectory"]["input"]["mapping"] == "deps/cgdistill/config/mappings/des.yaml"
    assert hosted_rules["cg_write_report"]["input"]["students"] == "deps/cgdistill/config/students.tsv"


def test_two_imports_share_nothing(folder):
    """One workflow imports it twice, below two prefixes: each has its own products, and both are planned."""
    text = HOST + MODULE.format(name="cg", prefix="one") + MODULE.format(name="other", prefix="two")
    text += OWN.replace("rules.cg_all.input,", "rules.cg_all.input,\n        rules.other_all.input,")
    counts, rules = plan(folder, "twice.smk", text)
    first = {name.removeprefix("cg_"): number for name, number in counts.items() if name.startswith("cg_")}
    second = {name.removeprefix("other_"): number for name, number in counts.items() if name.startswith("other_")}
    assert first == second
    assert first["write_report"] == 1
    # Outputs by number, not again by name.
    outputs = Counter(path for row in rules.values() for key, path in row["output"].items() if key.isdigit())
    assert max(outputs.values()) == 1
    assert {path.split("/")[0] for path in outputs} == {"one", "two", "own.txt"}


def test_a_fault_in_the_config_of_a_module_is_named(folder):
    """One line says file, key, what was found and what was expected, as it does without a module."""
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    config["cgdistill"]["students"]["table"] = "config/students.tsv"
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "host.smk").write_text(HOST + MODULE.format(name="cg", prefix="one"), encoding="utf-8")
    status, text = snakemake(folder, "-n", "-s", "host.smk")
    assert status == 1
    assert "config/students.tsv: file: found No such file or directory" in text


def test_citation_says_what_is_installed(root):
    """Keys that the format requires, version and licence of the package, and the article of the method."""
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] == project["name"]
    assert citation["license"] == project["license"]
    assert citation["version"] == cgdistill.__version__
    assert all("name" in author or "family-names" in author for author in citation["authors"])
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference)
    assert "arXiv:2510.26650" in [entry["value"] for entry in citation["references"][0]["identifiers"]]


def test_catalogue_finds_what_it_lists(root):
    """The catalogue reads the metadata, the Snakefile and the description of the config at fixed places."""
    usage = yaml.safe_load((root / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    assert all(isinstance(text, str) for text in usage["mandatory-flags"].values())
    assert usage["software-stack-deployment"] == {"conda": True}
    assert usage["report"] is True
    for path in ("workflow/Snakefile", "config/README.md", "docs/as-a-module.md"):
        assert (root / path).is_file()
