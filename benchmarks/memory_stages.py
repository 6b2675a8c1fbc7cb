"""The stages of the pipeline, each as a job runs it, for `benchmarks.memory`; one stage is one process.

``python -m benchmarks.memory_stages FOLDER STAGE SIZE`` prints, as JSON, what the stage counts (frames, steps, epochs)
and the resident memory above that before it began, MB, along the way, then the largest.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .resources import Peak, memory_MB

#: Beads of the demo's box, which most stages work on; teachers and models of a job.
N_BEADS, N_TEACHERS, N_RUNS = 128, 3, 8
#: Frames of the demo's trajectory follow each other again and again, moved by this, A.
_JITTER_A = 0.05
_POINTS = 120


class Course:
    """Memory along the course of a stage.

    It looks where the stage tells of its progress, at most some hundred times.
    """

    def __init__(self, total: int) -> None:
        self.points: list[tuple[int, float]] = []
        self._next, self._step = 0.0, total / _POINTS
        gc.collect()
        # What prepared the stage is given back; the stage would use it again, unseen.
        ctypes.CDLL(None).malloc_trim(0)
        self._start_MB = memory_MB()
        self._peak = Peak()

    def note(self, count: int) -> None:
        """Look, unless it was just done."""
        if count >= self._next:
            self._next = count + self._step
            self.points.append((count, memory_MB() - self._start_MB))

    def watch(self, per_unit: int = 1) -> None:
        """Look at each step of progress from now on; each counts for so many."""
        from cgdistill.runtime.job import Progress

        update, course = Progress.update, self

        def watched(bar: Progress, n: int = 1, note: str = "") -> None:
            update(bar, n, note)
            course.note(bar.done * per_unit)

        Progress.update = watched  # type: ignore[method-assign]

    def result(self) -> dict[str, Any]:
        """For JSON."""
        return {"points": self.points, "peak_MB": self._peak.end() - self._start_MB}


def _demo(folder: Path) -> Any:
    from cgdistill.forcefield.hipnn.model import NetworkSpec

    from .systems import Demo, demo_config

    own = folder / f"demo-{os.getpid()}"
    own.mkdir(parents=True, exist_ok=True)
    demo = Demo(own)
    demo.network = NetworkSpec(**demo_config()["network"])
    return demo


def _write_beads(path: Path, beads: Any, n_frames: int) -> None:
    """Frames of the demo again and again, each a little different."""
    from cgdistill.data.beads import BeadFrames, BeadWriter

    rng = np.random.default_rng(1)
    with BeadWriter(path, beads.topology, {}) as writer:
        for start in range(0, n_frames, 100):
            numbers = np.arange(start, min(start + 100, n_frames))
            chosen = numbers % len(beads.positions_A)
            positions = beads.positions_A[chosen]
            writer.append(
                BeadFrames(
                    positions + rng.normal(scale=_JITTER_A, size=positions.shape),
                    beads.forces_kcal_mol_A[chosen],
                    np.tile(beads.cell_A, (len(numbers), 1, 1)),
                    numbers.astype(np.float64),
                )
            )


def _write_split(path: Path, n_frames: int) -> None:
    from cgdistill.data.split import split_frames, write_split

    parts = split_frames(n_frames, {"train": 0.8, "valid": 0.1, "test": 0.1}, "random", 1)
    write_split(path, parts, {})


def _teachers(folder: Path, demo: Any) -> list[Path]:
    from cgdistill.forcefield.model_files import save_model

    folders = [folder / f"teachers/seed-{number}" for number in range(N_TEACHERS)]
    for number, own in enumerate(folders):
        save_model(own, demo.model(number), demo.prior, {"training": {"training": {"max_epochs": 9}, "best_epoch": 1}})
    return folders


def _write_predictions(folder: Path, folders: list[Path], types: np.ndarray, n_frames: int) -> None:
    """Made-up predictions, which are of these networks in their energies of the first test frame."""
    from cgdistill.data.beads import BeadFile
    from cgdistill.data.pair_frames import PairFrames
    from cgdistill.data.split import read_split
    from cgdistill.forcefield.model_files import load_model
    from cgdistill.forcefield.trainable import ModelOutput
    from cgdistill.provenance.record import stamp
    from cgdistill.training.evaluation import predict
    from cgdistill.training.predictions import writing_predictions

    rng = np.random.default_rng(2)
    first = read_split(folder / "split.json", n_frames).test[:1]
    for own in folders:
        model = load_model(own)
        with BeadFile(folder / "beads.h5") as beads:
            frames = PairFrames.from_beads(beads, first, model.spec.cutoff_A, show=False)
        epsilon = predict(model, frames, np.arange(1), 1, "cpu").epsilon_kcal_mol
        provenance = stamp({}, {"weights": own / "weights.safetensors"})
        with writing_predictions(own / "predictions.h5", own.name, n_frames, types, provenance) as writer:
            for start in range(0, n_frames, 100):
                n = min(100, n_frames - start)
                forces = rng.normal(size=(n, len(types), 3)).astype(np.float32)
                writer.append(ModelOutput(forces, np.tile(epsilon, (n, 1))))


def mapping(folder: Path, n_frames: int) -> dict[str, Any]:
    """Mapping of an all-atom trajectory (GROMACS), written as it is read."""
    from cgdistill.core.units import KJ_PER_KCAL
    from cgdistill.data.atoms import read_frames
    from cgdistill.data.mapping import Mapper, map_trajectory
    from MDAnalysis.lib.formats.libmdaxdr import TRRFile

    from .systems import DEMO, mapping_rules

    demo, trr = _demo(folder), folder / "long.trr"
    frames = list(read_frames(demo.atoms, [DEMO / "des128.trr"]))
    with TRRFile(str(trr), "w") as file:
        for number in range(n_frames):
            frame = frames[number % len(frames)]
            arrays = frame.positions_A / 10.0, frame.forces_kcal_mol_A * KJ_PER_KCAL * 10.0, frame.cell_A / 10.0
            x, f, box = (values.astype("f4") for values in arrays)
            file.write(x, None, f, box, number, float(number), 0.0, len(x))
    del frames
    course = Course(n_frames)
    course.watch()
    mapper = Mapper(mapping_rules(), demo.atoms)
    map_trajectory(folder / "mapped.h5", mapper, [trr], {})
    return course.result()


def prior(folder: Path, n_frames: int) -> dict[str, Any]:
    """Split, and fit of the prior to the training frames."""
    from cgdistill.data.beads import BeadFile
    from cgdistill.data.split import read_split
    from cgdistill.forcefield.prior.terms import fit_prior
    from cgdistill.runtime.job import progress

    from .systems import demo_config

    _write_beads(folder / "beads.h5", _demo(folder).beads, n_frames)
    course = Course(n_frames)
    course.watch(per_unit=32)
    _write_split(folder / "split.json", n_frames)
    with BeadFile(folder / "beads.h5") as beads:
        train = read_split(folder / "split.json", len(beads)).train
        starts = range(0, len(train), 32)
        chunks = (beads.frames(train[start : start + 32]) for start in starts)
        fit_prior(progress(chunks, len(starts), "closest pairs", "chunks"), beads.topology, demo_config()["prior"])
    return course.result()


def _train(folder: Path, n_frames: int, n_epochs: int, course_of: Callable[[], Course]) -> dict[str, Any]:
    from dataclasses import asdict

    from cgdistill.data.beads import BeadFile
    from cgdistill.forcefield.prior.terms import fit_prior, write_prior
    from cgdistill.training.training_job import TrainingInputs, TrainingSettings, TrainingTask, run_trainings

    from .systems import demo_config

    demo = _demo(folder)
    _write_beads(folder / "beads.h5", demo.beads, n_frames)
    _write_split(folder / "split.json", n_frames)
    with BeadFile(folder / "beads.h5") as beads:
        table = fit_prior([beads.frames(slice(0, 10))], beads.topology, demo_config()["prior"])
    write_prior(folder / "prior.csv", table, {})
    training = demo_config()["training"] | {
        "max_epochs": n_epochs,
        "stop_epochs": n_epochs,
        "patience_epochs": n_epochs,
    }
    known = {"learning_rate", "batch_size", "evaluation_batch_size", "max_epochs", "schedule", "factor",
             "patience_epochs", "min_learning_rate", "max_batch_size", "stop_epochs"}  # fmt: skip
    course = course_of()
    run_trainings(
        [TrainingTask(folder / "out" / "seed-1", 1, checkpoint=folder / "training.pt")],
        TrainingInputs(folder / "beads.h5", folder / "split.json", folder / "prior.csv"),
        TrainingSettings(
            asdict(demo.network), {name: value for name, value in training.items() if name in known}, {"F": 1.0}
        ),
        "cpu",
    )
    return course.result()


def training(folder: Path, n_epochs: int) -> dict[str, Any]:
    """Training over many epochs, checkpoints included."""

    def course() -> Course:
        course = Course(n_epochs)
        course.watch()
        return course

    return _train(folder, 20, n_epochs, course)


def training_frames(folder: Path, n_frames: int) -> dict[str, Any]:
    """Training of two epochs, for its largest memory."""
    return _train(folder, n_frames, 2, lambda: Course(n_frames))


def predictions(folder: Path, n_frames: int) -> dict[str, Any]:
    """Predictions of several teachers on all frames."""
    from cgdistill.training.prediction_job import predict_teachers

    demo = _demo(folder)
    _write_beads(folder / "beads.h5", demo.beads, n_frames)
    _write_split(folder / "split.json", n_frames)
    folders = _teachers(folder, demo)
    course = Course(n_frames)
    course.watch()
    predict_teachers(folders, folder / "beads.h5", folder / "split.json", 16, 1, "cpu")
    return course.result()


def _predicted(folder: Path, n_frames: int) -> list[Path]:
    """Beads, their split, and folders of teachers with predictions."""
    demo = _demo(folder)
    _write_beads(folder / "beads.h5", demo.beads, n_frames)
    _write_split(folder / "split.json", n_frames)
    folders = _teachers(folder, demo)
    _write_predictions(folder, folders, demo.beads.topology.bead_types, n_frames)
    return folders


def average(folder: Path, n_frames: int) -> dict[str, Any]:
    """Mean of the teachers' predictions."""
    from cgdistill.training.predictions import average_files

    folders = _predicted(folder, n_frames)
    course = Course(n_frames)
    average_files(folder / "mean.h5", [own / "predictions.h5" for own in folders], [own.name for own in folders], {})
    return course.result()


