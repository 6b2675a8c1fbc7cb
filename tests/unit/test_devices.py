"""Which device a job takes: without a GPU, what torch would say of one is imitated."""

import multiprocessing
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cgdistill.aa.stage import StageInput
from cgdistill.core.errors import InputError
from cgdistill.runtime import devices
from cgdistill.runtime.devices import choose_device, claim


@pytest.fixture(autouse=True)
def nothing_held(monkeypatch):
    monkeypatch.setattr(devices, "_held", {})


def hold(names, folder, found):
    """A job: takes a device, says which, and computes until it is killed."""
    found.send(claim(names, folder))
    time.sleep(60)


@pytest.fixture
def jobs(tmp_path):
    """A function that starts a job on a machine of some GPUs and returns its process and what it got."""
    context, started = multiprocessing.get_context("fork"), []

    def start(names):
        found, mine = context.Pipe(duplex=False)
        process = context.Process(target=hold, args=(names, tmp_path / "locks", mine))
        process.start()
        started.append(process)
        assert found.poll(30)
        return process, found.recv()

    yield start
    for process in started:
        process.kill()
        process.join(30)


def test_jobs_get_devices_of_their_own(jobs):
    """Four on three GPUs; the first that is free again is taken next, also where its job was killed."""
    names = ["GPU-a", "GPU-b", "GPU-c"]
    taken = [jobs(names) for _ in range(4)]
    assert [got for _, got in taken] == [(0, 0), (1, 0), (2, 0), (0, 1)]
    killed = taken[1][0]
    killed.kill()
    killed.join(30)
    assert jobs(names)[1] == (1, 0)
    assert jobs(names)[1] == (1, 1)


def test_the_same_device_under_another_number(jobs):
    """A job that sees other GPUs, or in another order, means the same by the same name."""
    assert jobs(["GPU-a", "GPU-b"])[1] == (0, 0)
    assert jobs(["GPU-b", "GPU-a"])[1] == (0, 0)
    assert jobs(["GPU-c", "GPU-b", "GPU-a"])[1] == (0, 0)
    assert jobs(["GPU-a"])[1] == (0, 1)


def test_a_process_keeps_its_device(tmp_path):
    assert claim(["GPU-a", "GPU-b"], tmp_path) == (0, 0)
    assert claim(["GPU-a", "GPU-b"], tmp_path) == (0, 0)
    assert claim(["GPU-b", "GPU-a"], tmp_path) == (1, 0)


def test_folder_of_somebody_else_is_left_alone(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert claim(["GPU-a"], tmp_path) == (0, 0)
    assert not list(tmp_path.iterdir())


def test_choice(monkeypatch, tmp_path, jobs):
    """The config's value decides; torch's own current device follows."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == choose_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="device"):
        choose_device("cuda")
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda n: SimpleNamespace(uuid=f"u{n}", name="imitated"))
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(devices, "claim", partial(claim, folder=tmp_path / "locks"))
    monkeypatch.setattr(devices, "probe", lambda _number: "")
    assert choose_device("cpu").type == "cpu"
    assert not current
    assert jobs(["u0", "u1"])[1] == (0, 0)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 1)
    assert current == [1, 1]


@pytest.fixture
def imitated(monkeypatch, tmp_path):
    """Two GPUs; a function that says which of them are dead."""
    faults = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda n: SimpleNamespace(uuid=f"u{n}", name="imitated"))
    monkeypatch.setattr(torch.cuda, "set_device", lambda _number: None)
    monkeypatch.setattr(devices, "claim", partial(claim, folder=tmp_path / "locks"))
    monkeypatch.setattr(devices, "probe", lambda number: faults.get(number, ""))
    monkeypatch.setattr(devices.log, "propagate", True)
    return faults


def test_a_dead_gpu_is_left_out(imitated, caplog):
    imitated[0] = "CUDA error: unknown error"
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 1)
    imitated[1] = "CUDA error: uncorrectable ECC error encountered"
    with pytest.raises(InputError, match=r"device: found GPU 1: .*uncorrectable ECC.*; GPU 0: .*unknown error"):
        choose_device("cuda")
    assert choose_device("auto") == torch.device("cpu")
    assert "using the CPU" in caplog.text and "uncorrectable ECC" in caplog.text


def test_probe_computes(monkeypatch):
    """On the CPU, which stands for a GPU: a right result, a wrong one, an error of torch."""
    monkeypatch.setattr(devices.torch, "device", lambda *_: "cpu")
    assert devices.probe(0) == ""
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *sizes, device: 1.5 * ones(*sizes))
    assert devices.probe(0) == "2 * 8 is 24 there"

    def fail(*_, device):
        raise torch.AcceleratorError("CUDA error: no kernel image is available\nmore")

    monkeypatch.setattr(torch, "ones", fail)
    assert devices.probe(0) == "CUDA error: no kernel image is available"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("CUDA_VISIBLE_DEVICES", "0", True), ("SLURM_JOB_GPUS", "1", True), ("CUDA_VISIBLE_DEVICES", "", False)],
)
def test_an_assigned_gpu_that_is_missing(monkeypatch, caplog, name, value, expected):
    for other in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(devices.log, "propagate", True)
    assert choose_device("auto") == torch.device("cpu")
    assert (f"no GPU visible to this job ({name}={value}); using the CPU" in caplog.text) == expected


def test_initialisation_that_fails(monkeypatch, caplog):
    def fail():
        raise RuntimeError("CUDA driver initialization failed\nmore")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", fail)
    monkeypatch.setattr(devices.log, "propagate", True)
    assert choose_device("auto") == torch.device("cpu")
    assert "CUDA driver initialization failed" in caplog.text
    with pytest.raises(InputError, match="no GPU visible"):
        choose_device("cuda")


def test_openmm_without_its_gpu(monkeypatch, caplog):
    """`auto` goes on with the CPU and the same integrator, `cuda` does not."""
    mm = pytest.importorskip("openmm", reason="OpenMM is not installed (pip install openmm)")
    from cgdistill.aa import openmm as engine

    system, cpu, context = mm.System(), mm.Platform.getPlatformByName("CPU"), mm.Context
    system.addParticle(1.0)
    cuda = SimpleNamespace(getName=lambda: "CUDA")

    def make(system, integrator, platform, properties):
        if platform is cuda:
            raise mm.OpenMMException("Error initializing CUDA: CUDA_ERROR_UNKNOWN (999)")
        return context(system, integrator, platform, properties)

    monkeypatch.setattr(engine.mm, "Context", make)
    monkeypatch.setattr(engine, "create_system", lambda *_: system)
    monkeypatch.setattr(engine, "_platform", lambda job: (cpu if job.device == "cpu" else cuda, {}))
    monkeypatch.setattr(devices.log, "propagate", True)
    start = SimpleNamespace(positions_A=np.zeros((1, 3)), velocities_A_fs=None)
    job = StageInput(Path("a"), Path("b"), SimpleNamespace(constraints="none"), Path("c"), 1, device="auto")
    integrator = mm.VerletIntegrator(0.001)
    made, _ = engine._context(job, start, integrator)
    assert made.getPlatform().getName() == "CPU"
    assert "using the CPU" in caplog.text and "CUDA_ERROR_UNKNOWN" in caplog.text
    integrator.step(1)
    with pytest.raises(mm.OpenMMException):
        engine._context(replace(job, device="cuda"), start, mm.VerletIntegrator(0.001))
