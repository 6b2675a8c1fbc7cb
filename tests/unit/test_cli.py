"""The command line: analysis of trajectories of any origin, and the summary of a run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import MDAnalysis as mda
import numpy as np
import pandas as pd
import pytest
from cgdistill.cli.main import main
from cgdistill.data.beads import BeadFile
from cgdistill.io.csv_tables import read_provenance, read_table, write_table
from cgdistill.structure.files import read_curves

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data" / "travis"
DEMO = ROOT / "resources" / "demo"
REFERENCE, MODEL = str(DATA / "reference.h5"), str(DATA / "model.lammpstrj.gz")
NAMES = ["Cho", "Cl", "Urea"]


@pytest.fixture
def run(capsys):
    """Run a command that succeeds; returns what it prints."""

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert status == 0, printed.err
        assert printed.err == ""
        return printed.out

    return call


def rows(text):
    """Lines of a printed table: words by their first word or two."""
    return {tuple(line.split()[:2]): [word for word in line.split()] for line in text.splitlines()}


def write_lattice(path, edge=4.0, n=5, units="real", frames=1):
    """A simple cubic lattice of one type as a LAMMPS dump."""
    grid = edge * np.stack(np.meshgrid(*[np.arange(n)] * 3), -1).reshape(-1, 3) + 0.01
    lines = [f"ITEM: UNITS\n{units}\n"] if units else []
    for frame in range(frames):
        lines.append(f"ITEM: TIME\n{1000 * frame}\nITEM: TIMESTEP\n{frame}\nITEM: NUMBER OF ATOMS\n{len(grid)}\n")
        lines.append("ITEM: BOX BOUNDS pp pp pp\n" + 3 * f"0 {n * edge}\n" + "ITEM: ATOMS id type x y z\n")
        lines += [f"{i} 1 {x} {y} {z}\n" for i, (x, y, z) in enumerate(grid, 1)]
    path.write_text("".join(lines), encoding="ascii")
    return path


@pytest.fixture(scope="module")
def frames():
    """Topology and frames of the reference."""
    with BeadFile(REFERENCE) as file:
        return file.topology, file.frames()


def as_universe(topology, frames, order=None):
    """Beads as atoms of MDAnalysis, in another order where wanted."""
    order = np.arange(topology.n_beads) if order is None else order
    universe = mda.Universe.empty(topology.n_beads, n_residues=topology.n_beads,
                                  atom_resindex=np.arange(topology.n_beads), trajectory=True)  # fmt: skip
    names = [topology.type_names[kind] for kind in topology.bead_types[order]]
    universe.add_TopologyAttr("names", names)
    universe.add_TopologyAttr("resids", np.arange(1, topology.n_beads + 1))
    universe.add_TopologyAttr("resnames", [name[:3].upper() for name in names])
    dimensions = np.array([[*np.diag(cell), 90, 90, 90] for cell in frames.cells_A])
    universe.load_new(frames.positions_A[:, order], dimensions=dimensions, dt=100.0)
    return universe


@pytest.mark.parametrize("command", [[], ["rdf"], ["adf"], ["cdf"], ["tae"], ["summary"]])
def test_help(command, capsys):
    """Each says its options; the top names all commands."""
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    expected = {
        (): ["rdf", "adf", "cdf", "tae", "summary"],
        ("summary",): ["results/<run>"],
        ("tae",): ["--reference", "--reference-mapping", "--metrics", "--rdf-bin-width", "--triplets"],
        ("adf",): ["--triplets", "--mapping", "--units", "--convention", "--figure", "--threads", "--stride"],
    }
    for word in expected.get(tuple(command), ["--r-max", "--bin-width", "--topology", "--masses", "--output"]):
        assert word in text


def test_it_starts_without_what_it_does_not_need():
    """``--help`` of the installed program, without torch, MDAnalysis or numba."""
    code = (
        "import sys\nfrom cgdistill.cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit: pass\n"
        "sys.exit(' '.join({'torch', 'MDAnalysis', 'numba', 'matplotlib'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: cgdistill")


def test_rdf_of_a_lattice(run, tmp_path):
    """Six neighbours at 4 A, then nothing up to sqrt 2 times that."""
    text = run("rdf", write_lattice(tmp_path / "lattice.lammpstrj"), "--types", "Po", "--bin-width", "0.5")
    words = rows(text)["Po-Po", "3.75"] if ("Po-Po", "3.75") in rows(text) else rows(text)["Po-Po", "4.25"]
    assert float(words[-1]) == pytest.approx(6.0, abs=1e-3)
    assert "1 frame, 0 to 0 ps; 125 beads (125 Po) in 8000.0 A^3" in text


def test_units_of_a_dump_that_does_not_say(tmp_path, capsys, run):
    """Refused in one line; taken with --units."""
    path = write_lattice(tmp_path / "lattice.dump", units=None)
    assert main(["cdf", str(path)]) == 1
    assert "units" in capsys.readouterr().err
    assert "4.05" in run("cdf", path, "--units", "real")


def test_begin_end_and_stride(run, tmp_path, capsys):
    """Times in ps, both ends included, the stride from the first that is left."""
    path = write_lattice(tmp_path / "lattice.lammpstrj", frames=9)
    text = run("cdf", path, "--begin", 2, "--end", 7, "--stride", 2)
    assert "3 frames, 2 to 6 ps" in text
    assert main(["cdf", str(path), "--begin", "9"]) == 1
    assert "none in the range of times" in capsys.readouterr().err


@pytest.mark.parametrize("metric", ["rdf", "adf", "cdf"])
def test_curves_in_the_convention_of_travis_are_those_it_prints(metric, run, tmp_path):
    """From a dump to a table on disk, with all options of the bins."""
    options = {
        "rdf": ["--r-max", 11.2, "--bin-width", 0.2],
        "adf": ["--bin-width", 6, "--triplets", "Cho-Cho-Cho", "Cl-Cl-Cl", "Urea-Urea-Urea", "Cho-Cl-Urea"],
        "cdf": ["--r-max", 12, "--bin-width", 0.2],
    }[metric]
    output = tmp_path / "curves.csv"
    run(metric, MODEL, "--types", *NAMES, "--convention", "travis", "-o", output, "--threads", 2, *options)
    own = read_table(output)
    expected = pd.read_csv(DATA / "model.csv", skiprows=1).rename(columns={"r_max_A": "parameter"})
    keys = ["item", "parameter"]
    expected = expected[expected["metric"] == metric].sort_values([*keys, "x"])["value"].to_numpy()
    assert own.sort_values([*keys, "x"])["value"].to_numpy() == pytest.approx(expected, rel=1e-4, abs=1e-3)
    assert read_provenance(output)["options"]["convention"] == "travis"


def test_what_mdanalysis_reads_gives_what_the_bead_file_gives(run, tmp_path, frames):
    """A .gro alone, .xtc beside a .gro, .xyz with a cell; lengths are rounded to 0.01 A. Beads in another order."""
    topology, all_frames = frames
    order = np.random.default_rng(0).permutation(topology.n_beads)
    universe = as_universe(topology, all_frames, order)
    universe.atoms.write(tmp_path / "beads.gro")
    universe.atoms.write(tmp_path / "beads.xtc", frames="all")
    universe.atoms.write(tmp_path / "beads.xyz", frames="all")
    edge = all_frames.cells_A[0, 0, 0]
    for arguments, first_alone in (
        ([tmp_path / "beads.gro"], True),
        ([tmp_path / "beads.xtc", "--topology", tmp_path / "beads.gro"], False),
        ([tmp_path / "beads.xyz", "--cell", edge, edge, edge], False),
    ):
        end = ["--reference-end", 0] if first_alone else []
        text = run("tae", *arguments, "--reference", REFERENCE, *end, "--metrics", "cdf", "--cdf-bin-width", 0.4)
        assert text.count("1 frame, " if first_alone else "5 frames, ") == 2
        assert 0.0 <= float(rows(text)["cdf", "overall"][-1]) < 0.2
    by_residue = run("cdf", tmp_path / "beads.gro", "--types-from", "resnames")
    assert {"CHO", "CL", "URE"} <= {line.split()[0] for line in by_residue.splitlines()[2:]}


def test_all_atom_trajectory_with_a_mapping(run):
    """The demo's atoms, mapped on the way, are the mapped frames that are kept: errors from single precision alone."""
    text = run(
        "tae", DEMO / "des128.trr", "--topology", DEMO / "des128.gro", "--masses", DEMO / "des128.top",
        "--mapping", ROOT / "config" / "mappings" / "des.yaml", "--stride", 75,
        "--reference", REFERENCE, "--triplets", "Cho-Cl-Urea",
    )  # fmt: skip
    assert text.count("5 frames, 0 to 900 ps") == 2
    for metric in ("rdf", "adf", "cdf"):
        assert float(rows(text)[metric, "overall"][-1]) < 0.01


