"""Signals that ask a job to stop: recorded on arrival, acted on at the next checkpoint.

SIGTERM is sent at a time limit or when a job is cancelled, SIGUSR1 as a warning before it (``sbatch --signal``), SIGINT
by Ctrl-C. Without a `StopRequest` they end the process at once, as is their default; files stay complete
(`atomic_files.whole_file`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Interrupted(SystemExit):
    """Exit of a job after a signal, with its checkpoint written; the status is 128 + ``number``."""

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(128 + number)
        self.number, self.message = number, message

    def __str__(self) -> str:
        return self.message or signal.Signals(self.number).name


class StopRequest:
    """Request to stop, set by `STOP_SIGNALS` within ``with``; the former handlers are restored at its end.

    Only in the main thread: Python allows no signal handlers elsewhere, and the request is never set.

    Parameters
    ----------
    notify:
        Called once with the number of the first signal, between any two instructions of the main thread.

    Attributes
    ----------
    number: number of the first signal; 0 if there was none.
    """

    def __init__(self, notify: Callable[[int], object] | None = None) -> None:
        self.number = 0
        self._notify = notify
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.number != 0

    @property
    def name(self) -> str:
        """Name of the signal received."""
        return signal.Signals(self.number).name

    def interruption(self, where: str) -> Interrupted:
        """Exception to raise for the signal received; ``where`` follows its name in the message."""
        return Interrupted(self.number, f"{self.name} {where}")

    def _record(self, number: int, _frame: FrameType | None) -> None:
        if self.number:
            return
        self.number = number
        if self._notify is not None:
            self._notify(number)

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._record) for number in STOP_SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
