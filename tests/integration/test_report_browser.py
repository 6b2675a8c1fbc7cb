"""The report page in a real browser: no errors, nothing fetched, links, sorting, enlarging, models, sizes, paper.

Not tested: other browsers, and how it looks.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser
from cgdistill.report.page import write_report

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from fabricate_report import EVIL, VARIANTS, fabricate_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
MAIN = "document.querySelector('#models ~ .scroll table')"
SEEN = "e => e.checkVisibility({ visibilityProperty: true })"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report with all of its figures."""
    folder = tmp_path_factory.mktemp("report")
    write_report(folder / "report.html", fabricate_report(folder / "run", big=True))
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    with Browser() as found:
        yield found


def test_nothing_is_wrong_and_nothing_is_fetched(browser, page):
    browser.events.clear()
    browser.open(page)
    assert browser.complaints() == []
    assert [url for url in browser.requests() if url != "about:blank"] == [page.resolve().as_uri()]


def test_the_test_sees_what_is_wrong(browser, tmp_path):
    """Were the console silent here, the test above could not fail."""
    (tmp_path / "bad.html").write_text("<img src='nothing.png'><script>nothing()</script>", encoding="utf-8")
    browser.events.clear()
    browser.open(tmp_path / "bad.html")
    assert len(browser.complaints()) == 2
    assert any(url.endswith("nothing.png") for url in browser.requests())
    browser.events.clear()


def test_images_load_and_links_lead_somewhere(browser, page):
    browser.open(page)
    broken = browser.run(
        """Promise.all([...document.querySelectorAll('.picture img')].map(async image => {
             image.loading = 'eager';
             try { await image.decode(); return image.naturalWidth ? '' : 'empty'; } catch (error) { return image.alt; }
           })).then(names => names.filter(Boolean))"""
    )
    assert broken == []
    assert browser.run("document.querySelectorAll('.picture img').length") > 20
    assert browser.run(
        "[...document.querySelectorAll('a[href]')].filter(a => !document.getElementById(a.hash.slice(1))).length"
    ) == 0  # fmt: skip
    assert browser.run("document.querySelectorAll('a[href]').length") > 40


