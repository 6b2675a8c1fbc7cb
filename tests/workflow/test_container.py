"""Jobs in an image (`--sdm apptainer`), with a program in place of Apptainer that runs them on this machine.

It puts what is mounted in its place and hides this machine's own library. Cannot tell whether a real Apptainer takes
the arguments, whether the image can be built, or what else a job would miss in one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

#: Writes down what it was asked for. `exec`: the command with the image's python in the path.
APPTAINER = """\
#!{python}
import json, os, pathlib, re, sys

if sys.argv[1:] == ["--version"]:
    print("apptainer version 1.3.4")
    sys.exit()
words = sys.argv[sys.argv.index("exec") + 1 :]
mounts, options = {{}}, {{}}
while words[0].startswith("--"):
    name = words.pop(0)
    if name == "--nv":
        options[name] = True
        continue
    value = words.pop(0)
    if name == "--bind":
        source, _, target = value.partition(":")
        mounts[target or source] = source
    else:
        options[name] = value
image, shell, flag, command = words
script = re.search(r"\\S+/scripts/tmp\\S+\\.py", command)[0]
with open({calls!r}, "a") as file:
    file.write(json.dumps({{"image": image, "mounts": mounts, "options": options, "script": script}}) + "\\n")
text = pathlib.Path(script).read_text()
for target in sorted(mounts, key=len, reverse=True):
    text = text.replace(repr(target), repr(mounts[target]))
pathlib.Path(script).write_text(text)
os.environ["PATH"] = {tools!r} + ":" + os.environ["PATH"]
os.execvp(shell, [shell, flag, command])
"""
#: The image's python: all packages of this one, but not the library.
PYTHON = """\
#!/bin/sh
exec {python} -c '
import os, runpy, sys
sys.path = [place for place in sys.path if not os.path.isdir(os.path.join(place, "cgdistill"))]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in str(finder)]
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
' "$@"
"""
VERSION = "99.1"


@pytest.fixture
def workflow(root, tmp_path):
    """The workflow in a folder of its own, with a library that says so, an image, and the program."""
    folder = tmp_path / "repository"
    folder.mkdir()
    shutil.copytree(root / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(root / "Snakefile", folder)
    for name in ("config", "resources", "tests"):
        (folder / name).symlink_to(root / name)
    library = folder / "workflow" / "lib" / "cgdistill" / "__init__.py"
    library.write_text(library.read_text(encoding="utf-8") + f'\n__version__ = "{VERSION}"\n', encoding="utf-8")
    shutil.copytree(root / "envs", folder / "envs", ignore=shutil.ignore_patterns("*.sif"))
    (folder / "image.sif").touch()
    (folder / "envs" / "cgdistill.sif").symlink_to(folder / "image.sif")
    tools = tmp_path / "tools"
    (tools / "image").mkdir(parents=True)
    facts = {"python": sys.executable, "calls": str(tmp_path / "calls"), "tools": str(tools / "image")}
    for path, text in ((tools / "apptainer", APPTAINER), (tools / "image" / "python", PYTHON)):
        path.write_text(text.format(**facts), encoding="utf-8")
        path.chmod(0o755)
    return folder


def snakemake(folder: Path, *arguments: str) -> tuple[int, str]:
    """Status and words of Snakemake in a folder, which finds the program."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock", *arguments]
    command += ["--configfile", "tests/configs/end-to-end.yaml", "--", "results/end-to-end/mapped/split.json"]
    environment = os.environ | {"PATH": f"{folder.parent / 'tools'}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def calls(folder: Path) -> list[dict]:
    """What the program was asked for."""
    path = folder.parent / "calls"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def test_jobs_run_in_the_image_with_the_library_of_the_workflow(workflow):
    status, text = snakemake(workflow, "--sdm", "apptainer", "--apptainer-args", "--nv --bind /scratch")
    assert status == 0, text[-4000:]
    asked = calls(workflow)
    assert [Path(call["script"]).name.split(".", 1)[1] for call in asked] == ["map_trajectory.py", "split_frames.py"]
    for call in asked:
        assert call["image"] == str(workflow / "envs" / "cgdistill.sif")
        assert str(workflow / "workflow" / "lib") in call["mounts"].values()
        assert call["mounts"]["/scratch"] == "/scratch"
        assert call["options"] == {"--nv": True, "--home": str(workflow)}
    split = json.loads((workflow / "results/end-to-end/mapped/split.json").read_text(encoding="utf-8"))
    assert split["provenance"]["version"] == VERSION


def test_no_image_is_one_line(workflow):
    (workflow / "image.sif").unlink()
    status, text = snakemake(workflow, "--sdm", "apptainer", "--dry-run")
    assert status == 1
    assert f"{workflow}/envs/cgdistill.sif: file: found nothing, expected an image or a link to one" in text


def test_no_image_is_needed_without_apptainer(workflow):
    (workflow / "envs" / "cgdistill.sif").unlink()
    status, text = snakemake(workflow, "--dry-run")
    assert status == 0, text
    assert calls(workflow) == []
