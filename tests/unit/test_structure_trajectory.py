"""One pass over a trajectory: that its tables are those of separate looks at the frames."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cgdistill.core.errors import InputError
from cgdistill.structure.curves import compute_curves
from cgdistill.structure.files import BLOCK_COLUMNS, CURVE_COLUMNS, SERIES_COLUMNS
from cgdistill.structure.spec import StructureSpec
from cgdistill.structure.trajectory import analyse_trajectory
from structure_cases import NAMES, TRICLINIC, gas, section

CONFIG = section()
CONFIG["cdf"]["resolved_every_ps"] = 6.0
SPEC = StructureSpec.from_config(CONFIG)
N = 12
CURVE = ["metric", "item", "parameter", "x"]


@pytest.fixture(scope="module")
def system():
    """Twelve frames of 120 beads every 2 ps; three are of equilibration."""
    positions, cells, types = gas(N, 120, TRICLINIC, seed=2, spread=1)
    return 2.0 * np.arange(N), positions, cells, types


def analyse(system, frames=None, **changes):
    times, positions, cells, types = system
    settings = {"n_blocks": 3, "production_after_ps": 4.0, "cluster_cutoffs_A": {"Cho": 3.0, "Cl": 3.0, "Urea": 3.0}}
    return analyse_trajectory(frames or [(times, positions, cells)], NAMES, types, SPEC, **{**settings, **changes})


def curves_of(system, start, stop, metrics=("rdf", "adf", "cdf")):
    _, positions, cells, types = system
    return compute_curves([(positions[start:stop], cells[start:stop])], NAMES, types, SPEC.only(*metrics))


def test_tables(system):
    """Curves of production, of its blocks, and of windows over all frames; frames counted."""
    found = analyse(system)
    assert found.n_frames == 9
    pd.testing.assert_frame_equal(found.curves, curves_of(system, 3, N), check_exact=True)
    assert list(found.blocks.columns) == BLOCK_COLUMNS + CURVE_COLUMNS
    assert found.blocks.groupby("block")[["n_frames", "first_ps", "last_ps"]].first().to_numpy().tolist() == [
        [3, 6, 10],
        [3, 12, 16],
        [3, 18, 22],
    ]
    for block, part in found.blocks.groupby("block"):
        own = part[CURVE_COLUMNS].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, curves_of(system, 3 + 3 * block, 6 + 3 * block))
    assert found.resolved["time_ps"].unique().tolist() == [0, 6, 12, 18]
    resolved = found.resolved.astype({"metric": str, "item": str, "x_unit": str, "value_unit": str})
    first = resolved[resolved["time_ps"] == 0][CURVE_COLUMNS].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, curves_of(system, 0, 4, ["cdf"]))
    late = resolved[resolved["time_ps"] == 18][CURVE_COLUMNS].reset_index(drop=True)
    pd.testing.assert_frame_equal(late, curves_of(system, 10, N, ["cdf"]))


@pytest.mark.parametrize("n_blocks", [2, 4, 100])
def test_mean_over_blocks(system, n_blocks):
    """Weighted by frames it is the curve of the whole: RDF and CDF to rounding, ADF nearly."""
    found = analyse(system, n_blocks=n_blocks)
    assert found.blocks["block"].nunique() == min(n_blocks, 9)
    weighted = found.blocks.assign(value=found.blocks["value"] * found.blocks["n_frames"] / 9)
    mean = weighted.groupby(CURVE, sort=False, dropna=False)["value"].sum().reset_index()
    both = found.curves.merge(mean, on=CURVE, suffixes=("", "_blocks"))
    exact = both["metric"] != "adf"
    np.testing.assert_allclose(both.loc[exact, "value_blocks"], both.loc[exact, "value"], rtol=1e-12, atol=1e-15)
    apart = np.abs(both.loc[~exact, "value_blocks"] - both.loc[~exact, "value"])
    assert 0 < apart.mean() < 0.1 * both.loc[~exact, "value"].mean()


def test_series(system):
    """Values per frame and per window with their phases and units."""
    series = analyse(system).series
    assert list(series.columns) == SERIES_COLUMNS
    frames = series[series["quantity"] == "min_distance"]
    assert frames["time_ps"].tolist() == system[0].tolist()
    assert frames["phase"].tolist() == ["equilibration"] * 3 + ["production"] * 9
    assert len(series[series["quantity"] == "largest_cluster"]) == 3 * N
    assert len(series[series["quantity"] == "rdf_peak"]) == 6 * 4
    peaks = series[(series["quantity"] == "cdf_peak") & (series["item"] == "Cl")]
    assert peaks["phase"].tolist() == ["equilibration"] + ["production"] * 3
    assert dict(zip(series["quantity"], series["unit"], strict=True)) == {
        "min_distance": "A",
        "largest_cluster": "1",
        "cdf_peak": "A",
        "rdf_peak": "A",
        "rdf_peak_height": "1",
    }
    assert "largest_cluster" not in set(analyse(system, cluster_cutoffs_A=None).series["quantity"])


def test_chunks_and_threads_do_not_matter(system):
    """To the last bit."""
    times, positions, cells, _ = system
    expected = analyse(system)
    for frames, threads in (
        ([(times[:5], positions[:5], cells[:5]), (times[5:], positions[5:], cells[5:])], 2),
        (list(zip(times, positions, cells, strict=True)), 3),
    ):
        found = analyse(system, frames, threads=threads)
        for name in ("curves", "blocks", "resolved", "series"):
            pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name), check_exact=True)


def test_without_production(system):
    """Resolved in time alone; curves and blocks are empty and have their columns and types."""
    found, whole = analyse(system, production_after_ps=1000.0), analyse(system)
    assert found.n_frames == 0 and len(found.curves) == len(found.blocks) == 0
    assert found.resolved["time_ps"].nunique() == 4
    for name in ("curves", "blocks"):
        assert getattr(found, name).dtypes.to_dict() == getattr(whole, name).dtypes.to_dict()
    nothing = analyse(system, frames=iter(()))
    assert len(nothing.resolved) == len(nothing.series) == 0
    assert list(nothing.resolved.columns) == ["time_ps", *CURVE_COLUMNS]


def test_bad_frames_are_named(system):
    """As by compute_curves."""
    times, positions, cells, _ = system
    broken = positions.copy()
    broken[7, 3, 0] = np.inf
    with pytest.raises(InputError, match="run-1: frame 7: found positions that are not finite"):
        analyse(system, [(times, broken, cells)], source="run-1")