def test_all_atom_trajectory_without_masses(capsys):
    """The message names what to give, not a key of a config."""
    arguments = ["--topology", DEMO / "des128.gro", "--mapping", ROOT / "config" / "mappings" / "des.yaml"]
    assert main(["rdf", str(DEMO / "des128.trr"), *map(str, arguments)]) == 1
    assert "expected masses: another topology" in capsys.readouterr().err


def test_errors_from_trajectories_and_from_curves_are_the_same(run, tmp_path):
    """Trajectory or curves on either side; the bins of curves on disk apply, whatever the options say."""
    bins = {"rdf": ["--r-max", 9, "--bin-width", 0.5], "cdf": ["--bin-width", 0.3], "adf": ["--r-max", 7, 8]}
    last = {}
    for metric, options in bins.items():
        for name, source in (("reference", [REFERENCE]), ("model", [MODEL, "--types", *NAMES])):
            run(metric, *source, "-o", tmp_path / f"{name}.parquet", *options)
        named = [f"--{metric}-{option[2:]}" if str(option).startswith("--") else option for option in options]
        both = run("tae", MODEL, "--reference", REFERENCE, "--metrics", metric, *named)
        reference, model = tmp_path / "reference.parquet", tmp_path / "model.parquet"
        assert len(read_curves(reference)[["variant", "member", "replica"]].drop_duplicates()) == 1
        for found in (
            run("tae", MODEL, "--types", *NAMES, "--reference", reference),
            run("tae", model, "--reference", REFERENCE),
            run("tae", model, "--reference", reference),
        ):
            assert found.splitlines()[2:] == both.splitlines()[2:]
        last[metric] = float(both.splitlines()[-1].split()[-1])
    assert all(value > 0.05 for value in last.values())


