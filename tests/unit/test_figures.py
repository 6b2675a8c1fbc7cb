"""Figures, looked at through their artists. That they are pleasant to read, no test can say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cgdistill.figures.curves import curves_figure, mean_and_spread
from cgdistill.figures.energy import EnergyTrace, energy_figure, relative_energies
from cgdistill.figures.parity import Parity, parity_figure
from cgdistill.figures.style import Model, Palette, models_in_order, save
from cgdistill.figures.tae import item_figure, overall_figure, value_text
from cgdistill.figures.training import r2_figure
from matplotlib.colors import to_hex

NAMES = ["S8-b", "T", "S1-a", "T8", "S8-a"]
LABELS = {"T": "T", "T8": "T8", "S1-a": "S1Fε", "S8-a": "S8Ffε", "S8-b": "S8Fε"}
KINDS = {"T": "teacher", "T8": "teacher_ensemble", "S1-a": "single", "S8-a": "ensemble", "S8-b": "ensemble"}


@pytest.fixture
def palette():
    return Palette(models_in_order(NAMES, LABELS, KINDS))


@pytest.fixture
def summary():
    """One pair, its sum, and every kind of variant: spread, single run, some failed, all failed."""
    rows = [("T", 2.0, 0.5, 8, 3), ("T8", 1.0, np.nan, 1, 0), ("S1-a", 3.0, 0.25, 6, 0), ("S8-a", 0.5, 0.1, 8, 0),
            ("S8-b", np.nan, np.nan, 0, 8)]  # fmt: skip
    tables = [
        pd.DataFrame(rows, columns=["variant", "mean", "std", "n", "n_failed"]).assign(
            metric=metric, item=item, r_max_A=radius, label=lambda table: table["variant"].map(LABELS)
        )
        for metric, item, radius in [
            ("rdf", "A-B", np.nan), ("rdf", "overall", np.nan), ("adf", "A-B-A", 6.0), ("adf", "overall", 6.0),
            ("adf", "overall", np.nan),
        ]
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def _curves(variant_shift, n_runs=3):
    x = np.linspace(0.1, 5, 20)
    return pd.concat(
        [pd.DataFrame({"member": "seed-1", "replica": run, "metric": "rdf", "item": "A-B", "r_max_A": np.nan, "x": x,
                       "value": np.sin(x) ** 2 + variant_shift + 0.1 * run}) for run in range(1, n_runs + 1)]
    )  # fmt: skip


def _bars(axes):
    return {
        patch.get_gid().removeprefix("bar-"): patch
        for patch in axes.patches
        if (patch.get_gid() or "").startswith("bar-")
    }


def test_order_is_by_family_and_stable(palette):
    assert [model.name for model in palette.models] == ["T", "T8", "S1-a", "S8-b", "S8-a"]


def test_a_model_keeps_its_colour_when_others_come_and_go(palette):
    fewer = Palette(models_in_order(["S8-a", "T"], LABELS, KINDS))
    assert fewer.colour("S8-a") == palette.colour("S8-a")
    assert fewer.colour("T") == palette.colour("T")


def test_all_teachers_together_have_one_colour_whatever_their_number(palette):
    four = Palette([Model("T4", "T4", "teacher_ensemble")])
    assert four.colour("T4") == palette.colour("T8")


def test_further_variants_get_colours_of_their_own():
    """Distinct as (colour, line); that an eye tells them apart is not tested."""
    own = [Model(f"S1-{n}", f"mine {n}", "single") for n in range(8)]
    own += [Model(f"S8-{n}", f"ours {n}", "ensemble") for n in range(8)]
    own.append(Model("S8-same-label", "S8Ffε", "ensemble"))
    own.append(Model("S8-aa-kd-bead", "S8Ffε", "ensemble"))
    palette = Palette(own)
    looks = {(palette.colour(model.name), str(palette.line(model.name))) for model in own}
    assert len(looks) == len(own)
    for model in own[:16]:
        red, green, _ = (int(palette.colour(model.name)[i : i + 2], 16) for i in (1, 3, 5))
        assert (red > green) == (model.kind == "single")


def test_colours_agree_over_figures(palette, summary):
    bars = _bars(overall_figure(summary, palette).axes[0])
    training = pd.DataFrame({"variant": ["T", "S1-a", "S8-a"], "split": "test", "target": "F", "bead_type": "all",
                             "r2": 0.3})  # fmt: skip
    r2 = _bars(r2_figure(training, palette).axes[0])
    curves = {name: mean_and_spread(_curves(0.1), None) for name in NAMES}
    figure = curves_figure("rdf", mean_and_spread(_curves(0, 1), None), curves, palette, {})
    drawn = {to_hex(line.get_color()) for axes in figure.axes for line in axes.lines}
    for name in ("T", "S1-a", "S8-a"):
        assert to_hex(bars[name].get_facecolor()) == to_hex(r2[name].get_facecolor()) == palette.colour(name)
        assert palette.colour(name) in drawn
    assert "#000000" in drawn


def test_bars_and_error_bars_are_the_table(palette, summary):
    axes = overall_figure(summary, palette).axes[0]
    widths = {name: bar.get_width() for name, bar in _bars(axes).items()}
    assert widths == {"T": 2.0, "T8": 1.0, "S1-a": 3.0, "S8-a": 0.5}
    spans = {
        tuple(np.round(segment[:, 0], 9)) for collection in axes.collections for segment in collection.get_segments()
    }
    assert spans == {(1.5, 2.5), (2.75, 3.25), (0.4, 0.6)}


def test_failed_runs_and_numbers_of_runs_are_written(palette, summary):
    texts = [text.get_text().strip() for text in overall_figure(summary, palette).axes[0].texts]
    assert "3 failed" in texts
    assert "no finished run, 8 failed" in texts
    assert any(text.startswith("2.00 ± 0.50") and "(8)" in text for text in texts)
    assert sum("failed" in text for text in texts) == 2
    items = [text.get_text().strip() for text in item_figure(summary, "rdf", palette).axes[0].texts]
    assert sum("failed" in text for text in items) == 2


def test_the_overall_adf_is_that_over_all_radii(palette, summary):
    summary.loc[(summary["item"] == "overall") & summary["r_max_A"].notna(), "mean"] = 99.0
    assert _bars(overall_figure(summary, palette).axes[1])["T"].get_width() == 2.0


def test_mean_leaves_failed_runs_out():
    curves = _curves(0.0, n_runs=4)
    runs = pd.DataFrame({"member": "seed-1", "replica": [1, 2, 3, 4], "status": ["finished"] * 3 + ["blown up"]})
    found = mean_and_spread(curves, runs)
    values = curves["value"].to_numpy().reshape(4, -1)[:3]
    np.testing.assert_allclose(found["mean"], values.mean(axis=0))
    np.testing.assert_allclose(found["std"], values.std(axis=0, ddof=1))
    assert set(found["n"]) == {3}


def test_an_energy_trace_shows_what_happened(palette):
    times = np.arange(0, 10, 0.1)
    energies = 5 + np.exp(-times)
    good = EnergyTrace("T", times, energies, 2.0, True)
    bad = EnergyTrace("T", times, energies + np.where(times > 5, np.exp(times), 0), np.nan, False)
    axes = energy_figure([good, bad], palette).axes[0]
    assert axes.get_title() == "T, 2 runs, 1 failed"
    marks = {line.get_marker(): line.get_xdata()[0] for line in axes.lines if line.get_marker() in ("o", "X")}
    assert marks["o"] == pytest.approx(2.0)
    assert marks["X"] == pytest.approx(times[-1])
    assert axes.get_ylim()[1] < 3, "the range is that of the finished run"
    assert relative_energies(good)[50:].mean() == pytest.approx(0.0)


def test_parity_writes_measures_over_all_components():
    """Against R² by the definition; components beyond the range shown count too."""
    rng = np.random.default_rng(1)
    target = rng.normal(size=(4, 50, 3))
    target[0, 0, 0] = 400.0
    prediction = target + 0.5 * rng.normal(size=target.shape)
    figure = parity_figure([Parity("one", "F", "F'", target, prediction)])
    r2 = 1 - ((prediction - target) ** 2).sum() / ((target - target.mean()) ** 2).sum()
    rmse = np.sqrt(((prediction - target) ** 2).mean())
    text = figure.axes[0].texts[0].get_text()
    assert f"R² = {r2:.3f}" in text
    assert f"RMSE = {rmse:.3g} kcal/mol/Å" in text
    assert "600 components" in text


def test_files_are_written_and_the_same_each_time(tmp_path, summary):
    """A label that looks like mathematics is drawn as it stands."""
    palette = Palette([Model("T", "a $\\frac{ b", "teacher"), Model("T8", "<b>&", "teacher_ensemble")])
    first, second = (save(overall_figure(summary, palette), tmp_path / name / "tae") for name in ("1", "2"))
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert first[0].read_bytes().startswith(b"<?xml")
    assert first[1].read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == ["tae.png", "tae.svg"]


@pytest.mark.parametrize(
    ("mean", "std", "text"),
    [
        (2.0312, 0.1251, "2.03 ± 0.13"),
        (9.16, 3.74, "9.2 ± 3.7"),
        (0.02665, 0.00003, "0.0267 ± 0.0000"),
        (2.5, np.nan, "2.50"),
        (0.0, 0.0, "0.00 ± 0.00"),
        (123.4, 45.6, "123 ± 46"),
        (np.nan, np.nan, "none"),
    ],
)
def test_values_carry_the_digits_that_their_spread_supports(mean, std, text):
    assert value_text(mean, std) == text
