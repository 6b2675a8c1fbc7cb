"""The page and its tables: the numbers are those of the files. That the words persuade, no test can say.

What a browser makes of the page is in tests/integration/test_report_browser.py.
"""

from __future__ import annotations

import base64
import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.metadata import version

import numpy as np
import pytest
from cgdistill.core.errors import InputError
from cgdistill.io.csv_tables import write_table
from cgdistill.provenance.record import config_hash
from cgdistill.report.data import COLUMNS, gather
from cgdistill.report.figures import Captions
from cgdistill.report.models import comparisons_of_model, error_table, model_pages
from cgdistill.report.networks import ceiling_table, failures_table
from cgdistill.report.page import render, write_report
from cgdistill.report.parts import Cell, cell, column_words, interval, mean_and_std, number, p_value
from cgdistill.report.runtime import clock, read_runtime, runtime_table
from cgdistill.report.speed import differences_from_paper, paper_table, performance_settings, performance_table
from cgdistill.report.tables import item_table, main_table, runs_table, unstable_table
from fabricate_report import EVIL, ROOT, VARIANTS, fabricate_report, read_config

VOID = ("meta", "img", "br", "link", "rect")


def texts_of(table):
    """The texts of all cells."""
    return [[cell.text for cell in row.cells] for row in table.rows]


class Page(HTMLParser):
    """Tags, references, ids and images of a page."""

    def __init__(self):
        super().__init__()
        self.references, self.ids, self.images, self.scripts, self.open, self.errors = [], [], [], 0, [], []
        self.handlers = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.scripts += tag == "script"
        self.references += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.ids += [values["id"]] if "id" in values else []
        self.images += [values.get("src")] if tag == "img" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.errors.append(tag)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return fabricate_report(tmp_path_factory.mktemp("run") / "results")


@pytest.fixture(scope="module")
def page(data):
    return render(data)


@pytest.fixture(scope="module")
def parsed(page):
    found = Page()
    found.feed(page)
    return found


def test_the_page_is_well_formed_and_fetches_nothing(page, parsed):
    assert not parsed.errors
    assert not parsed.open
    assert len(parsed.references) > 40
    for reference in parsed.references:
        assert reference.startswith(("data:image/", "#"))
    for fetched in ("@import", "url(", "fetch(", "https://"):
        assert fetched not in page
    assert "default-src 'none'" in page


def test_ids_are_unique_and_every_link_leads_somewhere(parsed):
    assert len(parsed.ids) == len(set(parsed.ids))
    links = {reference[1:] for reference in parsed.references if reference.startswith("#")}
    assert links <= set(parsed.ids)
    assert {f"model-{variant.name}" for variant in VARIANTS} <= links


def test_every_image_is_embedded_but_the_dialogs(parsed, data):
    assert parsed.images.count(None) == 1
    embedded = [source for source in parsed.images if source]
    assert len(embedded) == len(data.figures) == 9
    for source in embedded:
        assert base64.b64decode(source.partition("base64,")[2])


def test_what_users_write_is_escaped(page, parsed):
    """The run's name and a label hold a script; so does a figure, which is embedded as an image."""
    assert parsed.scripts == 1, "only the page's own"
    assert not parsed.handlers
    assert "alert(" not in re.sub(r"&lt;script&gt;alert\(&#34;x&#34;\)&lt;/script&gt;", "", page)
    assert page.count("&lt;script&gt;") > 20


def test_the_main_table_holds_what_the_tables_say(data):
    table = main_table(data)
    assert [re.sub(r" \(.*", "", column) for column in table.columns] == [
        "Model", "TAE RDF", "TAE ADF", "TAE CDF", "Finished runs", "Stability", "R² on F", "ns/day",
    ]  # fmt: skip
    rows = {row.cells[0].text: row for row in table.rows}
    assert list(rows) == ["T", "T4", "S1Ffε", "S8Ffε", EVIL]
    own = data.summary.query("variant == 'T' and metric == 'rdf' and item == 'overall'").iloc[0]
    error = rows["T"].cells[1]
    assert error.value == own["mean"]
    assert error.text == number(own["mean"])
    assert error.notes == (interval(own["ci_low"], own["ci_high"]), "noise 0.40")
    assert rows["T"].cells[4].text == "2 of 3"
    assert [rows["T"].cells[5].text, *rows["T"].cells[5].notes] == ["1 stable", "1 drifting", "1 blown up"]
    assert rows["T"].cells[7].text == "30.0"
    assert all(row.cells[0].href == f"#model-{v.name}" for row, v in zip(table.rows, VARIANTS, strict=True))


