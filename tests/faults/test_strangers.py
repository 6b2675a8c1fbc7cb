"""Files and names from strangers: data, never programs.

Cannot detect what libraries written in C (HDF5, Parquet, NetCDF, PNG) do with damage of their own formats, nor a way to
run code that needs none of the calls that the first test looks for.
"""

from __future__ import annotations

import ast
import copy
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import strangers
import torch
from bead_cases import PRIOR, TYPES, Trap, force_field, make_model, write_beads
from cases import ROOT, RULES, schema
from cgdistill.config.complete import complete_config, value_settings
from cgdistill.config.schema import schema_of
from cgdistill.config.sections.networks import HipnnNetwork
from cgdistill.config.students import SCHEMA as STUDENT_SCHEMA
from cgdistill.config.students import read_students
from cgdistill.config.validate import validate
from cgdistill.core.errors import InputError
from cgdistill.data.atoms import read_topology
from cgdistill.data.beads import BeadFile
from cgdistill.data.cg_trajectory import Origin, open_trajectory
from cgdistill.data.split import read_split
from cgdistill.export.model_folder import load_exported
from cgdistill.figures.style import plain
from cgdistill.forcefield import model_files as network
from cgdistill.forcefield.architecture import LammpsModel
from cgdistill.forcefield.hipnn.architecture import HipnnArchitecture
from cgdistill.forcefield.hipnn.model import SIZES
from cgdistill.forcefield.lammps_style import quoted
from cgdistill.forcefield.prior.terms import read_prior
from cgdistill.io.csv_tables import read_table
from cgdistill.io.text import read_yaml
from cgdistill.io.untrusted import TYPE_NAME, open_hdf5
from cgdistill.report.cards import read_card
from cgdistill.report.page import render, template
from cgdistill.report.sweep_study import StudyCell, write_study
from cgdistill.structure.files import read_curves
from cgdistill.training.predictions import Predictions, read_predictions, write_predictions
from fabricate_report import VARIANTS, fabricate_report, fabricate_tables, read_config
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WORKFLOW = ROOT / "workflow"

# What could run code -------------------------------------------------------------------------------------------------

#: Modules that execute what they load, or what they are given.
_MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "runpy", "code", "pty", "commands", "imp"}
_BUILTINS = {"eval", "exec", "compile", "__import__"}
_FUNCTIONS = re.compile(
    r"os\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*)|subprocess\.(getoutput|getstatusoutput)"
    r"|(pd|pandas)\.(read_pickle|read_hdf|eval)|yaml\.(load|load_all|full_load\w*|unsafe_load\w*|Loader|UnsafeLoader"
    r"|FullLoader)|torch\.(hub|package|jit)\b.*|np\.(loads|fromregex)|importlib\.import_module|jinja2\.(Template"
    r"|Environment)|h5py\.File"
)
#: What must be said where a function is called, since its default may execute what it loads.
_SAID = {"np.load": ("allow_pickle", False), "torch.load": ("weights_only", True)}
#: Calls that are in order: file, call, and why.
_ALLOWED = {
    ("aa/engines.py", "importlib.import_module"),  # one of two names, in this package
    ("report/figures.py", "jinja2.Template"),  # captions of this repository
    ("report/page.py", "jinja2.Environment"),  # with autoescape, which another test sees
    ("io/untrusted.py", "h5py.File"),  # looks at the types first
    ("data/atoms.py", "h5py.File"),  # of files that it has looked at
    ("data/cg_trajectory.py", "h5py.File"),  # looks for a name
}


