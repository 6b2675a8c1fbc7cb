"""Arithmetic of the benchmarks: turns, ratios, goals, table, files. Nothing here measures a speed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from cgdistill.structure.spec import StructureSpec  # noqa: E402

from benchmarks import report, travis  # noqa: E402
from benchmarks.timing import Goal, Row, Side, Times, interleave, ratio, ratio_row  # noqa: E402

FACTS = {
    "processor": "Acme (R) Fast CPU @ 3.0GHz",
    "cores": 4,
    "threads": 2,
    "device": "cpu",
    "memory_GB": 16.0,
    "system": "Linux 6",
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
}
ORDER = ["md", "mapping"]


class Clock:
    """A clock that advances when work is done."""

    def __init__(self) -> None:
        self.now, self.calls = 0.0, []

    def __call__(self) -> float:
        return self.now

    def work(self, label, seconds):
        """Work that takes ``seconds(n)`` at its n-th call."""

        def do() -> None:
            self.calls.append(label)
            self.now += seconds(self.calls.count(label) - 1)

        return do


def test_ways_are_measured_in_turn_behind_an_untimed_call():
    """Forwards and backwards; the first call, which takes a thousand times as long, is not in the times."""
    clock = Clock()
    slow = Side("slow", clock.work("slow", lambda n: 8000.0 if n == 0 else 8.0 * n), units=2)
    fast = Side("fast", clock.work("fast", lambda n: 1000.0 if n == 0 else float(n)), units=1)
    first, second = interleave([slow, fast], seconds=0.0, min_rounds=3, clock=clock)
    assert clock.calls == ["slow", "fast", "slow", "fast", "fast", "slow", "slow", "fast"]
    assert first.seconds == (4.0, 8.0, 12.0)
    assert second.seconds == (1.0, 2.0, 3.0)
    assert ratio(first, second) == (4.0, 4.0, 4.0)


@pytest.mark.parametrize(("seconds", "most", "rounds"), [(95.0, 60, 10), (0.0, 60, 5), (1000.0, 7, 7)])
def test_rounds_go_on_until_the_time_is_over_within_the_limits(seconds, most, rounds):
    clock = Clock()
    (times,) = interleave([Side("a", clock.work("a", lambda n: 10.0))], seconds, 5, most, clock)
    assert len(times.seconds) == rounds


def test_ratio_of_paired_times_does_not_see_a_machine_that_slows_down():
    """Tenfold drift, ratio 3 throughout; the ratio of unpaired quartiles would be anything."""
    drift = np.linspace(1.0, 10.0, 9)
    value, low, high = ratio(Times("a", tuple(3.0 * drift)), Times("b", tuple(drift)))
    assert (value, low, high) == pytest.approx((3.0, 3.0, 3.0))


@pytest.mark.parametrize(
    ("goal", "value", "expected"),
    [
        (Goal(25.0, 45.0, True), 45.0, "aim"),
        (Goal(25.0, 45.0, True), 44.9, "goal"),
        (Goal(25.0, 45.0, True), 24.9, "missed"),
        (Goal(5.0, 3.0, False), 3.0, "aim"),
        (Goal(5.0, 3.0, False), 3.1, "goal"),
        (Goal(5.0, 3.0, False), 5.1, "missed"),
    ],
)
def test_goals(goal, value, expected):
    assert goal.reached(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.01234, "0.0123"), (1.0, "1.00"), (45.67, "45.7"), (301.4, "301"), (21326.0, "21,300"), (0, "0")],
)
def test_numbers_have_three_valid_digits(value, expected):
    assert report.number(value) == expected


def rows():
    """One row with a goal and one without, of two cases."""
    over, under = Times("stock", (0.30, 0.32, 0.31)), Times("fused", (0.010, 0.011, 0.010))
    speed = Row("mapping", "speed", "speed", "speed of it", 12.5, "ns/day", 12.0, 13.0)
    return {
        "md": [ratio_row("md", "step", "MD step", "step, stock / fused", over, under, Goal(25.0, 45.0, True), "n")]
    }, {"mapping": [speed]}


def test_results_on_disk_keep_what_was_not_measured_again(tmp_path):
    md, mapping = rows()
    path = tmp_path / "results" / report.file_name(FACTS)
    assert path.name == "acme-r-fast-cpu-3-0ghz-4-cores-2-threads.json"
    report.write_results(path, FACTS, {**md, **mapping}, "aaaaaaa")
    again = Row("mapping", "speed", "speed", "speed of it", 20.0, "ns/day", 19.0, 21.0)
    results = report.write_results(path, FACTS, {"mapping": [again]}, "bbbbbbb")
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(results))
    assert {case: entry["commit"] for case, entry in results["cases"].items()} == {
        "md": "aaaaaaa",
        "mapping": "bbbbbbb",
    }
    assert report.rows_of(results, ORDER) == [*md["md"], again]
    assert results["rows"][0]["status"] == "goal"
    path.write_text('{"format": "other"}', encoding="utf-8")
    with pytest.raises(ValueError, match="format other"):
        report.write_results(path, FACTS, mapping, "c")


def test_table_shows_goal_value_and_spread(tmp_path):
    md, mapping = rows()
    results = report.write_results(tmp_path / "r.json", FACTS, {**mapping, **md}, "abc1234+")
    assert "other work" not in report.table(results, ORDER)
    busy = report.write_results(tmp_path / "r.json", FACTS, mapping, "abc1234+", load=1.26)
    assert "other work to do (load 1.3)" in report.table(busy, ORDER)
    head, _, _, _, first, second = report.table(results, ORDER).splitlines()
    assert "Acme (R) Fast CPU @ 3.0GHz, 4 cores, 2 threads used, 16.0 GB, Linux 6, python 3.11.7" in head
    assert "commit abc1234+" in head
    cells = [cell.strip() for cell in first.strip("|").split("|")]
    assert cells[:3] == ["step, stock / fused (n)", "≥ 25.0 × (45.0 ×)", "**30.0 ×**"]
    assert cells[4] == "stock 310 ms, fused 10.0 ms"
    assert second == "| speed of it |  | 12.5 ns/day | 12.0 to 13.0 |  |"


def test_table_goes_between_the_markers_of_a_document(tmp_path):
    path = tmp_path / "speed.md"
    path.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    for text in ("one\n", "two\n"):
        report.insert(path, text)
        assert path.read_text(encoding="utf-8") == f"before\n{report.BEGIN}\n{text}{report.END}\nafter\n"
    path.write_text("no markers\n", encoding="utf-8")
    with pytest.raises(ValueError, match="each once"):
        report.insert(path, "x\n")


def test_the_document_of_the_repository_has_its_markers(tmp_path):
    copy = tmp_path / "speed.md"
    copy.write_text((ROOT / "docs" / "speed.md").read_text(encoding="utf-8"), encoding="utf-8")
    report.insert(copy, "x\n")


def test_figure_is_drawn_with_any_of_its_panels(tmp_path):
    """Not how it looks."""
    md, mapping = rows()
    for number, part in enumerate(({**md, **mapping}, md, mapping)):
        results = report.write_results(tmp_path / f"{number}.json", FACTS, part, "a")
        for path in report.draw(results, ORDER, tmp_path / f"{number}"):
            assert path.stat().st_size > 1000


@pytest.mark.parametrize("name", ["rdf-1", "rdf-2", "rdf-3", "adf", "cdf"])
def test_answers_for_travis_are_complete(name):
    """One line per question, all places filled in; not whether the program asks these questions."""
    values = {"cell_pm": 4520, "r_max_pm": 2000, "n_bins": 200, "bead": 2}
    values |= {"centre": 1, "left": "Ar", "right": "He", "atoms": "Ar,He"}
    text = travis.answers(name, **values)
    assert "{" not in text and "!" not in text
    lines = text.splitlines()
    assert {"4520", "2000", "200"} <= set(lines)
    if name.startswith("rdf"):
        first = int(name[-1])
        observed = [lines[at - 3] for at, line in enumerate(lines) if line == "2000"]
        assert observed == [str(number) for number in range(first, 4)]


def test_travis_is_measured_with_the_bins_of_the_analysis(tmp_path, monkeypatch):
    """Frames, radii and triplets multiply the measured times as they should."""
    spec = StructureSpec.from_config(
        {
            "rdf": {"r_max_A": 5.0, "bin_width_A": 0.5},
            "adf": {"triplets": [["A", "B", "C"], ["B", "B", "B"]], "r_max_A": [3.0, 4.0], "bin_width_deg": 10.0},
            "cdf": {"r_max_A": 6.0, "bin_width_A": 0.1},
        }
    )

    class Beads:
        positions_A = np.random.default_rng(0).random((4, 6, 3)) * 10
        cell_A = np.diag([10.0, 10.0, 10.0])

        class topology:
            type_names = ("A", "B", "C")
            bead_types = np.array([0, 1, 2, 0, 1, 2])

    class Context:
        folder = tmp_path

        def say(self, text):
            pass

    asked = []

    def run(folder, xyz, text):
        asked.append((folder.name, xyz.read_text(encoding="ascii").count("\n\n"), text.splitlines()))
        return 2.0

    monkeypatch.setattr(travis, "run", run)
    found = travis.seconds_per_frame(Context(), Beads(), spec, adf_frames=1)
    assert {name: times.median_s for name, times in found.items()} == {"rdf": 1.5, "cdf": 1.5, "adf": 8.0}
    assert [(name, frames) for name, frames, _ in asked] == [
        *((f"rdf-{n}-{n - 1}", 4) for n in (1, 2, 3)),
        *((f"cdf-{n}", 4) for n in range(3)),
        ("adf-0", 1),
        ("adf-1", 1),
    ]
    assert {"1000.000", "500", "10"} <= set(asked[0][2])
    assert {"400", "18", "Ar", "He", "Ar,He"} <= set(asked[6][2])
    assert {"Ne"} <= set(asked[7][2]) and "Ar,He" not in asked[7][2]
