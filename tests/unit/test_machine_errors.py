"""Errors of the machine are recognised: errors of the libraries themselves where they can be caused.

Errors of a GPU are imitated by the words of torch, OpenMM and triton.
"""

import errno
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import h5py
import numba
import numpy as np
import pyarrow
import pytest
import torch
from cgdistill.aa.trr import FrameWriter
from cgdistill.io.hdf5_writer import Hdf5Output
from cgdistill.md.lammps_engine import restart_is_whole
from cgdistill.runtime.atomic_files import whole_file
from cgdistill.runtime.machine_errors import describe_machine_error, disk_fault
from safetensors.torch import save_file


@numba.njit
def empty(n):
    return np.empty(n).sum()


def error_of(action):
    """The error that an action raises."""
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError("no error")


@pytest.mark.parametrize(
    "action",
    [
        lambda: torch.empty(1 << 55),
        lambda: np.empty(1 << 50),
        lambda: empty(1 << 50),
        lambda: pyarrow.allocate_buffer(1 << 55),
        lambda: bytes(1 << 60),
    ],
    ids=["torch", "numpy", "numba", "pyarrow", "python"],
)
def test_memory(action):
    message = describe_machine_error(error_of(action))
    assert message.startswith("memory: found too little (") and "set-resources" in message and "\n" not in message


@pytest.mark.parametrize(
    "message", ["could not allocate memory for growing neighbor list", "Resource temporarily unavailable"]
)
def test_memory_of_the_neighbour_list(message):
    """What vesin raised under a limit on the address space."""
    assert describe_machine_error(RuntimeError(message)).startswith(f"memory: found too little ({message})")


def test_memory_of_a_gpu_and_of_fork():
    assert describe_machine_error(torch.OutOfMemoryError("CUDA out of memory. Tried ...")).startswith(
        "GPU memory: found too little"
    )
    assert describe_machine_error(OSError(errno.ENOMEM, "Cannot allocate memory")).startswith(
        "memory: found too little"
    )


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: unknown error\nCUDA kernel errors might be ..."),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("Unexpected error from cudaGetDeviceCount(). CUDA_ERROR_NO_DEVICE"),
        RuntimeError("CUDA driver initialization failed, you might not have a CUDA gpu."),
        RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
        RuntimeError("GPU has fallen off the bus"),
        type("OpenMMException", (Exception,), {})("Error downloading array: CUDA_ERROR_UNKNOWN (999)"),
    ],
)
def test_gpu(error):
    message = describe_machine_error(error)
    assert message.startswith("GPU: found ") and str(error).splitlines()[0] in message and "\n" not in message


@pytest.mark.parametrize(
    "error",
    [
        ValueError("shapes differ"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "a"),
        KeyError("device: cuda"),
        RuntimeError("Expected all tensors to be on the same device, but found two, cuda:0 and cpu"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/usr/lib/CUDA error/a"),
        FloatingPointError("model: loss is nan in epoch 3"),
    ],
)
def test_other_errors_are_left_alone(error):
    assert describe_machine_error(error) is None


@contextmanager
def full_disk(limit):
    """No file of this process grows beyond a limit."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


WRITERS = {
    "torch": lambda path: torch.save({"x": torch.zeros(4000)}, path),
    "safetensors": lambda path: save_file({"x": torch.zeros(4000)}, path),
    "numpy": lambda path: np.save(path, np.zeros(4000)),
    "text": lambda path: path.write_text("0" * 9000),
}


@pytest.mark.parametrize("name", WRITERS)
def test_full_disk_whatever_the_writer_says(tmp_path, name):
    """The error of the disk, with the name of the product, and no file left; other errors of a writer are unchanged."""
    path = tmp_path / "a.npy"
    with full_disk(5000):
        with pytest.raises(OSError) as caught, whole_file(path) as partial:
            WRITERS[name](partial)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert describe_machine_error(caught.value).startswith(f"{path}: writing: found File too large")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="mine"), whole_file(path):
        raise RuntimeError("mine")


def test_full_disk_while_frames_are_written(tmp_path):
    """MDAnalysis says only that writing a number failed."""
    frame = np.zeros((100, 3))
    with full_disk(20000):
        writer = FrameWriter(tmp_path / "a.trr", SimpleNamespace(frame_steps=1, frame_every_ps=1.0))
        with pytest.raises(OSError) as caught:
            for number in range(100):
                writer.write(number, frame, frame, np.ones(3))
    assert 5 < number < 20
    assert describe_machine_error(caught.value).startswith(f"{tmp_path / 'a.trr'}: writing: found File too large")


def test_probe_leaves_the_file_as_it_was(tmp_path):
    (tmp_path / "a").write_text("text")
    assert disk_fault(tmp_path / "a", RuntimeError("x")) is None
    assert (tmp_path / "a").read_text() == "text"


#: Writes an HDF5 file on a disk that takes so many bytes.
HDF5 = """
import resource, signal, sys
import numpy as np
from cgdistill.io.hdf5_writer import Hdf5Output
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    with Hdf5Output(sys.argv[1], libver=("v110", "v110")) as output:
        for n in range(5):
            output.file.create_dataset(str(n), data=np.random.default_rng(n).random((50, 20)), chunks=(1, 20),
                                       fletcher32=True)
except OSError as error:
    sys.exit(error.errno)
"""


def test_hdf5_on_a_full_disk(tmp_path):
    """An error, wherever the disk ends; HDF5's own driver ends in a segmentation fault in some of these."""
    sizes = (1, 700, 4000, 15000, 30000)
    found = []
    for size in (*sizes, 10**7):
        done = subprocess.run([sys.executable, "-c", HDF5, str(tmp_path / "a.h5"), str(size)], capture_output=True)
        found.append((done.returncode, done.stderr))
    assert found == [(errno.EFBIG, b"")] * len(sizes) + [(0, b"")]
    assert os.path.getsize(tmp_path / "a.h5") > 5 * 50 * 20 * 8
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["3"][:], np.random.default_rng(3).random((50, 20)))


def test_hdf5_same_bytes_each_time(tmp_path):
    for path in (tmp_path / "a", tmp_path / "b"):
        with Hdf5Output(path) as output:
            output.file.create_dataset("x", data=np.arange(5000.0))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(("content", "whole"), [(b"", False), (b"LammpS Resta", False), (b"xxLammpS RestartT\0", True)])
def test_ending_of_a_restart_file(tmp_path, content, whole):
    (tmp_path / "r").write_bytes(content)
    assert restart_is_whole(tmp_path / "r") is whole
