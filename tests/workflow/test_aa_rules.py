"""Which all-atom rules a config plans; nothing runs."""

import pytest
import yaml
from planning import plan

RULES = {"build_box", "minimise_aa", "equilibrate_aa", "produce_aa"}


@pytest.mark.parametrize(("source", "expected"), [("files", set()), ("gromacs", RULES), ("openmm", RULES)])
def test_all_atom_rules_follow_the_source(root, tmp_path, source, expected):
    """Given trajectories plan no engine; an engine plans its four rules before the mapping.

    Cannot tell whether the engines run (tests/integration/test_aa_engines.py does).
    """
    config = yaml.safe_load((root / "config" / "config.yaml").read_text())
    config["run"] = f"plan-{source}"
    config["aa"]["source"] = source
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    counts, _ = plan(root, f"results/plan-{source}/mapped/beads.h5", "--configfile", path)
    assert set(counts) == expected | {"map_trajectory"}
