"""Faults of the machine, not of program or input: a full disk, too little memory, a GPU that is gone."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

#: Faults of a disk.
_DISK = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE
)  # fmt: skip
#: What is written to see whether a disk takes something, bytes.
_PROBE_BYTES = 1 << 20
#: No part of a message is longer.
_LONGEST = 200
# Libraries raise errors of many kinds; what they have in common is what they say.
_NO_MEMORY = re.compile(
    r"(can't|cannot|could not|unable to|failed to) (re)?allocate|bad_alloc|out of memory|memory allocation failed"
    # A thread that cannot start lacks room for its stack.
    r"|can't start new thread|resource temporarily unavailable|CUDA_ERROR_OUT_OF_MEMORY|CUBLAS_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
_OF_GPU = re.compile(
    r"CUDA (error|driver|out of memory)|initializing CUDA|No CUDA|CUDA_ERROR_|\[CUDA\]|cuda runtime error|HIP error"
    r"|CU(BLAS|DNN|SPARSE|SOLVER)_STATUS|cuDNN error|NVML|no kernel image|off the bus|uncorrectable ECC"
)
_KINDS_OF_GPU = ("AcceleratorError", "OutOfMemoryError")  # of torch


def disk_fault(path: str | Path, error: BaseException) -> OSError | None:
    """What is wrong with the disk where writing ``path`` failed with ``error``; None where it is in order.

    Many libraries say only that writing failed. The disk is asked again: with a mebibyte at the end of the file.
    """
    if isinstance(error, OSError) and error.errno in _DISK:
        return error
    try:
        with open(path, "ab", buffering=0) as stream:
            size = stream.tell()
            try:
                written = stream.write(bytes(_PROBE_BYTES))
                if written < _PROBE_BYTES:
                    stream.write(bytes(_PROBE_BYTES - written))
                os.fsync(stream.fileno())
            finally:
                stream.truncate(size)
    except OSError as found:
        if found.errno in _DISK:
            return OSError(found.errno, os.strerror(found.errno), str(path))
    return None


def describe_machine_error(error: BaseException) -> str | None:
    """The line that names a fault of the machine and what to do about it; None for any other error."""
    if isinstance(error, OSError) and error.errno in _DISK:
        found = os.strerror(error.errno)
        return f"{error.filename or 'disk'}: writing: found {found}, expected room and permission; then run again"
    kind, said = type(error).__name__, _first_line(error)
    of_gpu = kind in _KINDS_OF_GPU or bool(_OF_GPU.search(said))
    no_memory = isinstance(error, MemoryError) or kind == "OutOfMemoryError"
    no_memory |= isinstance(error, OSError) and error.errno == errno.ENOMEM
    if no_memory or (not isinstance(error, BlockingIOError) and _NO_MEMORY.search(said)):
        where, expected = f" in {place}" if (place := _place(error)) else "", "more, or less at once"
        if of_gpu:
            hint = "fewer jobs on a GPU (--resources gpu=N), lower training.batch_size, evaluation_batch_size"
            hint += ", models_per_job or simulation.runs_per_job"
        else:
            hint = "resources.<kind>.mem_mb on a cluster, fewer jobs at a time (--cores)"
            hint += ", lower training.models_per_job or simulation.runs_per_job"
        name = "GPU memory" if of_gpu else "memory"
        return f"{name}: found too little{where} ({said}), expected {expected}: {hint}; checkpoints stand"
    if of_gpu and (isinstance(error, RuntimeError) or kind == "OpenMMException"):
        hint = "run again, checkpoints stand; device: auto takes the CPU where no GPU answers"
        return f"GPU: found {said}, expected one that answers ({hint})"
    return None


def _first_line(error: BaseException) -> str:
    """What an error says first, or its kind where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"


def _place(error: BaseException) -> str:
    """The innermost function of this package that an error came through."""
    found, trace, package = "", error.__traceback__, Path(__file__).parent.parent
    while trace is not None:
        code = trace.tb_frame.f_code
        file = Path(code.co_filename)
        if file.is_relative_to(package) and file != package / "runtime" / "job.py":
            stem = ".".join(file.relative_to(package).with_suffix("").parts)
            found = f"{stem}.{code.co_name}"
        trace = trace.tb_next
    return found
