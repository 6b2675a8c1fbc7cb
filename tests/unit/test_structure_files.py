"""Structure tables on disk: what is read is what was written, and nothing else is read."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
import pytest
from cgdistill.core.errors import InputError
from cgdistill.core.vocabulary import RUN_KEY
from cgdistill.structure import files
from cgdistill.structure.files import BLOCK_COLUMNS, CURVE_COLUMNS, SERIES_COLUMNS, label_run

KINDS = {
    "curves": CURVE_COLUMNS,
    "blocks": BLOCK_COLUMNS + CURVE_COLUMNS,
    "resolved": ["time_ps", *CURVE_COLUMNS],
    "series": SERIES_COLUMNS,
}
TEXT = {"metric", "item", "x_unit", "value_unit", "phase", "quantity", "unit"}


def table(kind):
    """Three rows with all columns of a kind."""
    columns = {name: ["a", "b", "c"] if name in TEXT else [1.5, float("nan"), 3.0] for name in KINDS[kind]}
    return label_run(pd.DataFrame(columns), "T", "seed-1", 2)


def write(kind, path, **changes):
    getattr(files, f"write_{kind}")(path, changes.get("table", table(kind)), {"config_sha256": "abc"})


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(tmp_path, kind):
    """All columns, also further ones, behind those of the run; NaN stays NaN."""
    path = tmp_path / f"{kind}.parquet"
    wider = table(kind).assign(more=7)
    write(kind, path, table=wider)
    found = getattr(files, f"read_{kind}")(path)
    pd.testing.assert_frame_equal(found, wider, check_dtype=False)
    assert list(found.columns[:3]) == RUN_KEY


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_kind_is_read(tmp_path, kind):
    """A table of one kind is refused as any other, and by its message says what was wanted."""
    path = tmp_path / "table.parquet"
    write(kind, path)
    for other in set(KINDS) - {kind}:
        with pytest.raises(InputError, match=rf"metadata 'format'.*cgdistill-{kind}-\d.*cgdistill-{other}-\d"):
            getattr(files, f"read_{other}")(path)


@pytest.mark.parametrize("kind", KINDS)
def test_columns_missing(tmp_path, kind):
    """Neither written nor read."""
    column = KINDS[kind][0]
    with pytest.raises(ValueError, match=column):
        write(kind, tmp_path / "no.parquet", table=table(kind).drop(columns=column))
    assert not (tmp_path / "no.parquet").exists()
    whole = tmp_path / "whole.parquet"
    write(kind, whole)
    arrow = pq.read_table(whole)
    cut = arrow.drop_columns([column]).replace_schema_metadata(arrow.schema.metadata)
    pq.write_table(cut, tmp_path / "cut.parquet")
    with pytest.raises(InputError, match=f"a column '{column}'"):
        getattr(files, f"read_{kind}")(tmp_path / "cut.parquet")


def test_units_are_declared(tmp_path):
    """A file that says picoseconds are nanoseconds is refused."""
    path = tmp_path / "series.parquet"
    write("series", path)
    arrow = pq.read_table(path)
    metadata = {**arrow.schema.metadata}
    metadata[b"cgdistill"] = metadata[b"cgdistill"].replace(b'"time_ps": "ps"', b'"time_ps": "ns"')
    pq.write_table(arrow.replace_schema_metadata(metadata), path)
    with pytest.raises(InputError, match="metadata 'units'"):
        files.read_series(path)