def ceiling(folder: Path, n_frames: int) -> dict[str, Any]:
    """Noise ceiling with a thousand resamples."""
    from cgdistill.analysis.noise_ceiling import estimate_ceiling

    folders = _predicted(folder, n_frames)
    course = Course(n_frames)
    estimate_ceiling(folder / "beads.h5", folder / "split.json", [own / "predictions.h5" for own in folders])
    return course.result()


def spread(folder: Path, n_frames: int) -> dict[str, Any]:
    """Disagreement of the teachers on the test frames, a tenth of all."""
    from cgdistill.analysis.ensemble_spread import compute_spread

    folders = _predicted(folder, n_frames)
    course = Course(n_frames)
    compute_spread(folder / "beads.h5", folder / "split.json", folders, {}, device="cpu")
    return course.result()


def simulation(folder: Path, n_steps: int) -> dict[str, Any]:
    """Eight runs in lockstep with a network: dump, thermo, checkpoints."""
    from cgdistill.data.beads import BeadTopology
    from cgdistill.forcefield.hipnn.model import BeadModel, NetworkSpec
    from cgdistill.forcefield.hipnn.network_potential import JointNetworkPotential
    from cgdistill.forcefield.prior.repulsion import Repulsion
    from cgdistill.md.protocol import SimulationSpec
    from cgdistill.md.simulation import RunPlan, run_simulations

    spec = SimulationSpec.from_config(
        {
            "temperature_K": 300.0,
            "equilibration_ps": 0.0,
            "production_ps": n_steps * 0.002,
            "frame_every_ps": 0.2,
            "thermo_every_ps": 0.04,
            "checkpoint_every_steps": 2000,
            "minimise": {"max_iterations": 20},
        }
    )
    side, types, kinds = 2, ("A", "B"), np.arange(8) % 2
    cell = np.diag([11.0] * 3)
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) * 11.0 / side
    masses = np.array([60.0, 80.0])[kinds]
    topology = BeadTopology(types, kinds, ("X",) * 8, masses, np.arange(8), np.empty(0, dtype=np.int64))
    styles = [Repulsion(types, np.full((2, 2), 3000.0), np.full((2, 2), 2.0)).lammps_style()]
    model = BeadModel(NetworkSpec(2, 1, 2, 8, 8, 5.0, 2.5, 4.5), types, 1).eval()
    plans = [
        RunPlan(
            grid,
            cell,
            11 + k,
            folder / f"{k}/out",
            folder / f"{k}/checkpoint",
            {"variant": "S", "replica": k},
            {},
            styles=styles,
        )  # fmt: skip
        for k in range(N_RUNS)
    ]
    potential = JointNetworkPotential([[model]] * N_RUNS, kinds, spec.skin_A, device="cpu")
    course = Course(n_steps)
    from cgdistill.runtime.job import Progress

    update = Progress.update

    def watched(bar: Any, n: int = 1, note: str = "") -> None:
        update(bar, n, note)
        course.note(bar.done // N_RUNS)

    Progress.update = watched  # type: ignore[method-assign]
    records = run_simulations(potential, plans, topology, spec)
    if {record["status"] for record in records} != {"finished"}:
        raise RuntimeError(f"the MD of the benchmark is not sound: {records[0]['status']}, {records[0]['reason']}")
    return course.result()


def structure(folder: Path, n_frames: int) -> dict[str, Any]:
    """Structure of the reference: RDF, ADF, CDF, blocks, series."""
    from cgdistill.analysis.run_analysis import analyse_reference
    from cgdistill.data.beads import BeadFile
    from cgdistill.structure.files import write_blocks, write_curves, write_resolved, write_series
    from cgdistill.structure.spec import StructureSpec

    from .systems import demo_config

    _write_beads(folder / "beads.h5", _demo(folder).beads, n_frames)
    course = Course(n_frames)
    course.watch()
    with BeadFile(folder / "beads.h5") as beads:
        found = analyse_reference(beads, StructureSpec.from_config(demo_config()["structure"]), n_blocks=20)
    write_curves(folder / "curves.parquet", found.curves, {})
    write_blocks(folder / "blocks.parquet", found.blocks, {})
    write_resolved(folder / "resolved.parquet", found.resolved, {})
    write_series(folder / "series.parquet", found.series, {})
    return course.result()


def tables(folder: Path, n_runs: int) -> dict[str, Any]:
    """The table of the curves of all runs, from their files, and its file."""
    from cgdistill.data.beads import BeadFile
    from cgdistill.results.collect_tables import curves_of
    from cgdistill.structure.curves import compute_curves
    from cgdistill.structure.files import label_run, write_curves
    from cgdistill.structure.spec import StructureSpec

    from .systems import demo_config

    _write_beads(folder / "beads.h5", _demo(folder).beads, 4)
    with BeadFile(folder / "beads.h5") as beads:
        some, topology = beads.frames(), beads.topology
    frames = [(some.positions_A, some.cells_A)]
    curves = compute_curves(
        frames, topology.type_names, topology.bead_types, StructureSpec.from_config(demo_config()["structure"])
    )
    paths = []
    for number in range(n_runs):
        paths.append(folder / f"curves-{number}.parquet")
        write_curves(paths[-1], label_run(curves, "S", f"seed-{number}", 1), {})
    course = Course(n_runs)
    write_curves(folder / "all.parquet", curves_of(paths), {})
    return course.result()


def replicas(folder: Path, n_replicas: int) -> dict[str, Any]:
    """Short simulations in one process, in all ways in which they end; what it holds besides memory comes with it."""
    from .replicas import RUNS_PER_JOB, sample_replicas

    course, start_MB = Course(n_replicas), memory_MB()
    samples = sample_replicas(folder / "runs", -(-n_replicas // RUNS_PER_JOB))
    held = [[one.n_replicas, one.lammps_open, *vars(one.held).values()] for one in samples]
    course.points = [(one.n_replicas, one.memory_MB - start_MB) for one in samples]
    return course.result() | {"held": held, "names": ["replicas", "left open", *vars(samples[0].held)]}


STAGES: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    stage.__name__: stage
    for stage in (
        mapping, prior, training, training_frames, predictions, average, ceiling, spread, simulation, structure,
        tables, replicas,
    )
}  # fmt: skip


def main() -> None:
    """Run one stage."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_stages", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("size", type=int)
    chosen = parser.parse_args()

    from cgdistill.runtime.job import pin_threads

    pin_threads(1)
    import torch

    torch.set_num_threads(1)
    # As in a job (`console.job`).
    gc.set_threshold(50_000, 20, 20)
    logging.getLogger("cgdistill").setLevel(logging.ERROR)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    print(json.dumps(STAGES[chosen.stage](chosen.folder, chosen.size)))


if __name__ == "__main__":
    main()
