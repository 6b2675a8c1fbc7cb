"""Model folders as a stranger might make them; and, as a program, what loading thousands of them does within 200 MB.

``python strangers.py FOLDER EMPTY SPRUNG``: a sound folder, one for copies, and what the pickles in the copies make.
"""

from __future__ import annotations

import copy
import json
import os
import pickle
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bead_cases import CELLS, PRIOR, Trap, bead_topology, configuration, make_model
from cgdistill.core.errors import InputError
from cgdistill.export.model_folder import export_model, load_exported
from cgdistill.forcefield.architecture import MOST_PARAMETERS
from cgdistill.forcefield.model_files import save_model
from cgdistill.io.untrusted import LARGEST_JSON_BYTES
from cgdistill.md.protocol import SimulationSpec
from cgdistill.provenance.record import sha256_of

LIMIT_BYTES = 200 * 10**6
NETWORK = Path("networks") / "seed-1"
SETTINGS, WEIGHTS = NETWORK / "network.json", NETWORK / "weights.safetensors"
FACTS = {"name": "T/seed-1", "label": "T", "variant": "T", "member": "seed-1", "metrics": {"seed-1": [1.5]}}


def make_folder(folder: Path) -> Path:
    """A sound folder of one network."""
    source = folder.with_name("trained")
    save_model(source, make_model(1), PRIOR, {"training": {"seed": 1}})
    positions, types = configuration(CELLS["cubic"])
    start = (positions, CELLS["cubic"])
    export_model(folder, {"seed-1": source}, bead_topology(types), start, SimulationSpec(), FACTS, velocity_seed=5)
    return folder


def seal(folder: Path) -> None:
    """Give the card the checksums of the files as they are: a stranger can do that too."""
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    for name, entry in card["networks"].items():
        for key, file in (("settings_sha256", "network.json"), ("weights_sha256", "weights.safetensors")):
            entry[key] = sha256_of(folder / "networks" / name / file)
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")


def settings(change: Callable[[dict], Any]) -> Callable[[Path], None]:
    """Change the settings of the network, and seal."""
    return _json(SETTINGS, change, sealed=True)


def repulsion(change):
    """Change the parameters of the repulsion in the settings of the network."""
    return settings(lambda data: change(data["prior"]["repulsion"]))


def card(change: Callable[[dict], Any]) -> Callable[[Path], None]:
    """Change the card."""
    return _json(Path("card.json"), change, sealed=False)


def _json(name: Path, change: Callable[[dict], Any], sealed: bool) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        data = json.loads((folder / name).read_text(encoding="utf-8"))
        change(data)
        (folder / name).write_text(json.dumps(data), encoding="utf-8")
        if sealed:
            seal(folder)

    return act


def header(change: Callable[[dict], Any]) -> Callable[[Path], None]:
    """Change the header of the weights, and seal."""

    def act(folder: Path) -> None:
        content = (folder / WEIGHTS).read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        found = json.loads(content[8:end])
        change(found)
        text = json.dumps(found).encode()
        (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + content[end:])
        seal(folder)

    return act


def write(name: Path | str, content: bytes, sealed: bool = True) -> Callable[[Path], None]:
    """Other contents of a file."""

    def act(folder: Path) -> None:
        (folder / name).write_bytes(content)
        if sealed:
            seal(folder)

    return act


def weights(change: Callable[[bytearray], Any]) -> Callable[[Path], None]:
    """Change the bytes of the weights, and seal."""

    def act(folder: Path) -> None:
        content = bytearray((folder / WEIGHTS).read_bytes())
        change(content)
        (folder / WEIGHTS).write_bytes(content)
        seal(folder)

    return act


def link(name: Path | str, target: str) -> Callable[[Path], None]:
    """A link in place of a file or folder; the file it was is kept outside as ``kept``."""

    def act(folder: Path) -> None:
        (folder / name).rename(folder.parent / "kept")
        (folder / name).symlink_to(target)

    return act