def test_a_model_without_a_finished_run_stands_out(data):
    row = main_table(data).rows[3]
    assert row.bad
    assert [c.text for c in row.cells[1:5]] == ["–", "–", "–", "0 of 2"]
    assert row.cells[5].text == "2 blown up"


def test_marks_of_the_lowest_and_of_what_cannot_be_told_from_it(data):
    """S8-mine is lowest; T4 lies within 0.6 of it, T and S1 do not, and S8Ffε has no error."""
    rows = main_table(data).rows
    assert [row.cells[1].text[-1] in "★≈" and row.cells[1].text[-1] for row in rows] == [False, "≈", False, False, "★"]
    turned = {"variant_a": "variant_b", "variant_b": "variant_a"}
    other = replace(data, tables={**data.tables, "comparisons": data.tables["comparisons"].rename(columns=turned)})
    assert [row.cells[1].text[-1] for row in main_table(other).rows][1::3] == ["≈", "★"], "whichever stands first"
    bare = replace(data, tables={k: v for k, v in data.tables.items() if k != "comparisons"})
    assert [row.cells[1].text.endswith("≈") for row in main_table(bare).rows] == [False] * 5


def test_forces_stand_beside_the_ceiling(data):
    """Of all teachers together the table of the ceiling knows R², of which there are no metrics of training."""
    rows = main_table(data).rows
    assert rows[1].cells[6].text == "0.215"
    assert rows[1].cells[6].notes == ("86 % of ceiling",)
    open_end = replace(data, tables={**data.tables, "ceiling": data.tables["ceiling"].assign(upper=np.nan)})
    assert main_table(open_end).rows[1].cells[6].notes == ("at most 98 % of ceiling",), "of the lower bound"
    assert ceiling_table(open_end).rows[0].cells[1].text == "≥ 0.220"
    assert ceiling_table(data).rows[0].cells[1].text == "0.250"


def test_runs_tell_what_became_of_them(data, page):
    table = runs_table(data)
    assert len(table.rows) == 12
    assert sum(row.bad for row in table.rows) == 4
    assert "Largest cluster of Cho: drifting." in page
    drifting = table.rows[2]
    assert drifting.cells[2] == Cell("drifting", 1, ("from 12.0 ps",), tone="bad")
    own = runs_table(data, "T")
    assert [row.cells[0].text for row in own.rows] == ["seed-1, 1", "seed-2, 1", "seed-3, 1"]
    tae = data.tables["tae"].query("variant == 'T' and metric == 'rdf' and item == 'overall'")["tae"].to_list()
    assert [row.cells[3].value for row in own.rows][::2] == tae[::2]
    assert own.rows[1].cells[3].text == "–"
    drifts = dict(zip(own.columns, own.rows[0].cells, strict=True))
    assert drifts["Drift of a CDF peak (Å)"] == Cell("0.100 ± 0.050", 0.1, ("Cho",))
    assert drifts["Drift of the temperature (K)"].text == "1.0 ± 2.0"


def test_networks_whose_training_failed_are_told(data, page):
    """One is excluded, one was trained again; the reason comes from files and is escaped."""
    rows = failures_table(data).rows
    assert [(row.cells[0].text, row.cells[1].text, row.bad) for row in rows] == [
        ("T, seed-2", "used", False),
        ("S1Ffε, seed-2", "used", False),
        ("S1Ffε, seed-3", "excluded", True),
    ]
    assert "(frames 4, &lt;b&gt;8&lt;/b&gt;)" in page and "<b>8</b>" not in page
    assert "1 of 8 networks is left out of everything, since training failed: S1Ffε seed-3." in page
    assert "Trained again with a lower learning rate after a failure: T seed-2 (1 retry)" in page
    assert "1 of 12 runs was not made, since the training of the model failed: S1Ffε 1 of 3." in page
    sound = data.networks.assign(status="used", retries=0)
    assert failures_table(replace(data, tables={**data.tables, "networks": sound})) is None


