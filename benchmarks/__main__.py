"""``make bench``: measure, write benchmarks/results/, docs/speed.md and its figure."""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Module of each case, in the order in which they run and stand in the table.
CASES = {
    "md": "network_cases",
    "teachers": "network_cases",
    "replicas": "network_cases",
    "training": "network_cases",
    "large": "network_cases",
    "memory": "data_cases",
    "mapping": "data_cases",
    "structure": "data_cases",
}


def _names(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    unknown = set(names) - set(CASES)
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{text!r}: some of {','.join(CASES)}")
    return [name for name in CASES if name in names]


def main() -> None:
    """Run the chosen benchmarks."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", type=_names, default=list(CASES), help=f"cases, by commas: {','.join(CASES)}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="for networks")
    parser.add_argument("--no-docs", action="store_true", help="leave docs/ as it is")
    arguments = parser.parse_args()

    from cgdistill.runtime.job import pin_threads

    pin_threads(arguments.threads)
    warnings.simplefilter("ignore")
    # hippynn as it is: imported by itself, before the library, which leaves out some of its compiled functions.
    import hippynn  # noqa: F401
    import torch

    torch.set_num_threads(arguments.threads)

    from .context import Context
    from .report import commit, draw, file_name, insert, machine, table, write_results
    from .timing import Row

    code, facts = commit(ROOT), machine(arguments.threads, arguments.device)
    load = os.getloadavg()[0]
    if load > 0.7:
        print(f"this machine has other work to do (load {load:.1f}): times will be too long, ratios uncertain")
    measured: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory(prefix="cgdistill-bench-") as folder:
        context = Context(Path(folder), arguments.threads, arguments.device)
        for case in arguments.only:
            context.say(f"{case} ...")
            measured[case] = getattr(import_module(f".{CASES[case]}", __package__), case)(context)
            for row in measured[case]:
                status = f" ({row.goal.reached(row.value)})" if row.goal else ""
                context.say(f"  {row.title}: {row.value:.4g} {row.unit}{status}")
    path = ROOT / "benchmarks" / "results" / file_name(facts)
    results = write_results(path, facts, measured, code, load)
    print(f"written: {path.relative_to(ROOT)}")
    if not arguments.no_docs:
        insert(ROOT / "docs" / "speed.md", table(results, list(CASES)))
        draw(results, list(CASES), ROOT / "docs" / "speed")
        print("written: docs/speed.md, docs/speed.svg, docs/speed.png")


if __name__ == "__main__":
    main()
