"""The packages of the library stand in one order: each imports only those before it."""

from __future__ import annotations

import ast
from pathlib import Path

import cgdistill
from cgdistill.forcefield.registry import NAMES

LIBRARY = Path(cgdistill.__file__).parent
#: From the foundations to the command line; docs/design.md says what each is for.
LAYERS = (
    "core geometry runtime io config provenance data structure statistics aa forcefield md export training analysis "
    "results figures report cli"
).split()


def _imported_packages(source: Path) -> set[str]:
    """Packages of the library that a module imports, also within functions."""
    package = source.relative_to(LIBRARY.parent).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            names = [[*base, *(node.module or "").split("."), alias.name] for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        else:
            continue
        for parts in names:
            inside = [part for part in parts if part]
            if inside[0] == LIBRARY.name and len(inside) > 1:
                found.add(inside[1])
    return found & {path.name for path in LIBRARY.iterdir() if path.is_dir()}


def test_every_package_has_its_layer():
    """A new package is given its place in `LAYERS`; modules belong into packages."""
    packages = {path.name for path in LIBRARY.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert packages == set(LAYERS)
    assert {path.name for path in LIBRARY.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_packages_import_only_lower_layers():
    """No import upward, hence no circle between packages, lazy imports included."""
    upward = []
    for number, package in enumerate(LAYERS):
        for source in sorted((LIBRARY / package).rglob("*.py")):
            higher = _imported_packages(source) & set(LAYERS[number + 1 :])
            upward += [f"{source.relative_to(LIBRARY)} imports {name}" for name in sorted(higher)]
    assert upward == []


def test_architectures_are_imported_by_the_register_alone():
    """Whatever knows one form of models is in its package: no other module imports it, lazily or not."""
    packages = {name.replace("-", "_") for name in NAMES}
    intruders = []
    for source in sorted(LIBRARY.rglob("*.py")):
        inside = source.relative_to(LIBRARY).parts[:2]
        own = inside[1] if inside[0] == "forcefield" and inside[1] in packages else ""
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            parts = {part for name in [*names, getattr(node, "module", None) or ""] for part in name.split(".")}
            if isinstance(node, ast.Import | ast.ImportFrom) and parts & packages - {own}:
                intruders.append(f"{source.relative_to(LIBRARY)}:{node.lineno}")
    assert intruders == []
