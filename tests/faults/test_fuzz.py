"""Whatever stands in a file: `InputError`, or data that pass the checks; never another exception, never no end.

Cannot show that damage which passes the checks does no harm: of a trajectory's numbers only those beyond all bounds are
caught, since its formats hold no checksums.
"""

from __future__ import annotations

import copy
import gzip
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from atom_cases import make_frames, write_dump, write_gro, write_top, write_trr
from bead_cases import PRIOR_SETTINGS, bead_topology, write_beads
from bead_cases import make_frames as make_bead_frames
from cases import CELL, COMPLETE, HEADER, ROOT, ROW, RULES, write_mda
from cgdistill.config.check import check_config
from cgdistill.config.complete import complete_config
from cgdistill.config.students import read_students
from cgdistill.core.errors import InputError
from cgdistill.data.atoms import count_frames, read_frames, read_topology
from cgdistill.data.beads import BeadFile
from cgdistill.data.cg_trajectory import Origin, open_trajectory
from cgdistill.data.mapping_rules import MappingRules
from cgdistill.data.split import read_split, split_frames, write_split
from cgdistill.forcefield.prior.terms import fit_prior, read_prior, write_prior
from cgdistill.io.csv_tables import read_table
from cgdistill.io.text import read_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: The same examples in every run; FUZZ=2000 draws so many new ones.
N_DRAWN = os.environ.get("FUZZ")
FEW = settings(
    max_examples=int(N_DRAWN or 60),
    deadline=None,
    derandomize=N_DRAWN is None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
LONGEST_S = 20


@contextmanager
def in_time() -> Iterator[None]:
    """Fail what does not end."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"still reading after {LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def survives(read: Callable[[], Any]) -> Any:
    """What is read; None where it is refused in one line."""
    with in_time():
        try:
            return read()
        except InputError as error:
            assert "\n" not in str(error)
            return None


# Text that users write ------------------------------------------------------------------------------------------------

words = st.one_of(
    st.sampled_from(
        ["types", "residues", "beads", "name", "atoms", "all", "select", "unmapped", "run", "aa", "split", "no", "1e-3"]
    ),
    st.sampled_from(
        ["~", ".nan", ".inf", "0b_", "0x_", "1:70", "2001-99-99", "<<", "=", "*a", "&a b", "!!int x", "? x"]
    ),
    st.text(max_size=12),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.integers(10**20, 10**400), st.floats(), words),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=4)),
    max_leaves=12,
)
texts = st.one_of(
    st.text(max_size=200),
    st.lists(words, max_size=12).map(" ".join),
    st.lists(st.tuples(st.integers(0, 6), words, words), max_size=8).map(
        lambda lines: "\n".join(" " * indent + f"{key}: {value}" for indent, key, value in lines)
    ),
    values.map(lambda data: yaml.safe_dump(data, allow_unicode=True)),
)
contents = st.one_of(texts.map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary(max_size=80))


@FEW
@given(content=contents)
def test_yaml_of_any_kind(tmp_path, content):
    """Config and mapping: text, bytes and trees of YAML."""
    path = tmp_path / "any.yaml"
    path.write_bytes(content)
    survives(lambda: complete_config(read_yaml(path), source=path))

    def as_mapping() -> MappingRules:
        return MappingRules.from_dict(read_yaml(path), path)

    found = survives(as_mapping)
    assert found is None or isinstance(found, MappingRules)


@FEW
@given(content=st.one_of(st.text(max_size=200), st.just(yaml.safe_dump(RULES))), data=st.data())
def test_mapping_with_a_part_replaced(content, data):
    """A sound mapping in which one value is anything else: without the schema too, as the command line reads it."""
    rules = copy.deepcopy(RULES)
    _replace(rules, data)
    found = survives(lambda: MappingRules.from_dict(rules, "mapping.yaml"))
    assert found is None or found.types


def _replace(tree: Any, data: st.DataObject) -> None:
    """Replace a value somewhere in a tree."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(tree[key], dict | list) or not tree[key] or data.draw(st.integers(0, 3)) == 0:
            tree[key] = data.draw(values)
            return
        tree = tree[key]


@cache
def demo_config() -> dict[str, Any]:
    """The demo's config with every key written out."""
    return read_yaml(COMPLETE)


@FEW
@given(data=st.data())
def test_config_with_a_part_replaced(data, monkeypatch):
    """A config that passes schema and cross-checks, or is refused by one of them."""
    monkeypatch.chdir(ROOT)
    config = copy.deepcopy(demo_config())
    for _ in range(data.draw(st.integers(1, 3))):
        _replace(config, data)

    def check() -> bool:
        check_config(complete_config(config), ("Cho", "Cl", "Urea"))
        return True

    survives(check)


cells = st.one_of(
    st.sampled_from(["1", "-1", "nan", "inf", "1e400", "1_0", "", '"', "single", "ensemble", "T8", "../x", "$x$"]),
    st.text(max_size=8),
)


@FEW
@given(
    content=st.one_of(
        contents,
        st.lists(st.lists(cells, min_size=5, max_size=9).map("\t".join), max_size=5).map(
            lambda rows: (HEADER + "\n".join(rows)).encode("utf-8", "surrogatepass")
        ),
        st.tuples(st.integers(0, len(ROW)), cells).map(
            lambda cut: (HEADER + ROW[: cut[0]] + cut[1] + ROW[cut[0] :]).encode("utf-8", "surrogatepass")
        ),
    )
)
def test_students_of_any_kind(tmp_path, content):
    path = tmp_path / "students.tsv"
    path.write_bytes(content)
    for variant in survives(lambda: read_students(path)) or ():
        assert 0 < sum(variant.weights.values()) < np.inf
        assert variant.name and "/" not in variant.name and "\n" not in variant.name


# Files that were sound ------------------------------------------------------------------------------------------------

damages = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "drop", "zero", "insert"]), st.floats(0, 1), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def damaged(sound: bytes, damage: list[tuple[str, float, int]]) -> bytes:
    """Bytes after some accidents, each at a share of their length."""
    found = bytearray(sound)
    for kind, share, value in damage:
        place = int(share * max(len(found) - 1, 0))
        if kind == "cut":
            del found[place:]
        elif kind == "drop":
            del found[place : place + 1 + value % 16]
        elif kind == "zero":
            found[place : place + 64] = bytes(len(found[place : place + 64]))
        elif kind == "insert":
            found[place:place] = bytes([value]) * (1 + value % 5)
        elif found:
            found[place] ^= value or 1
    return bytes(found)


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """Topology and sound files of a small system, by name."""
    folder = tmp_path_factory.mktemp("sound")
    frames = make_frames(CELL, 3)
    gro = write_gro(folder / "system.gro", frames[0]["positions"], CELL)
    topology = read_topology(gro, write_top(folder / "system.top"))
    files = [
        write_trr(folder / "run.trr", frames, CELL),
        write_dump(folder / "run.lammpstrj", frames, CELL, "real"),
        write_mda(folder / "run.ncdf", frames),
        write_mda(folder / "run.h5md", frames),
        folder / "run.lammpstrj.gz",
    ]
    files[-1].write_bytes(gzip.compress(files[1].read_bytes(), mtime=0))
    return topology, {path.name: path.read_bytes() for path in files}


