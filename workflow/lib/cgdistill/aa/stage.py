"""One stage of the all-atom chain: what goes in, where its checkpoints lie, what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config.aa_protocol import ProtocolSpec
from ..core.errors import InputError
from ..core.units import ns_per_day
from ..io.csv_tables import write_table
from ..provenance.record import config_hash, sha256_of, stamp
from ..runtime.locks import lock_until_exit
from .gro import Structure, read_gro
from .system import included_files


@dataclass(frozen=True)
class StageInput:
    """What a stage starts from.

    Attributes
    ----------
    topology: GROMACS .top
    structure: .gro, with velocities for the production
    protocol: what to do
    checkpoints: folder that keeps the stages' work files and checkpoints
    seed: of velocities and thermostats
    threads: CPU threads
    device: cpu, cuda, or auto (a GPU where the engine finds one); OpenMM also takes reference
    """

    topology: Path
    structure: Path
    protocol: ProtocolSpec
    checkpoints: Path
    seed: int
    threads: int = 1
    device: str = "auto"


def stage_key(engine: str, stage: str, job: StageInput, settings: Mapping[str, Any]) -> str:
    """Short hash of everything that determines a stage's product.

    ``settings`` are what the engine makes of the protocol, its fixed choices included. Threads and
    platform are left out: a run may go on with others.
    """
    return config_hash(
        {
            "engine": engine,
            "stage": stage,
            "protocol": job.protocol.part(stage),
            "settings": dict(settings),
            "topology": [sha256_of(path) for path in included_files(job.topology)],
            "structure": sha256_of(job.structure),
            "seed": job.seed,
        }
    )[:12]


def stage_folder(engine: str, stage: str, job: StageInput, settings: Mapping[str, Any]) -> Path:
    """Folder of a stage's work files, made when missing: ``<checkpoints>/<stage>-<key>``; this process's alone.

    Raises
    ------
    InputError
        Another process is at work in it.
    """
    folder = job.checkpoints / f"{stage}-{stage_key(engine, stage, job, settings)}"
    lock_until_exit(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_cutoff(job: StageInput) -> Structure:
    """The start structure, once the cutoff is known to fit its cell.

    Raises
    ------
    InputError
        The cutoff exceeds half the shortest edge (minimum image).
    """
    structure = read_gro(job.structure)
    limit = float(structure.cell_A.min()) / 2
    if job.protocol.cutoff_A >= limit:
        raise InputError(
            "config",
            "aa.protocol.cutoff_A",
            f"{job.protocol.cutoff_A} A",
            f"less than half the shortest edge of the cell in {job.structure}, {limit:.2f} A",
        )
    return structure


def require_velocities(job: StageInput) -> None:
    """Raise `InputError` where a production would start without velocities."""
    if read_gro(job.structure).velocities_A_fs is None:
        raise InputError(job.structure, "velocities", "none", "velocities: the product of the equilibration")


def write_thermo(
    path: Path, table: pd.DataFrame, job: StageInput, engine: str, versions: Mapping[str, str], wall_s: float
) -> None:
    """Write time series of a production with its summary in the provenance.

    Parameters
    ----------
    table:
        Columns time_ps, potential_energy_kcal_mol, temperature_K.
    wall_s:
        Wall time of the last uninterrupted piece, NaN when unknown.
    """
    time, energy = table["time_ps"].to_numpy(), table["potential_energy_kcal_mol"].to_numpy()
    drift = float(np.polyfit(time, energy, 1)[0] * 1000) if len(time) > 1 else float("nan")
    record = stamp(
        {"protocol": job.protocol.part("produce"), "seed": job.seed, "engine": engine},
        {"topology": job.topology, "structure": job.structure},
        versions=dict(versions),
        n_frames=job.protocol.n_frames,
        threads=job.threads,
        mean_temperature_K=float(table["temperature_K"].mean()),
        std_temperature_K=float(table["temperature_K"].std()),
        mean_potential_energy_kcal_mol=float(energy.mean()),
        std_potential_energy_kcal_mol=float(energy.std()),
        drift_potential_energy_kcal_mol_per_ns=drift,
        ns_per_day=ns_per_day(job.protocol.production_steps, job.protocol.timestep_fs, wall_s),
    )
    write_table(path, table, record)


def short_stamp(what: str, stage: str, job: StageInput) -> str:
    """Title line of a .gro product."""
    digest: dict[str, Any] = {"protocol": job.protocol.part(stage), "seed": job.seed}
    return f"cgdistill {what}, config {config_hash(digest)[:12]}"
