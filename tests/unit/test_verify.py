"""`cgdistill verify`: manifest, tampering of every kind, and two runs value by value.

The run is made up here, with stamps as the scripts write them. None of this shows that the rules name every product
(tests/workflow/test_manifest.py does), nor what a GPU, other processors or more threads than here do to results.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import cgdistill
import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from bead_cases import bead_topology, make_frames, make_model
from cgdistill.cli.main import main
from cgdistill.config.complete import read_config
from cgdistill.core.errors import InputError
from cgdistill.core.seeds import derive
from cgdistill.data.beads import BeadWriter
from cgdistill.data.split import Split, write_split
from cgdistill.forcefield.hipnn.export import export_mliap
from cgdistill.forcefield.trainable import ModelOutput
from cgdistill.io.csv_tables import read_table, write_table
from cgdistill.provenance.compare import compare_runs, relative_difference
from cgdistill.provenance.manifest import checksums, read_manifest, read_stamp, write_manifest
from cgdistill.provenance.record import sha256_of, stamp
from cgdistill.provenance.verify import differences, verify
from cgdistill.runtime.atomic_files import write_json
from cgdistill.structure.files import CURVE_COLUMNS, label_run, write_curves
from cgdistill.training.predictions import single_predictions, write_predictions

ROOT = Path(__file__).resolve().parents[2]
RUN = "results/made-up"
STUDENTS = "students.tsv"
SEEDS = ("seed-1", "seed-2")
DUMP = """ITEM: UNITS
real
ITEM: TIME
{time}
ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 10
0 10
0 10
ITEM: ATOMS id type x y z
1 1 {x} 2.5 3.5
2 1 4.5 5.5 6.5
"""


@pytest.fixture(scope="module")
def config():
    """The smallest config of the repository, under another name and with a students table in this folder."""
    found = read_config(ROOT / "tests/configs/end-to-end.yaml")
    return found | {"run": "made-up", "students": {"table": STUDENTS}}


def dump(path, x=1.5):
    path.write_text("".join(DUMP.format(time=10 * n, step=n, x=x + n) for n in range(3)), encoding="ascii")


def train(name, config, seed):
    """Weights, settings and predictions of a teacher."""
    folder = Path(RUN, "teachers", name)
    folder.mkdir(parents=True, exist_ok=True)
    beads, split = f"{RUN}/mapped/beads.h5", f"{RUN}/mapped/split.json"
    (folder / "weights.safetensors").write_bytes(np.random.default_rng(seed).bytes(2000))
    training = {key: value for key, value in config["training"].items() if key != "together"}
    settings = {"network": config["network"], "training": training, "weights": {"F": 1.0}}
    facts = {"training": settings, "provenance": stamp(settings, {"beads": beads, "split": split}, seed=seed)}
    write_json(folder / "network.json", facts)
    return folder


def predict(name):
    folder, rng = Path(RUN, "teachers", name), np.random.default_rng(len(name))
    found = single_predictions(name, ModelOutput(rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 6))), np.zeros(6, int))
    weights = {"weights": folder / "weights.safetensors"}
    write_predictions(folder / "predictions.h5", found, stamp({"batch_size": 8}, weights))


def make_run(folder: Path, config) -> Path:
    """A run in ``folder`` with its manifest; the working folder must be ``folder``."""
    assert Path.cwd() == folder
    run = Path(RUN)
    Path("data.trr").write_bytes(bytes(range(256)) * 20)
    Path(STUDENTS).write_text("name\n", encoding="utf-8")
    (run / "mapped").mkdir(parents=True)
    frames, types = make_frames(4)
    part = {key: config["mapping"][key] for key in ("start_ps", "stride", "max_frames", "check_forces")}
    with BeadWriter(
        run / "mapped/beads.h5", bead_topology(types), stamp({"units": None, "frames": part}, ["data.trr"])
    ) as writer:
        writer.append(frames)
    record = stamp(config["split"], {"beads": run / "mapped/beads.h5"}, seed=derive(config["seed"], "split"))
    write_split(run / "mapped/split.json", Split(*np.array([[0, 1], [2, 2], [3, 3]])), record)
    for seed, name in enumerate(SEEDS):
        train(name, config, seed)
        predict(name)
    model = run / "models/T2/ensemble"
    for name in SEEDS:
        shutil.copytree(run / "teachers" / name, model / "networks" / name, ignore=shutil.ignore_patterns("*.h5"))
    weights = {name: sha256_of(model / "networks" / name / "weights.safetensors") for name in SEEDS}
    write_json(
        model / "card.json",
        {
            "networks": {name: {"weights_sha256": digest} for name, digest in weights.items()},
            "provenance": stamp({}, [f"{RUN}/teachers/{name}/weights.safetensors" for name in SEEDS]),
        },
    )
    (model / "networks/.snakemake_timestamp").touch()
    simulation = run / "simulations/T2/ensemble/replica-1"
    simulation.mkdir(parents=True)
    dump(simulation / "trajectory.lammpstrj")
    md = {key: value for key, value in config["simulation"].items() if key not in ("replicas", "runs_per_job")}
    md["limits"] = {key: value for key, value in md["limits"].items() if key != "keep_frames"}
    write_json(
        simulation / "run.json",
        {"status": "finished", "wall_s": 3.0, "step": 2, "provenance": stamp(md, {"card": model / "card.json"})},
    )
    curves = pd.DataFrame([["rdf", "A-B", np.nan, 0.1 * n, "A", 1.0 + n, "1"] for n in range(5)], columns=CURVE_COLUMNS)
    inputs = [f"{simulation}/trajectory.lammpstrj", f"{simulation}/run.json"]
    settings = {"structure": config["structure"], "statistics": {"blocks": config["statistics"]["blocks"]}}
    settings["stability"] = config["stability"]
    write_curves(run / "structure/T2/curves.parquet", label_run(curves, "T2", "e", 1), stamp(settings, inputs))
    table = pd.DataFrame({"label": ["T2", "T2"], "tae": [0.25, 4.0], "ns_per_day": [7.0, 8.0]})
    write_table(run / "tables/tae.csv", table, stamp({}, [run / "structure/T2/curves.parquet"]))
    (run / "report.html").write_text("<p>0.25</p>", encoding="utf-8")
    (run / "checkpoints").mkdir()
    (run / "checkpoints/1.pt").write_bytes(b"left")
    record_run(config)
    return run


def record_run(config, shared=None):
    """Write the manifest, as the rule does."""
    run = Path(RUN)
    files = [path for path in run.rglob("*") if path.is_file() and "checkpoints" not in path.parts]
    stages = {str(path): f"make_{path.relative_to(run).parts[0]}" for path in files if "networks" not in path.parts}
    stages = {name: stage for name, stage in stages.items() if not name.endswith("manifest.json")}
    stages[f"{RUN}/models/T2/ensemble/networks"] = "export"
    write_manifest(run / "manifest.json", RUN, stages, shared or {}, config, [STUDENTS])


@pytest.fixture(scope="module")
def made(tmp_path_factory, config):
    """The working folder with the run; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    before = Path.cwd()
    os.chdir(folder)
    try:
        make_run(folder, config)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def run(made, tmp_path, monkeypatch):
    """A copy of the run that may be changed; the working folder is that of the workflow."""
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return Path(RUN)


