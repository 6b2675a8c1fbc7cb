"""The pair style cgdistill over MPI ranks, boxes of up to 128,000 beads: the table of docs/large-boxes.md.

``python -m benchmarks.domains [--rounds 3] [--ranks 1 2] [--beads 1024 8192 65536 128000]`` writes
``benchmarks/results/domains.csv``. A run is cut into pieces of one life of the neighbour list each, and the fastest
piece counts: what other work on the machine adds is left out.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
from cgdistill.core.errors import InputError
from cgdistill.core.units import ns_per_day
from cgdistill.forcefield.hipnn.plugin_build import FILE_NAME, build_plugin
from cgdistill.forcefield.hipnn.plugin_model import write_plugin_model
from cgdistill.io.csv_tables import read_table, write_table
from cgdistill.md.lammps_files import write_data_file
from cgdistill.runtime.job import pin_threads

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "domains.csv"
#: Images of the box of 1,024 beads along each edge, by number of beads.
BOXES = {1024: (1, 1, 1), 8192: (2, 2, 2), 65536: (4, 4, 4), 128000: (5, 5, 5)}
TIMESTEP_fs, SKIN_A, REBUILD_STEPS = 2.0, 1.5, 20
#: Beads times steps of one run: some seconds.
_WORK = 2_000_000

_INPUT = """\
units real
atom_style atomic
boundary p p p
read_data start.data
replicate {images}
plugin load ./{plugin}
pair_style cgdistill precision {precision}
pair_coeff * * model.cgdistill {types}
neighbor {skin} bin
neigh_modify every {rebuild} delay 0 check no
timestep {timestep}
velocity all create 298.15 7 mom yes rot no dist gaussian loop geom
fix integrate all nvt temp 298.15 298.15 100.0
thermo 1000
thermo_style custom step temp pe etotal press
run {rebuild}
{pieces}
info memory
"""


def prepare(folder: Path) -> tuple[str, ...]:
    """Plugin, model file of the paper's network and 1,024 beads at the density of the fluid; the bead types."""
    from .systems import THOUSAND, Demo

    build_plugin(folder / FILE_NAME)
    demo = Demo(folder)
    write_plugin_model(folder / "model.cgdistill", [demo.model(1)])
    beads = demo.replicated(THOUSAND, slice(0, 1))
    topology = beads.topology
    masses = topology.type_masses_g_mol()
    write_data_file(
        folder / "start.data", beads.positions_A[0], beads.cell_A, topology.bead_types, topology.type_names, masses
    )
    return topology.type_names


def measure(folder: Path, types: tuple[str, ...], n_beads: int, ranks: int, precision: str) -> dict[str, Any]:
    """One run in LAMMPS: milliseconds per step, whole and by part, and the memory of the first rank."""
    n_pieces = max(2, _WORK // n_beads // REBUILD_STEPS)
    text = _INPUT.format(
        images=" ".join(map(str, BOXES[n_beads])),
        plugin=FILE_NAME,
        precision=precision,
        types=" ".join(types),
        skin=SKIN_A,
        rebuild=REBUILD_STEPS,
        timestep=TIMESTEP_fs,
        pieces="\n".join([f"run {REBUILD_STEPS}"] * n_pieces),
    )
    (folder / "in.domains").write_text(text, encoding="utf-8")
    programs = Path(sys.executable).parent
    command = [str(programs / "mpiexec"), "-n", str(ranks), str(programs / "lmp"), "-in", "in.domains", "-log", "none"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])

    pieces = done.stdout.split("Loop time of ")[2:]
    best = min(pieces, key=lambda piece: float(piece.split()[0]))

    def number(pattern: str, text: str = best) -> float:
        return float(re.findall(pattern, text, re.MULTILINE)[-1])

    temperature = number(r"^ +\d+ +(\S+) .*\nLoop time", done.stdout)
    if not 100.0 < temperature < 600.0:
        raise RuntimeError(f"the MD of the benchmark is not sound: {temperature} K")
    found = int(number(r"steps with (\d+) atoms"))
    builds = int(number(r"^Neighbor list builds = (\d+)"))
    if (found, builds) != (n_beads, 1):
        raise RuntimeError(f"{found} beads instead of {n_beads}, {builds} neighbour lists instead of 1")
    per_step = 1e3 / REBUILD_STEPS
    parts = {name: number(rf"^{name} +\| \S+ +\| (\S+)") * per_step for name in ("Pair", "Neigh", "Comm")}
    return {
        "engine": f"plugin, {precision}",
        "beads": n_beads,
        "ranks": ranks,
        "step_ms": float(best.split()[0]) * per_step,
        **{f"{name.lower()}_ms": value for name, value in parts.items()},
        "ghosts_per_rank": number(r"^Nghost: +(\S+) ave"),
        "memory_per_rank_MB": number(r"Maximum resident set size: (\S+) Mbyte", done.stdout),
    }


