"""Disagreement of the teachers on all-atom frames and on frames that the models' simulations visit.

Teachers that saw the same labels agree where the labels hold them and differ elsewhere: their spread tells where a
model has left what it was trained on. Spread is the standard deviation (n - 1) over the teachers, of a force per
component; per-bead energies are compared after each teacher's constants per bead type, which forces leave free, are
taken out. The constants are those of the all-atom frames, also for frames of simulations.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..core.errors import InputError
from ..core.vocabulary import REFERENCE
from ..data.beads import BeadFile, BeadTopology
from ..data.pair_frames import PairFrames
from ..data.split import read_split
from ..forcefield.forcefield import load_force_field
from ..forcefield.prior.base import InteractionTopology
from ..forcefield.prior.terms import PriorTerms
from ..geometry.neighbours import NeighbourList
from ..io.lammps_dump import read_dump
from ..provenance.record import sha256_of
from ..runtime.devices import choose_device
from ..runtime.job import log
from ..training.evaluation import predict_together_on_gpu
from ..training.predictions import PredictionFile

COLUMNS = (
    "source",
    "label",
    "bead_type",
    "neighbour_type",
    "r_low_A",
    "r_high_A",
    "n",
    "force_rms_kcal_mol_A",
    "force_spread_kcal_mol_A",
    "epsilon_spread_kcal_mol",
)
#: Test frames whose pairs are held at a time.
_FRAMES = 64
#: Forces, energies (centred) and nearest distances on some frames.
_Part = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Disagreement:
    """Per bead, (n_frames, n_beads) each: mean force squared and its variance, per component; variance of epsilon.

    Squared kcal/mol/A and kcal/mol; means over the three components.
    """

    force_squared: np.ndarray
    force_variance: np.ndarray
    epsilon_variance: np.ndarray

    @classmethod
    def of(cls, forces: np.ndarray, epsilon: np.ndarray) -> Disagreement:
        """From forces (n_teachers, n_frames, n_beads, 3) and centred energies (n_teachers, n_frames, n_beads)."""
        forces, epsilon = np.asarray(forces, dtype=np.float64), np.asarray(epsilon, dtype=np.float64)
        if len(forces) > 1:
            variances = forces.var(axis=0, ddof=1).mean(axis=-1), epsilon.var(axis=0, ddof=1)
        else:
            variances = np.full(forces.shape[1:3], np.nan), np.full(epsilon.shape[1:], np.nan)
        return cls((forces.mean(axis=0) ** 2).mean(axis=-1), *variances)


def nearest_distances(frames: PairFrames, n_types: int) -> np.ndarray:
    """(n_frames, n_beads, n_types) distance to the nearest other bead of each type, A; inf beyond the cutoff."""
    n_beads = len(frames.bead_types)
    nearest = np.full((len(frames), n_beads, n_types), np.inf)
    for found, first, second, vectors in zip(nearest, frames.first, frames.second, frames.vectors_A, strict=True):
        at = (first.numpy(), frames.bead_types[second.numpy()])
        np.minimum.at(found, at, np.linalg.norm(vectors.numpy(), axis=1))
    return nearest


def spread_table(
    disagreement: Disagreement,
    nearest_A: np.ndarray,
    bead_types: np.ndarray,
    type_names: Sequence[str],
    bin_width_A: float = 0.25,
) -> pd.DataFrame:
    """Spread by bead type and by distance to the nearest bead of each type.

    Parameters
    ----------
    nearest_A: (n_frames, n_beads, n_types) of `nearest_distances`.
    bead_types: (n_beads,) index into ``type_names``.

    Returns
    -------
    `COLUMNS` without source and label. ``bead_type`` is a type or ``all``, ``neighbour_type`` a type or ``any``. Edges
    are NaN in the rows of all beads at any distance. ``n`` counts beads over frames; the measures are root mean
    squares over them, forces per component.
    """
    rows = []
    beads = [("all", np.full(len(bead_types), True))]
    beads += [(name, bead_types == index) for index, name in enumerate(type_names) if (bead_types == index).any()]
    neighbours = [("any", nearest_A.min(axis=-1))]
    neighbours += [(name, nearest_A[..., index]) for index, name in enumerate(type_names)]
    for bead_name, members in beads:
        own = [values[:, members].ravel() for values in vars(disagreement).values()]
        rows.append({"bead_type": bead_name, "neighbour_type": "any", **_measures(own)})
        for neighbour, distances in neighbours:
            near = distances[:, members].ravel()
            number = np.floor(np.where(np.isfinite(near), near, -bin_width_A) / bin_width_A).astype(np.int64)
            for index in np.unique(number[number >= 0]):
                edges = {"r_low_A": index * bin_width_A, "r_high_A": (index + 1) * bin_width_A}
                chosen = [values[number == index] for values in own]
                rows.append({"bead_type": bead_name, "neighbour_type": neighbour, **edges, **_measures(chosen)})
    return pd.DataFrame(rows, columns=[column for column in COLUMNS if column not in ("source", "label")])


def _measures(values: Sequence[np.ndarray]) -> dict[str, float]:
    names = ("force_rms_kcal_mol_A", "force_spread_kcal_mol_A", "epsilon_spread_kcal_mol")
    means = {name: float(np.sqrt(array.mean())) for name, array in zip(names, values, strict=True)}
    return {"n": len(values[0]), **means}


def read_last_frames(
    path: str | Path, topology: BeadTopology, n_frames: int, cutoff_A: float, prior: PriorTerms
) -> tuple[PairFrames, list[int]]:
    """Pairs and prior forces of the last frames of a LAMMPS dump of the same beads, and the steps of these frames.

    Raises
    ------
    InputError
        Other beads.
    """
    frames, steps, prior_forces = PairFrames(topology.bead_types), [], []
    prior_potential = prior.potential(InteractionTopology.of(topology), skin_A=0.0)
    neighbours = NeighbourList(cutoff_A, 0.0, topology.bead_types, topology.n_types)
    for frame in deque(read_dump(path) if Path(path).stat().st_size else (), maxlen=n_frames):
        if frame.types is None or not np.array_equal(frame.types - 1, topology.bead_types):
            found = "other beads" if frame.types is not None else "no column 'type'"
            raise InputError(path, f"step {frame.step}", found, f"the {topology.n_beads} beads of the bead trajectory")
        first, second, vectors = neighbours.pairs(frame.positions_A, frame.cell_A)
        frames.first.append(torch.as_tensor(first.astype(np.int32)))
        frames.second.append(torch.as_tensor(second.astype(np.int32)))
        frames.vectors_A.append(torch.as_tensor(vectors.astype(np.float32)))
        evaluation = prior_potential.evaluate(frame.positions_A, frame.cell_A, topology.bead_types)
        prior_forces.append(evaluation.forces_kcal_mol_A)
        steps.append(frame.step)
    return frames.with_prior(np.array(prior_forces).reshape(-1, topology.n_beads, 3)), steps


class _Teachers:
    """The networks of the teachers, evaluated together."""

    def __init__(self, folders: Sequence[Path], device: torch.device, batch_size: int) -> None:
        self.device, self.batch_size = device, batch_size
        force_field = load_force_field(folders)
        self.prior, self.models = force_field.prior, [model.to(device) for model in force_field.networks]
        cutoffs = {model.spec.cutoff_A for model in self.models}
        if len(cutoffs) != 1:
            raise InputError("teachers", "cutoffs / A", sorted(cutoffs), "one cutoff")
        self.cutoff_A = cutoffs.pop()

    def evaluate(self, frames: PairFrames) -> tuple[np.ndarray, np.ndarray]:
        """Forces and energies (not centred) of all teachers on all frames."""
        places = np.arange(len(frames))
        outputs = predict_together_on_gpu(self.models, frames, places, self.batch_size, self.device)
        forces, epsilon = zip(*outputs, strict=True)
        return np.stack(forces), np.stack(epsilon)


def _open_predictions(folder: Path) -> PredictionFile:
    """Predictions of a teacher.

    Raises
    ------
    InputError
        They were made with other weights than those in the folder.
    """
    path = folder / "predictions.h5"
    with PredictionFile(path) as file:
        inputs = file.provenance.get("inputs", {})
    if inputs.get("weights") != sha256_of(folder / "weights.safetensors"):
        expected = "those of the network in the same folder: rerun predict_teacher"
        raise InputError(path, "provenance", "predictions of another network", expected)
    return PredictionFile(path)


def compute_spread(
    beads: str | Path,
    split: str | Path,
    teachers: Sequence[str | Path],
    trajectories: Mapping[str, str | Path],
    n_frames: int = 10,
    device: str = "auto",
    *,
    labels: Mapping[str, str] | None = None,
    bin_width_A: float = 0.25,
    batch_size: int = 8,
) -> pd.DataFrame:
    """Spread of the teachers on the test frames and at the end of simulations.

    Parameters
    ----------
    beads, split: all-atom bead trajectory, and which of its frames are test frames.
    teachers: folders of trained networks and their ``predictions.h5``.
    trajectories: by variant, the dump of one run; its last ``n_frames`` frames are evaluated with every teacher.
    labels: of the variants.
    batch_size: frames at a time.

    Returns
    -------
    `COLUMNS`; ``source`` is ``AA`` or a variant. Trajectories without a frame (runs that blew up at once) are left
    out, and so are frames on which a prediction is not finite.
    """
    folders = [Path(folder) for folder in teachers]
    networks = _Teachers(folders, choose_device(device), batch_size)
    with ExitStack() as stack:
        file = stack.enter_context(BeadFile(beads))
        topology, test = file.topology, read_split(split, len(file)).test
        predictions = [stack.enter_context(_open_predictions(folder)) for folder in folders]
        constants = np.stack([one.epsilon_constants_kcal_mol[topology.bead_types] for one in predictions])

        def on_test_frames() -> Iterable[_Part]:
            for chunk in np.array_split(test, -(-len(test) // _FRAMES)):
                frames = PairFrames.from_beads(file, chunk, networks.cutoff_A, show=False)
                forces = np.stack([one.forces_kcal_mol_A[chunk] for one in predictions])
                epsilon = np.stack([one.epsilon_kcal_mol[chunk] for one in predictions])
                yield forces, epsilon, nearest_distances(frames, topology.n_types)

        tables = [_described(REFERENCE, REFERENCE, on_test_frames(), topology, bin_width_A)]
    for variant, path in trajectories.items():
        frames, steps = read_last_frames(path, topology, n_frames, networks.cutoff_A, networks.prior)
        if not steps:
            log.info("%s: no frame to compare the teachers on", path)
            continue
        forces, energies = networks.evaluate(frames)
        label = (labels or {}).get(variant, variant)
        part = forces, energies - constants[:, None], nearest_distances(frames, topology.n_types)
        tables.append(_described(variant, label, [part], topology, bin_width_A))
    return pd.concat([table for table in tables if len(table)], ignore_index=True)


def _described(
    source: str, label: str, parts: Iterable[_Part], topology: BeadTopology, bin_width_A: float
) -> pd.DataFrame:
    seen, distances = [], []
    for forces, epsilon, nearest in parts:
        whole = np.isfinite(forces).all(axis=(0, 2, 3)) & np.isfinite(epsilon).all(axis=(0, 2))
        seen.append(Disagreement.of(forces[:, whole], epsilon[:, whole]))
        distances.append(nearest[whole])
    n_frames = sum(map(len, distances))
    if n_frames == 0:
        log.info("%s: no frame with finite predictions", label)
        return pd.DataFrame(columns=list(COLUMNS))
    joined = Disagreement(
        *(np.concatenate(values) for values in zip(*(vars(part).values() for part in seen), strict=True))
    )
    table = spread_table(joined, np.concatenate(distances), topology.bead_types, topology.type_names, bin_width_A)
    total = table.iloc[0]
    log.info(
        "%s: teachers on %d frames: force %.2f, spread %.2f kcal/mol/A, per-bead energy %.2f kcal/mol",
        label,
        n_frames,
        total.force_rms_kcal_mol_A,
        total.force_spread_kcal_mol_A,
        total.epsilon_spread_kcal_mol,
    )
    table.insert(0, "label", label)
    table.insert(0, "source", source)
    return table
