"""The whole config."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..keys import Changes, key
from .all_atom import AllAtom
from .analysis import Stability, Statistics, Structure
from .jobs import Resources
from .learning import BeadMapping, Failures, Prior, Split, Students, Teachers, Training
from .networks import Network
from .simulation import Simulation


@dataclass(frozen=True, kw_only=True)
class Config:
    """Config of a run."""

    # A cell of a sweep has a folder of its own within the sweep's.
    run: str = key(
        "Name of the run: all files are written to `results/<run>/`, `logs/<run>/` and `benchmarks/<run>/`.",
        pattern="^(?!results$)[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$",
        max_length=200,
    )
    seed: int = key(
        "Seed from which those of split, initial weights, start frames and velocities are derived.", 20251101, minimum=0
    )
    device: Literal["auto", "cpu", "cuda"] = key(
        "`cpu`, `cuda`, or `auto`: a GPU if the job has one, else the CPU.", "auto"
    )
    aa: AllAtom
    mapping: BeadMapping
    split: Split = field(default_factory=Split)
    prior: Prior = field(default_factory=Prior)
    network: Network
    training: Training = field(default_factory=Training)
    failures: Failures = field(default_factory=Failures)
    teachers: Teachers = field(default_factory=Teachers)
    students: Students = field(default_factory=Students)
    simulation: Simulation
    structure: Structure = field(default_factory=Structure)
    statistics: Statistics = field(default_factory=Statistics)
    stability: Stability = field(default_factory=Stability)
    pictures: bool = key(
        "Whether the first and last frames of one run per family of models are rendered, with OVITO if it is "
        "installed, else as a plain projection.",
        True,
        changes=Changes.PRODUCTS,
    )
    resources: Resources = field(default_factory=Resources)