def test_runs_that_went_wrong_lead_to_their_frames(data, page):
    """Of three that blew up the pair and the last frames; of others, which drift or have clustered, the trajectory."""
    table = unstable_table(data)
    wrong = data.runs[~data.runs["stability"].isin(["stable", "excluded"])]
    assert len(table.rows) == len(wrong) and sum(row.bad for row in table.rows) == 3
    rows = [dict(zip(table.columns, row.cells, strict=True)) for row in table.rows]
    lost = [row for row in rows if row["Stability"].text == "blown up"]
    slow = [row for row in rows if row["Stability"].text != "blown up"]
    for row in lost:
        assert row["Stability"].notes == ("temperature",) and row["Since (ps)"].notes == ("step 3000",)
        assert row["Closest beads"] == Cell(f"bead 17 (Cl), bead 40 ({EVIL})", notes=("0.31 Å",))
    assert {row["Closest beads"].text for row in slow} == {"–"} and all(not row["Since (ps)"].notes for row in slow)
    names = wrong[["variant", "member", "replica", "stability"]].itertuples(index=False)
    ends = {"blown up": "last_frames.lammpstrj"}
    expected = [f"simulations/{v}/{m}/replica-{r}/{ends.get(s, 'trajectory.lammpstrj')}" for v, m, r, s in names]
    assert [row["Frames to look at"].text for row in rows] == expected
    assert all(path in page for path in expected)
    assert page.count("bead 17 (Cl), bead 40 (&lt;script") == 6, "as text and to sort by"


def test_runs_that_went_wrong_where_none_did_or_tables_are_older(data):
    """No table; and one without the columns of later versions."""
    stable = data.runs.assign(stability="stable")
    assert unstable_table(replace(data, tables={**data.tables, "runs": stable})) is None
    older = data.runs.drop(columns=["failure_kind", "closest_pair", "closest_pair_distance_A", "step"])
    cells = unstable_table(replace(data, tables={**data.tables, "runs": older})).rows[-1].cells
    assert cells[4].text == "–" and not cells[2].notes


def test_errors_of_a_model_are_marked_by_the_rule_of_thumb(data):
    """3.0 over six pairs is 0.5, below 1; an ADF of 3.0 * 0.1 is above 0.2."""
    model = data.palette.models[0]
    tones = {row.cells[0].text: row.cells[1].tone for row in error_table(data, model).rows}
    assert tones["RDF Cho-Cho"] == ""
    assert tones["ADF Cho-Cl-Urea, 6 Å"] == "bad"
    assert tones["RDF all"] == ""


def test_comparisons_are_seen_from_the_models_own_side(data):
    """T is worse than S8-mine, so S8-mine is better than T, whichever stands first in the table."""
    models = data.palette.models
    first = {row.cells[0].text: row.cells[1].text for row in comparisons_of_model(data, models[0]).rows}
    last = {row.cells[0].text: row.cells[1].text for row in comparisons_of_model(data, models[4]).rows}
    assert first == {"T4": "worse", "S1Ffε": "not distinguishable", "S8Ffε": "not distinguishable", EVIL: "worse"}
    assert last["T"] == "better"
    assert last["T4"] == "not distinguishable"


def test_pages_of_models_quote_their_folders_and_seeds(data, page):
    pages = {entry.model.name: entry for entry in model_pages(data)}
    assert list(pages) == [variant.name for variant in VARIANTS]
    usage = pages["T"].usage
    assert usage.folder.parts[-2:] == ("T", "seed-1")
    assert [folder.name for folder in usage.others] == ["seed-2", "seed-3"]
    assert usage.pair_lines == ("pair_style mliap unified mliap.pt 0", "pair_coeff * * Cho Cl Urea")
    assert f"cd {usage.folder}\nlmp -in in.lammps" in page
    facts = dict(pages["T4"].facts)
    assert facts["Networks"] == "3 networks, 27,852 parameters"
    assert facts["Seeds of the training"] == "seed-1: 4711, seed-2: 4712, seed-3: 4713"
    assert dict(pages["S8-mine"].facts)["Weights of the loss"] == "2 F (all-atom forces) + 1 f (teacher forces)"
    assert pages["T4"].metrics is None
    assert [figure.stem for figure in pages["S8-mine"].figures] == ["model_S8-mine"]


def test_items_stand_beside_each_other(data):
    table = item_table(data, "adf")
    assert table.columns[1:] == ["T", "T4", "S1Ffε", "S8Ffε", EVIL]
    assert [row.cells[0].text for row in table.rows] == [f"Cho-Cl-Urea, {r} Å" for r in ("6", "6.5", "7.5")]