@pytest.mark.parametrize("name", ["run.trr", "run.lammpstrj", "run.lammpstrj.gz", "run.ncdf", "run.h5md"])
@FEW
@given(damage=damages)
def test_damaged_trajectories(system, tmp_path, name, damage):
    topology, sound = system
    path = tmp_path / name
    path.write_bytes(damaged(sound[name], damage))

    def read() -> list:
        count_frames(topology, [path])
        return list(read_frames(topology, [path]))

    last = -np.inf
    for frame in survives(read) or ():
        assert np.isfinite(frame.positions_A).all() and np.isfinite(frame.forces_kcal_mol_A).all()
        assert frame.positions_A.shape == frame.forces_kcal_mol_A.shape == (topology.n_atoms, 3)
        assert np.linalg.det(frame.cell_A) > 0 and frame.time_ps > last
        last = frame.time_ps


@FEW
@given(damage=damages)
def test_damaged_beads(tmp_path, damage):
    """Also through the command line's reader, which looks at positions alone."""
    sound = tmp_path / "sound.h5"
    if not sound.exists():
        write_beads(sound, 4)
    path = tmp_path / "beads.h5"
    path.write_bytes(damaged(sound.read_bytes(), damage))

    def read() -> Any:
        with BeadFile(path) as beads:
            return beads.topology, beads.frames()

    found = survives(read)
    if found is not None:
        topology, frames = found
        assert frames.positions_A.shape == frames.forces_kcal_mol_A.shape == (len(frames), topology.n_beads, 3)
        assert np.isfinite(frames.positions_A).all() and (np.diff(frames.times_ps) > 0).all()
    survives(lambda: list(open_trajectory([path], Origin()).read()))


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Sound split and prior."""
    folder = tmp_path_factory.mktemp("tables")
    write_split(folder / "split.json", split_frames(20, {"train": 0.8, "valid": 0.1, "test": 0.1}, "random", 0), {})
    frames, types = make_bead_frames(3)
    write_prior(folder / "prior.csv", fit_prior([frames], bead_topology(types), PRIOR_SETTINGS), {"seed": 1})
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@FEW
@given(damage=damages)
def test_damaged_split(tables, tmp_path, damage):
    path = tmp_path / "split.json"
    path.write_bytes(damaged(tables["split.json"], damage))
    split = survives(lambda: read_split(path, 20))
    assert split is None or (len(split.train) and len(set(split.known())) == len(split.known()))


@FEW
@given(damage=damages)
def test_damaged_tables(tables, tmp_path, damage):
    path = tmp_path / "prior.csv"
    path.write_bytes(damaged(tables["prior.csv"], damage))
    survives(lambda: read_table(path))
    prior = survives(lambda: read_prior(path, ("Cho", "Cl")))
    terms = [] if prior is None else prior.terms
    assert all(np.isfinite(term.E0_kcal_mol).all() and (term.a_per_A >= 0).all() for term in terms)


@FEW
@given(content=st.binary(max_size=200))
def test_any_bytes_under_any_name(system, tmp_path, content):
    topology, _ = system
    for name in ("any.trr", "any.lammpstrj", "any.lammpstrj.gz", "any.ncdf", "any.h5md", "any.xtc", "any.h5"):
        path = Path(tmp_path / name)
        path.write_bytes(content)
        survives(lambda path=path: list(read_frames(topology, [path])))
    survives(lambda: BeadFile(tmp_path / "any.h5"))
    survives(lambda: list(open_trajectory([tmp_path / "any.h5"], Origin()).read()))
