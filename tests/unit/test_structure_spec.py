"""The config section ``structure``: what may be left out, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from cgdistill.core.errors import InputError
from cgdistill.structure.spec import StructureSpec
from structure_cases import section


def test_what_may_be_left_out():
    """Sections without convention and windows mean what they meant before."""
    spec = StructureSpec.from_config(section())
    assert (spec.convention, spec.settings["cdf"].resolved_every_ps) == ("cgdistill", 10.0)


def test_convention_of_older_configs_and_windows():
    given = section()
    given["convention"] = "cgdistill"
    given["cdf"]["resolved_every_ps"] = 4
    spec = StructureSpec.from_config(given)
    assert (spec.convention, spec.settings["cdf"].resolved_every_ps) == ("cgdistill", 4.0)


def test_distances_that_have_to_fit_into_half_of_the_cell():
    """Those of RDF and ADF; the CDF needs no limit, nor an ADF without triplets."""
    assert StructureSpec.from_config(section(rdf_r_max=6.0)).reach_A == 7.0
    assert StructureSpec.from_config(section(rdf_r_max=6.0, triplets=[])).reach_A == 6.0


def test_parameters_of_curves():
    spec = StructureSpec.from_config(section(r_max=[7.0, 5.0]))
    assert spec.parameters("adf") == (5.0, 7.0) and np.isnan(spec.parameters("rdf")).tolist() == [True]
    assert StructureSpec.from_config(section(triplets=[])).parameters("adf") == ()
    assert spec.only("rdf").parameters("adf") == ()


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        (None, "convention", "travis", "structure.convention: found travis, expected cgdistill; curves of other"),
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
