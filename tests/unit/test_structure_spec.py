"""The config section ``structure``: what may be left out, and what is refused."""

from __future__ import annotations

import pytest
from cgdistill.core.errors import InputError
from cgdistill.structure.spec import StructureSpec
from structure_cases import section


def test_what_may_be_left_out():
    """Sections without convention and windows mean what they meant before."""
    spec = StructureSpec.from_config(section())
    assert (spec.convention, spec.cdf_resolved_every_ps) == ("cgdistill", 10.0)


def test_convention_and_windows():
    given = section()
    given["convention"] = "travis"
    given["cdf"]["resolved_every_ps"] = 4
    spec = StructureSpec.from_config(given)
    assert (spec.convention, spec.cdf_resolved_every_ps) == ("travis", 4.0)


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        (None, "convention", "Travis", "structure.convention: found Travis, expected cgdistill or travis"),
        (None, "conventions", "travis", "structure: found the keys rdf, adf, cdf, conventions"),
        ("cdf", "resolved_every_ps", 0, "structure.cdf.resolved_every_ps: found 0"),
        ("cdf", "resolved_every_ps", "4 ps", "structure.cdf.resolved_every_ps: found 4 ps"),
        ("cdf", "every_ps", 4, "structure.cdf: found the keys"),
        ("rdf", "resolved_every_ps", 4, "structure.rdf: found the keys"),
    ],
)
def test_what_is_refused(part, key, value, message):
    given = section()
    (given if part is None else given[part])[key] = value
    with pytest.raises(InputError) as error:
        StructureSpec.from_config(given, "my.yaml")
    assert message in str(error.value) and error.value.source == "my.yaml"