def test_model_against_itself_has_no_error(run):
    text = run("tae", REFERENCE, "--reference", REFERENCE, "--metrics", "rdf")
    assert {float(line.split()[-1]) for line in text.splitlines()[3:]} == {0.0}


def test_curves_of_several_runs_are_averaged(run, tmp_path):
    """Mean and standard deviation of the errors over the runs of a file."""
    output = tmp_path / "cdf.csv"
    run("cdf", REFERENCE, "-o", output)
    reference = read_table(output)
    shifted = [
        reference.assign(member=f"m{k}", value=reference["value"] + k * 0.01 * (reference["item"] == "Cl"))
        for k in (1, 3)
    ]
    write_table(tmp_path / "two.csv", pd.concat(shifted), {})
    text = run("tae", tmp_path / "two.csv", "--reference", output, "--output", tmp_path / "tae.csv")
    words = rows(text)["cdf", "Cl"]
    assert [float(word) for word in words[-3:]] == pytest.approx([0.24, np.sqrt(2) * 0.12, 2], rel=1e-3)
    errors = read_table(tmp_path / "tae.csv")
    assert errors.loc[errors["item"] == "Cl", "tae"].tolist() == pytest.approx([0.12, 0.36])


def test_conventions_are_not_compared_with_each_other(tmp_path, run, capsys):
    """A file of each."""
    for name in ("cgdistill", "travis"):
        run("rdf", REFERENCE, "--convention", name, "-o", tmp_path / f"{name}.parquet")
    arguments = ["tae", str(tmp_path / "travis.parquet"), "--reference", str(tmp_path / "cgdistill.parquet")]
    assert main(arguments) == 1
    assert "value_unit" in capsys.readouterr().err


