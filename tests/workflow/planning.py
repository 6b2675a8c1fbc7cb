"""Plans of the workflow for tests: Snakemake's command line in forked processes that have already loaded everything."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import traceback
from collections import Counter
from functools import cache
from pathlib import Path

from cgdistill.provenance.source.digest import source_digest

ROOT = Path(__file__).parents[2]


@cache
def _load() -> None:
    """Load what every plan needs: Snakemake, and the syntax trees of the library."""
    import snakemake.cli  # noqa: F401

    source_digest(*(ROOT / "workflow" / "scripts").glob("*.py"))


def snakemake(folder: Path, *arguments: str | Path, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit status and output of ``snakemake --nolock`` in a folder.

    With the library of this process, whatever workflow is planned: not for tests of a copy of the library.
    """
    _load()
    with tempfile.TemporaryFile() as output:
        process = os.fork()
        if process == 0:
            status = 70
            try:
                _run(folder, list(map(str, ("--nolock", *arguments))), output.fileno(), environment or {})
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        output.seek(0)
        return status, output.read().decode("utf-8")


def _run(folder: Path, arguments: list[str], output: int, environment: dict[str, str]) -> None:
    from snakemake.cli import main

    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)
    os.chdir(folder)
    os.environ.update(environment)
    sys.argv = ["snakemake", *arguments]
    main(arguments)


def planned(text: str) -> Counter:
    """Number of jobs by rule, from the output of a dry run."""
    counts: Counter = Counter()
    for row in text.split("Job stats:")[-1].split("\n\n")[0].splitlines():
        words = row.split()
        if len(words) == 2 and words[1].isdigit():
            counts[words[0]] += int(words[1])
    assert counts.pop("total", 0) == sum(counts.values())
    return counts


def messages(text: str) -> Counter:
    """Messages of the jobs of a dry run."""
    return Counter(re.findall(r"^Job \d+: (.*)$", text, flags=re.MULTILINE))


def plan(folder: Path, *arguments: str | Path, environment: dict[str, str] | None = None) -> tuple[Counter, Counter]:
    """Number of jobs by rule, and their messages, of a dry run that has to succeed."""
    status, text = snakemake(folder, "-n", *arguments, environment=environment)
    assert status == 0, text[-4000:]
    return planned(text), messages(text)