def test_speed_of_runs_and_of_jobs_stands_beside_the_paper(data, page):
    """30 and 4 ns/day were made up for a run, and 1.5 times as much for the runs of a job."""
    table = performance_table(data)
    rows = {row[0]: row[1:] for row in texts_of(table)}
    assert list(table.columns) == [
        "Model", "ns/day of a run", "ns/day of a job (runs)", "Speed / T4", "Networks",
    ]  # fmt: skip
    assert rows["T4"] == ["4.00", "6.00 (2)", "1.00", "8"], "as many networks as the config has teachers"
    assert rows["T"] == ["30.0", "45.0 (3)", "7.50", "1"]
    assert performance_settings(data) == "128 beads, time step 4 fs, device cpu, threads: 1, cutoff 7.5 Å"
    assert texts_of(paper_table()) == [
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
    assert differences_from_paper(data) == [
        "128 instead of 1,000 beads", "time step 4 instead of 2 fs", "threads: 1 instead of 48",
        "sensitivities: 8 instead of 20", "cutoff 7.5 instead of 12 Å",
    ]  # fmt: skip
    assert "do not compare" in page
    network = {**data.config["network"], "n_sensitivities": 20, "cutoff_A": 12.0}
    performance = data.performance.assign(n_beads=1000, timestep_fs=2.0, threads=48)
    same = replace(data, config={**data.config, "network": network}, tables={**data.tables, "performance": performance})
    assert differences_from_paper(same) == []
    assert "the hardware is not" in render(same)
    teachers = {**data.config["teachers"], "seeds": [1, 2]}
    assert differences_from_paper(replace(same, config={**same.config, "teachers": teachers})) == [
        "teachers: 2 instead of 8"
    ]


def test_settings_that_differ_between_models_get_columns(data):
    """Simulations of T were run on another machine, one of them before the threads were written down."""
    performance = data.performance.astype({"threads": float})
    teachers = performance["variant"] == "T"
    performance.loc[teachers, ["device", "threads"]] = ["cuda", 4.0]
    performance.loc[performance.index[teachers][0], "threads"] = np.nan
    other = replace(data, tables={**data.tables, "performance": performance})
    table = performance_table(other)
    assert list(table.columns[-2:]) == ["Device", "Threads"]
    assert [row[-2:] for row in texts_of(table)[:2]] == [["cuda", "4"], ["cpu", "1"]]
    assert performance_settings(other) == "128 beads, time step 4 fs, cutoff 7.5 Å"
    assert "device cpu or cuda instead of cpu" in differences_from_paper(other)


def test_jobs_count_once_and_small_ones_not_at_all(data):
    """Three runs of T in a job of two and a job of one; records from before jobs were shared tell nothing of them."""
    performance = data.performance.astype({"ns_per_day": float, "ns_per_day_together": float})
    teachers = performance.index[performance["variant"] == "T"]
    performance.loc[teachers, "runs_together"] = [2, 2, 1]
    performance.loc[teachers, "ns_per_day_together"] = [50.0, 50.0, 33.0]
    row = texts_of(performance_table(replace(data, tables={**data.tables, "performance": performance})))[0]
    assert row[2:4] == ["50.0 (2)", f"{50 / 6:.2f}"]
    performance.loc[teachers, "ns_per_day"] = [20.0, 22.0, 31.0]
    row = texts_of(performance_table(replace(data, tables={**data.tables, "performance": performance})))[0]
    assert row[1] == "26.0 ± 7.1", "two jobs: 21 and 31; how runs of one differ tells nothing"
    silent = performance.assign(runs_together=np.nan, ns_per_day_together=np.nan)
    row = texts_of(performance_table(replace(data, tables={**data.tables, "performance": silent})))[0]
    assert row[1:4] == ["24.3 ± 5.9", "–", "–"]


def test_the_page_tells_what_was_run(data, page):
    """Numbers of the methods come from the config and from the files."""
    text = re.sub(r"\s+", " ", page)
    for fact in ("16 beads: 4 Cho (104.17 g/mol), 4 Cl (35.450 g/mol), 8 Urea (60.060 g/mol)",
                 "24 for training, 3 for validation and 3 for tests", "3 ps apart", "time step of 4 fs",
                 "in bins of 0.1 Å", "8 sensitivity functions", "learning rate of 0.005 and batches of 4 frames",
                 "Intervals (95 %)", "500 resamples", "exceeded with a probability of 5 %",
                 "more than 50 % of the beads", "9,284 parameters", config_hash(data.config), "ab" * 32,
                 "lammps 20250722", f"torch {version('torch')}",
                 "rms difference (kcal/mol/Å)"):  # fmt: skip
        assert fact in text, fact
    assert "multiplied by 0.5" in text
    batches = {**data.config["training"], "schedule": "batch-size"}
    assert "batch size was divided by 0.5" in render(replace(data, config={**data.config, "training": batches}))
    made = read_config("paper")["aa"]
    assert "simulated with GROMACS for 1,000 ps" in render(replace(data, config={**data.config, "aa": made}))


def test_run_time_is_summed_by_stage(data):
    """7 and 107 s of simulations were made up, and 207 s of a stage that comes before them."""
    assert list(data.runtime["rule"]) == ["fit_prior", "simulate"]
    assert list(data.runtime["total_s"]) == [207.0, 114.0]
    assert texts_of(runtime_table(data.runtime)) == [
        ["fit prior", "1", "3 min 27 s", "3 min 27 s", "6.5 s", "250"],
        ["simulate", "2", "1 min 54 s", "1 min 47 s", "13 s", "250"],
        ["all", "3", "5 min 21 s", "3 min 27 s", "20 s", "250"],
    ]
    assert runtime_table(read_runtime([])) is None
    assert [clock(s) for s in (0.04, 59.4, 3599, 7325)] == ["0.0 s", "59 s", "59 min 59 s", "2 h 02 min"]


def test_a_file_that_is_no_benchmark_is_bad_input(tmp_path):
    (tmp_path / "simulate.tsv").write_text("a\tb\n1\t2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"simulate\.tsv"):
        read_runtime([tmp_path / "simulate.tsv"])


def test_tables_without_a_column_are_bad_input(tmp_path):
    """As left by a version before the column was there."""
    made = fabricate_report(tmp_path / "run")
    assert set(COLUMNS) == set(made.tables)
    paths = {name: tmp_path / "run" / "tables" / f"{name}.csv" for name in COLUMNS}
    mapped = tmp_path / "run" / "mapped"
    write_table(paths["runs"], made.runs.drop(columns="stability"), {})
    with pytest.raises(InputError, match="stability"):
        gather("r", made.config, made.palette, paths, mapped / "beads.h5", mapped / "split.json", [], Captions([]))


def test_writing_is_reproducible_and_works_without_optional_parts(data, tmp_path):
    write_report(tmp_path / "1.html", data)
    write_report(tmp_path / "2.html", data)
    assert (tmp_path / "1.html").read_bytes() == (tmp_path / "2.html").read_bytes()
    needed = {name: data.tables[name] for name in ("summary", "runs", "performance", "training", "networks")}
    bare = replace(data, tables=needed, students=data.students.iloc[:0], figures=(), cards={},
                   runtime=data.runtime.iloc[:0])  # fmt: skip
    text = render(bare)
    found = Page()
    found.feed(text)
    assert not found.errors
    for missing in ("negative gradient of the energy</h3>", "Noise ceiling", "Pictures of the box", "Use it in LAMMPS",
                    "Run time by stage", "weights of their losses"):  # fmt: skip
        assert missing in render(data) or missing.startswith("negative")
        assert missing not in text


def test_a_run_without_pictures_of_the_box(tmp_path):
    """Switched off in the config: no section, and no link to one."""
    config = read_config()
    config["pictures"] = False
    made = fabricate_report(tmp_path / "run", config)
    assert "boxes" not in [figure.stem for figure in made.figures]
    assert 'href="#pictures"' not in render(made)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01234, "0.0123"),
        (1.2, "1.20"),
        (1234.5, "1,234"),
        (-0.5, "−0.500"),
        (0, "0"),
        (np.nan, "–"),
        (2e-7, "2.00e−07"),
        (-0.00868, "−0.00868"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_words_for_numbers():
    assert interval(1.234, 1.456) == "1.23 to 1.46"
    assert interval(-0.1, 0.1) == "−0.10 to 0.10"
    assert interval(np.nan, 1.0) == ""
    assert mean_and_std(5.123, 0.12) == "5.12 ± 0.12"
    assert mean_and_std(5.123, np.nan) == "5.12"
    assert [p_value(p) for p in (0.0002, 0.034, np.nan)] == ["< 0.001", "0.034", "–"]
    assert column_words("rms_difference_kcal_mol_A") == "rms difference (kcal/mol/Å)"
    assert column_words("ns_per_day") == "ns/day"
    assert [cell(value).text for value in (3, 3.0, "a", None, True)] == ["3", "3", "a", "–", "yes"]


def test_the_script_on_a_models_page_is_python(data, page):
    """That it runs is in the integration tests; ``compile`` finds what a template may break."""
    script = re.search(r'<pre class="script">(.*?)</pre>', page, re.S)[1]
    compile(html.unescape(script), "run_model.py", "exec")
    assert str(ROOT) not in script
