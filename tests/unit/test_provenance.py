"""Stamps, whole files and the digest of the code."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import cgdistill
import pytest
from cgdistill import provenance


def test_stamp_holds_version_config_inputs_and_facts(tmp_path):
    path = tmp_path / "input.txt"
    path.write_bytes(b"contents")
    record = provenance.stamp({"b": 1, "a": [1, 2]}, {"beads": path}, seed=7)
    assert record["version"] == cgdistill.__version__
    assert record["inputs"] == {"beads": hashlib.sha256(b"contents").hexdigest()}
    assert record["seed"] == 7
    assert record["config_sha256"] == provenance.config_hash({"a": [1, 2], "b": 1})
    assert record["config_sha256"] != provenance.config_hash({"a": [2, 1], "b": 1})
    assert provenance.stamp("known", [path])["config_sha256"] == "known"
    json.dumps(record)


def test_whole_file_replaces_only_when_written(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with provenance.whole_file(path) as partial:
        assert partial.suffix == ".csv"
        partial.write_text("first", encoding="utf-8")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "first"
    with pytest.raises(RuntimeError, match="disk"), provenance.whole_file(path) as partial:
        partial.write_text("half", encoding="utf-8")
        raise RuntimeError("disk")
    assert path.read_text(encoding="utf-8") == "first"
    assert [file.name for file in path.parent.iterdir()] == ["table.csv"]


def test_whole_file_is_on_disk_before_its_name(tmp_path, monkeypatch):
    """Contents, then name, then the folder; the files are told by their inodes."""
    events = []
    fsync, replace = os.fsync, os.replace

    def noted_sync(descriptor):
        fsync(descriptor)
        events.append(("sync", os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))

    def noted_replace(source, target):
        events.append(("move", os.stat(source).st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    with provenance.whole_file(tmp_path / "table.csv") as partial:
        partial.write_text("contents", encoding="utf-8")
    file, folder = (tmp_path / "table.csv").stat().st_ino, tmp_path.stat()
    assert events == [("sync", file, 8), ("move", file), ("sync", folder.st_ino, folder.st_size)]


@pytest.mark.parametrize("fault", [errno.EINVAL, errno.EIO])
def test_file_systems_that_cannot_sync_and_disks_that_fail(tmp_path, monkeypatch, fault):
    """The first are no fault; with the second, what stood there stays."""

    def refuse(descriptor):
        raise OSError(fault, "no")

    path = tmp_path / "table.csv"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "fsync", refuse)
    try:
        with provenance.whole_file(path) as partial:
            partial.write_text("new", encoding="utf-8")
    except OSError as error:
        assert fault == error.errno == errno.EIO
    assert path.read_text(encoding="utf-8") == ("new" if fault == errno.EINVAL else "old")
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_leftovers_of_killed_writers_go(tmp_path):
    """Those of this file alone, and not of a writer that may be at work."""
    here, dead = os.uname().nodename, 2**22 + 1  # beyond the largest process number of Linux
    go = [f".a.b.partial-{here}-{dead}.csv", f".a.b.partial-{here}-{os.getpid()}.csv", ".a.b.partial-old-1.csv"]
    stay = [
        f".a.b.partial-{here}-{os.getppid()}.csv",
        ".a.b.partial-other-host-1.csv",
        f".b.partial-{here}-{dead}.csv",
        f".a.b.partial-{here}-{dead}.json",
        ".a.b.partial-by-hand.csv",
    ]
    for name in go + stay:
        (tmp_path / name).write_text("half", encoding="utf-8")
    os.utime(tmp_path / ".a.b.partial-old-1.csv", (0, time.time() - 2 * 86400))
    with provenance.whole_file(tmp_path / "a.b.csv") as partial:
        assert not partial.exists()
        partial.write_text("whole", encoding="utf-8")
    assert {file.name for file in tmp_path.iterdir()} == {"a.b.csv", *stay}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package's sources, which the digest looks at instead."""
    copy = tmp_path / "cgdistill"
    shutil.copytree(Path(cgdistill.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "_PACKAGE", copy)
    provenance.source_digest.cache_clear()
    yield copy
    provenance.source_digest.cache_clear()


def digest(module):
    provenance.source_digest.cache_clear()
    return provenance.source_digest(module)


def edit(path):
    path.write_text(path.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")


def test_digest_follows_imports_and_nothing_else(package):
    """`split` imports errors and provenance; `training_job` reaches the neighbour list through frames."""
    before = {name: digest(name) for name in ("split", "learning.training_job", "structure.rdf", "model_folder")}
    edit(package / "evaluation" / "neighbours.py")
    assert digest("split") == before["split"]
    assert digest("learning.training_job") != before["learning.training_job"]
    before["learning.training_job"] = digest("learning.training_job")
    edit(package / "errors.py")
    assert all(digest(name) != old for name, old in before.items())


def test_digest_sees_imports_inside_functions(package):
    """`model_folder.export_mliap` imports `lammps_library` only when it is called."""
    before = digest("model_folder")
    edit(package / "md" / "lammps_library.py")
    assert digest("model_folder") != before


def test_digest_depends_on_names_and_is_short(package):
    assert len(digest("split")) == 16
    assert digest("structure") == digest("structure")
    assert digest("structure.rdf") != digest("structure.cdf")
