"""What the manifest names, against the plan; and whose library does the work.

Cannot tell whether checksums are right (tests/unit/test_verify.py does).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import h5py
import pytest
import yaml
from planning import snakemake

CONFIG = "tests/configs/complete/end-to-end.yaml"
#: Writes what the manifests of all runs are told.
RECORD = """
include: "{root}/Snakefile"

import json

rows = {{}}
for made in workflow.rules:
    if made.name.endswith("record_checksums"):
        told = {{key: getattr(made.params, key)(None, None) for key in ("folder", "stages", "shared")}}
        rows[told["folder"]] = told | {{"rule": made.name.removesuffix("record_checksums")}}
with open("told.json", "w") as stream:
    json.dump(rows, stream)


rule whole:
    default_target: True
    input:
        rules.default.input,
"""


@pytest.fixture
def folder(root, tmp_path):
    """A working folder without results."""
    for name in ("config", "resources", "tests"):
        (tmp_path / name).symlink_to(root / name)
    return tmp_path


def told_and_planned(root, folder, config, *more):
    """What the manifests are told by folder, and rule by file of all that is to be made."""
    (folder / "host.smk").write_text(RECORD.format(root=root), encoding="utf-8")
    status, text = snakemake(folder, "-s", "host.smk", "--configfile", config, *more, "--summary")
    assert status == 0, text[-3000:]
    rows = [line.split("\t") for line in text.splitlines() if line.startswith("results/")]
    return json.loads((folder / "told.json").read_text()), {row[0]: row[2] for row in rows}


def assert_all_named(told, planned):
    """Every product but the manifest itself, with the rule that makes it."""
    own = {path: rule for path, rule in planned.items() if path.startswith(f"{told['folder']}/")}
    assert own.pop(f"{told['folder']}/manifest.json") == f"{told['rule']}record_checksums"
    assert len(own) > 100
    assert told["stages"] == {path: rule.removeprefix(told["rule"]) for path, rule in own.items()}


@pytest.mark.parametrize("source", ["files", "openmm"])
def test_every_product_of_a_run(root, folder, source):
    """All-atom stages only where they run."""
    config = yaml.safe_load((root / CONFIG).read_text(encoding="utf-8"))
    config["aa"]["source"] = source
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    told, planned = told_and_planned(root, folder, path)
    [run] = told.values()
    assert run["shared"] == {}
    assert_all_named(run, planned)
    assert any("/aa/" in file for file in run["stages"]) == (source == "openmm")


def test_every_product_of_a_sweep(root, folder):
    """A cell's manifest has its own products, and those of others that it is made from."""
    (folder / "sweep.tsv").write_text(
        "name\tnetwork.n_features\tsimulation.damping_fs\na\t8\t\nb\t16\t\nc\t16\t50.0\n", encoding="utf-8"
    )
    told, planned = told_and_planned(root, folder, CONFIG, "--config", "sweep=sweep.tsv")
    study = "results/end-to-end-sweep"
    assert set(told) == {f"{study}/{cell}" for cell in "abc"}
    for run in told.values():
        assert_all_named(run, planned)
        assert set(run["shared"]) <= set(planned)
    from_a = {f"{study}/a/{file}": "end-to-end-sweep/a" for file in ("mapped/beads.h5", "mapped/split.json")}
    from_a[f"{study}/a/prior/prior.csv"] = "end-to-end-sweep/a"
    teachers = {path for path in planned if path.startswith(f"{study}/b/teachers/seed-")}
    assert told[f"{study}/a"]["shared"] == {}
    assert told[f"{study}/b"]["shared"] == from_a
    assert told[f"{study}/c"]["shared"] == from_a | dict.fromkeys(teachers, "end-to-end-sweep/b")


def test_jobs_use_the_library_beside_the_rules(root, folder):
    """Also where the package of another clone is installed: the version in the product is this tree's own."""
    shutil.copytree(root / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("__pycache__", "*.nb?"))
    shutil.copytree(root / "envs", folder / "envs", ignore=shutil.ignore_patterns("*.sif"))
    shutil.copy(root / "Snakefile", folder)
    package = folder / "workflow/lib/cgdistill/__init__.py"
    text = package.read_text(encoding="utf-8")
    package.write_text(text + '\n__version__ = "9.9.9"\n', encoding="utf-8")
    product = "results/end-to-end/mapped/beads.h5"
    command = [sys.executable, "-m", "snakemake", "--nolock", "--configfile", CONFIG, "--cores", "1", "--", product]
    environment = os.environ | {"PYTHONPATH": str(root / "workflow/lib")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    with h5py.File(folder / product) as file:
        assert json.loads(file.attrs["provenance"])["version"] == "9.9.9"
