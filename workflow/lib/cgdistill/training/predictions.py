"""Predictions of a model on all frames, their average over an ensemble, and their file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from ..core.errors import InputError
from ..io.hdf5_writer import Hdf5Output
from ..io.untrusted import open_hdf5
from ..runtime.atomic_files import whole_file
from .metrics import centre_per_type

FORMAT = "cgdistill-predictions-1"
#: Frames that are averaged at a time.
_CHUNK = 64
_UNITS = {
    "forces": "kcal/mol/A",
    "epsilon": "kcal/mol",
    "forces_spread": "kcal/mol/A",
    "epsilon_spread": "kcal/mol",
}


@dataclass(frozen=True)
class Predictions:
    """Predictions on every frame of a bead file.

    Attributes
    ----------
    forces_kcal_mol_A: (n_frames, n_beads, 3), prior included.
    epsilon_kcal_mol: (n_frames, n_beads) per-bead energies of the network, centred per bead type.
    members: who was averaged (one name for a single model).
    forces_spread_kcal_mol_A, epsilon_spread_kcal_mol:
        standard deviation (n - 1) over the members; of an average alone.
    """

    forces_kcal_mol_A: np.ndarray
    epsilon_kcal_mol: np.ndarray
    members: tuple[str, ...]
    forces_spread_kcal_mol_A: np.ndarray | None = None
    epsilon_spread_kcal_mol: np.ndarray | None = None

    @property
    def energy_kcal_mol(self) -> np.ndarray:
        """(n_frames,) system energy of the network: sum of the per-bead energies."""
        energy: np.ndarray = self.epsilon_kcal_mol.sum(axis=1, dtype=np.float64)
        return energy

    def targets(self) -> dict[str, np.ndarray]:
        """Training targets ``f``, ``E``, ``epsilon`` as float32."""
        return {
            "f": self.forces_kcal_mol_A.astype(np.float32),
            "E": self.energy_kcal_mol.astype(np.float32),
            "epsilon": self.epsilon_kcal_mol.astype(np.float32),
        }


def single_predictions(
    name: str, forces_kcal_mol_A: np.ndarray, epsilon_kcal_mol: np.ndarray, bead_types: np.ndarray
) -> Predictions:
    """Predictions of one model, its per-bead energies centred per bead type over all frames."""
    centred = centre_per_type(epsilon_kcal_mol, bead_types).astype(np.float32)
    return Predictions(forces_kcal_mol_A, centred, (name,))


def average_predictions(members: Sequence[Predictions], expected: Sequence[str]) -> Predictions:
    """Mean and spread over exactly the expected members.

    Raises
    ------
    InputError
        A member is missing, extra or twice, or shapes differ.
    """
    names = [name for member in members for name in member.members]
    if sorted(names) != sorted(expected) or len(set(names)) != len(names):
        raise InputError("ensemble", "members", names, list(expected))
    shapes = {member.forces_kcal_mol_A.shape for member in members}
    if len(shapes) != 1:
        raise InputError("ensemble", "shapes of the forces", sorted(shapes), "one shape")
    forces = np.stack([member.forces_kcal_mol_A for member in members])
    epsilon = np.stack([member.epsilon_kcal_mol for member in members])
    ddof = 1 if len(members) > 1 else 0
    return Predictions(
        forces_kcal_mol_A=forces.mean(axis=0, dtype=np.float64).astype(np.float32),
        epsilon_kcal_mol=epsilon.mean(axis=0, dtype=np.float64).astype(np.float32),
        members=tuple(names),
        forces_spread_kcal_mol_A=forces.std(axis=0, ddof=ddof, dtype=np.float64).astype(np.float32),
        epsilon_spread_kcal_mol=epsilon.std(axis=0, ddof=ddof, dtype=np.float64).astype(np.float32),
    )


def write_predictions(path: str | Path, predictions: Predictions, provenance: Mapping[str, Any]) -> None:
    """Write predictions as HDF5 with units and provenance."""
    with whole_file(path) as partial, Hdf5Output(partial) as output:
        _describe(output.file, predictions.members, provenance)
        for name, values in _arrays(predictions).items():
            output.file.create_dataset(name, data=values.astype(np.float32)).attrs["unit"] = _UNITS[name]


def _describe(file: h5py.File, members: Sequence[str], provenance: Mapping[str, Any]) -> None:
    file.attrs["format"] = FORMAT
    file.attrs["members"] = json.dumps(tuple(members))
    file.attrs["provenance"] = json.dumps(dict(provenance))


def _arrays(predictions: Predictions) -> dict[str, np.ndarray]:
    """By name of the dataset, those that there are."""
    arrays = {
        "forces": predictions.forces_kcal_mol_A,
        "epsilon": predictions.epsilon_kcal_mol,
        "forces_spread": predictions.forces_spread_kcal_mol_A,
        "epsilon_spread": predictions.epsilon_spread_kcal_mol,
    }
    return {name: values for name, values in arrays.items() if values is not None}


def average_files(
    path: str | Path, sources: Sequence[str | Path], expected: Sequence[str], provenance: Mapping[str, Any]
) -> float:
    """Write mean and spread of predictions on disk, a few frames at a time.

    What the file says is what `write_predictions` writes of `average_predictions`.

    Returns
    -------
    Root mean square of the spread over all force components, kcal/mol/A.

    Raises
    ------
    InputError
        As `average_predictions`.
    """
    squares = 0.0
    with ExitStack() as stack:
        files = [stack.enter_context(PredictionFile(source)) for source in sources]
        members = [name for file in files for name in file.members]
        shapes = {file.forces.shape for file in files}
        if len(shapes) != 1:
            raise InputError("ensemble", "shapes of the forces", sorted(shapes), "one shape")
        (shape,) = shapes
        output = stack.enter_context(Hdf5Output(stack.enter_context(whole_file(path))))
        _describe(output.file, members, provenance)
        for name in _UNITS:
            own = output.file.create_dataset(name, shape if name.startswith("forces") else shape[:2], "f4")
            own.attrs["unit"] = _UNITS[name]
        for start in range(0, shape[0], _CHUNK):
            rows = slice(start, start + _CHUNK)
            parts = [Predictions(file.forces[rows], file.epsilon[rows], file.members) for file in files]
            mean = average_predictions(parts, expected)
            for name, values in _arrays(mean).items():
                output.file[name][rows] = values
            output.check()
            squares += float((_arrays(mean)["forces_spread"].astype(np.float64) ** 2).sum())
    return float(np.sqrt(squares / np.prod(shape)))


def read_predictions(path: str | Path) -> Predictions:
    """Read predictions; format and units are checked."""
    with open_hdf5(path, f"an HDF5 file of format {FORMAT}") as file:
        _check(file, path)
        arrays: dict[str, np.ndarray] = {name: file[name][:] for name in file}
        members = tuple(json.loads(file.attrs["members"]))
    return Predictions(
        arrays["forces"], arrays["epsilon"], members, arrays.get("forces_spread"), arrays.get("epsilon_spread")
    )


def _check(file: h5py.File, path: str | Path) -> None:
    """Format and units are those of predictions."""
    if file.attrs.get("format") != FORMAT:
        raise InputError(path, "attribute 'format'", file.attrs.get("format"), FORMAT)
    for name in file:
        if file[name].attrs.get("unit") != _UNITS.get(name):
            raise InputError(path, f"unit of '{name}'", file[name].attrs.get("unit"), _UNITS.get(name))


class PredictionFile:
    """Predictions of which frames are read when asked for, so that memory does not grow with the frames.

    Attributes
    ----------
    forces: (n_frames, n_beads, 3) kcal/mol/A, to be indexed by increasing frames.
    epsilon: (n_frames, n_beads) kcal/mol, the same.
    members: who was averaged (one name for a single model).

    Raises
    ------
    InputError
        As `read_predictions`.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = open_hdf5(path, f"an HDF5 file of format {FORMAT}")
        try:
            _check(self._file, path)
            self.forces: h5py.Dataset = self._file["forces"]
            self.epsilon: h5py.Dataset = self._file["epsilon"]
            self.members = tuple(json.loads(self._file.attrs["members"]))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> PredictionFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class PredictionWriter:
    """Takes the predictions of one model part by part, as `writing_predictions` gives it.

    Forces go to the file at once. Per-bead energies, 4 bytes each, wait for the last frame: they are centred over all.
    """

    def __init__(self, output: Hdf5Output, n_frames: int, bead_types: np.ndarray) -> None:
        self._output, self._file, self._types, self._done = output, output.file, bead_types, 0
        self._epsilon = np.empty((n_frames, len(bead_types)), dtype=np.float32)
        self._file.create_dataset("forces", (n_frames, len(bead_types), 3), "f4")

    def append(self, forces_kcal_mol_A: np.ndarray, epsilon_kcal_mol: np.ndarray) -> None:
        """Take the next frames: (n, n_beads, 3) and (n, n_beads), not centred.

        Raises
        ------
        OSError
            The disk is full or may not be written to.
        """
        rows = slice(self._done, self._done + len(epsilon_kcal_mol))
        self._file["forces"][rows] = forces_kcal_mol_A
        self._epsilon[rows] = epsilon_kcal_mol
        self._done = rows.stop
        self._output.check()

    def finish(self) -> None:
        """Centre the energies as `single_predictions` does, and write them.

        Raises
        ------
        ValueError
            Frames are missing.
        """
        if self._done != len(self._epsilon):
            raise ValueError(f"predictions of {self._done} frames instead of {len(self._epsilon)}")
        self._file["forces"].attrs["unit"] = _UNITS["forces"]
        for kind in np.unique(self._types):
            members = self._types == kind
            own = self._epsilon[:, members].astype(np.float64)
            self._epsilon[:, members] = own - own.mean()
        self._file.create_dataset("epsilon", data=self._epsilon).attrs["unit"] = _UNITS["epsilon"]


@contextmanager
def writing_predictions(
    path: str | Path, name: str, n_frames: int, bead_types: np.ndarray, provenance: Mapping[str, Any]
) -> Iterator[PredictionWriter]:
    """Write predictions of one model part by part: the file that `single_predictions` and `write_predictions` make."""
    with whole_file(path) as partial, Hdf5Output(partial) as output:
        _describe(output.file, (name,), provenance)
        writer = PredictionWriter(output, n_frames, bead_types)
        yield writer
        writer.finish()