@pytest.mark.parametrize(("suffix", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_figures(suffix, start, run, tmp_path):
    """A file of the format that the suffix says; not how it looks."""
    figure = tmp_path / f"curves.{suffix}"
    if suffix == "png":
        text = run("tae", MODEL, "--reference", REFERENCE, "--figure", figure)
    else:
        text = run("adf" if suffix == "svg" else "rdf", REFERENCE, "--figure", figure)
    assert f"written: {figure}" in text
    assert figure.read_bytes().startswith(start) and figure.stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cdf", "nothing.xtc"], "nothing.xtc: file: found nothing"),
        (["cdf", str(ROOT / "README.md")], "a file with names of beads, or a topology"),
        (["rdf", str(DEMO / "des128.trr")], "des128.trr: names: found none"),
        (["rdf", MODEL, "--types", "A", "B"], "found LAMMPS types up to 3, expected 2: A, B"),
        (["rdf", REFERENCE, "--r-max", "12"], "expected at most 11.300 A, half of the smallest width"),
        (["rdf", REFERENCE, "--r-max", "10", "--bin-width", "0.3"], "bin width of the RDF: found 0.3"),
        (["adf", REFERENCE, "--triplets", "Cho-Cl"], "triplet: found Cho-Cl"),
        (["adf", REFERENCE, "--triplets", "Cho-Cl-Water"], "triplet: found Cho-Cl-Water"),
        (["cdf", str(DEMO / "des128.gro"), "--types-from", "types"], "types: found none, expected one of names"),
        (["cdf", str(DEMO / "des128.gro"), "--types", "C1"], "expected one of C1"),
        (["cdf", MODEL, "--mapping", "map.yaml"], "topology: found none"),
        (["tae", MODEL, "--reference", "nothing.parquet"], "nothing.parquet: file: found nothing"),
        (
            ["tae", MODEL, "--types", "a", "b", "c", "--reference", REFERENCE],
            "types: found a, b, c, expected Cho, Cl, Urea, as in the reference",
        ),
        (["summary", "nowhere"], "nowhere/tables/summary.csv"),
    ],
)
def test_wrong_input_is_one_line(arguments, message, capsys):
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert message in said
    assert re.fullmatch(r"cgdistill: [^\n]+: found [^\n]+, expected [^\n]+\n", said)


def test_wrong_options_are_refused_by_the_parser(capsys):
    for arguments in (["rdf", REFERENCE, "--figure", "x.jpg"], ["cdf", REFERENCE, "--stride", "0"], ["tae", MODEL]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
    assert "x.jpg ends in none of .svg, .png, .pdf" in capsys.readouterr().err


def test_summary(run, tmp_path):
    """One line per model; runs that failed are counted."""
    columns = ["label", "metric", "item", "parameter", "mean", "std", "n", "n_failed"]
    values = {"rdf": 1.5, "adf": 0.5, "cdf": 0.25}
    table = pd.DataFrame(
        [("S8Ff", metric, "overall", np.nan, value, 0.01, 4, 1) for metric, value in values.items()]
        + [("T8", metric, "overall", np.nan, 2.0, np.nan, 1, 0) for metric in values],
        columns=columns,
    )
    write_table(tmp_path / "tables" / "summary.csv", table, {})
    text = run("summary", tmp_path)
    assert re.search(r"S8Ff +1\.500 ± 0\.010 +0\.500 ± 0\.010 +0\.250 ± 0\.010 +4, 1 failed", text)
    assert "2.000" in text and str(tmp_path / "report.html") in text