@pytest.mark.parametrize("fragment", ["", "#model-S8-mine"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_does_not_scroll_sideways(browser, page, width, fragment):
    """With everything open that can be opened."""
    browser.open(page, fragment, width)
    browser.run("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    assert browser.run("innerWidth") == width
    assert browser.run("document.scrollingElement.scrollWidth") <= width
    outside = browser.run(
        f"""[...document.querySelectorAll('main *')].filter({SEEN}).filter(e =>
             !e.closest('.scroll, .picture, pre, .unseen') && e.getBoundingClientRect().right > {width} + 1)
             .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert outside == []


def _column(browser, number):
    """Texts of a column of the main table, without notes and marks."""
    return browser.run(
        f"""[...{MAIN}.tBodies[0].rows].map(row => {{
              const text = row.cells[{number}].cloneNode(true);
              text.querySelectorAll('small').forEach(note => note.remove());
              return text.textContent.trim().split(' ')[0]; }})"""
    )


def test_a_click_on_a_head_sorts_and_another_turns_it_round(browser, page):
    """S8Ffε has no error: it comes last both ways."""
    browser.open(page)
    before = _column(browser, 1)
    browser.run(f"{MAIN}.querySelectorAll('th .sort')[1].click()")
    up = _column(browser, 1)
    assert up != before
    assert up[-1] == "–"
    assert [float(value) for value in up[:-1]] == sorted(float(value) for value in up[:-1])
    sorted_by = f"[...{MAIN}.querySelectorAll('thead th')].map(head => head.getAttribute('aria-sort'))"
    assert browser.run(sorted_by) == [None, "ascending", *[None] * 6]
    browser.run(f"{MAIN}.querySelectorAll('th .sort')[1].click()")
    assert _column(browser, 1) == [*up[:-1][::-1], "–"]
    assert browser.run(sorted_by)[1] == "descending"
    browser.run(f"{MAIN}.querySelectorAll('th .sort')[0].click()")
    names = _column(browser, 0)
    assert names == sorted(names, key=str.casefold)
    assert browser.run(sorted_by)[:2] == ["ascending", None]


def test_every_metric_of_the_main_table_sorts(browser, page):
    """By the numbers that are seen; stability by its kinds, of which S8-mine and T4 alone have nothing but the best."""
    for column in (1, 2, 3, 4, 6, 7):
        browser.open(page)
        browser.run(f"{MAIN}.querySelectorAll('th .sort')[{column}].click()")
        known = [value for value in _column(browser, column) if value != "–"]
        assert len(known) >= 4
        # of finished runs the share counts: "1 of 2" and "2 of 3" do not sort by their first numbers
        assert column == 4 or [float(value) for value in known] == sorted(map(float, known))
    browser.open(page)
    browser.run(f"{MAIN}.querySelectorAll('th .sort')[5].click()")
    assert _column(browser, 0)[0] == "S8Ffε", "all of its runs blew up"
    assert set(_column(browser, 0)[-2:]) == {"T4", EVIL.split(" ")[0]}


def test_the_keyboard_sorts(browser, page):
    browser.open(page)
    browser.run(f"{MAIN}.querySelectorAll('th .sort')[7].focus()")
    browser.press("Enter", 13, "\r")
    speeds = [float(value) for value in _column(browser, 7)]
    assert speeds == sorted(speeds)
    assert speeds[0] < speeds[-1]
    browser.press(" ", 32, " ")
    assert [float(value) for value in _column(browser, 7)] == speeds[::-1]


def test_figures_can_be_enlarged_and_closed_by_keyboard(browser, page):
    browser.open(page)
    browser.run("document.querySelector('.picture').focus()")
    browser.press("Enter", 13, "\r")
    assert browser.run("document.querySelector('dialog').open")
    small, large = (f"document.querySelector('{where} img')" for where in (".picture", "dialog"))
    assert browser.run(f"{large}.src === {small}.src && {large}.alt === {small}.alt")
    assert browser.run(f"{large}.decode().then(() => {large}.getBoundingClientRect().width)") >= 1280
    assert browser.run("document.activeElement.textContent") == "Close"
    browser.press("Escape", 27)
    assert not browser.run("document.querySelector('dialog').open")
    browser.run("document.querySelector('.picture').click()")
    browser.run("document.querySelector('dialog button').click()")
    assert not browser.run("document.querySelector('dialog').open")


def _shown(browser):
    """Ids of the sections that can be seen."""
    return browser.run(f"[...document.querySelectorAll('section')].filter({SEEN}).map(section => section.id)")


def test_a_models_page_opens_by_its_address_and_leads_back(browser, page):
    browser.open(page, "#model-S8-mine")
    assert _shown(browser) == ["model-S8-mine"]
    browser.run("document.querySelector('#model-S8-mine .back a').click()")
    shown = _shown(browser)
    assert shown[0] == "verdict"
    assert not [name for name in shown if name.startswith("model-")]
    browser.run(f"{MAIN}.querySelector('a').click()")
    assert _shown(browser) == ["model-T"]
    browser.run("document.querySelector('nav a[href=\"#stability\"]').click()")
    assert "stability" in _shown(browser)
    assert 0 <= browser.run("document.querySelector('#stability').getBoundingClientRect().top") < 200


def test_every_model_has_a_page_with_its_figure(browser, page):
    for variant in VARIANTS:
        browser.open(page, f"#model-{variant.name}")
        assert _shown(browser) == [f"model-{variant.name}"]
        assert browser.run(f"[...document.querySelectorAll('figure')].filter({SEEN}).map(figure => figure.id)") == [
            f"figure-model_{variant.name}"
        ]


def test_a_link_into_something_folded_opens_it(browser, page):
    browser.open(page, "#figure-prior")
    assert browser.run("document.querySelector('#figure-prior').closest('details').open")
    top = browser.run("document.querySelector('#figure-prior').getBoundingClientRect().top")
    assert 0 <= top < 900


def test_dark_and_light_are_as_the_reader_wants(browser, page):
    """Text on its background with a contrast of 4.5 at least (WCAG AA), in both."""
    luminance = """colour => { const c = colour.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; }"""
    backgrounds = []
    for dark in (False, True):
        browser.open(page, dark=dark)
        ratios = browser.run(
            f"""(() => {{ const lum = {luminance};
                const ground = lum(getComputedStyle(document.body).backgroundColor);
                return [ground, ...['body', '.soft', 'a', 'td.bad', 'th small, td small', 'figcaption'].map(which => {{
                  const ink = lum(getComputedStyle(document.querySelector(which)).color);
                  return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05); }})]; }})()"""
        )
        backgrounds.append(ratios[0])
        assert min(ratios[1:]) >= 4.5
    assert backgrounds[0] > 0.9
    assert backgrounds[1] < 0.1


def test_it_prints_with_the_pages_of_all_models(browser, page):
    browser.open(page)
    count = "document.querySelectorAll('details[open]').length"
    browser.run(f"globalThis.seen = 0; addEventListener('beforeprint', () => {{ globalThis.seen = {count}; }})")
    pdf = browser.print()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 5 + len(VARIANTS)
    assert browser.run("globalThis.seen") > 5, "folded figures are opened for paper"
    assert browser.run(count) == 0, "and closed behind it"
