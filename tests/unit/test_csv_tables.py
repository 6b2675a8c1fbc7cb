"""Tables with provenance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cgdistill.core.errors import InputError
from cgdistill.io.csv_tables import read_provenance, read_table, write_table


def test_round_trip_of_awkward_values(tmp_path):
    """Hash signs, commas, quotes, Greek, bead types that look like missing values, huge numbers, NaN."""
    table = pd.DataFrame(
        {
            "label": ["S1Fε", 'a "b", c', "#1 of 2", "x # y"],
            "bead": ["NA", "None", "null", "Cl"],
            "value": [1.0 / 3.0, np.nan, 1.5e30, -0.0],
            "n": [1, 2, 3, 4],
        }
    )
    path = tmp_path / "table.csv"
    write_table(path, table, {"seed": 1, "name": "ε"})
    back = read_table(path, ["label", "value"])
    pd.testing.assert_frame_equal(back, table, rtol=1e-9)
    assert read_provenance(path) == {"seed": 1, "name": "ε"}


def test_pandas_alone_reads_it(tmp_path):
    write_table(tmp_path / "t.csv", pd.DataFrame({"a": [1, 2]}), {})
    assert pd.read_csv(tmp_path / "t.csv", skiprows=1)["a"].tolist() == [1, 2]


def test_missing_column_and_foreign_file_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    write_table(path, pd.DataFrame({"a": [1]}), {})
    with pytest.raises(InputError, match="a column 'b'") as caught:
        read_table(path, ["a", "b"])
    assert caught.value.source == str(path)
    path.write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 1"):
        read_table(path)


def test_message_of_an_input_error_has_its_fixed_form():
    error = InputError("config.yaml", "split.train", 2, "less than 1")
    assert str(error) == "config.yaml: split.train: found 2, expected less than 1"
    assert (error.source, error.item) == ("config.yaml", "split.train")
