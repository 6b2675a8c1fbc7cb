"""Writing of trajectories of positions and forces in GROMACS' .trr format (nm, kJ/mol/nm, single precision)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from MDAnalysis.lib.formats.libmdaxdr import TRRFile

from ..config.aa_protocol import ProtocolSpec
from ..core.units import ANGSTROM_PER_NM, FS_PER_PS, KCAL_MOL_A_PER_KJ_MOL_NM
from ..runtime.atomic_files import whole_file
from ..runtime.machine_errors import disk_fault


class FrameWriter:
    """Writer of the frames of a production, with positions and forces."""

    def __init__(self, path: Path, protocol: ProtocolSpec) -> None:
        self._file = TRRFile(str(path), "w")
        self._path, self._protocol = path, protocol

    def write(self, index: int, positions_A: np.ndarray, forces_kcal_mol_A: np.ndarray, cell_A: np.ndarray) -> None:
        """Append frame number ``index`` (positions, forces: (n_atoms, 3); cell: (3,) edges)."""
        box = np.diag(cell_A / ANGSTROM_PER_NM)
        self.write_native(index, positions_A / ANGSTROM_PER_NM, forces_kcal_mol_A / KCAL_MOL_A_PER_KJ_MOL_NM, box)

    def write_native(self, index: int, x: np.ndarray, f: np.ndarray, box: np.ndarray) -> None:
        """As `write`, in nm and kJ/mol/nm, with the cell vectors as rows (3, 3).

        Raises
        ------
        OSError
            The disk is full.
        """
        step, time = index * self._protocol.frame_steps, index * self._protocol.frame_every_ps
        single: list[Any] = [np.ascontiguousarray(a, dtype=np.float32) for a in (x, f, box)]
        try:
            self._file.write(single[0], None, single[1], single[2], step, time, 0.0, len(x))
        except OSError as error:
            raise disk_fault(self._path, error) or error from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def join_frames(sources: Iterable[Path], target: Path, protocol: ProtocolSpec) -> None:
    """Join trajectories into one, with positions and forces of each frame of the production once.

    Raises
    ------
    RuntimeError
        A frame is missing, incomplete or not finite.
    """
    interval, done = protocol.frame_every_ps, -1
    with whole_file(target) as partial:
        writer = FrameWriter(partial, protocol)
        for source in sources:
            with TRRFile(str(source)) as trajectory:
                for frame in trajectory:
                    index = round(frame.time / interval)
                    late_ps = abs(frame.time - index * interval)
                    if index != done + 1 or late_ps > 0.5 * protocol.timestep_fs / FS_PER_PS or not frame.hasf:
                        continue
                    if not (np.isfinite(frame.x).all() and np.isfinite(frame.f).all()):
                        raise RuntimeError(f"{source}: frame {index} contains values that are not finite")
                    writer.write_native(index, frame.x, frame.f, frame.box)
                    done = index
        writer.close()
        if done + 1 != protocol.n_frames:
            raise RuntimeError(f"{target}: {done + 1} frames, expected {protocol.n_frames}")
