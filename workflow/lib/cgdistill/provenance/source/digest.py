"""A short hash of what the source of a job computes: it changes when a value could, and not otherwise.

Snakemake sees changes of scripts, byte by byte, but not of an imported library. Rules therefore carry this digest in
``params``. It starts from a script and follows names to their definitions in the package, through imports anywhere,
and through the names that these definitions use in turn. What is hashed is the normal form of each definition that is
reached (`normal_form`); where in the package it is does not matter. Statements at the top of a module that act
when the module is imported (calls, loops, registrations) count as soon as the module is imported.

The digest cannot see names that are put together while the program runs, and programs started by name; see
`source_digest` for how to name them.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from .modules import Definition, Module, Package, is_neutral

#: Length of the chains of references that tell definitions of equal text apart; what is further away counts as well,
#: but not for whom.
_DEPTH = 4


def source_digest(
    *entries: str | Path,
    files: Iterable[str | Path] = (),
    choices: Iterable[str] | None = None,
    package: str | Path | None = None,
) -> str:
    """Hash, 16 hexadecimal digits, of everything that can change what the entries compute.

    Parameters
    ----------
    entries:
        Scripts (names that end in ``.py``), and modules relative to the package: ``"structure.rdf"``.
    files:
        Other files that are read at run time (templates, C++ sources); their bytes count, their places do not.
    choices:
        Modules of the package that imports with a computed name choose here. Without it all count that they could.
    package:
        Folder of the package; by default the one that this module belongs to.

    Raises
    ------
    ValueError
        An entry does not exist, or names cannot be followed (``from module import *``).
    """
    digest = hashlib.sha256()
    for text in sorted({_hash_with_references(found, _DEPTH) for found in _reached(entries, choices, package)}):
        digest.update(text.encode())
    for text in sorted(hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in files):
        digest.update(f"file {text}".encode())
    return digest.hexdigest()[:16]


def explain(
    *entries: str | Path, choices: Iterable[str] | None = None, package: str | Path | None = None
) -> dict[str, str]:
    """Hash of each definition that the digest covers, by ``module:name``: compare two to see why a job reruns."""
    found: dict[str, list[str]] = {}
    for definition in _reached(entries, choices, package):
        if definition.statements and definition.form.text_hash:
            found.setdefault(definition.label, []).append(definition.form.text_hash[:16])
    return {label: " ".join(sorted(hashes)) for label, hashes in sorted(found.items())}


@cache
def _package(root: Path) -> Package:
    return Package(root)


def _own_package() -> Path:
    """Outermost folder of the package that this module belongs to."""
    folder = Path(__file__).resolve().parent
    while (folder.parent / "__init__.py").is_file():
        folder = folder.parent
    return folder


@contextmanager
def _without_collection() -> Iterator[None]:
    """Without looking for garbage: the many nodes of syntax trees are none, and it takes a quarter of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_without_collection()
def _reached(
    entries: Iterable[str | Path], choices: Iterable[str] | None, package: str | Path | None
) -> set[Definition]:
    """Everything that can change what the entries compute."""
    source = _package(Path(package).resolve() if package is not None else _own_package())
    chosen = None if choices is None else set(choices)
    modules = [source.entry(entry) for entry in entries]
    queue: list[Definition] = [module.whole for module in modules]
    seen_modules: set[Module] = set()
    seen: set[Definition] = set()
    while queue or modules:
        while modules:
            module = modules.pop()
            if module not in seen_modules:
                seen_modules.add(module)
                queue.append(module.actions)
                modules.extend(_modules(source, module.loads))
        definition = queue.pop()
        if definition in seen:
            continue
        seen.add(definition)
        form = definition.form
        queue.extend(form.references)
        modules.extend([definition.module, *_modules(source, form.loads)])
        for name in form.choices:
            if (chosen is None or name in chosen) and (found := source.module(name)) is not None:
                queue.append(found.whole)
    return seen


def _modules(source: Package, names: Iterable[str]) -> list[Module]:
    """Those of the modules that exist and may change values."""
    found = (source.module(name) for name in names if not is_neutral(name))
    return [module for module in found if module is not None]


def _hash_with_references(definition: Definition, depth: int) -> str:
    """Hash of a definition that tells apart what it refers to, and what that refers to, down to ``depth``."""
    form = definition.form
    if depth == 0 or not form.references:
        return form.text_hash
    if depth not in definition.hashes:
        texts = [form.text_hash, *(_hash_with_references(found, depth - 1) for found in form.references)]
        definition.hashes[depth] = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return definition.hashes[depth]
