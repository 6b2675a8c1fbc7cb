"""Figures, looked at through their artists. That they are pleasant to read, no test can say."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from cgdistill.config.models import Model, models_in_order
from cgdistill.figures.catalogue import TargetGroup
from cgdistill.figures.curves import curves_figure, mean_and_spread, y_label
from cgdistill.figures.energy import EnergyTrace, energy_figure, relative_energies
from cgdistill.figures.members import errors_by_member, members_figure, members_tae_figure
from cgdistill.figures.model import model_figure
from cgdistill.figures.parity import Parity, parity_figure
from cgdistill.figures.style import Palette, member_looks, save
from cgdistill.figures.tae import overall_figure
from cgdistill.figures.targets import targets_figure
from cgdistill.figures.teachers import teachers_metrics_figure
from cgdistill.figures.training import metrics_figure
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
            metric=metric, item=item, parameter=radius, label=lambda table: table["variant"].map(LABELS)
        )
        for metric, item, radius in [
            ("rdf", "A-B", np.nan), ("rdf", "overall", np.nan), ("adf", "A-B-A", 6.0), ("adf", "overall", 6.0),
            ("adf", "overall", np.nan),
        ]
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def _curves(shift, n_runs=3, members=("seed-1",), item="A-B"):
    x = np.linspace(0.1, 5, 20)
    return pd.concat(
        [pd.DataFrame({"member": member, "replica": run, "metric": "rdf", "item": item, "parameter": np.nan, "x": x,
                       "value": np.sin(x) ** 2 + shift + 0.1 * run, "value_unit": "1"})
         for member in members for run in range(1, n_runs + 1)]
    )  # fmt: skip


def _bars(axes):
    return {
        patch.get_gid().removeprefix("bar-"): patch
        for patch in axes.patches
        if (patch.get_gid() or "").startswith("bar-")
    }


def _lines(axes):
    """Lines of curves by colour."""
    return {to_hex(line.get_color()): line for line in axes.lines}


def _spans(axes):
    """Ends of horizontal lines, by their height."""
    return {
        round(float(segment[0][1]), 6): (segment[0][0], segment[1][0])
        for collection in axes.collections
        if hasattr(collection, "get_segments")
        for segment in collection.get_segments()
        if segment[0][1] == segment[1][1]
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


@pytest.mark.parametrize("n", [1, 8, 24])
def test_teachers_have_looks_of_their_own(n):
    looks = member_looks([f"seed-{number}" for number in range(n)])
    assert len({(colour, str(line)) for colour, line in looks.values()}) == n


def test_colours_agree_over_figures(palette, summary):
    bars = _bars(overall_figure(summary, palette).axes[0])
    training = pd.DataFrame({"variant": ["T", "S1-a", "S8-a"], "member": "seed-1", "split": "test", "target": "F",
                             "bead_type": "all", "unit": "kcal/mol/A", "rmse": 1.0, "r2": 0.3})  # fmt: skip
    r2 = _bars(metrics_figure(training, palette).axes[0])
    curves = {name: mean_and_spread(_curves(0.1), None) for name in NAMES}
    reference = mean_and_spread(_curves(0, 1), None)
    errors = summary[summary["item"] == "A-B"].rename(columns={"variant": "key"})
    figure = curves_figure("rdf", reference, curves, palette, {}, errors=errors)
    drawn = {to_hex(line.get_color()) for axes in figure.axes for line in axes.lines}
    beside = _bars(figure.axes[-1])
    for name in ("T", "S1-a", "S8-a"):
        colours = {to_hex(part[name].get_facecolor()) for part in (bars, r2, beside)}
        assert colours == {palette.colour(name)}
        own = model_figure(name, reference, curves[name], summary[summary["variant"] == name], palette)
        assert palette.colour(name) in _lines(own.axes[0])
        assert palette.colour(name) in drawn
    assert "#000000" in drawn


def test_the_overall_adf_is_that_over_all_radii(palette, summary):
    summary.loc[(summary["item"] == "overall") & summary["parameter"].notna(), "mean"] = 99.0
    assert _bars(overall_figure(summary, palette).axes[1])["T"].get_width() == 2.0


def test_mean_leaves_failed_runs_out():
    curves = _curves(0.0, n_runs=4)
    runs = pd.DataFrame({"member": "seed-1", "replica": [1, 2, 3, 4], "status": ["finished"] * 3 + ["blown up"]})
    found = mean_and_spread(curves, runs)
    values = curves["value"].to_numpy().reshape(4, -1)[:3]
    np.testing.assert_allclose(found["mean"], values.mean(axis=0))
    np.testing.assert_allclose(found["std"], values.std(axis=0, ddof=1))
    assert set(found["n"]) == {3}
    np.testing.assert_array_equal(found["x"], curves["x"][:20])


def test_curves_stand_beside_their_errors(palette, summary):
    """Lines are the means, bands the spread, bars the table's rows of that item with interval, band and order."""
    curves = {name: mean_and_spread(_curves(0.2 * place), None) for place, name in enumerate(NAMES) if name != "S8-b"}
    reference = mean_and_spread(_curves(0, 1), None)
    summary = summary.assign(ci_low=summary["mean"] - 0.3, ci_high=summary["mean"] + 0.4, noise_high=0.15)
    errors = summary[summary["item"] == "A-B"].rename(columns={"variant": "key"})
    figure = curves_figure("rdf", reference, curves, palette, {"S8-b": 8, "T": 3}, errors=errors)
    teachers, single, ensemble, bars = figure.axes
    for axes, names in ((teachers, ("T", "T8")), (single, ("S1-a",)), (ensemble, ("S8-a",))):
        for name in names:
            line = _lines(axes)[palette.colour(name)]
            np.testing.assert_allclose(line.get_ydata(), curves[name]["mean"])
        np.testing.assert_allclose(_lines(axes)["#000000"].get_ydata(), reference["mean"])
    top = teachers.collections[0].get_paths()[0].vertices[:, 1]
    assert top.max() == pytest.approx((curves["T"]["mean"] + curves["T"]["std"]).max())
    texts = [text.get_text() for axes in figure.axes[:3] for text in axes.get_legend().get_texts()]
    assert "T (3 failed)" in texts and "S8Fε (8 failed)" in texts
    order = [label.get_text() for label in bars.get_yticklabels()]
    assert order == ["T", "T8", "S1Fε", "S8Fε", "S8Ffε"]
    assert {name: bar.get_width() for name, bar in _bars(bars).items()} == {
        "T": 2.0, "T8": 1.0, "S1-a": 3.0, "S8-b": 0.0, "S8-a": 0.5,
    }  # fmt: skip
    assert _spans(bars)[2.0] == pytest.approx((2.7, 3.4)) and 3.0 not in _spans(bars)
    assert [patch.get_width() for patch in bars.patches if patch.get_gid() is None] == [0.15] * 5
    assert [text.get_text() for text in bars.texts] == ["no finished run"]