def pipe(folder: Path) -> None:
    """A pipe that nobody writes to in place of the settings."""
    (folder / SETTINGS).unlink()
    os.mkfifo(folder / SETTINGS)


def _rename(data: dict, name: str) -> None:
    data["networks"] = {name: next(iter(data["networks"].values()))}


def _first(data: dict) -> dict:
    return next(entry for name, entry in data.items() if name != "__metadata__")


def _larger(data: dict) -> None:
    entry = _first(data)
    entry["shape"] = [10**9, 10**9]


def _sparse(folder: Path) -> None:
    """A file that says to be of 1 TB, of which nothing is on the disk."""
    with open(folder / WEIGHTS, "r+b") as stream:
        stream.truncate(10**12)


@dataclass(frozen=True)
class Case:
    """What is done to a sound folder, and what is said then."""

    title: str
    act: Callable[[Path], None]
    message: str


CASES = (
    Case("10^9 features", settings(lambda data: data["network"].update(n_features=10**9)),
         r"network\.json: n_features: found 1000000000, expected a whole number from 1 to 2048"),
    Case("sizes that are allowed one by one, and too large together",
         settings(lambda data: data["network"].update(n_features=2048, n_sensitivities=512, n_interaction_layers=8)),
         rf"network\.json: network: found sizes that make \d+ parameters, expected up to {MOST_PARAMETERS}"),
    Case("a larger network than the weights are of", settings(lambda data: data["network"].update(n_features=400)),
         r"weights\.safetensors: .*found \(6, 5, 2\), expected \(6, 400, 2\)"),
    Case("a smaller network than the weights are of", settings(lambda data: data["network"].update(n_features=2)),
         r"weights\.safetensors: header, .*: found \d+ numbers at \d+, expected \d+ in all"),
    Case("layers without number", settings(lambda data: data["network"].update(n_atom_layers=10**400)),
         "n_atom_layers: found a larger number"),
    Case("a size that is no whole number", settings(lambda data: data["network"].update(n_features=5.0)),
         "n_features: found 5.0, expected a whole number"),
    Case("a tensor order that there is not", settings(lambda data: data["network"].update(tensor_order=3)),
         "tensor_order: found 3, expected a whole number from 0 to 2"),
    Case("a cutoff NaN", settings(lambda data: data["network"].update(cutoff_A=float("nan"))),
         "cutoff_A: found nan, expected a distance above 0"),
    Case("an unknown setting", settings(lambda data: data["network"].update(shell="rm")), "network: found .*'shell'"),
    Case("another unit", settings(lambda data: data["units"].update(length="nm")), "units: found .*nm"),
    Case("no units", settings(lambda data: data.pop("units")), "units: found None"),
    Case("bead types without number", settings(lambda data: data.update(type_names=["A"] * 10**5)),
         "type_names: found 100000 names, expected a list of 1 to 100"),
    Case("a bead type that ends a line", settings(lambda data: data.update(type_names=["Cho", "Cl\nshell touch x"])),
         r"type_names: found 'Cl\\nshell touch x', expected a name that matches"),
    Case("a bead type that LAMMPS takes for none", settings(lambda data: data.update(type_names=["Cho", "NULL"])),
         "type_names: found 'NULL'"),
    Case("a bead type twice", settings(lambda data: data.update(type_names=["Cl", "Cl"])),
         "type_names: found .*, expected names that differ"),
    Case("bead types in another order than the card's", settings(lambda data: data.update(type_names=["Cl", "Cho"])),
         r"type_names: found \['Cl', 'Cho'\], expected \['Cho', 'Cl'\], as the card says"),
    Case("a prior of another shape", repulsion(lambda data: data.update(a_per_A=[1.0, 2.0, 3.0, 4.0])),
         "prior.a_per_A: found something else, expected 2 rows of 2 numbers"),
    Case("a prior that is not finite", repulsion(lambda data: data["E0_kcal_mol"][0].__setitem__(0, 1e999)),
         "prior.E0_kcal_mol: found inf, expected numbers from 0"),
    Case("a prior of text", repulsion(lambda data: data["a_per_A"][0].__setitem__(0, "1.0")),
         "prior.a_per_A: found '1.0', expected numbers"),
    Case("a prior that differs by direction", repulsion(lambda data: data["a_per_A"][0].__setitem__(1, 7.0)),
         "prior.a_per_A: found another value for a pair the other way round"),
    Case("no prior", settings(lambda data: data.pop("prior")), "prior: found nothing, expected parameters"),
    Case("a prior of an unknown term", settings(lambda data: data["prior"].update(magic={})),
         r"prior: found terms \['magic'\], expected some of repulsion"),
    Case("a repulsion that does not fall", repulsion(lambda data: data["a_per_A"][0].__setitem__(0, 0)),
         "prior.a_per_A: found 0, expected numbers above 0"),
    Case("settings in another order of brackets", write(SETTINGS, b"[]"), r"network\.json: file: found list"),
    Case("settings nested without end", write(SETTINGS, b'{"a":' * 10**5), r"network\.json: file: found .*recursion"),
    Case("settings of 10 MB", write(SETTINGS, b'{"a": "' + b"x" * 10**7 + b'"}'),
         rf"network\.json: file: found \d+ bytes, expected up to {LARGEST_JSON_BYTES}"),
    Case("a key twice in the settings", write(SETTINGS, b'{"format": "a", "format": "b"}'),
         "found the key 'format' twice"),
    Case("settings that are no text", write(SETTINGS, b"\xff\xfe{}"), r"network\.json: file: found .*utf-8"),
    Case("settings changed behind the card's back",
         _json(SETTINGS, lambda data: data["network"].update(cutoff_A=6.0), sealed=False),
         r"network\.json: sha256: found \w+, expected \w+, as the card says"),
    Case("weights changed behind the card's back", write(WEIGHTS, b"x" * 100, sealed=False),
         r"weights\.safetensors: sha256: found"),
    Case("a header beyond the file", weights(lambda data: data.__setitem__(slice(0, 8), b"\x00\x10\xa5\xd4\xe8\0\0\0")),
         r"header: found a length of 1000000000000 in \d+ bytes"),
    Case("a header of 2^64 - 1 bytes", weights(lambda data: data.__setitem__(slice(0, 8), b"\xff" * 8)),
         "header: found a length of 18446744073709551615"),
    Case("a header nested without end",
         write(WEIGHTS, (10**6).to_bytes(8, "little") + b'{"a":' * 200000), "header: found .*recursion"),
    Case("a tensor that says to be larger than the file", header(_larger),
         "header, .*: found 1000000000000000000 numbers at"),
    Case("whole numbers for weights", header(lambda data: _first(data).update(dtype="I64")),
         "header, .*: found dtype 'I64', expected one of F32, F64"),
    Case("two tensors in one place",
         header(lambda data: [entry.update(data_offsets=[0, 4]) for entry in data.values()]),
         "one tensor behind another"),
    Case("a negative place", header(lambda data: _first(data).update(data_offsets=[-4, 0])),
         "header, .* numbers at -4"),
    Case("a tensor without a place", header(lambda data: _first(data).pop("data_offsets")),
         "a tensor without its place"),
    Case("a tensor under another name", header(lambda data: data.update(stranger=data.pop(next(iter(data))))),
         "weights: found names that do not match: .*stranger"),
    Case("bytes behind the last tensor", weights(lambda data: data.extend(b"#!/bin/sh")),
         r"weights\.safetensors: file: found \d+ bytes, expected \d+, as the header says"),
    Case("a weight NaN", weights(lambda data: data.__setitem__(slice(-4, None), b"\xff\xff\xff\xff")),
         "values that are not finite, expected finite weights"),
    Case("weights infinite", weights(lambda data: data.__setitem__(slice(-4, None), b"\x00\x00\x80\x7f")),
         "values that are not finite"),
    Case("weights of 1 TB", _sparse, r"weights\.safetensors: file: found 1000000000000 bytes, expected up to"),
    Case("a network beside the folder", card(lambda data: _rename(data, "..")),
         r"card\.json: networks: found the name '\.\.', expected a name that matches"),
    Case("a network anywhere", card(lambda data: _rename(data, "/etc")), "found the name '/etc'"),
    Case("a network up the tree", card(lambda data: _rename(data, "a/../../b")), r"found the name 'a/\.\./\.\./b'"),
    Case("a network with a line end", card(lambda data: _rename(data, "seed-1\n")), r"found the name 'seed-1\\n'"),
    Case("a network with a long name", card(lambda data: _rename(data, "a" * 5000)), "found the name 'aaa"),
    Case("no network", card(lambda data: data.update(networks={})), "networks: found 0 of them, expected 1 to 100"),
    Case("networks without number",
         card(lambda data: data.update(networks={f"n{k}": {} for k in range(10**4)})), "found 10000 of them"),
    Case("a network without a checksum",
         card(lambda data: data["networks"]["seed-1"].pop("settings_sha256")),
         r"card\.json: networks\.seed-1\.settings_sha256: found None, expected a SHA-256 checksum"),
    Case("a card of the format before", card(lambda data: data.update(format="cgdistill-model-folder-1")),
         "format: found cgdistill-model-folder-1, expected cgdistill-model-folder-2"),
    Case("a card without units", card(lambda data: data.pop("units")), "units: found None"),
    Case("a card of other bead types", card(lambda data: data.update(bead_types=["A", "B"])), "as the card says"),
    Case("a card that is empty", write("card.json", b"", sealed=False), r"card\.json: file: found"),
    Case("a card of 10 MB", write("card.json", b" " * 10**7, sealed=False),
         rf"card\.json: file: found more than {LARGEST_JSON_BYTES} bytes"),
    Case("a network that is a link out of the folder", link(NETWORK, "../../kept"),
         r"network\.json: file: found a link to /.*kept/network\.json, expected a file within the folder"),
    Case("weights that are a link out of the folder", link(WEIGHTS, "../../../kept"), "found a link to /.*kept"),
    Case("weights that are a device", link(WEIGHTS, "/dev/zero"), "found no regular file"),
    Case("a card that is a link to a device", link("card.json", "/dev/zero"), "found no regular file"),
    Case("a link to nothing", link(WEIGHTS, "nothing"), "found nothing"),
    Case("a pipe that nobody writes to", pipe, "found no regular file"),
)  # fmt: skip


