"""Verdict and page. That the words persuade, no test can say; that they say no more than the table, these do."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cgdistill import collect
from cgdistill.errors import InputError
from cgdistill.figures.style import Palette, models_in_order
from cgdistill.provenance import config_hash
from cgdistill.report import (
    paper_table,
    performance_settings,
    performance_table,
    render,
    runs_table,
    summary_table,
    unlike_paper,
    write_report,
)
from cgdistill.report_data import gather, place_figures, render_captions
from cgdistill.tables import write_table
from cgdistill.verdict import stability, verdict
from fabricate import ROOT, Variant, fabricate, read_config

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
EVIL = '<script>alert("x")</script>'
VARIANTS = (
    Variant("T", "T", "teacher", ("seed-1", "seed-2", "seed-3"), 1, 0.6, (("seed-2", 1),)),
    Variant("T4", "T4", "teacher_ensemble", ("ensemble",), 2, 0.2),
    Variant("S1-aa-kd-bead", "S1Ffε", "single", ("seed-1", "seed-2"), 1, 0.5),
    Variant("S8-aa-kd-bead", "S8Ffε", "ensemble", ("ensemble",), 2, 0.15, (("ensemble", 1), ("ensemble", 2))),
    Variant("S8-mine", EVIL, "ensemble", ("ensemble",), 2, 0.15),
)


def _summary(*rows):
    """Overall RDF errors: variant, mean, std, n, n_failed; and two pairs of which one is above 1."""
    table = pd.DataFrame(rows, columns=["variant", "mean", "std", "n", "n_failed"])
    table = table.assign(label=table["variant"], metric="rdf", r_max_A=np.nan)
    return pd.concat(
        [table.assign(item="overall"), table.assign(item="A-A", mean=1.2), table.assign(item="A-B", mean=0.3)]
    )


def test_a_clear_winner():
    found = verdict(_summary(("A", 1.0, 0.1, 8, 0), ("B", 2.0, 0.2, 8, 0), ("C", 3.0, 0.2, 8, 0)), "rdf")
    assert found.headline == "A has the lowest overall RDF error, 1.00 ± 0.10 Å (8 runs)."
    assert found.sentences[0] == (
        "No other interval of one standard deviation overlaps with its own; next comes B, 2.00 ± 0.20 Å (8 runs)."
    )
    assert found.sentences[-1].startswith("1 of 2 pairs of A lie above 1 Å")


def test_a_tie_within_the_spread_names_all_that_overlap_and_no_other():
    found = verdict(_summary(("A", 1.0, 0.1, 8, 0), ("B", 1.5, 0.5, 8, 0), ("C", 2.0, 0.2, 8, 0)), "rdf")
    assert found.sentences[0].startswith("Not distinguishable from it")
    assert "B (1.50 ± 0.50)" in found.sentences[0]
    assert "C" not in found.sentences[0]


def test_an_unstable_winner_is_called_unstable():
    found = verdict(_summary(("A", 1.0, 0.1, 3, 5), ("B", 2.0, 0.1, 7, 1), ("C", 3.0, 0.1, 8, 0)), "rdf")
    text = " ".join(found.sentences)
    assert "But 5 of its 8 runs blew up" in text
    assert "Lowest among variants that finished all runs: C, 3.00 ± 0.10 Å (8 runs)." in text
    assert "No variant finished all of its runs." in " ".join(verdict(_summary(("A", 1.0, 0.1, 3, 5)), "rdf").sentences)


def test_a_single_run_supports_no_comparison():
    found = verdict(_summary(("A", 1.0, np.nan, 1, 0), ("B", 1.1, 0.5, 8, 0)), "rdf")
    assert "no error bar, 1 run" in found.headline
    assert "It rests on one run" in found.sentences[0]
    assert "distinguishable" not in found.sentences[0]
    other = verdict(_summary(("A", 1.0, 0.1, 2, 0), ("B", 1.1, np.nan, 1, 0)), "rdf").sentences[0]
    assert "One run only, so no error bar to compare with: B (1.10)." in other
    assert "itself uncertain" in other
    assert "distinguishable" not in other


def test_failed_variants_neither_win_nor_count_as_others():
    failed = verdict(_summary(("A", np.nan, np.nan, 0, 8)), "rdf")
    assert failed.headline == "No variant finished a run."
    alone = verdict(_summary(("A", np.nan, np.nan, 0, 8), ("B", 5.0, 1.0, 8, 0)), "rdf")
    assert alone.headline.startswith("B has")
    assert alone.sentences[0] == "There is no other variant to compare it with."


def test_stability_counts_every_run():
    table = _summary(("A", 1.0, 0.1, 3, 5), ("B", 2.0, 0.1, 8, 0))
    assert stability(table, ["A", "B"])[0].startswith("5 of 16 runs blew up: A 5 of 8.")
    assert stability(table[table["variant"] == "B"], ["B"]) == ["All 8 runs finished."]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A made-up run gathered as the workflow does, with tiny figures."""
    results = tmp_path_factory.mktemp("run") / "results"
    config = read_config()
    config["run"] = EVIL
    config["network"] |= {"n_sensitivities": 8, "cutoff_A": 7.5}
    for metric, width in (("rdf", 0.8), ("cdf", 1.0)):
        config["structure"][metric]["bin_width_A"] = width
    config["structure"]["adf"] |= {"bin_width_deg": 20.0, "triplets": [["Cho", "Cl", "Urea"]]}
    fabricate(results, VARIANTS, config)
    labels = {variant.name: variant.label for variant in VARIANTS}
    kinds = {variant.name: variant.kind for variant in VARIANTS}
    of = lambda name: [results / "structure" / variant.name / name for variant in VARIANTS]  # noqa: E731
    records = sorted(results.glob("simulations/*/*/*/run.json"))
    training = collect.training_of(
        sorted(results.glob("teachers/*/metrics.csv")), sorted(results.glob("students/*/*/metrics.csv")), labels
    )
    made = {
        "summary": collect.summary_of(of("summary.csv")),
        "runs": collect.runs_of(of("runs.csv"), labels),
        "performance": collect.performance_of(records, labels),
        "training": training,
    }
    stamp = {"version": "0", "versions": collect.versions_of(records)}
    tables = {name: results / "tables" / f"{name}.csv" for name in made}
    for name, table in made.items():
        write_table(tables[name], table, stamp)
    tables |= {"check": results / "teachers" / "gradient_check.csv", "students": ROOT / "config" / "students.tsv"}
    figures = []
    for stem in ("prior", "adf_7.5A", "tae_overall", "adf_10A", "energy"):
        figures.append(results / f"{stem}.svg")
        figures[-1].write_text(SVG, encoding="utf-8")
    context = type("Job", (), {"config": config})
    captions = render_captions(sorted((ROOT / "workflow" / "report").glob("*.rst")), snakemake=context)
    palette = Palette(models_in_order(list(labels), labels, kinds))
    return gather(EVIL, config, palette, tables, results / "mapped" / "beads.h5", results / "mapped" / "split.json",
                  figures, captions)  # fmt: skip