def measure_external(folder: Path, threads: int) -> float:
    """Milliseconds per step of 1,024 beads through ``fix external`` (numba); for a process of its own."""
    pin_threads(threads)
    import torch

    torch.set_num_threads(threads)
    from cgdistill.forcefield.hipnn.network_potential import NetworkPotential
    from cgdistill.md.lammps_engine import Engine
    from cgdistill.md.system import BeadSystem

    from .network_cases import MD
    from .systems import THOUSAND, Demo

    demo = Demo(folder)
    beads = demo.replicated(THOUSAND, slice(0, 1))
    system = BeadSystem.from_frame(beads.positions_A[0], beads.cell_A, beads.topology)
    engine = Engine(NetworkPotential([demo.model(1)], SKIN_A), system, MD, demo.prior.lammps_styles())
    engine.start(1)
    engine.integrate()
    engine.setup()
    engine.run(40)
    best = float("inf")
    # Pieces as long as those of the plugin; the list is rebuilt when a bead has moved by half of the skin.
    for _ in range(60):
        begin = time.perf_counter()
        engine.run(REBUILD_STEPS)
        best = min(best, (time.perf_counter() - begin) * 1e3 / REBUILD_STEPS)
    engine.close()
    return best


def _external(threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.domains", "--external", folder, str(threads)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    step_ms = float(done.stdout.split()[-1])
    return {"engine": f"fix external, {threads} threads", "beads": 1024, "ranks": 1, "step_ms": step_ms}


def main() -> None:
    """Measure and write the table; a table that is there is kept where it is faster, by the same machine and code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.domains", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each case, of which the fastest counts")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--beads", type=int, nargs="+", default=list(BOXES), choices=list(BOXES))
    parser.add_argument("--add", action="store_true", help="keep what the table has of this machine where it is faster")
    parser.add_argument("--external", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.external:
        print(measure_external(Path(chosen.external[0]), int(chosen.external[1])))
        return
    from .report import commit, machine

    facts = machine(max(chosen.ranks), "cpu")
    rows: list[dict[str, Any]] = []
    if chosen.add:
        try:
            rows += read_table(RESULTS).to_dict(orient="records")
        except InputError as error:
            print(error)
    with tempfile.TemporaryDirectory(prefix="cgdistill-domains-") as name:
        folder = Path(name)
        types = prepare(folder)
        for number in range(chosen.rounds):
            found = [_external(threads) for threads in (1, 2)] if 1024 in chosen.beads else []
            for n_beads in chosen.beads:
                for ranks in chosen.ranks:
                    found.append(measure(folder, types, n_beads, ranks, "single"))
                    if n_beads == min(BOXES):
                        found.append(measure(folder, types, n_beads, ranks, "double"))
            for row in found:
                load = os.getloadavg()[0]
                print(
                    f"round {number + 1}, load {load:.1f}: " + ", ".join(f"{k} {v}" for k, v in row.items()), flush=True
                )
            rows += found
    table = pd.DataFrame(rows)
    fastest = table.loc[table.groupby(["engine", "beads", "ranks"])["step_ms"].idxmin()].copy()
    fastest["bead_us"] = fastest["step_ms"] * 1e3 / fastest["beads"]
    fastest["ns_per_day"] = [ns_per_day(1, TIMESTEP_fs, step_ms / 1e3) for step_ms in fastest["step_ms"]]
    fastest = fastest.sort_values(["engine", "beads", "ranks"]).round(3)
    write_table(RESULTS, fastest, {"machine": facts, "commit": commit(ROOT)})
    print(fastest.to_string(index=False))


if __name__ == "__main__":
    main()
