"""Checkpoints of a simulation: LAMMPS restart file, what was written until then, and a small state file.

The state file is moved into place last, when all that it relies on is on disk, so that it never names what is
not there. A run that has ended leaves its last configuration in place of the restart file, and waits for the other
runs of its job. Its files then have checksums: they may become products a second time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..io.lammps_dump import truncate_dump
from ..provenance.record import sha256_of
from ..runtime.atomic_files import sync_to_disk, whole_file, write_json

THERMO_COLUMNS = (
    "phase",
    "step",
    "time_ps",
    "temperature_K",
    "potential_energy_kcal_mol",
    "total_energy_kcal_mol",
    "pressure_atm",
)
ThermoRow = dict[str, str | int | float]
#: Rows that are read at a time.
_CHUNK = 4096


class ThermoRows:
    """Rows of thermo.csv in a file, a line of JSON each; only those since the last `save` are held in memory.

    Iteration gives all of them, in their order.

    Attributes
    ----------
    first, last: the earliest and the latest row, None before there is one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first: ThermoRow | None = None
        self.last: ThermoRow | None = None
        self._new: list[ThermoRow] = []

    def append(self, row: ThermoRow) -> None:
        """Add a row."""
        self._new.append(row)
        self.first, self.last = self.first or row, row

    def save(self) -> None:
        """Write to the file what is not there yet."""
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in self._new)
        self._new = []

    def cut(self, step: int) -> None:
        """Leave in the file only whole rows up to a step, and go on behind them."""
        self._new, self.first, self.last = [], None, None
        with whole_file(self.path) as partial, open(partial, "w", encoding="utf-8") as stream:
            for row in self._on_disk():
                if int(row["step"]) <= step:
                    stream.write(json.dumps(row) + "\n")
                    self.first, self.last = self.first or row, row

    def _on_disk(self) -> Iterator[ThermoRow]:
        if not self.path.exists():
            return
        with open(self.path, encoding="utf-8") as stream:
            for line in stream:
                if line.endswith("\n"):
                    row: ThermoRow = json.loads(line)
                    yield row

    def __iter__(self) -> Iterator[ThermoRow]:
        yield from self._on_disk()
        yield from self._new


@dataclass(frozen=True)
class State:
    """Where a run stands: what determines it (a hash), the step, and the time it has taken so far.

    ``end`` says how it ended; it is None for a run that goes on from ``restart``. ``sha256`` are the checksums of the
    files of an ended run, by name.
    """

    key: str
    step: int
    wall_s: float
    restart: str
    end: dict[str, Any] | None = None
    sha256: dict[str, str] = field(default_factory=dict)


class CheckpointFolder:
    """The folder in which a run grows; its files are moved to the products when it has ended.

    Parameters
    ----------
    folder:
        Not shared with other runs.
    key:
        Hash of what determines the run; a checkpoint with another one is not used.
    """

    def __init__(self, folder: str | Path, key: str) -> None:
        self.folder, self.key = Path(folder), key
        self.folder.mkdir(parents=True, exist_ok=True)
        self.equilibration = self.folder / "equilibration.lammpstrj"
        self.trajectory = self.folder / "trajectory.lammpstrj"
        self.final = self.folder / "final.data"
        self.last_frames = self.folder / "last_frames.lammpstrj"
        self.record = self.folder / "run.json"
        self.rows = ThermoRows(self.folder / "thermo.jsonl")
        self._state_path = self.folder / "state.json"

    def open(self) -> State | None:
        """State to go on from, ``rows`` with it; None and an emptied folder where there is no valid checkpoint."""
        for left_over in self.folder.glob(".*.partial-*"):  # of `whole_file` in a process that was killed
            left_over.unlink()
        state = self._read_state()
        if state is None:
            self.clear()
            return None
        self.rows.cut(state.step)
        for dump in (self.equilibration, self.trajectory):
            if dump.exists():
                truncate_dump(dump, state.step)
        return state

    def _read_state(self) -> State | None:
        try:
            state = State(**json.loads(self._state_path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        needed = [self.final] if state.end else [self.restart_path(state), self.looks_path(state.step)]
        whole = all(path.is_file() for path in (*needed, self.rows.path))
        if not whole or state.key != self.key:
            return None
        return state if state.sha256 == self._checksums(state.sha256) else None

    def _checksums(self, names: Iterable[str]) -> dict[str, str]:
        """SHA-256 of those of the files that exist, by name."""
        return {name: sha256_of(self.folder / name) for name in names if (self.folder / name).is_file()}

    def restart_path(self, state: State) -> Path:
        """The LAMMPS restart file of a state."""
        return self.folder / state.restart

    def new_restart_path(self, step: int) -> Path:
        """Where LAMMPS shall write its restart file of this step."""
        return self.folder / f"restart-{step}.lammps"

    def looks_path(self, step: int) -> Path:
        """Where the run shall write, or has written, its last frames of the time of this step."""
        return self.folder / f"looks-{step}.npz"

    def save(self, step: int, wall_s: float) -> None:
        """Make the files of ``step``, restart and looks, written before, and the rows so far the valid checkpoint."""
        self._save(State(self.key, step, wall_s, self.new_restart_path(step).name))

    def save_end(self, step: int, wall_s: float, end: Mapping[str, Any]) -> None:
        """Mark the run as ended; its last configuration has been written to ``final``."""
        self.rows.save()
        files = (self.equilibration, self.trajectory, self.final, self.last_frames, self.rows.path)
        self._save(State(self.key, step, wall_s, "", dict(end), self._checksums(path.name for path in files)))

    def _save(self, state: State) -> None:
        self.rows.save()
        for grown in (self.rows.path, self.equilibration, self.trajectory):
            if grown.exists():
                sync_to_disk(grown)
        write_json(self._state_path, asdict(state))
        valid = (state.restart, "" if state.end else self.looks_path(state.step).name)
        for old in self._of_steps():
            if old.name not in valid:
                old.unlink()

    def _of_steps(self) -> list[Path]:
        """Files that stand beside others of their kind while a checkpoint is written."""
        return [*self.folder.glob("restart-*.lammps"), *self.folder.glob("looks-*.npz")]

    def clear(self) -> None:
        """Remove the files of a run, the state first; others are left alone."""
        files = (self._state_path, self.equilibration, self.trajectory, self.final, self.last_frames, self.rows.path)
        for path in (*files, self.record, *self._of_steps()):
            path.unlink(missing_ok=True)
        self.rows = ThermoRows(self.rows.path)


def thermo_table(rows: Iterable[ThermoRow]) -> pd.DataFrame:
    """Rows as the table thermo.csv; few of them are held beside it."""
    remaining = iter(rows)
    parts = []
    while chunk := list(islice(remaining, _CHUNK)):
        parts.append(pd.DataFrame(chunk, columns=list(THERMO_COLUMNS)).astype({"step": np.int64}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(THERMO_COLUMNS))
