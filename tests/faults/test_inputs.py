"""Every fault of `cases` is met as it says: one clear line, before a product exists.

Cannot show what happens to faults that nobody thought of: `test_fuzz` looks for some of these.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from cases import FAULTS, Fault
from cgdistill.core.errors import InputError
from table import document_part, overview, table


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: f"{case.group}: {case.title}")
def test_fault(case: Fault, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("cgdistill").propagate = True
    if case.outcome == "refused":
        with pytest.raises(InputError) as caught:
            case.act(tmp_path)
        said = str(caught.value)
        assert re.search(case.message, said), said
        assert "\n" not in said and len(said) < 1000
        assert ": found " in said and ", expected " in said
        made = [path.name for path in tmp_path.rglob("*") if path.name == "beads.h5" or "partial" in path.name]
        assert made == [] or case.title.startswith("beads:")
        return
    case.act(tmp_path)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    if case.outcome == "warning":
        assert any(re.search(case.message, line) for line in warnings), warnings


def test_sound_forces_are_not_doubted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The demo's own data: no warning, and a temperature that agrees with its thermostat (298.1 K)."""
    logging.getLogger("cgdistill").propagate = True
    caplog.set_level(logging.INFO, "cgdistill")
    (case,) = (case for case in FAULTS if case.title == "sound forces")
    case.act(tmp_path)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    (said,) = re.findall(r"with positions (\d+) ± (\d+) K", caplog.text)
    temperature_K, error_K = map(float, said)
    assert abs(temperature_K - 298.1) < 3 * error_K < 150


def test_titles_differ() -> None:
    titles = [(case.group, case.title) for case in FAULTS]
    assert len(set(titles)) == len(titles) >= 60


def test_the_documented_table_is_that_of_these_cases() -> None:
    """`python -m tests.faults.table --write` writes it."""
    assert document_part("faults") == table()
    assert document_part("overview") == overview()
