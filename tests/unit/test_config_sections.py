"""Sections of the config: defaults, suggestions, reference and the complete config, from one source."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Literal

import pytest
import yaml
from cgdistill.cli.main import main
from cgdistill.config import complete
from cgdistill.config.complete import build, complete_config, keys_that_change, read_config, value_settings
from cgdistill.config.keys import REQUIRED, Changes, Derived, is_section, key, section_of, walk
from cgdistill.config.reference import COMMAND, as_commented_yaml, with_reference
from cgdistill.config.schema import schema_of
from cgdistill.config.sections.config import Config
from cgdistill.config.validate import validate
from cgdistill.core.errors import InputError
from cgdistill.io.text import read_yaml

#: What a user has to write: the example of config/README.md.
MINIMAL = {
    "run": "water",
    "aa": {"files": {"topology": "water.gro", "trajectory": ["water.trr"]}},
    "mapping": {"file": "water.yaml"},
    "simulation": {"temperature_K": 300},
}


#: What configs of the first version could not choose.
ARCHITECTURE = {"architecture": "hipnn"}


@pytest.fixture
def minimal():
    return copy.deepcopy(MINIMAL)


@pytest.mark.parametrize(
    ("short", "full"),
    [("config/config.yaml", "demo"), ("config/paper.yaml", "paper"), ("tests/configs/end-to-end.yaml", "end-to-end")],
)
def test_configs_of_the_first_version_mean_what_they_meant(root, short, full):
    """A config with every key written out equals the short one with its defaults, and keeps its values.

    But for how jobs are run: `models_per_job` is ignored, and the short configs leave resources to profiles.
    """
    path = root / "tests" / "configs" / "complete" / f"{full}.yaml"
    found, other, given = read_config(path), read_config(root / short), read_yaml(path)
    assert found["resources"] == given.pop("resources")
    for config in (found, other):
        del config["resources"], config["training"]["together"]
    del given["training"]["models_per_job"]
    assert found == other
    used = ("source", "files") if full != "paper" else ("source", "system", "protocol")
    assert given["structure"].pop("convention") == "cgdistill"
    assert found.pop("aa") == {name: given["aa"][name] for name in used}
    given["network"] |= ARCHITECTURE
    assert found == {name: value for name, value in given.items() if name != "aa"}


def test_defaults_are_the_published_protocol(root, minimal):
    """Of the sections that concern any system; GPUs are asked for where the config says so."""
    paper = read_yaml(root / "tests" / "configs" / "complete" / "paper.yaml")
    paper["network"] |= ARCHITECTURE
    found = complete_config(minimal)
    del found["training"]["together"], paper["training"]["models_per_job"]  # how jobs are run
    for name in (
        "split",
        "prior",
        "network",
        "training",
        "failures",
        "teachers",
        "students",
        "statistics",
        "stability",
    ):
        assert found[name] == paper[name], name
    assert found["simulation"] == paper["simulation"] | {"temperature_K": 300.0}
    protocol = complete_config(minimal | {"aa": {k: v for k, v in paper["aa"].items() if k != "protocol"}
                                          | {"protocol": {"temperature_K": 298.1}}})["aa"]["protocol"]  # fmt: skip
    assert protocol == paper["aa"]["protocol"]


def test_complete_config_is_complete_and_stays_as_it_is(minimal):
    before = copy.deepcopy(minimal)
    found = complete_config(minimal, ("A", "B"))
    assert minimal == before
    assert complete_config(found) == found
    assert found["structure"]["adf"]["triplets"] == [["A", "A", "A"], ["B", "B", "B"]]
    assert yaml.safe_load(yaml.safe_dump(found)) == found
    unused = {name for name, _ in walk(Config) if name.startswith(("aa.system", "aa.protocol"))}
    for name, _ in walk(Config):
        part = found
        for word in name.split(".") if name not in unused else ():
            part = part[word]


def test_equal_configs_are_equal_as_text(minimal):
    """Whatever the order of keys and the way to write a number: Snakemake compares parameters as text."""
    other = dict(reversed(minimal.items())) | {"simulation": {"timestep_fs": 2, "temperature_K": 300.0}}
    assert repr(complete_config(other)) == repr(complete_config(minimal))


def test_all_but_four_places_have_defaults():
    """Keys that a user has to give, also those of all-atom data to be made."""
    required = {name for name, item in walk(Config) if item.default is REQUIRED and not is_section(item.type)}
    made = {"aa.system.molecules", "aa.system.force_field", "aa.system.cell_A", "aa.protocol.temperature_K"}
    given = {"run", "aa.files.topology", "aa.files.trajectory", "mapping.file", "simulation.temperature_K"}
    assert required == made | given


@pytest.mark.parametrize(
    ("change", "item", "missing"),
    [
        ({"run": ...}, "top level", "'run'"),
        ({"aa": ...}, "aa.files", "'topology', 'trajectory'"),
        ({"mapping": ...}, "mapping", "'file'"),
        ({"simulation": ...}, "simulation", "'temperature_K'"),
        ({"aa": {"source": "openmm"}}, "aa.protocol", "'temperature_K'"),
        ({"aa": {"source": "openmm", "protocol": {"temperature_K": 300}}}, "aa.system", "'molecules', 'force_field'"),
    ],
)
def test_what_has_no_default_is_asked_for(minimal, change, item, missing):
    given = {name: value for name, value in (minimal | change).items() if value is not ...}
    with pytest.raises(InputError) as caught:
        complete_config(given)
    assert caught.value.item == item
    assert f"no key {missing}" in caught.value.found


def test_sections_that_are_not_used_are_left_out(minimal):
    """Also where they hold values: a config for two sources is one for each."""
    minimal["aa"]["system"] = {"molecules": "nonsense"}
    assert set(complete_config(minimal)["aa"]) == {"source", "files"}


def test_derived_defaults_follow_the_given_keys(minimal):
    assert complete_config(minimal | {"network": {"cutoff_A": 9}})["network"]["soft_max_A"] == 8.0
    assert complete_config(minimal | {"network": {"cutoff_A": 9, "soft_max_A": 7}})["network"]["soft_max_A"] == 7.0


@pytest.mark.parametrize(
    ("place", "name", "meant"),
    [
        ("training", "learning_rat", "learning_rate"),
        ("network", "n_feature", "n_features"),
        ("training", "cutoff_A", "aa.protocol.cutoff_A or network.cutoff_A"),
        ("structure", "resamples", "statistics.resamples"),
        ("", "trainings", "training"),
        ("", "bin_width_deg", "structure.adf.bin_width_deg"),
        ("split", "resolved_every", "structure.cdf.resolved_every_ps"),
        ("simulation", "xyz", None),
    ],
)
def test_unknown_keys_suggest_the_nearest(minimal, place, name, meant):
    """In the same section, or where a key of this name is."""
    (minimal.setdefault(place, {}) if place else minimal)[name] = 1
    with pytest.raises(InputError) as caught:
        complete_config(minimal)
    assert caught.value.item == (place or "top level")
    assert caught.value.found == f"unknown key {name!r}"
    expected = str(caught.value.expected)
    assert expected.endswith(f"; did you mean {meant}?") if meant else "did you mean" not in expected


def test_every_key_is_closed(root):
    """A word more at any key of any section is an error of that section."""
    config = read_config(root / "config" / "paper.yaml")
    for name, item in walk(Config, config):
        section, _, last = name.rpartition(".")
        if name.startswith("aa.files") or is_section(item.type):
            continue
        broken = copy.deepcopy(config)
        part = broken
        for word in section.split(".") if section else ():
            part = part[word]
        part[last + "_A"] = 1
        with pytest.raises(InputError) as caught:
            complete_config(broken)
        assert f"unknown key '{last}_A'" in caught.value.found
        assert caught.value.item == (section or "top level")


def test_keys_of_earlier_versions_are_ignored_and_logged(minimal, monkeypatch, caplog):
    caplog.set_level("INFO", "cgdistill")
    monkeypatch.setattr(
        complete, "RETIRED", {"structure.rdf.smooth": (3, "curves are not smoothed"), "old": (1, "gone")}
    )
    given = minimal | {"structure": {"rdf": {"smooth": 3}}, "old": 1}
    assert complete_config(given) == complete_config(minimal)
    assert "structure.rdf.smooth is ignored: curves are not smoothed" in caplog.text


def test_a_value_of_an_earlier_version_that_is_not_done_any_more_is_refused(minimal):
    assert complete_config(minimal | {"structure": {"convention": "cgdistill"}}) == complete_config(minimal)
    with pytest.raises(InputError, match=r"structure\.convention: found 'travis', expected no such key"):
        complete_config(minimal | {"structure": {"convention": "travis"}})


def test_every_key_is_described():
    """In a sentence that ends as one, with a unit where the name has one."""
    units = {"A": "Å", "ps": "ps", "fs": "fs", "K": "K", "deg": "°", "mb": "MB", "min": "min", "steps": "steps"}
    for name, item in walk(Config):
        if is_section(item.type):
            continue
        assert item.key.description.endswith((".", ").")), name
        end = name.rpartition(".")[2].rpartition("_")
        if end[1] and end[2] in units and "kcal" not in name and not name.endswith(("minimise_steps", "soft_min")):
            assert item.key.unit == units[end[2]], name


def test_keys_that_rerun_nothing():
    idle = {name for name in keys_that_change(Changes.NOTHING) if not name.startswith("resources.")}
    assert idle == {"training.together", "simulation.runs_per_job", "simulation.limits.keep_frames"}
    assert len(keys_that_change(Changes.NOTHING)) == 3 + 6 * 4


def test_settings_that_determine_values(minimal):
    config = complete_config(minimal)
    found = value_settings(config, "simulation")
    assert set(config["simulation"]) - set(found) == {"replicas", "runs_per_job"}
    assert set(config["simulation"]["limits"]) - set(found["limits"]) == {"keep_frames"}
    assert value_settings(config, "network") == config["network"]


def test_sections_become_objects(minimal):
    config = build(Config, complete_config(minimal, ("A",)))
    assert config.simulation.limits.force_kcal_mol_A == 500.0
    assert config.structure.adf.triplets == (("A", "A", "A"),)
    assert config.aa.files is not None
    assert config.aa.files.trajectory == ("water.trr",)
    assert config.aa.system is None
    assert hash(config) == hash(build(Config, complete_config(minimal, ("A",))))


# A section whose keys depend on a choice ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Net:
    """A network."""

    architecture: Literal["net"] = key("Architecture.", "net")
    width: int = key("Width.", 3, minimum=1)


@dataclass(frozen=True, kw_only=True)
class Spline:
    """A spline."""

    architecture: Literal["spline"] = key("Architecture.", "spline")
    knots: int = key("Knots.", Derived("always 7", lambda section: 7), minimum=2)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model of either."""

    network: Net | Spline = field(default_factory=Net)