def _offences(source: str, file: str) -> Iterator[str]:
    """Calls and imports of a Python file that could execute what a file or a name says."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (f"import {name}" for name in names if name.split(".")[0] in _MODULES)
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {word.arg: ast.unparse(word.value) for word in node.keywords}
        writes = name == "h5py.File" and len(node.args) > 1 and ast.unparse(node.args[1]) == "'w'"
        if name in _BUILTINS or (_FUNCTIONS.fullmatch(name) and (file, name) not in _ALLOWED and not writes):
            yield name
        text = name.startswith("subprocess.") and isinstance(node.args[0], ast.Constant | ast.JoinedStr)
        if "shell" in options or text:
            yield f"{name} with a shell"
        if name in _SAID and options.get(_SAID[name][0]) != str(_SAID[name][1]):
            yield f"{name} without {_SAID[name][0]}={_SAID[name][1]}"
        if name.endswith((".query", ".eval")) and node.args and not isinstance(node.args[0], ast.Constant):
            yield f"{name} of what it is given"


def test_nothing_executes_what_it_reads() -> None:
    package = WORKFLOW / "lib" / "cgdistill"
    files = [*package.rglob("*.py"), *(WORKFLOW / "scripts").glob("*.py")]
    assert len(files) > 100
    found = [
        f"{path.relative_to(WORKFLOW)}: {offence}"
        for path in sorted(files)
        for offence in _offences(
            path.read_text(encoding="utf-8"), path.as_posix().removeprefix(f"{package.as_posix()}/")
        )
    ]
    assert found == []
    rules = [ROOT / "Snakefile", WORKFLOW / "Snakefile", *WORKFLOW.glob("*.smk"), *(WORKFLOW / "rules").glob("*.smk")]
    assert len(rules) > 10
    bad = re.compile(r"^\s*(shell|run):|\b(shell|eval|exec)\(|pickle|os\.system|subprocess", re.M)
    assert [path for path in rules if bad.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from joblib import load", "eval('1')", "os.system('ls')", "np.load(path)", "torch.load(path)",
     "np.load(path, allow_pickle=True)", "torch.load(path, weights_only=flag)", "yaml.load(text, Loader=yaml.Loader)",
     "subprocess.run('ls', shell=True)", "subprocess.run(f'ls {x}')", "table.query(text)", "jinja2.Template(text)",
     "h5py.File(path, 'r')", "h5py.File(path)", "__import__(name)", "pd.read_pickle(path)"],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    assert list(_offences(text, "any.py"))


# Model folders -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return strangers.make_folder(tmp_path_factory.mktemp("sound") / "folder")


@pytest.mark.parametrize("case", strangers.CASES, ids=lambda case: case.title)
def test_hostile_folder(sound: Path, tmp_path: Path, case: strangers.Case) -> None:
    folder = strangers.copy_of(sound, tmp_path / "place")
    case.act(folder)
    with pytest.raises(InputError) as caught:
        load_exported(folder)
    said = str(caught.value)
    assert re.search(case.message, said), said
    assert "\n" not in said and len(said) < 1000


def test_thousands_of_folders_within_200_MB(sound: Path, tmp_path: Path) -> None:
    """Damaged, hostile, and pickles in place of every file: refused in a line, or a sound model; nothing runs."""
    sprung = tmp_path / "sprung"
    command = [sys.executable, strangers.__file__, str(sound), str(tmp_path / "place"), str(sprung)]
    path = os.pathsep.join([str(ROOT / "tests" / "unit"), str(WORKFLOW / "lib")])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout)
    assert counts["refused"] > 700 and counts["the same"] > 150, counts
    assert not sprung.exists()


def test_pickles_would_spring(tmp_path: Path) -> None:
    """Else nothing above could fail."""
    sprung = tmp_path / "sprung"
    for number, content in enumerate(strangers.pickles(sprung)):
        path = tmp_path / f"{number}.pt"
        path.write_bytes(content)
        if number:
            torch.load(path, weights_only=False)
        else:
            import pickle

            pickle.loads(content)
        assert sprung.is_dir()
        sprung.rmdir()


def test_sizes_are_those_of_the_schema() -> None:
    limits = schema_of(HipnnNetwork)["properties"]
    for name, (low, high) in SIZES.items():
        own = limits[name]
        assert (min(own["enum"]), max(own["enum"])) == (low, high) if "enum" in own else (
            own["minimum"], own["maximum"]) == (low, high)  # fmt: skip


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("sizes", [(1, 0, 2, 2), (1, 2, 5, 7), (3, 1, 4, 2), (2, 3, 3, 5)])
def test_parameters_are_counted_without_making_them(order: int, sizes: tuple[int, ...]) -> None:
    layers, atoms, sensitivities, features = sizes
    model = make_model(
        0, order, n_interaction_layers=layers, n_atom_layers=atoms, n_sensitivities=sensitivities, n_features=features
    )
    assert model.spec.n_parameters(len(TYPES)) == model.n_parameters


def test_numbers_that_float32_does_not_hold_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    network.save_model(tmp_path, make_model(1), PRIOR, {})
    values = {name: value.double() for name, value in load_file(tmp_path / "weights.safetensors").items()}
    save_file(values, tmp_path / "weights.safetensors")
    assert network.load_model(tmp_path).n_parameters
    next(iter(values.values())).view(-1)[0] = 1e300
    save_file(values, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="not finite"):
        network.load_model(tmp_path)


def test_a_network_too_large_is_refused_before_it_is_made() -> None:
    with pytest.raises(InputError, match="n_features: found 1000000000"):
        make_model(0, n_features=10**9)


# The pickle that LAMMPS needs ----------------------------------------------------------------------------------------


def test_lammps_gets_a_pickle_that_was_written_on_the_spot(sound: Path, tmp_path: Path) -> None:
    one, two = load_exported(sound).networks, force_field(make_model(2), make_model(3)).networks
    models = HipnnArchitecture().for_simulation(
        [one, two, one], np.zeros(4, dtype=int), coupling="mliap", skin_A=1.0, device="cpu", folder=tmp_path
    )
    files = [pickle_of(model) for model in models]
    assert files[0] == files[2] != files[1]
    for path in files:
        assert path.parent == tmp_path
        assert torch.load(path, weights_only=False).element_types == list(TYPES)


def pickle_of(model: LammpsModel) -> Path:
    """The file that LAMMPS reads by ``pair_style mliap unified "FILE" 0``."""
    return Path(model.style.arguments.split('"')[1])


def test_simulations_do_not_read_the_pickle_of_the_folder(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script as Snakemake runs it, up to the simulation; every file of the folder that it needs not is a trap."""
    member = tmp_path / "seed-1"
    shutil.copytree(sound, member)
    for name in ("mliap.pt", "in.lammps", "start.data"):
        torch.save(Trap(tmp_path / "sprung"), member / name)
    write_beads(tmp_path / "beads.h5", 10)
    parts = {"train": [0, 1, 2, 3, 4, 5], "valid": [6, 7], "test": [8, 9]}
    (tmp_path / "split.json").write_text(json.dumps(parts), encoding="utf-8")
    config = value_settings(read_config(), "simulation")
    run = {"replica": 1, "number": 0, "velocity_seed": 5}

    class Files(dict[str, Path]):
        """Input files, by key and by attribute as Snakemake has them."""

        __getattr__ = dict.__getitem__

    fake = SimpleNamespace(
        log=[str(tmp_path / "log")], threads=1, wildcards={"variant": "T", "member": "seed-1"},
        input=Files(card=member / "card.json", beads=tmp_path / "beads.h5", split=tmp_path / "split.json"),
        output=SimpleNamespace(runs=tmp_path / "out"),
        params=SimpleNamespace(simulation=config | {"coupling": "mliap"}, device="cpu", runs=[run], start_seed=1,
                               keep_frames=10, at_once=1, checkpoints=tmp_path / "checkpoint", code="0"),
    )  # fmt: skip
    seen: list[Path] = []

    def simulate(interaction: Any, *_: Any, **__: Any) -> list[dict[str, Any]]:
        seen.extend(map(pickle_of, interaction))
        assert seen[0].parent.stat().st_mode & 0o077 == 0, "nobody else may write there"
        # What LAMMPS does with it.
        assert torch.load(seen[0], weights_only=False).element_types == list(TYPES)
        return [{"status": "finished", "step": 1, "ns_per_day_together": 1.0}]

    monkeypatch.setattr("cgdistill.md.simulation.run_simulations", simulate)
    runpy.run_path(str(WORKFLOW / "scripts" / "simulate.py"), {"snakemake": fake})
    assert len(seen) == 1 and not seen[0].is_relative_to(tmp_path) and not seen[0].exists()
    assert not (tmp_path / "sprung").exists()


