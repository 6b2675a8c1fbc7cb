"""One short MD run in a process of its own, which prints its peak memory in MB: ``python -m benchmarks.memory_run``.

The run is what the rule `simulate` does: model from its folder, LAMMPS, dump, thermo, checkpoints.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from pathlib import Path


def peak_MB() -> float:
    """Largest resident memory of this process so far.

    On Linux from /proc: ``ru_maxrss`` also counts what the process was before it became this program, which is a
    copy of its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(row for row in status.read_text(encoding="ascii").splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024.0)


def main() -> None:
    """Run the MD of ``folder``/``name``.h5 with the model in ``folder``/model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", required=True)
    arguments = parser.parse_args()

    from cgdistill.runtime.job import pin_threads

    pin_threads(arguments.threads)
    import torch
    from cgdistill.data.beads import BeadFile
    from cgdistill.forcefield.hipnn.network_potential import NetworkPotential
    from cgdistill.forcefield.model_files import load_model, load_prior
    from cgdistill.md.protocol import Minimisation, SimulationSpec
    from cgdistill.md.simulation import run_simulation

    torch.set_num_threads(arguments.threads)
    ps = arguments.steps * 0.004
    spec = SimulationSpec(
        timestep_fs=4.0,  # the neighbour list is rebuilt after half as many steps as at 2 fs
        minimise=Minimisation(max_iterations=0),
        equilibration_ps=0.0,
        production_ps=ps,
        frame_every_ps=ps / 2,
        thermo_every_ps=ps / 4,
        checkpoint_every_steps=arguments.steps // 2,
    )
    with BeadFile(arguments.folder / f"{arguments.name}.h5") as file:
        frame, topology = file.frames([0]), file.topology
    potential = NetworkPotential([load_model(arguments.folder / "model")], spec.skin_A, device=arguments.device)
    record = run_simulation(
        potential,
        frame.positions_A[0],
        frame.cells_A[0],
        topology,
        spec,
        velocity_seed=1,
        out_dir=arguments.folder / arguments.name,
        checkpoint_dir=arguments.folder / f"{arguments.name}-checkpoint",
        identity={"variant": "benchmark"},
        provenance={},
        styles=load_prior(arguments.folder / "model").lammps_styles(),
        threads=arguments.threads,
        device=arguments.device,
    )
    print(json.dumps({"status": record["status"], "builds": potential.n_builds, "peak_MB": peak_MB()}))


if __name__ == "__main__":
    main()