def pickles(sprung: Path) -> Iterator[bytes]:
    """Pickles that make a folder when they are loaded: plain, and as torch writes them."""
    import io

    yield pickle.dumps(Trap(sprung))
    for as_zip in (True, False):
        buffer = io.BytesIO()
        torch.save(Trap(sprung), buffer, _use_new_zipfile_serialization=as_zip)
        yield buffer.getvalue()


def copy_of(sound: Path, place: Path) -> Path:
    """A fresh copy at the same place."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return Path(shutil.copytree(sound, place / "folder"))


#: What stands where something else belongs.
EVIL: tuple[Any, ...] = (
    10**9, 10**400, -1, 0, 1.5, 1e308, float("nan"), float("inf"), True, None, "", "x", "../x", "/etc/passwd", "NULL",
    "a\nshell touch x", "${x}", [], {}, [[1]], {"a": {}}, ["a"] * 200,
)  # fmt: skip


def _leaves(data: Any) -> Iterator[tuple[Any, Any]]:
    """Containers and keys of everything in a tree."""
    for key in list(data) if isinstance(data, dict) else range(len(data)):
        yield data, key
        if isinstance(data[key], dict | list):
            yield from _leaves(data[key])


def evil_twins(text: str, every: int) -> Iterator[str]:
    """A JSON file with one value left out, or replaced by something evil: by every so manieth of them in turn."""
    sound = json.loads(text)
    n = len(list(_leaves(sound)))
    for place in range(n):
        for evil in EVIL[place % every :: every]:
            data = copy.deepcopy(sound)
            container, key = list(_leaves(data))[place]
            container[key] = evil
            yield json.dumps(data)
        data = copy.deepcopy(sound)
        container, key = list(_leaves(data))[place]
        del container[key]
        yield json.dumps(data)


def damages(sound: bytes, rng: np.random.Generator, number: int) -> Iterator[bytes]:
    """Bits flipped, ends lost, pieces lost, doubled or made zero."""
    for _ in range(number):
        found = bytearray(sound)
        place = int(rng.integers(0, len(found)))
        match rng.integers(0, 6):
            case 0:
                del found[place:]
            case 1:
                del found[place : place + int(rng.integers(1, 16))]
            case 2:
                found[place:place] = found[place : place + int(rng.integers(1, 64))]
            case 3:
                found[place : place + 16] = bytes(len(found[place : place + 16]))
            case _:
                for _ in range(int(rng.integers(1, 4))):
                    found[int(rng.integers(0, len(found)))] ^= 1 << int(rng.integers(0, 8))
        yield bytes(found)


class Judge:
    """Loads folders and counts what becomes of them."""

    def __init__(self, sound: Path) -> None:
        self.expected = load_exported(sound).networks[0].weights()
        self.counts = {"refused": 0, "the same": 0, "another": 0}

    def __call__(self, folder: Path, sealed: bool) -> None:
        """`InputError`, or a model: of the same weights, or, where the stranger sealed it, of finite ones."""
        try:
            (model,) = load_exported(folder).networks
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000, str(error)
            self.counts["refused"] += 1
            return
        found = model.weights()
        assert model.n_parameters <= MOST_PARAMETERS and all(bool(torch.isfinite(v).all()) for v in found.values())
        same = found.keys() == self.expected.keys() and all(torch.equal(found[n], self.expected[n]) for n in found)
        assert same or sealed, "other weights, and the card does not say so"
        self.counts["the same" if same else "another"] += 1


def main(sound: Path, place: Path, sprung: Path) -> dict[str, int]:
    """Load strangers' folders one after another within the limit."""
    torch.set_num_threads(1)
    judge = Judge(sound)
    judge(sound, False)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + LIMIT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        np.ones(LIMIT_BYTES // 8 + 10**6)
    except MemoryError:
        pass
    else:
        raise AssertionError("the limit does not hold")
    for case in CASES:
        folder = copy_of(sound, place)
        case.act(folder)
        judge(folder, True)
    folder, rng = copy_of(sound, place), np.random.default_rng(1)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content, sealed = path.read_bytes(), path.name in (SETTINGS.name, WEIGHTS.name)
        number = 40 if sealed or path.name == "card.json" else 3  # the loader does not look at the others
        for found in (*damages(content, rng, number), *pickles(sprung)):
            path.write_bytes(found)
            judge(folder, False)
            if sealed:
                seal(folder)
                judge(folder, True)
                shutil.copyfile(sound / "card.json", folder / "card.json")
        path.write_bytes(content)
    for name, sealed, every in ((SETTINGS, True, 1), (Path("card.json"), False, 4)):
        for text in evil_twins((sound / name).read_text(encoding="utf-8"), every):
            (folder / name).write_text(text, encoding="utf-8")
            if sealed:
                seal(folder)
            judge(folder, sealed)
        for file in (SETTINGS, Path("card.json")):
            shutil.copyfile(sound / file, folder / file)
    return judge.counts


if __name__ == "__main__":
    print(json.dumps(main(*map(Path, sys.argv[1:]))))
