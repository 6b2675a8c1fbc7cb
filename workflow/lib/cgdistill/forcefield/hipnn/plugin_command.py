"""The command ``cgdistill lammps-plugin``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .plugin_build import FILE_NAME, build_plugin


def add_plugin_command(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    command = commands.add_parser(
        "lammps-plugin",
        help="compile the pair style cgdistill for LAMMPS",
        description="Compile the pair style cgdistill, a plugin for LAMMPS that runs exported models over MPI ranks.",
        epilog="Example, for another LAMMPS: cgdistill lammps-plugin --cxx mpicxx --lammps-headers lammps/src",
    )
    command.add_argument(
        "--output", "-o", type=Path, default=Path(FILE_NAME), metavar="FILE", help=f"default: {FILE_NAME}"
    )
    command.add_argument("--cxx", metavar="COMMAND", help="C++ compiler (default: $CXX, or g++, or c++)")
    command.add_argument(
        "--lammps-headers", type=Path, metavar="DIR", help="folder of LAMMPS's pair.h (default: the Python package's)"
    )
    command.add_argument(
        "--portable", action="store_true", help="compile for any processor, not only that of this machine"
    )
    command.set_defaults(run=_build)


def _build(chosen: argparse.Namespace) -> str:
    path = build_plugin(chosen.output, chosen.cxx, chosen.lammps_headers, chosen.portable)
    return f"{path}\nIn LAMMPS: plugin load {path.resolve()}"
