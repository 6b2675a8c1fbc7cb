"""The engines that can make all-atom data, by the name that the config gives them.

Each is a module with the functions ``minimise``, ``equilibrate`` and ``produce`` of
the same arguments, products and errors; see `cgdistill.aa.gromacs`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from ..core.errors import InputError
from .stage import StageInput

ENGINES = ("gromacs", "openmm")


class Engine(Protocol):
    """What an engine's module offers."""

    def minimise(self, job: StageInput, output: Path) -> None:
        """Minimise the energy; write ``output`` (.gro)."""

    def equilibrate(self, job: StageInput, output: Path) -> None:
        """Follow the annealing schedule; write ``output`` (.gro with velocities)."""

    def produce(self, job: StageInput, trajectory: Path, structure: Path, thermo: Path) -> None:
        """Write the production: .trr of positions and forces, .gro of its start, .csv of energies."""


def engine(source: str) -> Engine:
    """The engine named ``source`` (``gromacs`` or ``openmm``).

    Raises
    ------
    InputError
        There is no such engine, or the Python package that it needs is not installed.
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
