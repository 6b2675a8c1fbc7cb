"""Tables of a whole run. They cannot detect wrong numbers in the tables that they are collected from."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from cgdistill.core.errors import InputError
from cgdistill.io.csv_tables import write_table
from cgdistill.results import collect_tables as collect
from cgdistill.structure.files import write_curves
from fabricate import STAMP


def _table(path, **columns):
    write_table(path, pd.DataFrame(columns), STAMP)
    return path


def _record(path, **fields):
    path.parent.mkdir(parents=True, exist_ok=True)
    base = {"variant": "T", "member": "seed-1", "replica": 1, "status": "finished", "ns_per_day": 10.0}
    path.write_text(json.dumps(base | fields), encoding="utf-8")
    return path


def _summary(path, variant):
    return _table(path, variant=[variant] * 2, metric=["adf", "adf"], item=["overall"] * 2, parameter=[6.0, None],
                  mean=[0.1, 0.2])  # fmt: skip


def _metrics(path, r2):
    return _table(path, split=["test"], target=["F"], bead_type=["all"], unit=["kcal/mol/A"], mae=[1.0], rmse=[2.0],
                  r2=[r2], n=[9])  # fmt: skip


def test_tables_keep_every_row_in_order(tmp_path):
    """Rows whose radius is empty (NaN) are different from those with one."""
    paths = [_summary(tmp_path / f"{name}.csv", name) for name in ("T", "S8-a", "A")]
    table = collect.summary_of(paths)
    assert list(table["variant"]) == ["T", "T", "S8-a", "S8-a", "A", "A"]
    assert table["parameter"].isna().sum() == 3


def test_a_row_twice_is_refused(tmp_path):
    """A run that two files hold would be averaged twice."""
    paths = [_summary(tmp_path / f"{number}.csv", "T") for number in (1, 2)]
    with pytest.raises(InputError, match="T/adf/overall/6.0 twice"):
        collect.summary_of(paths)


def test_no_tables_are_refused():
    with pytest.raises(InputError, match="at least one"):
        collect.tae_of([])


def test_a_column_missing_is_named(tmp_path):
    with pytest.raises(InputError, match="replica"):
        collect.runs_of([_table(tmp_path / "runs.csv", variant=["T"], member=["seed-1"])], {})


def test_runs_get_the_label(tmp_path):
    path = _table(tmp_path / "runs.csv", variant=["S8-x"], member=["ensemble"], replica=[1], status=["blown up"])
    runs = collect.runs_of([path], {"S8-x": "S8Fε"})
    assert list(runs.columns[:2]) == ["variant", "label"]
    assert runs.loc[0, "label"] == "S8Fε"
    assert runs.loc[0, "status"] == "blown up"


def _curves(path, variant):
    table = pd.DataFrame({"variant": [variant] * 2, "member": "m", "replica": 1, "metric": "cdf", "item": "Cho",
                          "parameter": float("nan"), "x": [0.1, 0.3], "x_unit": "A", "value": [1.0, 4.0],
                          "value_unit": "1/A"})  # fmt: skip
    write_curves(path, table, STAMP)
    return path


def test_curves_of_reference_and_variants(tmp_path):
    paths = [_curves(tmp_path / f"{name}.parquet", name) for name in ("AA", "T")]
    table = collect.curves_of(paths)
    assert list(table["variant"]) == ["AA", "AA", "T", "T"] and list(table["value"]) == [1.0, 4.0] * 2
    with pytest.raises(InputError, match="T/m/1 again"):
        collect.curves_of([*paths, paths[1]])
    with pytest.raises(InputError, match="at least one"):
        collect.curves_of([])


def test_training_names_variant_and_member_by_folder(tmp_path):
    """Teachers stand under T, students under their own variant."""
    teacher = _metrics(tmp_path / "teachers" / "seed-3" / "metrics.csv", 0.3)
    student = _metrics(tmp_path / "students" / "S1-x" / "seed-3" / "metrics.csv", 0.4)
    table = collect.training_of([teacher], [student], {"S1-x": "S1Fε"})
    assert list(table.columns) == collect.TRAINING_COLUMNS
    assert table[["variant", "label", "member", "r2"]].to_numpy().tolist() == [
        ["T", "T", "seed-3", 0.3],
        ["S1-x", "S1Fε", "seed-3", 0.4],
    ]


def test_performance_lists_failed_runs_and_leaves_unknown_fields_empty(tmp_path):
    paths = [
        _record(tmp_path / "1" / "run.json", threads=2, runs_together=2, ns_per_day_together=19.0),
        _record(tmp_path / "2" / "run.json", replica=2, status="blown up"),
    ]
    table = collect.performance_of(paths, {})
    assert list(table.columns) == collect.PERFORMANCE_COLUMNS
    assert len(table) == 2
    assert table["threads"].isna().tolist() == [False, True]
    assert table.loc[0, ["ns_per_day", "runs_together", "ns_per_day_together"]].tolist() == [10.0, 2, 19.0]


def test_versions_that_differ_between_runs_are_both_named(tmp_path):
    paths = [
        _record(tmp_path / str(number) / "run.json", versions={"lammps": version, "torch": "2"})
        for number, version in enumerate(["2025", "2024", "2025"])
    ]
    assert collect.versions_of(paths) == {"lammps": ["2024", "2025"], "torch": ["2"]}


@pytest.mark.parametrize("text", ["{", "{}"])
def test_a_broken_record_is_bad_input(tmp_path, text):
    path = tmp_path / "run.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"run\.json"):
        collect.performance_of([path], {})