@pytest.mark.parametrize(
    ("given", "section", "expected"),
    [
        ({}, Net, {"architecture": "net", "width": 3}),
        ({"width": 5}, Net, {"architecture": "net", "width": 5}),
        ({"architecture": "spline"}, Spline, {"architecture": "spline", "knots": 7}),
        ({"architecture": "spline", "knots": 9}, Spline, {"architecture": "spline", "knots": 9}),
    ],
)
def test_a_choice_selects_the_keys(given, section, expected):
    assert section_of(Net | Spline, given) is section
    validate({"network": given}, schema_of(Model, {"network": given}), "config")
    filled = complete._filled(Model, {"network": given}, None)
    assert filled == {"network": expected}
    assert build(Model, filled) == Model(network=section(**expected))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"architecture": "spline", "width": 3},
            "network: found unknown key 'width', expected only architecture, knots",
        ),
        ({"architecture": "splines"}, "network.architecture: found 'splines', expected one of net, spline"),
        ({"knots": 3}, "network: found unknown key 'knots', expected only architecture, width"),
    ],
)
def test_keys_of_another_choice_are_unknown(given, message):
    with pytest.raises(InputError, match=message):
        validate({"network": given}, schema_of(Model, {"network": given}), "config")


# Reference and command line ---------------------------------------------------------------------------------------