def check(capsys, *arguments):
    """Exit status, the lines of faults, and the summary."""
    status = main(["verify", *map(str, arguments)])
    printed = capsys.readouterr()
    assert printed.err == ""
    *faults, summary = printed.out.splitlines()
    assert status == bool(faults)
    return faults, summary


def test_untouched(run, capsys):
    """No fault, also under another name, from another folder, and touched."""
    files = [path for path in run.rglob("*") if path.is_file()]
    n = len([path for path in files if path.name not in ("manifest.json", "1.pt", ".snakemake_timestamp")])
    faults, summary = check(capsys, run)
    assert not faults
    assert summary.startswith(f"{RUN}: {n} files, ") and summary.endswith(" inputs compared: no fault")
    for path in files:
        os.utime(path)
    assert not check(capsys, run.resolve())[0]
    shutil.move(run, "archive")
    faults, summary = check(capsys, "archive")
    assert not faults


def flip(path, place=-20):
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def swap(one, other):
    shutil.move(one, "aside")
    shutil.move(other, one)
    shutil.move("aside", other)


def stale(path, old="0.0.1"):
    """Write a table as an older version would have."""
    table, record = read_table(path), read_stamp(path)
    write_table(path, table, record | {"version": old})


CURVES = "structure, statistics.blocks or stability"
SIMULATION = "simulations/T2/ensemble/replica-1"
WEIGHTS = f"{RUN}/teachers/seed-2/weights.safetensors"
TAMPERING = {
    "flipped bit of a dump": (
        lambda run, config: flip(run / SIMULATION / "trajectory.lammpstrj"),
        [
            f"{SIMULATION}/trajectory.lammpstrj (make_simulations): changed",
            "structure/T2/curves.parquet (make_structure): made from a different "
            f"{RUN}/{SIMULATION}/trajectory.lammpstrj",
        ],
    ),
    "flipped bit of a report": (
        lambda run, config: flip(run / "report.html", 4),
        ["report.html (make_report.html): changed"],
    ),
    "edited number": (
        lambda run, config: replace(run / "tables/tae.csv", "0.25", "0.15"),
        ["tables/tae.csv (make_tables): changed"],
    ),
    "longer": (
        lambda run, config: replace(run / "tables/tae.csv", "0.25", "0.125"),
        ["tables/tae.csv (make_tables): changed, {size} bytes, recorded with {recorded}"],
    ),
    "cut off": (
        lambda run, config: os.truncate(run / "report.html", 0),
        ["report.html (make_report.html): changed, 0 bytes, recorded with 11"],
    ),
    "swapped": (
        lambda run, config: swap(*(run / "teachers" / name / "predictions.h5" for name in SEEDS)),
        [
            "teachers/seed-1/predictions.h5 (make_teachers): has the contents of teachers/seed-2/predictions.h5",
            "teachers/seed-2/predictions.h5 (make_teachers): has the contents of teachers/seed-1/predictions.h5",
        ],
    ),
    "removed": (
        lambda run, config: (run / "structure/T2/curves.parquet").unlink(),
        ["structure/T2/curves.parquet (make_structure): missing"],
    ),
    "added": (
        lambda run, config: (run / "tables/notes.txt").touch(),
        ["tables/notes.txt: not a product of this run"],
    ),
    "retrained alone": (
        lambda run, config: train("seed-2", config, 77),
        [
            "teachers/seed-2/network.json (make_teachers): changed",
            "teachers/seed-2/weights.safetensors (make_teachers): changed",
            f"models/T2/ensemble/card.json (make_models): made from a different {WEIGHTS}",
            f"teachers/seed-2/predictions.h5 (make_teachers): made from a different {WEIGHTS}",
        ],
    ),
    "retrained and recorded anew": (
        lambda run, config: (train("seed-2", config, 77), record_run(config)),
        [
            f"models/T2/ensemble/card.json (make_models): made from a different {WEIGHTS}",
            f"teachers/seed-2/predictions.h5 (make_teachers): made from a different {WEIGHTS}",
        ],
    ),
    "another network in an exported model": (
        lambda run, config: flip(run / "models/T2/ensemble/networks/seed-1/weights.safetensors"),
        [
            "models/T2/ensemble/networks/seed-1/weights.safetensors (export): changed",
            "models/T2/ensemble/card.json (make_models): networks/seed-1/weights.safetensors differs from",
        ],
    ),
    "older version": (
        lambda run, config: stale(run / "tables/tae.csv"),
        ["tables/tae.csv (make_tables): changed: made by cgdistill 0.0.1, recorded as of " + cgdistill.__version__],
    ),
    "another trajectory": (
        lambda run, config: flip(Path("data.trr")),
        ["mapped/beads.h5 (make_mapped): made from a different data.trr"],
    ),
    "another table of students": (
        lambda run, config: Path(STUDENTS).write_text("name\nS\n", encoding="utf-8"),
        [f"manifest.json: made from a different {STUDENTS}"],
    ),
    "stamp lost": (
        lambda run, config: (run / "tables/tae.csv").write_text("a\n1\n", encoding="utf-8"),
        [
            "tables/tae.csv (make_tables): changed: made by cgdistill None",
            "tables/tae.csv (make_tables): contains no readable provenance",
        ],
    ),
    "another config, recorded anew": (
        lambda run, config: record_run(config | {"structure": config["structure"] | {"cdf": {}}}),
        [f"structure/T2/curves.parquet (make_structure): made with a different {CURVES} than in manifest.json"],
    ),
    "other thresholds of stability, recorded anew": (
        lambda run, config: record_run(config | {"stability": config["stability"] | {"cdf_shift_A": 9.0}}),
        [f"structure/T2/curves.parquet (make_structure): made with a different {CURVES} than in manifest.json"],
    ),
    "other blocks, recorded anew": (
        lambda run, config: record_run(config | {"statistics": config["statistics"] | {"blocks": 3}}),
        [f"structure/T2/curves.parquet (make_structure): made with a different {CURVES} than in manifest.json"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAMPERING)
def test_tampering(run, config, capsys, kind):
    """Each is named, with its stage, and nothing else is."""
    recorded = (run / "tables/tae.csv").stat().st_size
    tamper, expected = TAMPERING[kind]
    tamper(run, config)
    faults, summary = check(capsys, run)
    sizes = {"size": recorded + 1, "recorded": recorded}
    assert len(faults) == len(expected)
    for fault, start in zip(sorted(faults), sorted(expected), strict=True):
        assert fault.startswith(f"{RUN}/{start.format(**sizes)}"), fault
    assert summary.endswith(f": {len(faults)} fault{'s' if len(faults) > 1 else ''}")


def test_edited_manifest(run, capsys):
    """Its config cannot be changed to fit another, nor its format."""
    replace(run / "manifest.json", '"delta_A": 0.15', '"delta_A": 0.16')
    assert main(["verify", str(run)]) == 1
    assert "manifest.json: config: found a config that does not match its hash" in capsys.readouterr().err
    for text in ("{", "[]", '{"format": "cgdistill-manifest-1"}', '{"format": "other"}'):
        (run / "manifest.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="manifest.json"):
            read_manifest(run / "manifest.json")


def test_against_a_config(run, config, tmp_path, capsys):
    """Keys that differ, with both values; not those that change no product."""
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    assert not check(capsys, run, "--config", path)[0]
    changed = json.loads(json.dumps(config))
    changed["network"]["n_features"] = 16
    changed["mapping"]["max_frames"] = None
    changed["training"]["together"] = not changed["training"]["together"]
    changed["training"]["models_per_job"] = 7
    changed["simulation"]["runs_per_job"] = 1
    changed["simulation"]["limits"]["keep_frames"] = 0
    path.write_text(yaml.safe_dump(changed), encoding="utf-8")
    faults, _ = check(capsys, run, "--config", path)
    assert sorted(faults) == [
        f"{RUN}: made with a different config: mapping.max_frames is 24, in {path} None",
        f"{RUN}: made with a different config: network.n_features is 8, in {path} 16",
    ]


def test_unfinished(run, config, tmp_path, capsys):
    """Without a manifest: stamps against files, versions against each other, parts of a config."""
    (run / "manifest.json").unlink()
    (run / "report.html").unlink()
    faults, summary = check(capsys, run)
    assert not faults and "no manifest.json" in summary
    path = tmp_path / "my.yaml"
    changed = config | {"seed": 1, "network": config["network"] | {"n_features": 16}}
    quiet = config["simulation"]["limits"] | {"keep_frames": 0}
    changed["simulation"] = config["simulation"] | {"runs_per_job": 99, "limits": quiet}
    path.write_text(yaml.safe_dump(changed), encoding="utf-8")
    assert not [fault for fault in check(capsys, run, "--config", path)[0] if "simulation" in fault]
    changed["simulation"]["damping_fs"] = 1.0
    path.write_text(yaml.safe_dump(changed), encoding="utf-8")
    faults, _ = check(capsys, run, "--config", path)
    assert faults == [
        f"{RUN}/mapped/split.json: made with a different split or seed than in {path}",
        f"{RUN}/teachers/seed-1/network.json: made with a different network than in {path}, and 1 more",
        f"{RUN}/{SIMULATION}/run.json: made with a different simulation than in {path}",
    ]
    path.write_text("run: only\n", encoding="utf-8")
    assert main(["verify", str(run), "--config", str(path)]) == 1
    assert "aa.files: found no key 'topology', 'trajectory'" in capsys.readouterr().err
    train("seed-2", config, 77)
    stale(run / "tables/tae.csv")
    faults, _ = check(capsys, run)
    assert faults == [
        f"{RUN}/models/T2/ensemble/card.json: made from a different {WEIGHTS}",
        f"{RUN}/teachers/seed-2/predictions.h5: made from a different {WEIGHTS}",
        f"{RUN}/tables/tae.csv: made by cgdistill 0.0.1, others by {cgdistill.__version__}",
    ]


def test_products_of_another_run(run, config, capsys):
    """What a run of a sweep reads elsewhere belongs to its manifest."""
    shared = "results/first/teachers/seed-9/weights.safetensors"
    Path(shared).parent.mkdir(parents=True)
    Path(shared).write_bytes(b"weights")
    record_run(config, {shared: "first"})
    assert read_manifest(run / "manifest.json").shared[shared].sha256 == hashlib.sha256(b"weights").hexdigest()
    assert not check(capsys, run)[0]
    Path(shared).write_bytes(b"weightz")
    assert check(capsys, run)[0] == [f"{shared} (made by first): changed since {RUN} was made from it"]
    Path(shared).unlink()
    assert check(capsys, run)[0] == [f"{shared} (made by first): missing"]


def test_a_folder_of_runs(run, capsys):
    """Every run below it, and the table of a sweep."""
    sweep = Path("results/sweep")
    for name in ("a", "b"):
        shutil.copytree(run, sweep / name)
    write_table(
        sweep / "study.csv", pd.DataFrame({"a": [1]}), stamp({}, {"b/tables/tae.csv": sweep / "b/tables/tae.csv"})
    )
    assert main(["verify", str(sweep)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["results/sweep", "results/sweep/a", "results/sweep/b"]
    replace(sweep / "b/tables/tae.csv", "0.25", "0.15")
    assert main(["verify", str(sweep)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "results/sweep/study.csv: made from a different results/sweep/b/tables/tae.csv"
    assert lines[1] == "results/sweep/b/tables/tae.csv (make_tables): changed"


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_no_run(tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="results/<run>|products of a run"):
        verify(tmp_path / place)


def test_manifest(made):
    """What it says, by other means; a folder stands for its files, and what is missing is said to be."""
    found = read_manifest(made / RUN / "manifest.json")
    trajectory = made / RUN / SIMULATION / "trajectory.lammpstrj"
    entry = found.files[f"{SIMULATION}/trajectory.lammpstrj"]
    assert (entry.bytes, entry.sha256) == (
        trajectory.stat().st_size,
        hashlib.sha256(trajectory.read_bytes()).hexdigest(),
    )
    assert (entry.stage, entry.version) == ("make_simulations", None)
    assert found.files["tables/tae.csv"].version == cgdistill.__version__
    assert found.files["models/T2/ensemble/networks/seed-2/network.json"].stage == "export"
    assert not any("timestamp" in name or "checkpoints" in name for name in found.files)
    assert found.packages["numpy"] == version("numpy")
    assert found.packages["cgdistill"] == cgdistill.__version__
    assert set(found.provenance["inputs"]) == {STUDENTS}


def test_manifest_of_a_missing_product(run, config, capsys):
    stages = {f"{RUN}/report.html": "write_report", f"{RUN}/gone.csv": "collect_tables"}
    write_manifest(run / "manifest.json", RUN, stages, {}, config, [])
    assert f"{RUN}/gone.csv (collect_tables): missing, also when the manifest was written" in check(capsys, run)[0]


def test_checksums(tmp_path):
    """Of files longer and shorter than what is read at once; a folder cannot be read."""
    contents = {"long": bytes(9_000_001), "short": b"a", "empty": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    expected = {tmp_path / name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    assert checksums(expected, threads=3) == expected
    faults = {}
    assert checksums([*expected, tmp_path], faults=faults) == expected
    assert list(faults) == [tmp_path]
    with pytest.raises(OSError):
        checksums([tmp_path])


def test_differences_of_configs():
    one = {"a": {"b": [1, 2], "c": 1}, "d": 0}
    assert list(differences(one, json.loads(json.dumps(one)))) == []
    assert list(differences(one, {"a": {"b": [1, 3], "c": 1}, "e": 0})) == [
        ("a.b", [1, 2], [1, 3]),
        ("d", 0, "nothing"),
        ("e", "nothing", 0),
    ]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.0], [1.0, 2.002], 0.002 / 2.002),
        ([1.0, np.nan], [1.0, np.nan], 0.0),
        ([1.0, np.nan], [1.0, 2.0], np.inf),
        ([1.0, np.inf], [1.0, np.inf], 0.0),
        # Near zero: relative to the median size, 2, not to itself.
        ([2.0, -2.0, 1e-9], [2.0, -2.0, 3e-9], 1e-9),
        ([0.0, 0.0], [0.0, 4.0], 1.0),
        ([], [], 0.0),
        ([3, 4], [3, 5], 0.2),
        ([True], [False], 1.0),
        # A small value beside huge ones counts by itself where it is above the median.
        ([1e40, 1.0, 5.0], [1e40, 1.0, 6.0], 1 / 6),
    ],
)
def test_relative_difference(one, other, expected):
    assert relative_difference(np.array(one), np.array(other)) == pytest.approx(expected, rel=1e-6)


def rewrite(path, change):
    """Change numbers of a product, provenance too, which is not compared."""
    match path.suffix:
        case ".csv":
            table = read_table(path)
            change(table)
            write_table(path, table, {"another": "record"})
        case ".parquet":
            table = pd.read_parquet(path)
            change(table)
            write_curves(path, table, {})
        case ".h5":
            with h5py.File(path, "a") as file:
                change(file)
                file.attrs["provenance"] = "{}"
        case ".json":
            record = json.loads(path.read_text())
            change(record)
            path.write_text(json.dumps(record | {"provenance": {}}))


def multiply(column, row=0):
    def change(data):
        if isinstance(data, pd.DataFrame):
            data.loc[row, column] *= 1.001
        else:
            values = data[column][()]
            values.flat[np.abs(values).argmax()] *= 1.001
            data[column][()] = values

    return change


CHANGES = {
    "tables/tae.csv": ("tables/*.csv", multiply("tae", 1), "tae"),
    "structure/T2/curves.parquet": ("structure/*.parquet", multiply("value", 4), "value"),
    "teachers/seed-1/predictions.h5": ("teachers/predictions.h5", multiply("forces_kcal_mol_A"), "forces_kcal_mol_A"),
    f"{SIMULATION}/run.json": ("simulations/run.json", lambda record: record.update(step=2.002), "step"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_against_reports_what_differs(made, run, capsys, name):
    """A thousandth, put in by hand, is found where it is; below the tolerance it is no fault."""
    kind, change, column = CHANGES[name]
    rewrite(run / name, change)
    assert main(["verify", str(made / RUN), "--against", str(run)]) == 1
    faults, table = capsys.readouterr().out.split("product", 1)
    assert faults.splitlines() == [f"{name}: {column} differs by 0.001 of its value"]
    row = next(line.split() for line in table.splitlines() if line.startswith(f"{kind} "))
    assert row[3:] == ["0.001", f"{name}:", column]
    assert main(["verify", str(made / RUN), "--against", str(run), "--tolerance", "2e-3"]) == 0


def test_against_reports_weights_and_dumps(made, run):
    """By their own formats: one weight and one position of a later frame."""
    from safetensors.numpy import save_file

    other = Path("other")
    for folder, x, weight in ((run, 1.5, 1.0), (other, 1.6, 1.01)):
        for path in (folder / SIMULATION, folder / "teachers/seed-1"):
            path.mkdir(parents=True, exist_ok=True)
        dump(folder / SIMULATION / "trajectory.lammpstrj", x)
        save_file({"w": np.array([2.0, weight])}, folder / "teachers/seed-1/weights.safetensors")
    found = compare_runs(run, other, 0.0)
    # The median of the six coordinates, (3.5 + 4.5) / 2, is larger than what differs.
    assert any(
        line.startswith(f"{SIMULATION}/trajectory.lammpstrj: positions_A differs by 0.025") for line in found.faults
    )
    assert any(line.startswith("teachers/seed-1/weights.safetensors: w differs by 0.0067") for line in found.faults)


def test_against_clocks_text_shapes_and_missing_files(made, run):
    """Times of a clock are not compared; text, lengths and files are."""
    rewrite(run / "tables/tae.csv", lambda table: table.update({"ns_per_day": [1.0, 1.0]}))
    rewrite(run / f"{SIMULATION}/run.json", lambda record: record.update(wall_s=99.0))
    (run / "report.html").write_text("later", encoding="utf-8")
    found = compare_runs(made / RUN, run, 0.0)
    assert found.faults == []
    assert any(
        line.split() == ["report.html", "1", "0", "(compared", "only", "by", "bytes)"]
        for line in found.summary.splitlines()
    )
    rewrite(run / "tables/tae.csv", lambda table: table.update({"label": ["T2", "T3"]}))
    rewrite(run / f"{SIMULATION}/run.json", lambda record: record.update(status="blown up"))
    table = pd.read_parquet(run / "structure/T2/curves.parquet")
    write_curves(run / "structure/T2/curves.parquet", table.iloc[:-1], {})
    (run / "teachers/seed-1/predictions.h5").unlink()
    assert compare_runs(made / RUN, run, 1.0).faults == [
        f"teachers/seed-1/predictions.h5: only in {made / RUN}",
        f"{SIMULATION}/run.json: status: 'finished' and 'blown up'",
        "structure/T2/curves.parquet: variant: shapes (5,) and (4,)",
        "tables/tae.csv: label: 'T2' and 'T3'",
    ]
    with pytest.raises(InputError, match="no products of a run"):
        compare_runs(run, Path(STUDENTS).parent / "results/made-up/tables", 0.0)


def test_exported_pickles_are_the_same_each_time(tmp_path):
    """hippynn copies graphs through sets of nodes, whose order is that of addresses in memory."""
    digests, kept = set(), []
    for number in range(4):
        export_mliap(tmp_path / f"{number}.pt", [make_model(1), make_model(2)])
        kept.append([object() for _ in range(1000 + 777 * number)])
        digests.add(sha256_of(tmp_path / f"{number}.pt"))
    assert len(digests) == 1


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folders of one job on 1, 3 and again 3 threads, each in a process of its own."""
    folder = tmp_path_factory.mktemp("results")
    paths = [str(ROOT / "workflow/lib"), str(ROOT / "tests/unit")]
    # Threads that wait would take the processors from each other.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_WAIT_POLICY": "PASSIVE"}
    jobs = {}
    for name, threads in (("one", 1), ("three", 3), ("again", 3)):
        command = [
            sys.executable,
            str(Path(__file__).with_name("same_result_job.py")),
            str(folder / name),
            str(threads),
        ]
        jobs[name] = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    for job in jobs.values():
        text = job.communicate(timeout=600)[0]
        assert job.returncode == 0, text[-3000:]
    return folder


@pytest.mark.parametrize("pair", [("three", "again"), ("one", "three")])
def test_same_input_same_result(results, pair):
    """Split, prior, training, predictions, MD, structure: equal to the last bit."""
    one, other = (results / name for name in pair)
    found = compare_runs(one, other, 0.0)
    assert found.faults == []
    rows = {line.split()[0]: line.split()[1:3] for line in found.summary.splitlines()}
    for kind in ("teachers/weights.safetensors", "teachers/mean.h5", "students/weights.safetensors"):
        assert rows[kind][0] == rows[kind][1]
    for kind in ("simulations.h5", "simulations/trajectory.lammpstrj", "simulations/final.data", "structure/*.parquet"):
        assert rows[kind][0] == rows[kind][1]
