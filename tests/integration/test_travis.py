"""Curves of the convention ``travis`` against what the program TRAVIS printed, and where it is installed, prints.

Both are told the same bins. The angles start at 1e-5 degrees instead of 0, since TRAVIS counts the angle of 0 that a
bead spans with itself where both ends are of one kind.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from cgdistill.structure.curves import compute_curves  # noqa: E402

from benchmarks import travis, travis_compare  # noqa: E402

DATA = ROOT / "tests" / "data" / "travis"
#: TRAVIS prints ten digits.
DIGITS = 2e-9


@pytest.fixture(params=travis_compare.NAMES)
def name(request) -> str:
    """Mapped all-atom frames, or frames of a coarse-grained run."""
    return request.param


def printed(name):
    """What TRAVIS printed, values alone."""
    return {key: curve[:, 1] for key, curve in travis_compare.frozen(DATA / f"{name}.csv").items()}


def test_each_curve_is_that_of_travis(name):
    """All bins of six RDFs, twelve ADFs and three CDFs, to the last digit but rounding."""
    trajectory = travis_compare.opened(DATA / travis_compare.FILES[name])
    own, theirs = travis_compare.own_curves(trajectory, travis_compare.spec_of()), printed(name)
    assert len(theirs) == 21 and set(own) == set(theirs)
    differences = travis_compare.largest_differences(own, theirs)
    assert set(differences) == {"rdf", "adf", "cdf"}
    assert max(differences.values()) < DIGITS, differences


def test_bins_are_those_of_travis():
    """Centres; in pm, and angles from 1e-5 degrees."""
    spec = travis_compare.spec_of()
    for (metric, _, _), curve in travis_compare.frozen(DATA / "reference.csv").items():
        centres = spec.settings[metric].grid.centres
        expected = centres + 0.5e-5 if metric == "adf" else centres * travis.PM_PER_A
        assert curve[:, 0] == pytest.approx(expected, abs=1e-5)


def test_the_analysis_of_the_workflow_gives_them(name):
    """Its angles start at 0: bins that are 1e-5 degrees longer in all change the ADF by some 1e-5 of its height."""
    trajectory = travis_compare.opened(DATA / travis_compare.FILES[name])
    spec = travis_compare.spec_of()
    frames = [(frame.positions_A, frame.cell_A) for frame in trajectory.read()]
    table = compute_curves(frames, trajectory.type_names, trajectory.bead_types, spec, threads=2)
    own = {
        (metric, item, None if np.isnan(radius) else radius): part["value"].to_numpy()
        for (metric, item, radius), part in table.groupby(["metric", "item", "parameter"], dropna=False)
    }
    differences = travis_compare.largest_differences(own, printed(name))
    assert max(differences["rdf"], differences["cdf"]) < DIGITS
    assert differences["adf"] < 2e-5
    assert all("TRAVIS" in unit for unit in set(table["value_unit"]))


def test_the_convention_makes_the_difference(name):
    """Our own curves differ from those of TRAVIS by far more than rounding: the tests above can fail."""
    trajectory = travis_compare.opened(DATA / travis_compare.FILES[name])
    counts = dict(zip(trajectory.type_names, np.bincount(trajectory.bead_types).tolist(), strict=True))
    spec = travis_compare.spec_of()
    theirs = {key: travis_compare.in_our_scale(key, curve, spec, counts) for key, curve in printed(name).items()}
    own = travis_compare.own_curves(trajectory, travis_compare.spec_of("cgdistill"))
    differences = travis_compare.largest_differences(own, theirs)
    assert min(differences.values()) > 0.01, differences


@pytest.mark.skipif(not travis.available(), reason="TRAVIS is not installed (Debian: apt-get install travis)")
def test_travis_prints_what_is_kept(name, tmp_path):
    """The program itself, on the same frames."""
    trajectory = travis_compare.opened(DATA / travis_compare.FILES[name])
    found = travis_compare.travis_curves(tmp_path, trajectory, travis_compare.spec_of())
    kept = travis_compare.frozen(DATA / f"{name}.csv")
    assert set(found) == set(kept)
    for key, curve in found.items():
        assert curve == pytest.approx(kept[key], rel=DIGITS, abs=1e-12), key
