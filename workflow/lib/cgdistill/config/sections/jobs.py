"""What jobs ask for of the machine or the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..keys import Changes, key


@dataclass(frozen=True, kw_only=True)
class Job:
    """Resources of one job."""

    threads: int = key("Number of threads.", 1, minimum=1, changes=Changes.NOTHING)
    mem_mb: int = key("Memory; multiplied by the attempt.", 4000, unit="MB", minimum=1, changes=Changes.NOTHING)
    runtime_min: int = key("Run time; multiplied by the attempt.", 60, unit="min", minimum=1, changes=Changes.NOTHING)
    gpu: int = key("Number of GPUs.", 0, minimum=0, changes=Changes.NOTHING)


def _job(threads: int, mem_mb: int, runtime_min: int) -> Job:
    return field(default_factory=lambda: Job(threads=threads, mem_mb=mem_mb, runtime_min=runtime_min))


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Defaults of the rules, by group; profiles say what a machine needs."""

    aa: Job = _job(2, 4000, 1440)
    light: Job = _job(1, 2000, 30)
    train: Job = _job(1, 4000, 720)
    predict: Job = _job(1, 4000, 60)
    simulate: Job = _job(1, 4000, 720)
    analyse: Job = _job(1, 4000, 60)
