"""Errors of the machine rather than of the program or its input: full disk, too little memory, failed GPU."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

#: Error numbers of disks.
_DISK = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE
)  # fmt: skip
#: Bytes written to test a disk.
_PROBE_BYTES = 1 << 20
#: Longest text quoted from another library, characters.
_MAX_LENGTH = 200
# Libraries raise errors of many classes; only their messages have something in common.
_NO_MEMORY = re.compile(
    r"(can't|cannot|could not|unable to|failed to) (re)?allocate|bad_alloc|out of memory|memory allocation failed"
    # A thread that cannot start has no memory for its stack.
    r"|can't start new thread|resource temporarily unavailable|CUDA_ERROR_OUT_OF_MEMORY|CUBLAS_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
_OF_GPU = re.compile(
    r"CUDA (error|driver|out of memory)|initializing CUDA|No CUDA|CUDA_ERROR_|\[CUDA\]|cuda runtime error|HIP error"
    r"|CU(BLAS|DNN|SPARSE|SOLVER)_STATUS|cuDNN error|NVML|no kernel image|off the bus|uncorrectable ECC"
)
_GPU_ERRORS = ("AcceleratorError", "OutOfMemoryError")  # of torch


def disk_fault(path: str | Path, error: BaseException) -> OSError | None:
    """Error of the disk if it caused ``error`` while writing ``path``; None if the disk works.

    Many libraries report only that writing failed. The cause is found by writing one mebibyte to the end of the file.
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
    """One line that names an error of the machine and its remedy; None for any other error."""
    if isinstance(error, OSError) and error.errno in _DISK:
        found = os.strerror(error.errno)
        return f"{error.filename or 'disk'}: writing: found {found}, expected room and permission; then run again"
    name, message = type(error).__name__, _quoted(error)
    of_gpu = name in _GPU_ERRORS or bool(_OF_GPU.search(message))
    no_memory = isinstance(error, MemoryError) or name == "OutOfMemoryError"
    no_memory |= isinstance(error, OSError) and error.errno == errno.ENOMEM
    if no_memory or (not isinstance(error, BlockingIOError) and _NO_MEMORY.search(message)):
        where = f" in {place}" if (place := _place(error)) else ""
        if of_gpu:
            hint = "run fewer jobs on a GPU (--resources gpu=N), lower training.batch_size, evaluation_batch_size"
            hint += " or simulation.runs_per_job, or set training.together to false"
        else:
            hint = "raise mem_mb of the rule on a cluster (set-resources), run fewer jobs at a time (--cores)"
            hint += ", lower simulation.runs_per_job, or set training.together to false"
        memory = "GPU memory" if of_gpu else "memory"
        return f"{memory}: found too little{where} ({message}), expected more: {hint}; checkpoints are kept"
    if of_gpu and (isinstance(error, RuntimeError) or name == "OpenMMException"):
        hint = "run again, checkpoints are kept; device: auto uses the CPU if no GPU works"
        return f"GPU: found {message}, expected a working GPU ({hint})"
    return None


def first_line(error: BaseException) -> str:
    """First line of an error's message, or its class if the message is empty."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _quoted(error: BaseException) -> str:
    message = first_line(error)
    return message if len(message) <= _MAX_LENGTH else message[: _MAX_LENGTH - 1] + "…"


def _place(error: BaseException) -> str:
    """Innermost function of this package in the traceback of an error."""
    found, trace, package = "", error.__traceback__, Path(__file__).parent.parent
    while trace is not None:
        code = trace.tb_frame.f_code
        file = Path(code.co_filename)
        if file.is_relative_to(package) and file != package / "runtime" / "job.py":
            stem = ".".join(file.relative_to(package).with_suffix("").parts)
            found = f"{stem}.{code.co_name}"
        trace = trace.tb_next
    return found
