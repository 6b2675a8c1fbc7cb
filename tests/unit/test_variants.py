"""Variants and their members."""

from __future__ import annotations

import pytest
from cgdistill.config.variants import Variant, all_variants, check_variants, teacher_names, teacher_variants
from cgdistill.core.errors import InputError

TEACHERS = ["seed-1", "seed-7"]


def student(name, label=None, kind="single", **weights):
    return Variant(name, label or name, kind, weights or {"F": 1.0})


def test_members_by_kind():
    assert student("S1-a").members(TEACHERS) == TEACHERS
    assert student("S8-a", kind="ensemble").members(TEACHERS) == ["ensemble"]
    single, together = teacher_variants(8)
    assert (single.name, single.members(TEACHERS)) == ("T", TEACHERS)
    assert (together.name, together.label, together.members(TEACHERS)) == ("T8", "T8", ["ensemble"])
    assert teacher_variants(3)[1].name == "T3"
    assert teacher_names([1, 7]) == TEACHERS


def test_order_of_figures():
    names = [variant.name for variant in all_variants(8, [student("b"), student("a")])]
    assert names == ["T", "T8", "b", "a"]


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([student("S1-x"), student("s1-X")], "more than case"),
        ([student("S1-x"), student("S1-x", label="other")], "already"),
        ([student("S1-x", F=0.0, f=0.0)], "no weight above 0"),
        ([student("T8")], "kept for the teachers"),
        ([student("t")], "kept for the teachers"),
        ([student("a", label="S1"), student("b", label="S1")], "S1 twice"),
    ],
)
def test_faults(variants, message):
    with pytest.raises(InputError, match=message) as caught:
        check_variants(variants, "students.tsv")
    assert caught.value.source == "students.tsv"


def test_names_that_only_begin_like_teachers_are_fine():
    check_variants([student("T8-control"), student("Tiny")], "students.tsv")
