"""Signals that ask a job to stop: noted while it works, heeded where it can go on from later.

SIGTERM comes at a time limit or when a job is cancelled, SIGUSR1 as a warning some time before
(``sbatch --signal``), SIGINT is Ctrl-C. Where nothing listens they end the process at once, as is their default;
no file is left half by that (`provenance.whole_file`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Interrupted(SystemExit):
    """The job was told to stop and has left what it goes on from; the process ends with status 128 + ``number``."""

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(128 + number)
        self.number, self.message = number, message

    def __str__(self) -> str:
        return self.message or signal.Signals(self.number).name


class StopRequest:
    """Within ``with``, `STOP_SIGNALS` become a request to stop; handlers of before are put back behind it.

    In the main thread only: elsewhere Python allows no handlers, and the request never comes.

    Parameters
    ----------
    notify:
        Called once with the number of the first signal, in the middle of whatever the main thread does.

    Attributes
    ----------
    number: of the first signal; 0 as long as none has come.
    """

    def __init__(self, notify: Callable[[int], object] | None = None) -> None:
        self.number = 0
        self._notify = notify
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.number != 0

    @property
    def name(self) -> str:
        """Name of the signal that came."""
        return signal.Signals(self.number).name

    def interruption(self, where: str) -> Interrupted:
        """What to raise for the signal that came; ``where`` follows its name in the message."""
        return Interrupted(self.number, f"{self.name} {where}")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.number:
            return
        self.number = number
        if self._notify is not None:
            self._notify(number)

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
