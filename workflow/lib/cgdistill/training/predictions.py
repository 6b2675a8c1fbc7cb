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
from ..forcefield.trainable import ModelOutput
from ..io.hdf5_writer import Hdf5Output
from ..io.untrusted import open_hdf5, parse_json
from ..runtime.atomic_files import whole_file

FORMAT = "cgdistill-predictions-2"
#: Datasets of a file, which are the arrays of `Predictions`: unit and type of the numbers.
_DATASETS = {
    "forces_kcal_mol_A": ("kcal/mol/A", "f4"),
    "epsilon_kcal_mol": ("kcal/mol", "f4"),
    "epsilon_constants_kcal_mol": ("kcal/mol", "f8"),
    "forces_spread_kcal_mol_A": ("kcal/mol/A", "f4"),
    "epsilon_spread_kcal_mol": ("kcal/mol", "f4"),
}
#: Of every file; the others are of averages.
_REQUIRED = tuple(_DATASETS)[:3]
#: Frames that are averaged at a time.
_CHUNK = 64


@dataclass(frozen=True)
class Predictions:
    """Predictions on every frame of a bead file.

    Attributes
    ----------
    forces_kcal_mol_A: (n_frames, n_beads, 3) of the whole force field, prior included.
    epsilon_kcal_mol: (n_frames, n_beads) per-bead energies of the network, centred per bead type.
    epsilon_constants_kcal_mol: (n_types,) mean per-bead energy of each bead type, which centring subtracted; 0 for a
        type without beads.
    members: models that were averaged (one name for a single model).
    forces_spread_kcal_mol_A, epsilon_spread_kcal_mol:
        standard deviation (n - 1) over the members; of an average alone.
    """

    forces_kcal_mol_A: np.ndarray
    epsilon_kcal_mol: np.ndarray
    epsilon_constants_kcal_mol: np.ndarray
    members: tuple[str, ...]
    forces_spread_kcal_mol_A: np.ndarray | None = None
    epsilon_spread_kcal_mol: np.ndarray | None = None

    @property
    def energy_kcal_mol(self) -> np.ndarray:
        """(n_frames,) system energy of the network: sum of the per-bead energies."""
        energy: np.ndarray = self.epsilon_kcal_mol.sum(axis=1, dtype=np.float64)
        return energy


def mean_per_type(bead_energies: np.ndarray, bead_types: np.ndarray) -> np.ndarray:
    """Mean energy of each bead type, (n_types,) float64, from (n_frames, n_beads); 0 for a type without beads."""
    means = np.zeros(int(bead_types.max()) + 1)
    for kind in np.unique(bead_types):
        means[kind] = bead_energies[:, bead_types == kind].astype(np.float64).mean()
    return means


def centre_per_type(bead_energies: np.ndarray, bead_types: np.ndarray) -> np.ndarray:
    """Bead energies (n_frames, n_beads) less the mean of each bead type, float64.

    Training on forces leaves them free by one constant per type.
    """
    centred: np.ndarray = bead_energies - mean_per_type(bead_energies, bead_types)[bead_types]
    return centred


def single_predictions(name: str, output: ModelOutput[np.ndarray], bead_types: np.ndarray) -> Predictions:
    """Predictions of one model from its output for all frames, per-bead energies centred per bead type."""
    forces, epsilon = output
    centred = centre_per_type(epsilon, bead_types).astype(np.float32)
    return Predictions(forces, centred, mean_per_type(epsilon, bead_types), (name,))


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
        epsilon_constants_kcal_mol=np.mean([member.epsilon_constants_kcal_mol for member in members], axis=0),
        members=tuple(names),
        forces_spread_kcal_mol_A=forces.std(axis=0, ddof=ddof, dtype=np.float64).astype(np.float32),
        epsilon_spread_kcal_mol=epsilon.std(axis=0, ddof=ddof, dtype=np.float64).astype(np.float32),
    )


def write_predictions(path: str | Path, predictions: Predictions, provenance: Mapping[str, Any]) -> None:
    """Write predictions as HDF5 with units and provenance."""
    with whole_file(path) as partial, Hdf5Output(partial) as output:
        _describe(output.file, predictions.members, provenance)
        for name, values in _arrays(predictions).items():
            _create(output.file, name, values.shape)[...] = values


def _describe(file: h5py.File, members: Sequence[str], provenance: Mapping[str, Any]) -> None:
    file.attrs["format"] = FORMAT
    file.attrs["forces"] = "network and prior"
    file.attrs["epsilon"] = "network"
    file.attrs["members"] = json.dumps(tuple(members))
    file.attrs["provenance"] = json.dumps(dict(provenance))


def _create(file: h5py.File, name: str, shape: tuple[int, ...]) -> h5py.Dataset:
    """A dataset of `_DATASETS` with its unit."""
    unit, dtype = _DATASETS[name]
    dataset = file.create_dataset(name, shape, dtype)
    dataset.attrs["unit"] = unit
    return dataset


def _arrays(predictions: Predictions) -> dict[str, np.ndarray]:
    """Arrays by name of the dataset, those that there are."""
    arrays = {name: getattr(predictions, name) for name in _DATASETS}
    return {name: values for name, values in arrays.items() if values is not None}