class _Page(HTMLParser):
    """Tags and references of a page."""

    def __init__(self):
        super().__init__()
        self.references, self.scripts, self.open, self.errors = [], 0, [], []

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.references += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.errors.append(tag)


@pytest.fixture(scope="module")
def page(data):
    return render(data)


def test_the_page_is_well_formed_and_fetches_nothing(page):
    parsed = _Page()
    parsed.feed(page)
    assert not parsed.errors
    assert not parsed.open
    assert len(parsed.references) >= 5
    for reference in parsed.references:
        assert reference.startswith(("data:image/", "#"))
    for fetched in ("@import", "url(", "fetch(", "http://", "https://"):
        assert fetched not in page


def test_what_users_write_is_escaped(page):
    """The run's name and a label hold a script; so does a figure, which is embedded as an image."""
    parsed = _Page()
    parsed.feed(page)
    assert parsed.scripts == 1, "only the page's own"
    assert "alert(" not in re.sub(r"&lt;script&gt;alert\(&#34;x&#34;\)&lt;/script&gt;", "", page)
    assert page.count("&lt;script&gt;") > 3


def test_failed_runs_are_counted_and_shown(data, page):
    table = summary_table(data)
    rows = {row[0]: row for row in table.rows}
    assert rows["T"][-2:] == ["2", "1"]
    assert rows["S8Ffε"][1:] == ["–", "–", "–", "0", "2"]
    assert table.marked == {0, 3}
    assert "3 of 11 runs blew up: T 1 of 3, S8Ffε 2 of 2." in page
    runs = runs_table(data)
    assert len(runs.rows) == 11
    assert len(runs.marked) == 3
    assert all("blown up" in runs.rows[number] for number in runs.marked)


def test_the_lowest_error_is_starred_once_per_metric(data):
    rows = summary_table(data).rows
    for column, metric in ((1, "rdf"), (2, "adf"), (3, "cdf")):
        starred = [row[0] for row in rows if "★" in row[column]]
        table = data.summary[(data.summary["metric"] == metric) & (data.summary["item"] == "overall")]
        table = table[table["r_max_A"].isna()]
        assert starred == [table.loc[table["mean"].idxmin(), "label"]]


def test_speed_of_runs_and_of_jobs_stands_beside_the_paper(data, page):
    """30 and 4 ns/day were made up for a run, and 1.5 times as much for the runs of a job."""
    table = performance_table(data)
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(table.columns) == [
        "Model", "ns/day of a run", "ns/day of a job (runs)", "Speed / T4", "Networks",
    ]  # fmt: skip
    assert rows["T4"] == ["4.00 ± 0.00", "6.00 (2)", "1.00", "8"], "as many networks as the config has teachers"
    assert rows["T"] == ["30.0 ± 0.0", "45.0 (3)", "7.50", "1"]
    assert performance_settings(data) == "128 beads, time step 4 fs, device cpu, threads: 1, cutoff 7.5 Å"
    assert paper_table().rows == [
        ["T", "2.66", "4.93", "1"],
        ["T8", "0.54", "1.00", "8"],
        ["S1", "2.66", "4.93", "1"],
        ["S8", "2.66", "4.93", "1"],
    ]
    text = re.sub(r"\s+", " ", page)
    for words in ("1,000 beads, time step 2 fs, device cpu, threads: 48, cutoff 12 Å", "arXiv:2510.26650"):
        assert words in text


