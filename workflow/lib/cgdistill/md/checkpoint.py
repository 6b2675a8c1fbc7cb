"""Checkpoints of a simulation: LAMMPS restart file, what was written until then, and a small state file.

The state file is moved into place last, when all that it relies on is on disk, so that it never names what is
not there. A run that has ended leaves its last configuration in place of the restart file, and waits so for the
other runs of its job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..lammps_dump import truncate_dump
from ..provenance import sync_to_disk, whole_file, write_json

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


@dataclass(frozen=True)
class State:
    """Where a run stands: what determines it (a hash), the step, and the time it has taken so far.

    ``end`` says how it ended; it is None for a run that goes on from ``restart``.
    """

    key: str
    step: int
    wall_s: float
    restart: str
    end: dict[str, Any] | None = None


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
        self._rows_path = self.folder / "thermo.jsonl"
        self._state_path = self.folder / "state.json"
        self._n_saved_rows = 0

    def open(self) -> tuple[State | None, list[ThermoRow]]:
        """State and thermo rows to go on from; None and an emptied folder where there is no valid checkpoint."""
        for left_over in self.folder.glob(".*.partial-*"):  # of `whole_file` in a process that was killed
            left_over.unlink()
        state = self._read_state()
        if state is None:
            self.clear()
            return None, []
        lines = self._rows_path.read_text(encoding="utf-8").splitlines(keepends=True)
        parsed = [json.loads(line) for line in lines if line.endswith("\n")]
        rows: list[ThermoRow] = [row for row in parsed if row["step"] <= state.step]
        with whole_file(self._rows_path) as partial:
            partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        self._n_saved_rows = len(rows)
        for dump in (self.equilibration, self.trajectory):
            if dump.exists():
                truncate_dump(dump, state.step)
        return state, rows

    def _read_state(self) -> State | None:
        try:
            state = State(**json.loads(self._state_path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        needed = [self.final] if state.end else [self.restart_path(state), self.looks_path(state.step)]
        whole = all(path.is_file() for path in (*needed, self._rows_path))
        return state if whole and state.key == self.key else None

    def restart_path(self, state: State) -> Path:
        """The LAMMPS restart file of a state."""
        return self.folder / state.restart

    def new_restart_path(self, step: int) -> Path:
        """Where LAMMPS shall write its restart file of this step."""
        return self.folder / f"restart-{step}.lammps"

    def looks_path(self, step: int) -> Path:
        """Where the run shall write, or has written, its last frames of the time of this step."""
        return self.folder / f"looks-{step}.npz"

    def save(self, step: int, wall_s: float, rows: Sequence[ThermoRow]) -> None:
        """Make the files of ``step``, restart and looks, written before, the valid checkpoint; ``rows`` are all."""
        self._save(State(self.key, step, wall_s, self.new_restart_path(step).name), rows)

    def save_end(self, step: int, wall_s: float, rows: Sequence[ThermoRow], end: Mapping[str, Any]) -> None:
        """Mark the run as ended; its last configuration has been written to ``final``."""
        self._save(State(self.key, step, wall_s, "", dict(end)), rows)

    def _save(self, state: State, rows: Sequence[ThermoRow]) -> None:
        with open(self._rows_path, "a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows[self._n_saved_rows :])
        self._n_saved_rows = len(rows)
        for grown in (self._rows_path, self.equilibration, self.trajectory):
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
        files = (self._state_path, self.equilibration, self.trajectory, self.final, self.last_frames, self._rows_path)
        for path in (*files, *self._of_steps()):
            path.unlink(missing_ok=True)
        self._n_saved_rows = 0


def thermo_table(rows: Sequence[ThermoRow]) -> pd.DataFrame:
    """Rows as the table thermo.csv."""
    table = pd.DataFrame(rows, columns=list(THERMO_COLUMNS))
    return table.astype({"step": np.int64}) if len(table) else table
