"""Everything but networks: memory of a run, mapping, structure analysis."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from cgdistill.data.atoms import read_frames, read_topology
from cgdistill.data.beads import BeadFrames, BeadWriter
from cgdistill.data.mapping import Mapper, map_trajectory
from cgdistill.io.lammps_dump import read_dump
from cgdistill.structure.curves import compute_curves

from . import travis
from .context import Context
from .systems import HUNDRED_THOUSAND, ROOT, THOUSAND, Beads, mapping_rules, structure_spec
from .timing import Goal, Row, Side, Times, interleave, ratio_row

#: Steps of the runs whose memory is measured: the neighbour list is rebuilt within them.
MEMORY_STEPS = {"thousand": 100, "hundred-thousand": 22}
MAPPED_FRAMES = 60
#: Frames of the slow part of TRAVIS.
TRAVIS_ADF_FRAMES = 1


def memory(context: Context) -> list[Row]:
    """Peak memory of an MD run."""
    from cgdistill.forcefield.model_files import save_model

    save_model(context.folder / "model", context.demo.model(1), context.demo.prior, {})
    large = context.demo.replicated(HUNDRED_THOUSAND, slice(0, 1), seed=2)
    rows = []
    for name, beads, goal in (
        ("thousand", context.thousand, Goal(700.0, 400.0, at_least=False)),
        ("hundred-thousand", large, Goal(3000.0, 1500.0, at_least=False)),
    ):
        with BeadWriter(context.folder / f"{name}.h5", beads.topology, {}) as writer:
            writer.append(
                BeadFrames(beads.positions_A[:1], beads.forces_kcal_mol_A[:1], beads.cell_A[None], np.zeros(1))
            )
        steps = MEMORY_STEPS[name]
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.memory_run", str(context.folder), name]
        command += ["--steps", str(steps), "--threads", str(context.threads), "--device", context.device]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the MD run of {name} beads failed:\n{done.stderr[-2000:]}")
        found = json.loads(done.stdout.splitlines()[-1])
        if found["status"] != "finished":
            raise RuntimeError(f"the MD run of {name} beads is {found['status']}")
        note = f"a process of its own: {steps} steps, {found['builds']} neighbour lists, dump and checkpoints"
        title = f"peak memory of an MD run, {beads.n_beads:,} beads"
        label, peak = f"memory, {beads.n_beads:,} beads", found["peak_MB"]
        rows.append(Row("memory", f"memory-{name}", label, title, peak, "MB", peak, peak, goal, [], note))
    return rows


def mapping(context: Context) -> list[Row]:
    """Mapping of a trajectory against only reading it."""
    gro, top, trr = context.demo.replicated_atoms(THOUSAND, MAPPED_FRAMES)
    atoms = read_topology(gro, top)
    mapper = Mapper(mapping_rules(), atoms)

    def read() -> None:
        for _ in read_frames(atoms, [trr]):
            pass

    sides = [
        Side("mapping", lambda: map_trajectory(context.folder / "mapped.h5", mapper, [trr], {}), MAPPED_FRAMES),
        Side("reading", read, MAPPED_FRAMES),
    ]
    times = interleave(sides, 8.0)
    title = f"mapping a frame of {atoms.n_atoms:,} atoms / only reading it"
    note = "TRR with positions and forces, by the same reader"
    goal = Goal(2.0, 1.2, at_least=False)
    return [ratio_row("mapping", "mapping-frame", "mapping / reading", title, *times, goal, note)]


def structure(context: Context) -> list[Row]:
    """RDF, ADF and CDF of 100 frames against TRAVIS."""
    beads, spec = context.thousand, structure_spec()
    n_frames = len(beads.positions_A)
    dump = context.folder / "trajectory.lammpstrj"
    write_dump(dump, beads)
    names, types = beads.topology.type_names, beads.topology.bead_types

    def analyse(*metrics: str) -> Side:
        def work() -> None:
            frames = ((frame.positions_A, frame.cell_A) for frame in read_dump(dump))
            compute_curves(frames, names, types, spec.only(*metrics), context.threads)

        return Side("cgdistill", work, n_frames)

    metrics = ("rdf", "adf", "cdf")
    sides = [analyse(*metrics), *(analyse(metric) for metric in metrics)]
    own = dict(zip(("all", *metrics), interleave(sides, 10.0), strict=True))
    if not travis.available():
        context.say("TRAVIS is not installed (Debian: apt-get install travis): only the own times are given")
        return [_per_frame(name, times) for name, times in own.items()]
    theirs = travis.seconds_per_frame(context, beads, spec, TRAVIS_ADF_FRAMES)
    theirs["all"] = Times("TRAVIS", (sum(theirs[metric].median_s for metric in metrics),))
    rows = []
    for name, times in own.items():
        label = f"{'all three' if name == 'all' else _NAMES[name]}, against TRAVIS"
        title = f"{_NAMES[name]} of {n_frames} frames of {beads.n_beads:,} beads, TRAVIS / cgdistill"
        goal = Goal(3.0, 10.0, at_least=True) if name == "all" else None
        theirs_s, summary = theirs[name].median_s, times.summary()
        value, high, low = (theirs_s / seconds for seconds in (times.median_s, *summary["quartiles_s"]))
        both = [theirs[name].summary(), summary]
        rows.append(
            Row("structure", f"structure-{name}", label, title, value, "x", low, high, goal, both, travis.NOTES[name])
        )
    return rows


_NAMES = {"all": "RDF, ADF and CDF", "rdf": "RDF", "adf": "ADF", "cdf": "CDF"}


def _per_frame(name: str, times: Times) -> Row:
    summary = times.summary()
    low, high = (1e3 * seconds for seconds in summary["quartiles_s"])
    value, title = 1e3 * times.median_s, f"{_NAMES[name]}, time per frame"
    return Row("structure", f"structure-{name}-own", _NAMES[name], title, value, "ms", low, high, None, [summary])


def write_dump(path: Path, beads: Beads) -> None:
    """Frames as a LAMMPS dump, as a run of the workflow leaves them."""
    edges = "\n".join(f"0 {edge:.8f}" for edge in np.diag(beads.cell_A))
    ids = np.column_stack([np.arange(1, beads.n_beads + 1), beads.topology.bead_types + 1])
    with open(path, "w", encoding="ascii") as file:
        file.write("ITEM: UNITS\nreal\n")
        for number, positions in enumerate(beads.positions_A):
            file.write(f"ITEM: TIME\n{number}\nITEM: TIMESTEP\n{number}\nITEM: NUMBER OF ATOMS\n{beads.n_beads}\n")
            file.write(f"ITEM: BOX BOUNDS pp pp pp\n{edges}\nITEM: ATOMS id type xu yu zu\n")
            np.savetxt(file, np.column_stack([ids, positions]), fmt="%d %d %.5f %.5f %.5f")