def average_files(
    path: str | Path, sources: Sequence[str | Path], expected: Sequence[str], provenance: Mapping[str, Any]
) -> float:
    """Write mean and spread of predictions on disk, a few frames at a time.

    The file is that of `average_predictions` and `write_predictions`.

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
        shapes = {file.forces_kcal_mol_A.shape for file in files}
        if len(shapes) != 1:
            raise InputError("ensemble", "shapes of the forces", sorted(shapes), "one shape")
        (shape,) = shapes
        output = stack.enter_context(Hdf5Output(stack.enter_context(whole_file(path))))
        _describe(output.file, members, provenance)
        for start in range(0, shape[0], _CHUNK):
            rows = slice(start, start + _CHUNK)
            mean = average_predictions([file.frames(rows) for file in files], expected)
            for name, values in _arrays(mean).items():
                per_frame = name != "epsilon_constants_kcal_mol"
                if start == 0:
                    _create(output.file, name, (*shape[:1], *values.shape[1:]) if per_frame else values.shape)
                output.file[name][rows if per_frame else ...] = values
            output.check()
            squares += float((_arrays(mean)["forces_spread_kcal_mol_A"].astype(np.float64) ** 2).sum())
    return float(np.sqrt(squares / np.prod(shape)))


def read_predictions(path: str | Path) -> Predictions:
    """Read predictions; format and units are checked."""
    with PredictionFile(path) as file:
        return file.frames(slice(None))


def _check(file: h5py.File, path: str | Path) -> None:
    """Check that format, datasets and units are those of predictions."""
    if file.attrs.get("format") != FORMAT:
        expected = (
            f"{FORMAT}, which has the constants per bead type: rerun predict_teacher (of test_predictions.h5: the "
            "training)"
        )
        raise InputError(path, "attribute 'format'", file.attrs.get("format"), expected)
    if missing := [name for name in _REQUIRED if name not in file]:
        raise InputError(path, "datasets", f"no {', '.join(missing)}", ", ".join(_REQUIRED))
    for name in file:
        unit = _DATASETS[name][0] if name in _DATASETS else None
        if file[name].attrs.get("unit") != unit:
            raise InputError(path, f"unit of '{name}'", file[name].attrs.get("unit"), unit)


class PredictionFile:
    """File of predictions, of which frames are read on demand: memory does not grow with the number of frames.

    Attributes
    ----------
    forces_kcal_mol_A: (n_frames, n_beads, 3), to be indexed by increasing frames.
    epsilon_kcal_mol: (n_frames, n_beads), the same.
    epsilon_constants_kcal_mol, members: as of `Predictions`.

    Raises
    ------
    InputError
        Not a file of predictions, or one of an earlier version.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = open_hdf5(path, f"an HDF5 file of format {FORMAT}")
        try:
            _check(self._file, path)
            self.forces_kcal_mol_A: h5py.Dataset = self._file["forces_kcal_mol_A"]
            self.epsilon_kcal_mol: h5py.Dataset = self._file["epsilon_kcal_mol"]
            self.epsilon_constants_kcal_mol: np.ndarray = self._file["epsilon_constants_kcal_mol"][:]
            self.members = tuple(json.loads(self._file.attrs["members"]))
        except BaseException:
            self._file.close()
            raise

    @property
    def provenance(self) -> dict[str, Any]:
        """Settings and inputs that the file was made from."""
        text = str(self._file.attrs.get("provenance", "{}"))
        return parse_json(text.encode(), self._file.filename, "attribute 'provenance'", "JSON")

    def frames(self, rows: slice) -> Predictions:
        """Predictions on some frames; the constants are those of all frames."""
        arrays = {name: self._file[name][rows] for name in self._file if name != "epsilon_constants_kcal_mol"}
        return Predictions(**arrays, epsilon_constants_kcal_mol=self.epsilon_constants_kcal_mol, members=self.members)

    def __enter__(self) -> PredictionFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class PredictionWriter:
    """Writes the output of one model part by part; made by `writing_predictions`.

    Forces are written at once. Per-bead energies, 4 bytes each, are kept until the last frame: they are centred over
    all.
    """

    def __init__(self, output: Hdf5Output, n_frames: int, bead_types: np.ndarray) -> None:
        self._output, self._file, self._types, self._n_done = output, output.file, bead_types, 0
        self._epsilon = np.empty((n_frames, len(bead_types)), dtype=np.float32)
        self._forces = _create(self._file, "forces_kcal_mol_A", (n_frames, len(bead_types), 3))

    def append(self, output: ModelOutput[np.ndarray]) -> None:
        """Write the forces of the next frames, and keep their per-bead energies.

        Raises
        ------
        OSError
            The disk is full or may not be written to.
        """
        rows = slice(self._n_done, self._n_done + len(output.epsilon_kcal_mol))
        self._forces[rows] = output.forces_kcal_mol_A
        self._epsilon[rows] = output.epsilon_kcal_mol
        self._n_done = rows.stop
        self._output.check()

    def finish(self) -> None:
        """Centre the energies as `single_predictions` does, and write them and their constants.

        Raises
        ------
        ValueError
            Frames are missing.
        """
        if self._n_done != len(self._epsilon):
            raise ValueError(f"predictions of {self._n_done} frames instead of {len(self._epsilon)}")
        constants = mean_per_type(self._epsilon, self._types)
        for kind, constant in enumerate(constants):  # one type at a time: the copy in float64 stays small
            members = self._types == kind
            self._epsilon[:, members] = self._epsilon[:, members].astype(np.float64) - constant
        _create(self._file, "epsilon_kcal_mol", self._epsilon.shape)[...] = self._epsilon
        _create(self._file, "epsilon_constants_kcal_mol", constants.shape)[...] = constants


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
