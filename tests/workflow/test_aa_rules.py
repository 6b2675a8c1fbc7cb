"""Which all-atom rules a config plans; nothing runs."""

import subprocess
import sys

import pytest
import yaml

RULES = {"build_box", "minimise_aa", "equilibrate_aa", "produce_aa"}


@pytest.mark.parametrize(("source", "planned"), [("files", set()), ("gromacs", RULES), ("openmm", RULES)])
def test_all_atom_rules_follow_the_source(root, tmp_path, source, planned):
    """Given trajectories plan no engine; an engine plans its four rules ahead of the mapping.

    Cannot tell whether the engines run (tests/integration/test_aa_engines.py does).
    """
    config = yaml.safe_load((root / "config" / "config.yaml").read_text())
    config["run"] = f"plan-{source}"
    config["aa"]["source"] = source
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    target = f"results/plan-{source}/mapped/beads.h5"
    command = [
        sys.executable,
        "-m",
        "snakemake",
        target,
        "-n",
        "--quiet",
        "host",
        "--nolock",
        "--configfile",
        str(path),
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    rules = {line.split()[0] for line in text.splitlines() if line.split()[1:] == ["1"]}
    assert rules - {"total"} == planned | {"map_trajectory"}
