"""Config and mapping: validated against closed schemas, cross-checked.

Everything here runs before any job is planned, so it stays cheap: no torch, no MDAnalysis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from ..core.errors import InputError
from ..geometry.cells import perpendicular_widths_A
from .aa_protocol import ProtocolSpec

#: JSON takes 1.0 for an integer; what counts things does not.
_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)
#: No number of a config is larger, and none but 0 is smaller; sums and quotients of them stay numbers.
_LARGEST, _SMALLEST = 1e15, 1e-15


def sorted_keys(data: Any) -> Any:
    """The same data with the keys of every mapping in alphabetical order.

    Snakemake compares parameters as text: without it, another order of keys in the config would rerun jobs.
    """
    if isinstance(data, Mapping):
        return {key: sorted_keys(data[key]) for key in sorted(data, key=str)}
    if isinstance(data, list):
        return [sorted_keys(item) for item in data]
    return data


def _where(error: ValidationError) -> str:
    """Path of the faulty key: ``aa.system.molecules[0].count``."""
    text = ""
    for part in error.absolute_path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "top level"


def _found_and_expected(error: ValidationError) -> tuple[object, object]:
    """What a user is told, by kind of fault."""
    wanted: Any = error.validator_value
    match error.validator:
        case "additionalProperties":
            known = sorted(error.schema.get("properties", {}))
            unknown = sorted(set(error.instance) - set(known), key=str)
            return f"unknown key {', '.join(map(repr, unknown))}", f"only {', '.join(known)}"
        case "required":
            missing = [key for key in wanted if key not in error.instance]
            return f"no key {', '.join(map(repr, missing))}", "all required keys"
        case "type":
            return (
                f"{error.instance!r} ({type(error.instance).__name__})",
                f"type {wanted}{_hint(error.instance, wanted)}",
            )
        case "enum":
            return repr(error.instance), f"one of {', '.join(map(str, wanted))}"
        case "minimum":
            return error.instance, f"at least {wanted}"
        case "maximum":
            return error.instance, f"at most {wanted}"
        case "exclusiveMinimum":
            return error.instance, f"more than {wanted}"
        case "exclusiveMaximum":
            return error.instance, f"less than {wanted}"
        case "pattern":
            return repr(error.instance), f"a name that matches {wanted}"
        case _:
            return error.message, f"{error.validator} {wanted}"


def _hint(value: Any, wanted: Any) -> str:
    """What YAML made of a value that its writer meant otherwise."""
    kinds = [wanted] if isinstance(wanted, str) else list(wanted)
    if isinstance(value, str) and {"number", "integer"} & set(kinds):
        try:
            float(value)
        except ValueError:
            return ""
        return " (without quotes, with a point: 1.0e-3)"
    if "string" in kinds and isinstance(value, bool | int | float):
        return " (in quotes)"
    return ""


def _unusable(data: Any, where: str = "") -> Iterator[tuple[str, object, str]]:
    """Place and value of what passes a schema and is no use: its limits let NaN pass, its patterns a final newline."""
    if isinstance(data, float) and not math.isfinite(data):
        yield where, data, "a finite number"
    elif isinstance(data, int | float) and data != 0 and not _SMALLEST <= abs(data) <= _LARGEST:
        yield where, f"{data:.3g}" if isinstance(data, float) else "a larger one", f"a number up to {_LARGEST:g}"
    elif isinstance(data, str) and any(ord(sign) < 32 or 0xD800 <= ord(sign) < 0xE000 for sign in data):
        yield where, ascii(data), "text without control characters"
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from _unusable(str(key), where)
            yield from _unusable(value, f"{where}.{key}" if where else str(key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _unusable(value, f"{where}[{number}]")


def validate(data: Any, schema: Mapping[str, Any], source: str | Path, prefix: str = "") -> None:
    """Check data against a closed JSON schema.

    Raises
    ------
    InputError
        Names the first faulty key, what was found there and what was expected.
    """
    faults = sorted(_Validator(schema).iter_errors(data), key=lambda fault: list(map(str, fault.absolute_path)))
    if faults:
        fault = faults[0]
        # Of alternatives, the deepest fault is the one the user made.
        while fault.validator in ("oneOf", "anyOf") and fault.context:
            fault = max(fault.context, key=lambda part: len(part.absolute_path))
        raise InputError(source, prefix + _where(fault), *_found_and_expected(fault))
    for where, value, expected in _unusable(data):
        raise InputError(source, prefix + where, value, expected)


def _peek_widths_A(topology: Path) -> list[float] | None:
    """Distances between the faces of the cell of a ``.gro`` file, A, without its atoms; None for anything else."""
    if topology.suffix != ".gro":
        return None
    last = topology.read_text(encoding="utf-8", errors="replace").rstrip().rsplit("\n", 1)[-1].split()
    try:
        numbers = [10.0 * float(word) for word in last]
    except ValueError:
        return None
    if len(numbers) == 3:
        return numbers
    if len(numbers) == 9:
        xx, yy, zz, xy, xz, yx, yz, zx, zy = numbers
        widths: list[float] = perpendicular_widths_A(np.array([[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]])).tolist()
        return widths
    return None


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def check_config(config: Mapping[str, Any], types: tuple[str, ...]) -> None:
    """Cross-checks that a schema cannot make.

    Raises
    ------
    InputError
        Fractions that do not sum to 1; distances in the wrong order or beyond half the cell; triplets
        of unknown bead types; times that are not whole numbers of steps; an all-atom protocol that
        cannot be simulated; input files that do not exist.
    """

    def fail(key: str, found: object, expected: object) -> None:
        raise InputError("config", key, found, expected)

    split = config["split"]
    total = split["train"] + split["valid"] + split["test"]
    if abs(total - 1.0) > 1e-9:
        fail("split", f"fractions that sum to {total:g}", "a sum of 1")
    network = config["network"]
    if not network["soft_min_A"] < network["soft_max_A"] <= network["cutoff_A"]:
        found = f"{network['soft_min_A']}, {network['soft_max_A']}, {network['cutoff_A']}"
        fail("network", f"soft_min_A, soft_max_A, cutoff_A = {found}", "increasing values")
    if config["simulation"]["coupling"] == "mliap" and network["n_interaction_layers"] > 1:
        # A second layer needs the features of ghosts; where LAMMPS does not pass them on, forces are silently wrong.
        fail("simulation.coupling", f"mliap with {network['n_interaction_layers']} interaction layers", "external")
    for number, triplet in enumerate(config["structure"]["adf"]["triplets"]):
        unknown = [name for name in triplet if name not in types]
        if unknown:
            fail(
                f"structure.adf.triplets[{number}]",
                ", ".join(unknown),
                f"bead types of the mapping: {', '.join(types)}",
            )
    _check_times(config["simulation"], config["structure"]["cdf"]["resolved_every_ps"], fail)
    source = config["aa"]["source"]
    if source == "files":
        files = config["aa"]["files"]
        paths = {"topology": files["topology"], "masses": files["masses"]}
        paths |= {f"trajectory[{number}]": name for number, name in enumerate(files["trajectory"])}
        for key, name in paths.items():
            if name is not None and not _is_file(name):
                fail(f"aa.files.{key}", f"no file {name}", "an existing file")
        edges = _peek_widths_A(Path(files["topology"]))
        where = files["topology"]
    else:
        ProtocolSpec.from_config(config["aa"]["protocol"])
        edges = config["aa"]["system"]["cell_A"]
        where = "aa.system.cell_A"
    if edges:
        half = min(edges) / 2
        limits = {
            "network.cutoff_A": network["cutoff_A"],
            "structure.rdf.r_max_A": config["structure"]["rdf"]["r_max_A"],
            "structure.adf.r_max_A": max(config["structure"]["adf"]["r_max_A"]),
        }
        for key, value in limits.items():
            if value > half:
                fail(key, f"{value:g} A", f"at most {half:.3f} A, half the cell of {where}")


def _check_times(simulation: Mapping[str, Any], resolved_every_ps: float, fail: Any) -> None:
    """Every time of a simulation is a whole number of time steps; windows of time hold frames."""
    step_ps = simulation["timestep_fs"] / 1000.0
    for key in ("equilibration_ps", "production_ps", "frame_every_ps", "thermo_every_ps"):
        steps = simulation[key] / step_ps
        if abs(steps - round(steps)) > 1e-6 * max(steps, 1.0):
            fail(f"simulation.{key}", f"{simulation[key]:g} ps", f"a multiple of the time step, {step_ps:g} ps")
    if simulation["frame_every_ps"] > simulation["production_ps"]:
        fail("simulation.frame_every_ps", f"{simulation['frame_every_ps']:g} ps", "at most simulation.production_ps")
    if resolved_every_ps < simulation["frame_every_ps"]:
        fail(
            "structure.cdf.resolved_every_ps",
            f"{resolved_every_ps:g} ps",
            f"at least simulation.frame_every_ps, {simulation['frame_every_ps']:g} ps",
        )