def test_what_differs_from_the_paper_is_said(data, page):
    """The config has the paper's tensor order, layers, features and number of teachers."""
    assert unlike_paper(data) == [
        "128 instead of 1,000 beads", "time step 4 instead of 2 fs", "threads: 1 instead of 48",
        "sensitivities: 8 instead of 20", "cutoff 7.5 instead of 12 Å",
    ]  # fmt: skip
    assert "do not compare" in page
    network = {**data.config["network"], "n_sensitivities": 20, "cutoff_A": 12.0}
    same = replace(
        data,
        config={**data.config, "network": network},
        performance=data.performance.assign(n_beads=1000, timestep_fs=2.0, threads=48),
    )
    assert unlike_paper(same) == []
    assert "the hardware is not" in render(same)
    teachers = {**data.config["teachers"], "seeds": [1, 2]}
    assert unlike_paper(replace(same, config={**same.config, "teachers": teachers})) == ["teachers: 2 instead of 8"]


def test_settings_that_differ_between_models_get_columns(data):
    """Simulations of T were run on another machine, one of them before the threads were written down."""
    performance = data.performance.astype({"threads": float})
    teachers = performance["variant"] == "T"
    performance.loc[teachers, ["device", "threads"]] = ["cuda", 4.0]
    performance.loc[performance.index[teachers][0], "threads"] = np.nan
    other = replace(data, performance=performance)
    table = performance_table(other)
    assert list(table.columns[-2:]) == ["Device", "Threads"]
    assert [row[-2:] for row in table.rows[:2]] == [["cuda", "4"], ["cpu", "1"]]
    assert performance_settings(other) == "128 beads, time step 4 fs, cutoff 7.5 Å"
    assert "device cpu or cuda instead of cpu" in unlike_paper(other)


def test_jobs_count_once_and_small_ones_not_at_all(data):
    """Three runs of T in a job of two and a job of one; records from before jobs were shared tell nothing of them."""
    performance = data.performance.astype({"ns_per_day_together": float})
    teachers = performance.index[performance["variant"] == "T"]
    performance.loc[teachers, "runs_together"] = [2, 2, 1]
    performance.loc[teachers, "ns_per_day_together"] = [50.0, 50.0, 33.0]
    row = performance_table(replace(data, performance=performance)).rows[0]
    assert row[2:4] == ["50.0 (2)", f"{50 / 6:.2f}"]
    silent = performance.assign(runs_together=np.nan, ns_per_day_together=np.nan)
    row = performance_table(replace(data, performance=silent)).rows[0]
    assert row[1:4] == ["30.0 ± 0.0", "–", "–"]


def test_the_page_tells_what_was_run(data, page):
    text = re.sub(r"\s+", " ", page)
    for fact in ("16: 4 Cho, 4 Cl, 8 Urea", "24 training, 3 validation, 3 test frames", "time step 4 fs",
                 "in bins of 0.8 Å", config_hash(data.config), "ab" * 32, "20250722",
                 "rms difference (kcal/mol/Å)"):  # fmt: skip
        assert fact in text
    assert "seed-3" in text


def test_figures_come_in_the_order_of_the_page(data):
    """10 after 7.5, as numbers; of several radii the widest is open."""
    assert [figure.stem for figure in data.figures] == ["tae_overall", "adf_7.5A", "adf_10A", "energy", "prior"]
    assert [figure.folded for figure in data.figures] == [False, True, False, False, False]
    assert all(figure.caption for figure in data.figures)
    with pytest.raises(InputError, match="odd"):
        place_figures([Path("odd.svg")], {})


def test_captions_hold_the_values_of_the_config(data):
    by_stem = {figure.stem: figure.caption for figure in data.figures}
    assert "bins of 0.8 Å" in by_stem["tae_overall"]
    assert "20.0°" in by_stem["adf_10A"]


def test_a_caption_with_a_value_that_is_not_there_is_bad_input(tmp_path):
    path = tmp_path / "rdf.rst"
    path.write_text("{{ snakemake.config['nothing'] }}", encoding="utf-8")
    with pytest.raises(InputError, match=r"rdf\.rst"):
        render_captions([path], snakemake=type("Job", (), {"config": {}}))


def test_writing_is_reproducible_and_works_without_optional_tables(data, tmp_path):
    write_report(tmp_path / "1.html", data)
    write_report(tmp_path / "2.html", data)
    assert (tmp_path / "1.html").read_bytes() == (tmp_path / "2.html").read_bytes()
    bare = render(replace(data, gradient_check=None, students=None, figures=()))
    assert "negative gradient" not in bare
