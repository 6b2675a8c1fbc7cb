"""The mapping file, read into rules and checked."""

from __future__ import annotations

import copy

import pytest
from atom_cases import RULES, rules
from cgdistill.config.validate import validate
from cgdistill.core.errors import InputError
from cgdistill.data.mapping_rules import MappingRules
from cgdistill.io.text import read_yaml


@pytest.fixture
def schema(root):
    return read_yaml(root / "workflow" / "schemas" / "mapping.schema.yaml")


def test_rules_of_a_residue(schema):
    validate(RULES, schema, "mapping.yaml")
    read = rules()
    head, tail, _ = read.residues["CHN"]
    assert (head.name, head.type, head.atoms, head.select) == ("Head", "Head", None, "name O5 or name C4")
    assert (tail.name, tail.type, tail.atoms) == ("TailA", "Tail", ("C1", "C2"))
    assert read.types == ("Tail", "Head", "Cl", "Duo")
    assert read.unmapped == {"CHN": {"H7"}, "ION": set(), "DUO": set()}


def test_every_mapping_that_comes_along_is_valid(root, schema):
    for path in sorted((root / "config" / "mappings").glob("*.yaml")):
        data = read_yaml(path)
        validate(data, schema, path)
        assert MappingRules.from_dict(data, path).types == tuple(data["types"])


@pytest.mark.parametrize(
    ("types", "found"),
    [(["Tail", "Head", "Cl"], "Duo"), (["Tail", "Head", "Cl", "Duo", "Na"], "Na")],
)
def test_types_and_beads_must_agree(types, found):
    with pytest.raises(InputError, match=found) as caught:
        MappingRules.from_dict(RULES | {"types": types}, "mapping.yaml")
    assert caught.value.item == "types"


def test_bead_names_differ_within_a_residue():
    data = copy.deepcopy(RULES)
    data["residues"]["CHN"]["beads"][2]["name"] = "TailA"
    with pytest.raises(InputError, match=r"residues\.CHN\.beads"):
        MappingRules.from_dict(data, "mapping.yaml")


@pytest.mark.parametrize(
    ("bead", "message"),
    [
        ({"name": "Cl"}, "atoms"),
        ({"name": "Cl", "atoms": "all", "select": "all"}, r"residues\.ION\.beads\[0\]"),
        ({"name": "Cl", "atoms": []}, r"residues\.ION\.beads\[0\]\.atoms"),
        ({"name": "Cl", "atoms": "some"}, r"residues\.ION\.beads\[0\]\.atoms"),
        ({"name": "Cl 1", "atoms": "all"}, r"residues\.ION\.beads\[0\]\.name"),
        ({"name": "Cl", "atoms": "all", "mass": 3}, "mass"),
    ],
)
def test_faults_of_a_bead_are_named(schema, bead, message):
    data = copy.deepcopy(RULES)
    data["residues"]["ION"]["beads"] = [bead]
    with pytest.raises(InputError, match=message):
        validate(data, schema, "mapping.yaml")
