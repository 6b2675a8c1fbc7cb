"""Signals become requests to stop, and processes end with the status that tells which one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from cgdistill.runtime.signals import STOP_SIGNALS, Interrupted, StopRequest

JOB = """
import os, sys, time
from cgdistill.runtime.job import job
from cgdistill.runtime.signals import StopRequest
with job(None):
    with StopRequest() as stop:
        os.kill(os.getpid(), {number})
        while not stop:
            time.sleep(0.001)
        raise stop.interruption("in the middle")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_first_signal_is_noted_and_handlers_come_back(number):
    before = [signal.getsignal(one) for one in STOP_SIGNALS]
    received = []
    with pytest.raises(RuntimeError, match="fault"), StopRequest(received.append) as stop:
        assert not stop and stop.number == 0
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert stop and stop.number == number and stop.name == number.name
        assert received == [number]
        assert str(stop.interruption("here")) == f"{number.name} here"
        raise RuntimeError("fault")
    assert [signal.getsignal(one) for one in STOP_SIGNALS] == before


def test_other_threads_leave_handlers_alone():
    found = []

    def elsewhere():
        before = signal.getsignal(signal.SIGTERM)
        with StopRequest() as stop:
            found.append((signal.getsignal(signal.SIGTERM) is before, bool(stop)))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [(True, False)]


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_exit_status_of_a_job(number):
    """No traceback: a signal to stop is not an error."""
    command = [sys.executable, "-c", JOB.format(number=int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 128 + number, done.stderr
    assert "Traceback" not in done.stderr and "done in" not in done.stderr


def test_interruption_without_a_message_names_its_signal():
    assert str(Interrupted(signal.SIGTERM)) == "SIGTERM"
    assert Interrupted(signal.SIGTERM).code == 143