def test_tables_of_the_reference_are_up_to_date(root):
    path = root / "config" / "README.md"
    text = path.read_text(encoding="utf-8")
    assert with_reference(text, path) == text, f"config/README.md is out of date; run: {COMMAND}"


def test_example_of_the_reference_is_a_config(root):
    """The first YAML block of config/README.md is complete for a user."""
    text = (root / "config" / "README.md").read_text(encoding="utf-8")
    example = yaml.safe_load(text.split("```yaml\n", 1)[1].split("```", 1)[0])
    assert complete_config(example)["network"]["soft_max_A"] == 9.0


def test_reference_has_every_key(root):
    text = (root / "config" / "README.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    for name, item in walk(Config):
        if not is_section(item.type):
            assert (name.partition(".")[2] or name) in rows, name


@pytest.mark.parametrize("text", ["no markers", "<!-- reference: network -->\n<!-- end of reference -->\n" * 2])
def test_a_document_without_the_markers_is_refused(tmp_path, text, capsys):
    path = tmp_path / "doc.md"
    path.write_text(text, encoding="utf-8")
    assert main(["config", "--reference", str(path)]) == 1
    assert "doc.md: markers: found" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == text


def test_reference_command_updates_a_document(root, tmp_path, capsys):
    text = (root / "config" / "README.md").read_text(encoding="utf-8")
    path = tmp_path / "doc.md"
    path.write_text(text.replace("| `seed` |", "| `sead` |"), encoding="utf-8")
    for words in ("updated", "up to date"):
        assert main(["config", "--reference", str(path)]) == 0
        assert capsys.readouterr().out == f"{path}: {words}\n"
        assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", ["config.yaml", "paper.yaml"])
def test_printed_config_is_the_complete_config(root, tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(root)
    assert main(["config", f"config/{name}"]) == 0
    text = capsys.readouterr().out
    path = tmp_path / "printed.yaml"
    path.write_text(text, encoding="utf-8")
    assert read_yaml(path) == read_config(path) == read_config(root / "config" / name)
    assert "  # Length of the production. [ps]\n  production_ps: " in text
    assert max(map(len, text.splitlines())) < 140


def test_printed_config_has_every_value_after_its_comment(minimal):
    lines = as_commented_yaml(complete_config(minimal)).splitlines()
    for before, line in zip(lines, lines[1:], strict=False):
        if line.strip() and not line.strip().startswith(("#", "- ")):
            assert before.strip().startswith("#"), line


def test_faults_of_a_config_are_one_line(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("run: a\nsimulation: {temperature: 300}\n", encoding="utf-8")
    assert main(["config", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "mine.yaml" in error


def test_bead_types_of_the_mapping_give_the_triplets(root, tmp_path, monkeypatch, minimal):
    monkeypatch.chdir(root)
    minimal["mapping"]["file"] = "config/mappings/des.yaml"
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(minimal), encoding="utf-8")
    triplets = read_config(path)["structure"]["adf"]["triplets"]
    assert triplets == [[name] * 3 for name in ("Cho", "Cl", "Urea")]
