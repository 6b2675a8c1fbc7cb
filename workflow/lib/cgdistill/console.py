"""What a job says: log file, progress, and one clear line for bad input."""

from __future__ import annotations

import errno
import gc
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from .errors import InputError

T = TypeVar("T")
log = logging.getLogger("cgdistill")

#: Faults of the disk, not of the program.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
#: Thread pools that read the environment when their library is first imported.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def pin_threads(threads: int) -> None:
    """Limit every thread pool of this process to ``threads`` (best before torch and numba load)."""
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "numba" in sys.modules:
        # numba takes another number in the environment for an error once its threads are there.
        numba = sys.modules["numba"]
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    else:
        os.environ["NUMBA_NUM_THREADS"] = str(threads)


@contextmanager
def job(log_path: str | Path | None, threads: int = 1) -> Iterator[logging.Logger]:
    """Run the body of a job: log to ``log_path`` and stderr, pin threads, report bad input.

    An `InputError` becomes one logged line and exit status 1, and so does a disk that is full or may not be written
    to; any other exception is logged with its traceback and raised.
    """
    pin_threads(threads)
    # What a job imports lives to its end: looking for garbage among it only takes time.
    gc.set_threshold(50_000, 20, 20)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log_path:
        Path(log_path).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_path, mode="a", encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter(_FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    propagates, log.propagate = log.propagate, False
    start = time.perf_counter()
    try:
        yield log
        log.info("done in %.1f s", time.perf_counter() - start)
    except InputError as error:
        log.error("%s", error)
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in _DISK:
            log.exception("failed after %.1f s", time.perf_counter() - start)
            raise
        log.error(
            "%s: writing: found %s, expected room and permission", error.filename or "disk", error.strerror or error
        )
        raise SystemExit(1) from None
    except Exception:
        log.exception("failed after %.1f s", time.perf_counter() - start)
        raise
    finally:
        log.propagate = propagates
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()
        # Python would take all of it apart at exit, object by object: most of a second after torch.
        gc.freeze()


class Progress:
    """A bar on a terminal; elsewhere a plain log line at most every ``interval_s`` seconds."""

    def __init__(self, total: int, label: str, unit: str = "it", interval_s: float = 15.0) -> None:
        self.total, self.label, self.unit, self.interval_s = total, label, unit, interval_s
        self.done = 0
        self._start = self._last = time.perf_counter()
        self._bar = tqdm(total=total, desc=label, unit=unit) if sys.stderr.isatty() else None

    def update(self, n: int = 1, note: str = "") -> None:
        """Advance by ``n``; ``note`` is shown behind the counts."""
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
            tail = f", {note}" if note else ""
            log.info("%s: %d/%d %s, %.0f s left%s", self.label, self.done, self.total, self.unit, left, tail)

    def close(self) -> None:
        """Leave the bar."""
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