# Other files ---------------------------------------------------------------------------------------------------------

#: Readers by the name of their file.
READERS: dict[str, Callable[[Path], Any]] = {
    "beads.h5": BeadFile,
    "predictions.h5": read_predictions,
    "curves.parquet": read_curves,
    "prior.csv": lambda path: read_prior(path, TYPES),
    "table.csv": read_table,
    "split.json": lambda path: read_split(path, 20),
    "card.json": read_card,
    "mapping.yaml": read_yaml,
    "students.tsv": lambda path: read_students(path),
    "beads.lammpstrj": lambda path: list(open_trajectory([path], Origin()).read()),
    "system.gro": read_topology,
    "system.top": read_topology,
    "run.h5md": lambda path: list(open_trajectory([path], Origin(topology=path)).read()),
}


@pytest.mark.parametrize("name", READERS)
def test_a_pickle_under_any_name_is_refused(tmp_path: Path, name: str) -> None:
    for content in strangers.pickles(tmp_path / "sprung"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError):
            READERS[name](tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def _pointers(place: Any, name: str, attribute: bool) -> None:
    """Put what h5py takes for Python objects: pointers of the stranger's choice."""
    kind = h5py.h5t.create(h5py.h5t.OPAQUE, 8)
    kind.set_tag(b"NUMPY:|O")
    space, values = h5py.h5s.create_simple((4,)), np.full(4, 0x4141414141414141, dtype="u8").view("V8")
    if attribute:
        h5py.h5a.create(place.id, name.encode(), kind, space).write(values, mtype=kind)
    else:
        everything = h5py.h5s.ALL
        h5py.h5d.create(place.id, name.encode(), kind, space).write(everything, everything, values, mtype=kind)


def _sound_hdf5(path: Path) -> None:
    """A bead file or predictions, by the name."""
    if path.name == "beads.h5":
        write_beads(path, 3)
    else:
        values = np.ones((3, 4, 3))
        write_predictions(path, Predictions(values, values[..., 0], np.zeros(2), ("seed-1",)), {})


def _of_pointers(name: str, attribute: bool) -> Callable[[h5py.File], None]:
    """An attribute, or the first dataset whose name begins so."""

    def act(file: h5py.File, name: str = name) -> None:
        if attribute:
            file.attrs.pop(name, None)
        else:
            name = next(dataset for dataset in file if dataset.startswith(name))
            unit = file[name].attrs["unit"]
            del file[name]
        _pointers(file, name, attribute)
        if not attribute:
            file[name].attrs["unit"] = unit

    return act


def _compound_of_pointers(file: h5py.File) -> None:
    inner = h5py.h5t.create(h5py.h5t.OPAQUE, 8)
    inner.set_tag(b"NUMPY:|O")
    kind = h5py.h5t.create(h5py.h5t.COMPOUND, 8)
    kind.insert(b"x", 0, h5py.h5t.array_create(inner, (1,)))
    h5py.h5d.create(file.create_group("a/b").id, b"deep", kind, h5py.h5s.create_simple((4,)))


def _in_another_file(file: h5py.File) -> None:
    name = "positions" if "positions" in file else "epsilon_kcal_mol"
    del file[name]
    file[name] = h5py.ExternalLink("/etc/passwd", "/x")


def _unfilled(file: h5py.File) -> None:
    file.create_dataset("more", (10**12, 3), "f4", chunks=(1000, 3))


def _endless_texts(path: Path) -> None:
    """Free space of no length behind the texts: HDF5 1.14 goes round and round there."""
    content = bytearray(path.read_bytes())
    start = place = content.index(b"GCOL\x01\0\0\0")
    place += 16
    while int.from_bytes(content[place : place + 2], "little"):
        place += 16 + (int.from_bytes(content[place + 8 : place + 16], "little") + 7) // 8 * 8
    assert int.from_bytes(content[place + 8 : place + 16], "little") == start + 4096 - place, "as HDF5 writes it"
    content[place + 8 : place + 16] = bytes(8)
    path.write_bytes(content)


ASTRAY: dict[str, tuple[Callable[[Any], None], str]] = {
    "texts": (_endless_texts, r"strings at byte \d+: found one of 0 bytes, expected at most 4096 bytes in all"),
    "attribute": (_of_pointers("format", attribute=True), "attribute 'format': found a type that is neither numbers"),
    "dataset": (_of_pointers("forces", attribute=False), r"/forces\w*: found a type that is neither numbers nor text"),
    "compound": (_compound_of_pointers, "/a/b/deep: found a type that is neither numbers nor text"),
    "link": (_in_another_file, "found a link into another file, expected data in this file"),
    "unfilled": (_unfilled, "/more: found 12000000000000 bytes, of which 0 are stored in the file"),
}


@pytest.fixture(scope="module")
def said_of_hdf5(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each file, read in a process apart: pointers that are followed end it, and loops do not."""
    top, script = tmp_path_factory.mktemp("hdf5"), [
        "import sys",
        "from cgdistill.data.beads import BeadFile",
        "from cgdistill.training.predictions import read_predictions",
        "from cgdistill.core.errors import InputError",
        "for path in sys.argv[1:]:",
        "    try:",
        "        (BeadFile if path.endswith('beads.h5') else read_predictions)(path)",
        "    except InputError as error:",
        "        print(error, flush=True)",
    ]  # fmt: skip
    paths = []
    for name in ("beads.h5", "predictions.h5"):
        for title, (act, _) in ASTRAY.items():
            (top / title).mkdir(exist_ok=True)
            paths.append(top / title / name)
            _sound_hdf5(paths[-1])
            READERS[name](paths[-1])
            if act is _endless_texts:
                act(paths[-1])
                continue
            with h5py.File(paths[-1], "r+") as file:
                act(file)
    command = [sys.executable, "-c", "\n".join(script), *map(str, paths)]
    environment = {**os.environ, "PYTHONPATH": str(WORKFLOW / "lib")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    lines = [line.partition(": ") for line in done.stdout.splitlines()]
    return {Path(path).relative_to(top).as_posix(): said for path, _, said in lines}


@pytest.mark.parametrize("name", ["beads.h5", "predictions.h5"])
@pytest.mark.parametrize("title", ASTRAY)
def test_hdf5_that_would_lead_astray(said_of_hdf5: dict[str, str], name: str, title: str) -> None:
    said = said_of_hdf5.get(f"{title}/{name}", "nothing: the process died or read it")
    assert re.search(ASTRAY[title][1], said), said


def test_hdf5_of_other_programs_is_looked_at_before_they_are(tmp_path: Path) -> None:
    """MDAnalysis reads H5MD by h5py too, whatever the suffix's case."""
    for name in ("run.h5md", "run.H5MD"):
        with h5py.File(tmp_path / name, "w") as file:
            _pointers(file.create_group("h5md"), "version", attribute=True)
        with pytest.raises(InputError, match="neither numbers nor text"):
            list(open_trajectory([tmp_path / name], Origin(topology=tmp_path / name)).read())
        with pytest.raises(InputError, match="neither numbers nor text"):
            read_topology(tmp_path / name)


def test_hdf5_of_usual_kinds_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["a/b"] = np.arange(3)
        file["a/again"] = file["a"]
        file["soft"] = h5py.SoftLink("/a")
        file["texts"], file.attrs["text"] = ["a", "b"], "x"
        file["flags"], file["rows"] = np.array([True]), np.zeros(3, dtype=[("x", "f4"), ("y", "i4", (2,))])
        file.create_dataset("zeros", data=np.zeros(4 * 10**6), compression="gzip")
    with open_hdf5(tmp_path / "any.h5", "any") as file:
        assert list(file["a/b"]) == [0, 1, 2]


def test_parquet_does_not_load_objects(tmp_path: Path) -> None:
    """An extension type whose parameters are a pickle: pyarrow before 14 loaded it."""
    for content in strangers.pickles(tmp_path / "sprung"):
        details = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": content}
        field = pa.field("x", pa.int64(), metadata=details)
        pq.write_table(pa.Table.from_arrays([pa.array([1])], schema=pa.schema([field])), tmp_path / "curves.parquet")
        with pytest.raises(InputError):
            read_curves(tmp_path / "curves.parquet")
        pq.read_table(tmp_path / "curves.parquet").to_pandas()
    assert not (tmp_path / "sprung").exists()


# Names ---------------------------------------------------------------------------------------------------------------

#: What would end a word, a line or a path where names stand.
WORDS = ("a b", "a\nb", "a;b", "a`b`", "$(b)", "${b}", "a&", 'a"b', "a'b", "a#b", "../b", "/b", "..", "-b", "",
         "a/../b", "ä", "a\0b", "<b>", "{b}", "a*", "~b", "a|b", "NULL")  # fmt: skip


def _refused(data: Any, name: str) -> bool:
    try:
        if name == "config":
            complete_config(data)
        else:
            validate(data, STUDENT_SCHEMA if name == "students" else schema(name), "any")
    except InputError:
        return True
    return False


@pytest.mark.parametrize("word", WORDS)
def test_words_that_mean_something_elsewhere_are_no_names(word: str) -> None:
    mapping = copy.deepcopy(RULES)
    assert not _refused(mapping, "mapping")
    for key in ("name", "type"):
        changed = copy.deepcopy(RULES)
        next(iter(changed["residues"].values()))["beads"][0][key] = word
        assert _refused(changed, "mapping"), key
    assert _refused(mapping | {"types": [*mapping["types"][1:], word]}, "mapping")
    assert not TYPE_NAME.fullmatch(word)
    config = read_yaml(ROOT / "config" / "paper.yaml")
    assert not _refused(config, "config")
    if word != "NULL":
        assert _refused(config | {"run": word}, "config")
        if word != "-b":  # stands behind other words, and before .xyz
            changed = copy.deepcopy(config)
            changed["aa"]["system"]["molecules"][0]["name"] = word
            assert _refused(changed, "config")
        row = {"name": word, "label": "L", "teacher": "single", "w_F": 1.0, "w_f": 0.0, "w_E": 0.0, "w_e": 0.0}
        assert not _refused(row | {"name": "S1-x"}, "students")
        assert _refused(row, "students")


@pytest.mark.parametrize("name", ["all", "any", "overall"])
def test_bead_types_do_not_take_the_names_of_several(name: str) -> None:
    """In tables these stand for all types together."""
    mapping = copy.deepcopy(RULES)
    next(iter(mapping["residues"].values()))["beads"][0]["type"] = name
    assert _refused(mapping, "mapping")


def test_names_of_types_are_those_of_the_schema() -> None:
    assert schema("mapping")["$defs"]["type"]["pattern"] == f"^{TYPE_NAME.pattern}$"


@pytest.mark.parametrize("path", ['a"b.itp', "a\nb.itp"])
def test_paths_do_not_end_where_they_are_written(path: str) -> None:
    config = read_yaml(ROOT / "config" / "paper.yaml")
    config["aa"]["system"]["force_field"] = [path]
    assert _refused(config, "config")
    with pytest.raises(InputError, match="LAMMPS: path"):
        quoted(Path(path))


def test_paths_are_one_word_to_lammps() -> None:
    assert quoted(Path("a b/${HOME} & #")) == '"a b/${HOME} & #"'


@pytest.mark.parametrize("names", [["Cho", "C l"], ["Cho", "Cl\nshell touch x"], ["Cho", ""]])
def test_bead_files_with_names_that_are_no_words_are_refused(tmp_path: Path, names: list[str]) -> None:
    write_beads(tmp_path / "beads.h5", 2)
    for attribute in ("type_names", "bead_names"):
        with h5py.File(tmp_path / "beads.h5", "r+") as file:
            kept = file.attrs[attribute]
            file.attrs[attribute] = json.dumps(names if attribute == "type_names" else [names[1]] * 27)
        with pytest.raises(InputError, match=f"{attribute}: found .* expected names without blanks"):
            BeadFile(tmp_path / "beads.h5")
        with h5py.File(tmp_path / "beads.h5", "r+") as file:
            file.attrs[attribute] = kept


@pytest.mark.parametrize(
    "text", [r"$\frac$", "$", "$$", r"\$", r"\\$x$", r"$\unknown{$", "a$b$c", "^_{}", r"$\input{/etc/passwd}$", "%d"]
)
def test_text_in_figures_is_text(text: str) -> None:
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(title=plain(text), xlabel=f"{plain(text)}\n$r$ / Å")
    axes.plot([0, 1], label=plain(text))
    axes.legend()
    figure.canvas.draw()


@pytest.mark.parametrize(
    "run", ["..", "a/../../b", "a;touch sprung", "$(touch${IFS}sprung)", "`touch${IFS}sprung`", "/"]
)
def test_make_takes_no_name_that_is_none(tmp_path: Path, run: str) -> None:
    """`make clean` removes folders of the run that the config names."""
    place = tmp_path / "place"
    (place / ".venv").mkdir(parents=True)
    (place / ".venv" / ".complete").touch()
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-pictures.lock"):
        shutil.copy2(ROOT / name, place / name)
        os.utime(place / name, (0, 0))
    (tmp_path / "b").mkdir()
    (place / "results" / "a").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    (tmp_path / "place" / "config.yaml").write_text(f"run: {run}\n", encoding="utf-8")
    command = ["make", "-C", str(place), "clean", "CONFIG=config.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "no run named" in done.stdout, done.stdout + done.stderr
    assert [path for path in sorted(tmp_path.rglob("*")) if path.name != "config.yaml"] == before
    (place / "config.yaml").write_text("run: 'a' # mine\n", encoding="utf-8")
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    assert not (place / "results" / "a").exists() and (place / "results").exists()


# Pages ---------------------------------------------------------------------------------------------------------------

#: Ends an attribute, an element, a style, a script; begins others; and is a template.
EVIL = """"'><img src=x onerror=alert(1)></pre></style></script><script>alert(1)</script>{{ 7*7 }}&amp;"""


class Skeleton(HTMLParser):
    """Elements with the names of their attributes, and values of attributes that lead somewhere or are styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[tuple[str, ...]] = set()
        self.places: set[str] = set()
        self.scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add((tag, *(name for name, _ in attrs)))
        self.scripts += tag == "script"
        self.places |= {value or "" for name, value in attrs if name in ("href", "src", "style", "action", "srcset")}


PLACE = re.compile(r"#.*|data:image/(png|webp|svg\+xml);base64,[A-Za-z0-9+/=]*|background:#[0-9a-f]{6}", re.S)


def _is_safe(page: str, sound: Skeleton) -> None:
    """No element, attribute or script that the page of harmless data has not; templates are not filled in."""
    found = Skeleton(page)
    assert found.elements <= sound.elements, found.elements - sound.elements
    assert found.scripts == sound.scripts == 1
    places = {place for place in found.places if not PLACE.fullmatch(place)}
    assert all(re.fullmatch(r"[A-Za-z0-9._%~/-]+/report\.html", place) for place in places), places
    assert "49" not in re.sub(r"[0-9a-f]{64}", "", page).partition("{{ 7*7 }}")[1]
    assert EVIL not in page


@pytest.fixture(scope="module")
def report_data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A made-up run with harmless names."""
    config = read_config() | {"run": "harmless"}
    variants = tuple(replace(made, label=re.sub(r"\W", "", made.label)) for made in VARIANTS)
    patch = pytest.MonkeyPatch()
    patch.setattr("fabricate_report.VARIANTS", variants)
    patch.setattr("fabricate_report.EVIL", "harmless")
    try:
        return fabricate_report(tmp_path_factory.mktemp("run") / "results", config)
    finally:
        patch.undo()


@pytest.fixture(scope="module")
def harmless(report_data: Any) -> Skeleton:
    return Skeleton(render(report_data))


def _evil(value: Any) -> Any:
    """Every text of a tree made evil; numbers stay."""
    if isinstance(value, dict):
        return {key: _evil(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_evil(item) for item in value)
    return value + EVIL if isinstance(value, str) else value


#: Columns of text of the tables of a run, in groups that leave each other on the page: what is shown, and by what rows
#: are chosen.
COLUMNS = {
    "shown": "label label_a label_b reason stability_reason failures failure_kind closest_pair warning device test "
             "unit neighbour_type teacher cdf_peak_drift_item rdf_peak_drift_item largest_cluster_item ci_of",
    "member": "member", "status": "status stability", "item": "item", "type": "bead_type", "source": "source split",
    "variant": "variant variant_a variant_b", "outcome": "outcome",
}  # fmt: skip
#: Without these there is no page.
KEYS = {"metric", "target"}


@pytest.mark.parametrize("group", COLUMNS)
def test_texts_of_tables_are_text(report_data: Any, harmless: Skeleton, group: str) -> None:
    tables = {}
    for name, table in report_data.tables.items():
        own = [column for column in COLUMNS[group].split() if column in table.columns]
        texts = {column: table[column].astype(str).where(table[column].notna(), "") for column in own}
        tables[name] = table.assign(**{column: text + EVIL for column, text in texts.items()})
    # Without figures, which take their time.
    page = render(replace(report_data, figures=[], tables=tables))
    _is_safe(page, harmless)
    if group in ("shown", "member", "item", "status", "outcome"):
        assert page.count("&lt;script&gt;alert(1)") > 5


def test_no_column_of_text_is_left_out(report_data: Any) -> None:
    found = {
        column
        for table in report_data.tables.values()
        for column in table.columns
        if not pd.api.types.is_numeric_dtype(table[column]) and table[column].notna().any()
    }
    assert found - KEYS <= set(" ".join(COLUMNS.values()).split())
    assert len(found) > 20


def test_all_other_texts_of_a_report_are_text(report_data: Any, harmless: Skeleton, tmp_path: Path) -> None:
    """Run, config, labels, cards with their input scripts, bead types, captions, titles, stages, versions, inputs."""
    data = report_data
    models = [replace(model, label=model.label + EVIL) for model in data.palette.models]
    palette = copy.copy(data.palette)
    palette.models = models
    types = tuple(replace(bead_type, name=bead_type.name + EVIL) for bead_type in data.system.types)
    cards = {
        name: [replace(card, member=card.member + EVIL, bead_types=_evil(card.bead_types),
                       commands=card.commands + EVIL, folder=Path(str(card.folder) + EVIL),
                       **{key: {label + EVIL: value for label, value in getattr(card, key).items()}
                          for key in ("parameters", "seeds", "epochs")},
                       digests=_evil({label + EVIL: value for label, value in card.digests.items()}))
               for card in own]
        for name, own in data.cards.items()
    }  # fmt: skip
    config = copy.deepcopy(dict(data.config)) | {"run": EVIL, "mapping": _evil(data.config["mapping"])}
    config["aa"] = {**config["aa"], "files": _evil(config["aa"]["files"])}
    config["students"] = _evil(config["students"])
    figures = [replace(figure, title=figure.title + EVIL, caption=figure.caption + EVIL) for figure in data.figures]
    evil = replace(
        data, run=EVIL, palette=palette, config=config, cards=cards, figures=figures,
        system=replace(data.system, types=types), students=data.students.map(_evil),
        runtime=data.runtime.assign(rule=data.runtime["rule"] + EVIL),
        provenance={"version": EVIL, "inputs": {EVIL: EVIL}, "versions": {EVIL: [EVIL]}, "packages": {EVIL: EVIL}},
    )  # fmt: skip
    page = render(evil)
    _is_safe(page, harmless)
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;{{ 7*7 }}&amp;amp;") > 100


def test_code_on_a_page_quotes_what_it_names() -> None:
    """A folder of any name is one word to the shell, and one text to Python."""
    import html
    import shlex

    for folder in ("results/demo/models/T/seed-1", "a b", "a'b", 'a"b', "$(touch x)", "a;b", "ä\\n", 'x"""\nimport os'):
        simulation = {"timestep_fs": 2.0, "temperature_K": 298.0, "damping_fs": 100.0}
        text = html.unescape(template("run_model.py.j2").render(folder=Path(folder), simulation=simulation))
        values = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assign)
                  and ast.unparse(node.targets[0]) == "folder"]  # fmt: skip
        assert [ast.literal_eval(value) for value in values] == [folder]
        assert text.count("import") == 2 + folder.count("import")
        source = template("model.html.j2").environment.from_string("cd {{ folder | string | shell }}")
        assert shlex.split(html.unescape(source.render(folder=Path(folder)))) == ["cd", folder]


def test_texts_of_a_study_are_text(tmp_path: Path) -> None:
    """Its name, its cells, their settings and tables, what they share, and the command; and those of the whole file."""
    config = read_config() | {"run": "harmless"}
    pages = []
    for evil in ("", EVIL):
        cells = []
        for number, name in enumerate(("one", "two")):
            folder = tmp_path / f"{len(evil)}" / name
            tables = fabricate_tables(folder / "tables", config, VARIANTS[:4], seed=number)
            (folder / "report.html").write_text("x", encoding="utf-8")
            for path in tables.values():
                first, _, rest = path.read_text(encoding="utf-8").partition("\n")
                table = pd.read_csv(path, skiprows=1)
                for column in ("label", "stability_reason", "reason", "device", "warning"):
                    if evil and column in table.columns:
                        table[column] = table[column].astype("string").fillna("") + evil
                path.write_text(first + "\n" + table.to_csv(index=False), encoding="utf-8")
            settings = {"network.n_features": number + 1, "device": f"cpu{number}{evil}",
                        "mapping.file": f"{number}{evil}"}  # fmt: skip
            cells.append(StudyCell(name + evil, settings, folder))
        base = {**config, "students": {"table": f"x{evil}"}, "pictures": False}
        out = tmp_path / f"out{len(evil)}"
        write_study(f"study{evil}", cells, base, out, f"snakemake CELL{evil}")
        pages.append((out / "index.html").read_text(encoding="utf-8"))
    sound = Skeleton(pages[0])
    assert sound.scripts == 1 and len(sound.elements) > 20
    _is_safe(pages[1], sound)
    assert pages[1].count("&lt;script&gt;") > 20
