"""Engines for all-atom data, by their names in the config.

Each is a module with the functions ``minimise``, ``equilibrate`` and ``produce`` of
the same arguments, products and errors; see `cgdistill.aa.gromacs`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from ..core.errors import InputError
from .stage import StageInput

ENGINES = ("gromacs", "openmm")


class Engine(Protocol):
    """Functions of an engine's module."""

    def minimise(self, job: StageInput, output: Path) -> None:
        """Minimise the energy; write ``output`` (.gro)."""

    def equilibrate(self, job: StageInput, output: Path) -> None:
        """Run the annealing schedule; write ``output`` (.gro with velocities)."""

    def produce(self, job: StageInput, trajectory: Path, structure: Path, thermo: Path) -> None:
        """Run the production; write .trr with positions and forces, .gro of its start, .csv of energies."""


def engine(source: str) -> Engine:
    """Engine named ``source`` (``gromacs`` or ``openmm``).

    Raises
    ------
    InputError
        No such engine, or its Python package is not installed.
    """
    if source not in ENGINES:
        raise InputError("config", "aa.source", source, f"one of {', '.join(ENGINES)} to make all-atom data")
    try:
        return cast(Engine, importlib.import_module(f".{source}", __package__))
    except ModuleNotFoundError as error:
        if error.name != "openmm":
            raise
        raise InputError(
            "environment", "package openmm", "not installed", "OpenMM (pip install openmm; conda-forge: openmm)"
        ) from None


def run_stage(stage: str, source: str, job: StageInput, outputs: Mapping[str, str | Path]) -> None:
    """Run a stage with an engine.

    Parameters
    ----------
    stage:
        ``minimise``, ``equilibrate`` or ``produce``.
    source:
        Name of the engine.
    outputs:
        Files to write: ``structure``, of the production also ``trajectory`` and ``thermo``.

    Raises
    ------
    InputError
        See `engine` and the stage.
    """
    chosen = engine(source)
    files = {name: Path(path) for name, path in outputs.items()}
    if stage == "produce":
        chosen.produce(job, files["trajectory"], files["structure"], files["thermo"])
    else:
        {"minimise": chosen.minimise, "equilibrate": chosen.equilibrate}[stage](job, files["structure"])
