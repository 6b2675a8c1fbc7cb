"""The list of figures: complete, unambiguous, with a caption for each."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import jinja2
import pytest
from cgdistill.config.models import Model, in_groups
from cgdistill.config.targets import TARGETS
from cgdistill.config.variants import Variant
from cgdistill.figures.catalogue import JOBS, box_variants, catalogue, drawn_by, target_groups
from cgdistill.report.captions import caption_values
from cgdistill.report.figures import Captions
from cgdistill.structure.spec import StructureSpec
from fabricate import ROOT, models_of, paper_variants, read_config, student_variants

VARIANTS = paper_variants()
MODELS, STUDENTS = models_of(VARIANTS), student_variants(VARIANTS)
SECTION = read_config("paper")["structure"]
ENTRIES = catalogue(MODELS, STUDENTS, StructureSpec.from_config(SECTION))


def _student(name, teacher, *weights):
    return Variant(name, name, teacher, dict(zip(TARGETS, weights, strict=True)))


def test_stems_are_file_names_that_no_file_system_confuses():
    stems = [entry.stem for entry in ENTRIES]
    assert len({stem.casefold() for stem in stems}) == len(stems)
    assert all(stem.isascii() and "/" not in stem and " " not in stem for stem in stems)
    assert len({(entry.category, entry.subcategory, entry.name) for entry in ENTRIES}) == len(stems)


def test_every_figure_has_one_job():
    by_job = [entry.stem for job in JOBS for entry in drawn_by(ENTRIES, job)]
    assert sorted(by_job) == sorted(entry.stem for entry in ENTRIES)
    with pytest.raises(ValueError, match="nothing"):
        drawn_by(ENTRIES, "nothing")


def test_every_model_has_its_figure():
    assert [entry.variant for entry in ENTRIES if entry.section == "models"] == [model.name for model in MODELS]
    assert not any(entry.variant for entry in ENTRIES if entry.section != "models")


@pytest.mark.parametrize("name", ["config", "paper"])
def test_captions_render_with_values_of_the_config(name):
    """That they are true, no test can say."""
    config = read_config(name)
    context = SimpleNamespace(config=config, params=SimpleNamespace(captions=caption_values(config)))
    captions = Captions((ROOT / "workflow" / "report").glob("*.rst"), snakemake=context)
    for entry in ENTRIES:
        assert captions.of(entry) and "{" not in captions.of(entry)
        # Snakemake's own report does not know for which metric it renders, and is lenient.
        template = (ROOT / "workflow" / "report" / f"{entry.caption}.rst").read_text(encoding="utf-8")
        assert jinja2.Template(template).render(snakemake=context).strip()
    by_stem = {entry.stem: captions.of(entry) for entry in ENTRIES}
    assert by_stem["rdf"].startswith("Radial") and "Angular" not in by_stem["rdf"]
    assert "(RDF 1 Å, ADF 0.2, CDF 0.5)" in by_stem["tae_rdf"]


def test_every_drawer_exists():
    """They are named by text, so that the list is light to import."""
    for entry in ENTRIES:
        module, _, function = entry.drawer.rpartition(".")
        assert callable(getattr(import_module(f"cgdistill.figures.{module}"), function)), entry.stem
        assert entry.module == f"figures.{module}"


def test_no_caption_is_without_a_figure():
    written = {path.stem for path in (ROOT / "workflow" / "report").glob("*.rst")}
    assert written - {entry.caption for entry in ENTRIES} == {"workflow", "report", "study", "tables"}


def test_of_the_angles_the_widest_radius_is_open():
    folded = {entry.stem: entry.folded for entry in ENTRIES if entry.stem.startswith("adf_")}
    assert folded == {"adf_6A": True, "adf_6.5A": True, "adf_7.5A": False}


def test_what_a_run_does_not_have_has_no_figure():
    models = [Model("T", "T", "teacher"), Model("T8", "T8", "teacher_ensemble")]
    structure = StructureSpec.from_config(SECTION | {"adf": SECTION["adf"] | {"triplets": []}})
    stems = {entry.stem for entry in catalogue(models, [], structure, False)}
    absent = {"boxes", "tae_adf", "training_students", "parity_students", "resolved_S1", "resolved_S8"}
    assert not stems & absent
    assert not any(stem.startswith(("targets", "adf")) for stem in stems)
    assert {"rdf", "tae_cdf", "resolved_T", "model_T8", "members_T_rdf"} <= stems


def test_groups_follow_the_kinds():
    assert list(in_groups([Model("a", "a", "ensemble"), Model("b", "b", "teacher_ensemble")])) == ["T", "S8"]


def test_energy_targets_of_the_paper():
    (group,) = target_groups(STUDENTS)
    assert (group.name, group.title) == ("S8-aa-kd", "S8, forces F and f")
    assert dict(group.columns) == {
        "none": ("S8-aa-kd",), "E": ("S8-aa-kd-sys",), "ε": ("S8-aa-kd-bead",), "E and ε": ("S8-aa-kd-sys-bead",),
    }  # fmt: skip


def test_energy_targets_of_any_table():
    """Teachers and force targets separate the groups, the size of weights does not."""
    students = [
        _student("a", "single", 1, 0, 0, 0), _student("b", "single", 3, 0, 0, 0.5),
        _student("c", "single", 1, 0, 0, 5), _student("d", "ensemble", 1, 0, 0, 5),
        _student("e", "ensemble", 1, 1, 0, 5), _student("f", "ensemble", 0, 0, 1, 0),
        _student("g", "ensemble", 0, 0, 0, 1),
    ]  # fmt: skip
    groups = {group.name: dict(group.columns) for group in target_groups(students)}
    assert groups == {"S1-aa": {"none": ("a",), "ε": ("b", "c")}, "S8": {"E": ("f",), "ε": ("g",)}}


def test_boxes_show_one_variant_of_each_kind():
    """Of students those with most targets, but without the system energy, so that S1 and S8 can be compared."""
    assert box_variants(MODELS, STUDENTS) == ["T", "T8", "S1-aa-kd-bead", "S8-aa-kd-bead"]


def test_import_is_light():
    """Rules import the list whenever a workflow is planned."""
    heavy = ("matplotlib", "pandas", "numba", "scipy")
    code = f"import sys; import cgdistill.figures.catalogue; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
