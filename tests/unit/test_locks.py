"""One process at a time on a checkpoint: real processes, killed and not. File systems of clusters are not tested."""

import errno
import fcntl
import multiprocessing
import os
import time

import pytest
from cgdistill.core.errors import InputError
from cgdistill.runtime import locks as module
from cgdistill.runtime.locks import exclusive, lock_path, lock_until_exit


@pytest.fixture(autouse=True)
def short_patience(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.3)
    monkeypatch.setattr(module, "_held", {})


def keep(path, folder, ready, seconds):
    """Another job: has a checkpoint for itself for some time."""
    if folder:
        lock_until_exit(path)
        ready.set()
        time.sleep(seconds)
        return
    with exclusive([path]):
        ready.set()
        time.sleep(seconds)


@pytest.fixture
def other():
    """A function that starts another job and returns its process when it is at work."""
    context, started = multiprocessing.get_context("fork"), []

    def start(path, folder=False, seconds=60.0):
        ready = context.Event()
        process = context.Process(target=keep, args=(path, folder, ready, seconds))
        process.start()
        started.append(process)
        assert ready.wait(30)
        return process

    yield start
    for process in started:
        process.kill()
        process.join(30)


@pytest.mark.parametrize("folder", [False, True])
def test_second_is_refused_and_killed_one_is_not_in_the_way(tmp_path, other, folder):
    checkpoint = tmp_path / "a"
    process = other(checkpoint, folder)
    with pytest.raises(InputError) as caught:
        if folder:
            lock_until_exit(checkpoint)
        else:
            with exclusive([checkpoint]):
                pytest.fail("two at once")
    found = f"{checkpoint}: checkpoint: found in use by process {process.pid} on {os.uname().nodename}"
    assert str(caught.value).startswith(found)
    process.kill()
    process.join(30)
    if folder:
        lock_until_exit(checkpoint)
        lock_until_exit(checkpoint)
        return
    assert lock_path(checkpoint).exists()
    with exclusive([checkpoint]):
        pass
    assert list(tmp_path.iterdir()) == []


def test_others_are_not_held_up(tmp_path, other):
    """Another checkpoint is free; where one of several is taken, the others are given back."""
    other(tmp_path / "taken")
    with exclusive([tmp_path / "free"]):
        pass
    with pytest.raises(InputError), exclusive([tmp_path / "free", tmp_path / "taken"]):
        pytest.fail("two at once")
    with exclusive([tmp_path / "free"]):
        pass


def test_waits_for_one_that_ends(tmp_path, other, monkeypatch):
    """It has the file of the name, not the one that the other has removed."""
    monkeypatch.setattr(module, "_PATIENCE_S", 30.0)
    other(tmp_path / "a", seconds=0.5)
    with exclusive([tmp_path / "a"]):
        monkeypatch.setattr(module, "_PATIENCE_S", 0.2)
        with pytest.raises(InputError), exclusive([tmp_path / "a"]):
            pytest.fail("two at once")


def test_file_removed_between_opening_and_locking(tmp_path, monkeypatch):
    """As the one who ends does: a lock on a file without a name would be seen by nobody."""
    flock, calls = fcntl.flock, []

    def late(descriptor, operation):
        if not calls:
            lock_path(tmp_path / "a").unlink()
        calls.append(operation)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with exclusive([tmp_path / "a"]):
        assert lock_path(tmp_path / "a").exists()
        with pytest.raises(InputError), exclusive([tmp_path / "a"]):
            pytest.fail("two at once")


def test_file_system_without_locks(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(module.log, "propagate", True)
    with exclusive([tmp_path / "a"]):
        pass
    assert "No locks available" in caplog.text and "are not detected" in caplog.text
