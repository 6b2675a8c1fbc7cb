"""Logging, progress bar and error reporting of a job."""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from ..core.errors import InputError
from .machine_errors import describe_machine_error

T = TypeVar("T")
log = logging.getLogger("cgdistill")

_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
#: Thread pools that read the environment when their library is first imported.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def pin_threads(threads: int) -> None:
    """Limit every thread pool of this process to ``threads`` (most effective before torch and numba are imported)."""
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "numba" in sys.modules:
        # numba raises an error if the environment names another number once its threads have started.
        numba = sys.modules["numba"]
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    else:
        os.environ["NUMBA_NUM_THREADS"] = str(threads)


@contextmanager
def job(log_path: str | Path | None, threads: int = 1) -> Iterator[logging.Logger]:
    """Logger of a job whose body runs within ``with``: logs to ``log_path`` and stderr, limits the threads.

    An `InputError`, or an error of the machine (`machine_errors.describe_machine_error`), is logged in one line and
    ends the process with status 1; any other exception is logged with its traceback and raised. After a crash
    (segmentation fault, abort) the log holds the Python stack.
    """
    pin_threads(threads)
    # Imported objects live until the end of the job: frequent garbage collection would only cost time.
    gc.set_threshold(50_000, 20, 20)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log_path and (file := _log_file(log_path)) is not None:
        handlers.append(file)
    for handler in handlers:
        handler.setFormatter(logging.Formatter(_FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    propagates, log.propagate = log.propagate, False
    start = time.perf_counter()
    traces = not faulthandler.is_enabled()
    if traces:
        faulthandler.enable(_descriptor(handlers[-1]))
    try:
        yield log
        log.info("done in %.1f s", time.perf_counter() - start)
    except InputError as error:
        log.error("%s", error)
        raise SystemExit(1) from None
    except Exception as error:
        message = describe_machine_error(error)
        if message is None:
            log.exception("failed after %.1f s", time.perf_counter() - start)
            raise
        log.error("%s", message)
        raise SystemExit(1) from None
    finally:
        if traces:
            faulthandler.disable()
        log.propagate = propagates
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()
        # Otherwise Python collects every object at exit, which takes most of a second once torch is imported.
        gc.freeze()


class _LogFile(logging.FileHandler):
    """Log file that ignores a full disk: messages still go to stderr, without a traceback for each."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore the error."""

    def close(self) -> None:
        """Close the file; unwritten messages are lost."""
        with suppress(OSError):
            super().close()


def _log_file(path: str | Path) -> logging.Handler | None:
    """Handler that appends to a file; None if it cannot be written."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return _LogFile(path, mode="a", encoding="utf-8")
    except OSError as error:
        print(f"{path}: {error.strerror}: no log file is written", file=sys.stderr)
        return None


def _descriptor(handler: logging.Handler) -> int:
    """File descriptor of a handler's stream; that of stderr if it has none (notebooks)."""
    try:
        number: int = handler.stream.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        number = 2
    return number


class Progress:
    """Progress bar on a terminal; otherwise a log line at most every ``interval_s`` seconds."""

    def __init__(self, total: int, label: str, unit: str = "it", interval_s: float = 15.0) -> None:
        self.total, self.label, self.unit, self.interval_s = total, label, unit, interval_s
        self.done = 0
        self._start = self._last = time.perf_counter()
        self._bar = tqdm(total=total, desc=label, unit=unit) if sys.stderr.isatty() else None

    def update(self, n: int = 1, note: str = "") -> None:
        """Advance by ``n``; ``note`` is shown after the counts."""
        self.done += n
        if self._bar is not None:
            self._bar.update(n)
            if note:
                self._bar.set_postfix_str(note)
            return
        now = time.perf_counter()
        if now - self._last >= self.interval_s or self.done == self.total:
            self._last = now
            rate = self.done / max(now - self._start, 1e-9)
            left = (self.total - self.done) / max(rate, 1e-9)
            suffix = f", {note}" if note else ""
            log.info("%s: %d/%d %s, %.0f s left%s", self.label, self.done, self.total, self.unit, left, suffix)

    def close(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()


def progress(items: Iterable[T], total: int, label: str, unit: str = "it") -> Iterator[T]:
    """Yield ``items`` while showing progress."""
    bar = Progress(total, label, unit)
    try:
        for item in items:
            yield item
            bar.update()
    finally:
        bar.close()