def test_units_of_the_values_are_those_of_the_table():
    assert y_label("adf", pd.DataFrame({"value_unit": ["1/deg"]})) == "$P(\\theta)$ / degree$^{-1}$"
    assert y_label("cdf", pd.DataFrame({"value_unit": ["counts"]})) == "CDF, counts"


def test_energy_targets_have_their_columns(palette, summary):
    group = TargetGroup("S8-aa", "S8", {"none": ("S8-b",), "ε": ("S8-a",)})
    curves = {name: mean_and_spread(_curves(0.1), None) for name in ("S8-a", "S8-b")}
    errors = summary[summary["item"] == "A-B"].rename(columns={"variant": "key"})
    figure = targets_figure(group, "rdf", mean_and_spread(_curves(0, 1), None), curves, palette, {}, errors=errors)
    first, second, bars = figure.axes
    assert [axes.get_legend().get_title().get_text() for axes in (first, second)] == [
        "no energy target", "energy target ε",
    ]  # fmt: skip
    assert palette.colour("S8-b") in _lines(first) and palette.colour("S8-a") in _lines(second)
    assert list(_bars(bars)) == ["S8-b", "S8-a"]


def _tae(values):
    """Table of errors of one variant: {member: [tae of each run]}, None for a run that blew up."""
    rows = [
        {"variant": "S1-a", "member": member, "replica": run, "metric": "rdf", "item": item, "parameter": np.nan,
         "tae": np.nan if tae is None else tae, "status": "blown up" if tae is None else "finished"}
        for member, runs in values.items() for run, tae in enumerate(runs, start=1) for item in ("A-B", "overall")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_members_are_drawn_one_by_one():
    """Bands and error bars are over the runs of a member; one without a finished run keeps its place."""
    members = ["seed-1", "seed-2", "seed-3"]
    errors = errors_by_member(_tae({"seed-1": [1.0, 3.0], "seed-2": [2.0, None], "seed-3": [None, None]}))
    curves = pd.concat([_curves(0.0, 2, ["seed-1"]), _curves(0.5, 1, ["seed-2"])])
    reference = mean_and_spread(_curves(0, 1), None)
    figure = members_figure("rdf", reference, curves, members, errors[errors["item"] == "A-B"])
    axes, bars = figure.axes
    looks = member_looks(members)
    first = curves[curves["member"] == "seed-1"]["value"].to_numpy().reshape(2, -1)
    np.testing.assert_allclose(_lines(axes)[looks["seed-1"][0]].get_ydata(), first.mean(axis=0))
    assert len(axes.collections) == 1, "one member has more than one run"
    widths = {name: bar.get_width() for name, bar in _bars(bars).items()}
    assert widths == {"seed-1": 2.0, "seed-2": 2.0, "seed-3": 0.0}
    assert _spans(bars) == {0.0: pytest.approx((2 - np.sqrt(2), 2 + np.sqrt(2)))}


def test_errors_by_teacher_end_with_all(palette, summary):
    errors = errors_by_member(_tae({"seed-1": [1.0, 3.0], "seed-2": [4.0, None]}))
    summary = summary.assign(ci_low=summary["mean"] - 0.3, ci_high=summary["mean"] + 0.4)
    figure = members_tae_figure(errors, summary, palette, {"S1-a": ["seed-1", "seed-2"]})
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["seed-1", "seed-2", "all"]
    (dots,) = (line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_allclose(dots.get_xdata(), [2.0, 4.0, 3.0])
    assert _spans(axes)[2.0] == pytest.approx((2.7, 3.4))


def test_a_model_is_drawn_with_its_errors(palette, summary):
    """Each panel says its TAE; beyond the rule of thumb it is marked. Without a finished run the reference stands."""
    reference = mean_and_spread(_curves(0, 1), None)
    curves = mean_and_spread(_curves(0.1), None)
    figure = model_figure("T", reference, curves, summary[summary["variant"] == "T"], palette)
    assert figure.axes[0].get_title() == "A-B, TAE 2.00 !"
    assert "RDF 2.00 (1.50 to 2.50)" in figure.legends[0].get_title().get_text()
    low = summary[summary["variant"] == "S8-a"]
    assert model_figure("S8-a", reference, curves, low, palette).axes[0].get_title() == "A-B, TAE 0.50"
    figure = model_figure("S8-b", reference, None, summary[summary["variant"] == "S8-b"], palette)
    assert figure.axes[0].get_title() == "A-B"
    assert list(_lines(figure.axes[0])) == ["#000000"]
    assert figure.legends[0].get_title().get_text() == "no finished run"


def test_an_energy_trace_shows_what_happened(palette):
    times = np.arange(0, 10, 0.1)
    energies = 5 + np.exp(-times)
    good = EnergyTrace("T", times, energies, 2.0, True)
    bad = EnergyTrace("T", times, energies + np.where(times > 5, np.exp(times), 0), np.nan, False)
    axes = energy_figure([good, bad], palette).axes[0]
    assert axes.get_title() == "T, 2 runs, 1 failed"
    marks = {line.get_marker(): line for line in axes.lines if line.get_marker() in ("o", "X")}
    assert marks["o"].get_xdata()[0] == pytest.approx(2.0)
    assert marks["o"].get_ydata()[0] == pytest.approx(relative_energies(good)[20])
    assert marks["X"].get_xdata()[0] == pytest.approx(times[-1])
    assert axes.get_ylim()[1] < 3, "the range is that of the finished run"
    assert relative_energies(good)[50:].mean() == pytest.approx(0.0)


def test_marks_of_energies_stand_within_the_panel(palette):
    """A run that counts as equilibrated from its first sample, far above all others."""
    times = np.arange(0, 100, 0.1)
    energies = np.where(times < 0.1, 50.0, 0.01 * np.sin(times))
    axes = energy_figure([EnergyTrace("T8", times, energies, 0.0, True)], palette).axes[0]
    low, high = axes.get_ylim()
    (dot,) = axes.lines
    assert low < dot.get_ydata()[0] < high < 50


def test_long_energies_are_means_over_samples(palette):
    """Noise of samples shrinks, a slow drift stays."""
    rng = np.random.default_rng(0)
    times = np.arange(40_000) * 0.1
    trace = EnergyTrace("T", times, rng.normal(size=len(times)) + times / 1000, np.nan, True)
    (segment,) = energy_figure([trace], palette).axes[0].collections[0].get_segments()
    assert len(segment) == 400
    assert np.polyfit(*segment.T, 1)[0] == pytest.approx(1e-3, rel=0.05)
    residual = segment[:, 1] - np.polyval(np.polyfit(*segment.T, 1), segment[:, 0])
    assert residual.std() == pytest.approx(0.1, rel=0.15)


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


def test_parity_counts_as_numpy_does():
    rng = np.random.default_rng(2)
    target, prediction = rng.normal(size=(2, 40_000))
    axes = parity_figure([Parity("one", "F", "F'", target, prediction)]).axes[0]
    mesh = axes.collections[0]
    edges = mesh.get_coordinates()[0, :, 0]
    expected = np.histogram2d(target, prediction, bins=[edges, edges])[0].T
    shown = np.ma.filled(mesh.get_array(), 0).reshape(expected.shape)
    # values within rounding of an edge may fall to either side
    assert np.abs(shown - expected).sum() <= 4 and shown.sum() > 39_000


def _metrics():
    rows = [("seed-1", "train", 0.30), ("seed-2", "train", 0.34), ("seed-1", "test", 0.20), ("seed-2", "test", 0.24)]
    table = pd.DataFrame(rows, columns=["member", "split", "r2"])
    return table.assign(variant="T", target="F", bead_type="all", unit="kcal/mol/A", rmse=2.0)


def test_teachers_and_their_mean():
    rng = np.random.default_rng(1)
    target = rng.normal(size=(4, 50, 3))
    figure = teachers_metrics_figure(_metrics(), [Parity("one", "F", "F'", target, target)])
    axes = figure.axes[0]
    dots = {line.get_gid(): list(line.get_xdata()) for line in axes.lines if line.get_gid()}
    assert dots == {"r2-train": [0.30, 0.34], "r2-test": [0.20, 0.24]}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["seed-1", "seed-2", "mean ± std"]
    means = [tuple(line.get_xydata()[0]) for line in axes.lines if len(line.get_xdata()) == 1]
    assert (pytest.approx(0.32), 2.0) in means and (pytest.approx(0.22), 2.0) in means


def test_metrics_are_means_over_networks_of_test_frames(palette):
    figure = metrics_figure(_metrics(), palette)
    r2, rmse = figure.axes
    assert _bars(r2)["T"].get_width() == pytest.approx(0.22)
    assert _bars(rmse)["T"].get_width() == pytest.approx(2.0)
    assert [text.get_text() for text in r2.texts] == ["0.220"]
    assert rmse.get_xlabel() == "RMSE / (kcal/mol/Å)"


def test_files_are_written_and_the_same_each_time(tmp_path, summary):
    """A label that looks like mathematics is drawn as it stands."""
    palette = Palette([Model("T", "a $\\frac{ b", "teacher"), Model("T8", "<b>&", "teacher_ensemble")])
    first, second = (save(overall_figure(summary, palette), tmp_path / name / "tae") for name in ("1", "2"))
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert first[0].read_bytes().startswith(b"<?xml")
    assert first[1].read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == ["tae.png", "tae.svg"]


def test_short_paths_of_svg_keep_their_place(tmp_path, palette, summary):
    """Coordinates are cut, not numbers of anything else; the picture has the size in inches that it was given."""
    figure = overall_figure(summary, palette)
    width, height = figure.get_size_inches()
    text = save(figure, tmp_path / "tae")[0].read_text()
    assert not re.search(r' d="[^"]*\.\d{3}', text)
    assert f'viewBox="0 0 {72 * width:g} {72 * height:g}"' in text
    assert re.search(r"scale\(0\.\d{3}", text), "sizes of letters keep their digits"
