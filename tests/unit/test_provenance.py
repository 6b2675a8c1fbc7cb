"""Stamps, whole files and the digest of the code."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time

import cgdistill
import pytest
from cgdistill.provenance import record
from cgdistill.runtime import atomic_files


def test_stamp_holds_version_config_inputs_and_facts(tmp_path):
    path = tmp_path / "input.txt"
    path.write_bytes(b"contents")
    made = record.stamp({"b": 1, "a": [1, 2]}, {"beads": path}, seed=7)
    assert made["version"] == cgdistill.__version__
    assert made["inputs"] == {"beads": hashlib.sha256(b"contents").hexdigest()}
    assert made["seed"] == 7
    assert made["config_sha256"] == record.config_hash({"a": [1, 2], "b": 1})
    assert made["config_sha256"] != record.config_hash({"a": [2, 1], "b": 1})
    assert record.stamp("known", [path])["config_sha256"] == "known"
    json.dumps(made)


def test_whole_file_replaces_only_when_written(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with atomic_files.whole_file(path) as partial:
        assert partial.suffix == ".csv"
        partial.write_text("first", encoding="utf-8")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "first"
    with pytest.raises(RuntimeError, match="disk"), atomic_files.whole_file(path) as partial:
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
    with atomic_files.whole_file(tmp_path / "table.csv") as partial:
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
        with atomic_files.whole_file(path) as partial:
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
    with atomic_files.whole_file(tmp_path / "a.b.csv") as partial:
        assert not partial.exists()
        partial.write_text("whole", encoding="utf-8")
    assert {file.name for file in tmp_path.iterdir()} == {"a.b.csv", *stay}
