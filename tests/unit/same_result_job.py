"""Training, predictions, MD and structure with a given number of threads, in a process of its own.

The networks have the widths of the demo and the batches 1,024 beads: torch and its libraries split the work of small
ones among no threads. Arguments: folder of the products, number of threads.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cgdistill.runtime.job import job

CELL_A = 28.0
SIDE = 8
N_FRAMES = 8


def main(folder: Path, threads: int) -> None:
    """Everything, in the layout of a run."""
    import h5py
    import numpy as np
    import torch
    from bead_cases import PRIOR_SETTINGS, bead_topology, configuration
    from cgdistill.analysis.run_analysis import analyse_reference
    from cgdistill.data.beads import BeadFile, BeadFrames, BeadWriter
    from cgdistill.data.split import Split, write_split
    from cgdistill.forcefield.hipnn.network_potential import JointNetworkPotential
    from cgdistill.forcefield.model_files import load_model
    from cgdistill.forcefield.prior.terms import fit_prior, write_prior
    from cgdistill.md.protocol import SimulationSpec
    from cgdistill.md.simulation import RunPlan, run_simulations
    from cgdistill.structure.files import write_blocks, write_curves, write_series
    from cgdistill.structure.spec import StructureSpec
    from cgdistill.training.prediction_job import predict_teachers
    from cgdistill.training.predictions import average_predictions, read_predictions, write_predictions
    from cgdistill.training.training_job import TrainingInputs, TrainingSettings, TrainingTask, run_trainings

    torch.set_num_threads(threads)
    cell = np.diag([CELL_A] * 3)
    positions, types = zip(*(configuration(cell, seed=seed, side=SIDE) for seed in range(N_FRAMES)), strict=True)
    topology = bead_topology(types[0])
    frames = BeadFrames(
        np.array(positions),
        np.random.default_rng(1).normal(size=(N_FRAMES, SIDE**3, 3)),
        np.repeat(cell[None], N_FRAMES, axis=0),
        np.arange(N_FRAMES, dtype=float),
    )
    files = {name: folder / name for name in ("mapped/beads.h5", "mapped/split.json", "prior/prior.csv")}
    files["mapped/beads.h5"].parent.mkdir(parents=True)
    with BeadWriter(files["mapped/beads.h5"], topology, {}) as writer:
        writer.append(frames)
    write_split(files["mapped/split.json"], Split(np.arange(4), np.array([4, 5]), np.array([6, 7])), {})
    write_prior(files["prior/prior.csv"], fit_prior([frames], topology, PRIOR_SETTINGS), {})
    network = {
        "tensor_order": 2,
        "n_interaction_layers": 1,
        "n_atom_layers": 3,
        "n_sensitivities": 16,
        "n_features": 32,
        "cutoff_A": 7.5,
        "soft_min_A": 2.5,
        "soft_max_A": 7.0,
    }
    training = {
        "learning_rate": 4e-3,
        "batch_size": 2,
        "evaluation_batch_size": 2,
        "max_epochs": 2,
        "schedule": "learning-rate",
        "factor": 0.5,
        "patience_epochs": 2,
        "min_learning_rate": 1e-5,
        "max_batch_size": 64,
        "stop_epochs": 8,
    }
    teachers = [folder / "teachers" / f"seed-{seed}" for seed in (1, 2)]
    tasks = [TrainingTask(path, seed, None, None) for seed, path in enumerate(teachers, start=1)]
    inputs = TrainingInputs(*files.values())
    run_trainings(tasks, inputs, TrainingSettings(network, training, {"F": 1.0}), "cpu")
    beads, split = files["mapped/beads.h5"], files["mapped/split.json"]
    predict_teachers(teachers, beads, split, 2, 3, "cpu")
    mean = average_predictions([read_predictions(path / "predictions.h5") for path in teachers], ["seed-1", "seed-2"])
    write_predictions(folder / "teachers/mean.h5", mean, {})
    student = TrainingTask(folder / "students/S2/ensemble", 3, folder / "teachers/mean.h5", None)
    weights = {"F": 2.0, "f": 1.0, "E": 5.0, "epsilon": 5.0}
    run_trainings([student], inputs, TrainingSettings(network, training, weights), "cpu")
    md = SimulationSpec.from_config(
        {
            "temperature_K": 298.15,
            "timestep_fs": 4.0,
            "equilibration_ps": 0.04,
            "production_ps": 0.2,
            "frame_every_ps": 0.04,
            "thermo_every_ps": 0.02,
            "skin_A": 1.5,
            "checkpoint_every_steps": 1000,
            "minimise": {"max_iterations": 5},
            "limits": {"check_every_steps": 10, "min_distance_A": 0.1, "temperature_K": 1e6},
        }
    )
    models = [load_model(path) for path in teachers]
    plans = [
        RunPlan(
            frames.positions_A[number],
            cell,
            velocity_seed=30 + number,
            out_dir=folder / "simulations" / f"{name}/replica-1",
            checkpoint_dir=folder / "checkpoints" / name,
            identity={"variant": name, "member": "ensemble", "replica": 1, "start_frame": number},
            provenance={},
        )
        for number, name in enumerate(("T1", "T2"))
    ]
    potential = JointNetworkPotential([models[:1], models], topology.bead_types, md.skin_A)
    # Dumps are written with five decimals: here are all digits.
    answers = potential.evaluate_all({number: (frames.positions_A[number], cell) for number in range(2)})
    with h5py.File(folder / "simulations.h5", "w") as file:
        for number, answer in answers.items():
            file[f"{number}/forces"] = answer.forces_kcal_mol_A
            file[f"{number}/energies"] = answer.bead_energies_kcal_mol
            file[f"{number}/virial"] = answer.virial_kcal_mol
    run_simulations(potential, plans, topology, md, threads=threads)
    spec = StructureSpec.from_config(
        {
            "rdf": {"r_max_A": 12.0, "bin_width_A": 0.1},
            "adf": {"triplets": [["Cho", "Cl", "Cho"]], "r_max_A": [6.0], "bin_width_deg": 2.0},
            "cdf": {"r_max_A": 12.0, "bin_width_A": 0.1, "resolved_every_ps": 2.0},
        }
    )
    with BeadFile(beads) as file:
        found = analyse_reference(file, spec, n_blocks=4, threads=threads)
    write_curves(folder / "structure/reference.parquet", found.curves, {})
    write_blocks(folder / "structure/reference_blocks.parquet", found.blocks, {})
    write_series(folder / "structure/reference_series.parquet", found.series, {})


if __name__ == "__main__":
    with job(None, int(sys.argv[2])):
        main(Path(sys.argv[1]), int(sys.argv[2]))
