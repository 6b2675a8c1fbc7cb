"""Cross-checks of a complete config.

All of this runs before any job is planned, so it stays cheap: no torch, no MDAnalysis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..geometry.cells import perpendicular_widths_A
from .aa_protocol import ProtocolSpec
from .complete import build
from .sections.config import Config
from .sections.simulation import Simulation


def _peek_widths_A(topology: Path) -> list[float] | None:
    """Distances between the faces of the cell of a ``.gro`` file, A, without its atoms; None for anything else."""
    if topology.suffix != ".gro":
        return None
    last = topology.read_text(encoding="utf-8", errors="replace").rstrip().rsplit("\n", 1)[-1].split()
    try:
        numbers = [10.0 * float(word) for word in last]
    except ValueError:
        return None
    if len(numbers) == 3:
        return numbers
    if len(numbers) == 9:
        xx, yy, zz, xy, xz, yx, yz, zx, zy = numbers
        widths: list[float] = perpendicular_widths_A(np.array([[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]])).tolist()
        return widths
    return None


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def check_config(config: Mapping[str, Any], types: tuple[str, ...]) -> None:
    """Cross-checks of a complete config that a schema cannot make.

    Raises
    ------
    InputError
        Fractions that do not sum to 1; distances in the wrong order or beyond half the cell; triplets
        of unknown bead types; times that are not whole numbers of steps; an all-atom protocol that
        cannot be simulated; input files that do not exist.
    """
    whole = build(Config, config)
    split, network = whole.split, whole.network
    total = split.train + split.valid + split.test
    if abs(total - 1.0) > 1e-9:
        _fail("split", f"fractions that sum to {total:g}", "a sum of 1")
    for fault in network.faults(whole.simulation.coupling):
        _fail(*fault)
    for number, triplet in enumerate(whole.structure.adf.triplets or ()):
        unknown = [name for name in triplet if name not in types]
        if unknown:
            found = ", ".join(unknown)
            _fail(f"structure.adf.triplets[{number}]", found, f"bead types of the mapping: {', '.join(types)}")
    _check_times(whole.simulation, whole.structure.cdf.resolved_every_ps)
    _check_distances(whole, *_cell_of(whole))


def _fail(key: str, found: object, expected: object) -> None:
    raise InputError("config", key, found, expected)


def _cell_of(config: Config) -> tuple[list[float] | None, str]:
    """Distances between the faces of the cell, A (None if a job has to find out), and where they are from.

    Raises
    ------
    InputError
        All-atom files that do not exist, or a protocol that cannot be simulated.
    """
    files, system = config.aa.files, config.aa.system
    if files is not None:
        paths = {"topology": files.topology, "masses": files.masses}
        paths |= {f"trajectory[{number}]": name for number, name in enumerate(files.trajectory)}
        for key, name in paths.items():
            if name is not None and not _is_file(name):
                _fail(f"aa.files.{key}", f"no file {name}", "an existing file")
        return _peek_widths_A(Path(files.topology)), files.topology
    if config.aa.protocol is not None:
        ProtocolSpec.from_config(asdict(config.aa.protocol))
    return None if system is None else list(system.cell_A), "aa.system.cell_A"


def _check_distances(config: Config, widths_A: list[float] | None, where: str) -> None:
    """No distance exceeds half the smallest width of the cell."""
    if not widths_A:
        return
    half = min(widths_A) / 2
    distances = {
        "network.cutoff_A": config.network.cutoff_A,
        "structure.rdf.r_max_A": config.structure.rdf.r_max_A,
        "structure.adf.r_max_A": max(config.structure.adf.r_max_A),
    }
    too_large = {key: value for key, value in distances.items() if value > half}
    if too_large:
        (key, value), *others = too_large.items()
        also = "".join(f"; also for {name}, now {length:g} A" for name, length in others)
        _fail(key, f"{value:g} A", f"at most {half:.3f} A, half the cell of {where}{also}")


def _check_times(simulation: Simulation, resolved_every_ps: float) -> None:
    """Every time of a simulation is a whole number of time steps; windows of time hold frames."""
    step_ps = simulation.timestep_fs / 1000.0
    for key in ("equilibration_ps", "production_ps", "frame_every_ps", "thermo_every_ps"):
        time_ps = getattr(simulation, key)
        steps = time_ps / step_ps
        if abs(steps - round(steps)) > 1e-6 * max(steps, 1.0):
            _fail(f"simulation.{key}", f"{time_ps:g} ps", f"a multiple of the time step, {step_ps:g} ps")
    if simulation.frame_every_ps > simulation.production_ps:
        _fail("simulation.frame_every_ps", f"{simulation.frame_every_ps:g} ps", "at most simulation.production_ps")
    if resolved_every_ps < simulation.frame_every_ps:
        expected = f"at least simulation.frame_every_ps, {simulation.frame_every_ps:g} ps"
        _fail("structure.cdf.resolved_every_ps", f"{resolved_every_ps:g} ps", expected)
