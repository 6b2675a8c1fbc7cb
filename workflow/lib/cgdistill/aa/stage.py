"""One stage of the all-atom simulation: its input, its checkpoint folder, its outputs."""

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
    """Input of a stage.

    Attributes
    ----------
    topology: GROMACS .top
    structure: .gro, with velocities for the production
    protocol: protocol of all stages
    checkpoints: folder of the work files and checkpoints of all stages
    seed: seed of velocities and thermostats
    threads: number of CPU threads
    device: cpu, cuda, or auto (a GPU if the engine finds one); with OpenMM also reference
    """

    topology: Path
    structure: Path
    protocol: ProtocolSpec
    checkpoints: Path
    seed: int
    threads: int = 1
    device: str = "auto"

    @classmethod
    def from_config(
        cls, protocol: Mapping[str, Any], topology: str | Path, structure: str | Path, **more: Any
    ) -> StageInput:
        """Input of a stage, from the config section ``aa.protocol``, file names, and the other attributes.

        Raises
        ------
        InputError
            See `ProtocolSpec.from_config`.
        """
        more["checkpoints"] = Path(more["checkpoints"])
        return cls(Path(topology), Path(structure), ProtocolSpec.from_config(protocol), **more)


def stage_key(engine: str, stage: str, job: StageInput, settings: Mapping[str, Any]) -> str:
    """Short hash of everything that determines the product of a stage.

    ``settings`` are the engine's parameters, including its fixed choices. Threads and device are not part of it: a
    stage may be resumed with others.
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
    """Folder of a stage's work files, ``<checkpoints>/<stage>-<key>``, created and locked for this process.

    Raises
    ------
    InputError
        Another process uses it.
    """
    folder = job.checkpoints / f"{stage}-{stage_key(engine, stage, job, settings)}"
    lock_until_exit(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_cutoff(job: StageInput) -> Structure:
    """Start structure, after checking that the cutoff fits its cell.

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
    """Raise `InputError` if the start structure of a production has no velocities."""
    if read_gro(job.structure).velocities_A_fs is None:
        raise InputError(job.structure, "velocities", "none", "velocities: the product of the equilibration")


def write_thermo(
    path: Path, table: pd.DataFrame, job: StageInput, engine: str, versions: Mapping[str, str], wall_s: float
) -> None:
    """Write the time series of a production, with its summary in the provenance.

    Parameters
    ----------
    table:
        Columns time_ps, potential_energy_kcal_mol, temperature_K.
    wall_s:
        Wall time of the production, extrapolated from its last uninterrupted part; NaN if unknown.
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


def title_line(what: str, stage: str, job: StageInput) -> str:
    """Title line of a .gro product, with the hash of its config."""
    digest: dict[str, Any] = {"protocol": job.protocol.part(stage), "seed": job.seed}
    return f"cgdistill {what}, config {config_hash(digest)[:12]}"
