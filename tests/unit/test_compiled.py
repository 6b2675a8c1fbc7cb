"""Compiled code is kept as long as everything that is compiled into it stays the same."""

from __future__ import annotations

import pytest
from cgdistill.forcefield.hipnn import compiled, environment_cpu, md_kernels, pair_kernels
from cgdistill.provenance.source.digest import explain


@pytest.mark.parametrize("module", ["environment_cpu", "md_kernels", "pair_kernels"])
def test_every_module_that_is_compiled_in_is_watched(module):
    """All that the kernels use from the package, and what that uses."""
    reached = {label.partition(":")[0].rpartition(".")[2] for label in explain(f"forcefield.hipnn.{module}")}
    assert module in reached
    assert reached <= set(compiled.SOURCES)


def test_kept_code_carries_the_digest_of_its_sources(tmp_path, monkeypatch):
    """The digest is in the stamp that numba compares, and another source gives another digest."""
    for kernel in (md_kernels.forces, environment_cpu.environment_sums, pair_kernels.row_bounds):
        assert kernel._cache._cache_file._source_stamp[1] == compiled._digest()
    for name in compiled.SOURCES:
        (tmp_path / f"{name}.py").write_text(f"# {name}\n", encoding="utf-8")
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "compiled.py"))
    before = compiled._digest()
    (tmp_path / "simd.py").write_text("# other\n", encoding="utf-8")
    assert compiled._digest() != before
