"""Check of a run: its products against the manifest, their stamps against the files that they name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ..config.complete import complete_config, keys_that_change, read_config, value_settings
from ..config.keys import Changes
from ..core.errors import InputError
from ..core.seeds import derive
from .manifest import FILE_NAME, STAMPED, TIMESTAMP, Manifest, Product, checksums, read_manifest, read_stamp
from .record import config_hash

#: Folders of the stages of a run.
STAGES = ("aa", "mapped", "prior", "teachers", "students", "models", "simulations", "structure", "tables", "figures")
#: Not products: checkpoints, and reports that users export.
_CHECKPOINTS = "checkpoints"
_NO_PRODUCTS = (FILE_NAME, TIMESTAMP, "snakemake-report.html", "snakemake-report.zip")
_MB = 1e6


@dataclass
class Findings:
    """Result of a check: one line per fault, and a summary."""

    faults: list[str] = field(default_factory=list)
    summary: str = ""


def verify(folder: str | Path, config: str | Path | None = None, threads: int = 2) -> list[Findings]:
    """Findings of a run, or of every run below a folder.

    Parameters
    ----------
    folder:
        ``results/<run>``, or a folder of runs (a sweep).
    config:
        Config file with which the run should have been made.

    Raises
    ------
    InputError
        No run in the folder; a manifest or a config that cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(folder, "folder", "nothing", "products of a run")
    wanted = None if config is None else (str(config), read_config(config))
    runs = list(runs_in(folder))
    if not runs:
        raise InputError(folder, "folder", "no products of a run", "results/<run>")
    return [_Check(run, wanted).findings(threads) for run in runs]


def _is_run(folder: Path) -> bool:
    return (folder / FILE_NAME).is_file() or any((folder / stage).is_dir() for stage in STAGES)


def runs_in(folder: Path, depth: int = 2) -> Iterator[Path]:
    """The folder if it belongs to a run or a sweep, and the folders of runs below it (results, sweep, cell)."""
    if _is_run(folder):
        yield folder
        return
    below = [path for path in sorted(folder.iterdir()) if path.is_dir()] if depth else []
    runs = [run for path in below for run in runs_in(path, depth - 1)]
    if runs and any(path.is_file() and path.name.endswith(STAMPED) for path in folder.iterdir()):
        yield folder  # the table of a sweep
    yield from runs


class _Check:
    """Check of one run.

    Parameters
    ----------
    config: its source and contents; None: the config in the manifest.
    """

    def __init__(self, folder: Path, config: tuple[str, Mapping[str, Any]] | None) -> None:
        self.folder, self.config = folder, config
        path = folder / FILE_NAME
        self.manifest: Manifest | None = read_manifest(path) if path.is_file() else None
        self.files = {file.relative_to(folder).as_posix(): file for file in products_of(folder)}
        self.stamps = {name: read_stamp(file) for name, file in self.files.items() if name.endswith(STAMPED)}
        self.faults: list[str] = []
        self.n_inputs = self.n_absent = 0
        self.digests: dict[Path, str] = {}
        self.unreadable: dict[Path, OSError] = {}

    def findings(self, threads: int) -> Findings:
        """All faults; those of the files themselves come first."""
        named = {path for _, _, path, _ in self._inputs() if path is not None}
        named |= {path for path in map(self._place, self._shared()) if path is not None}
        self.digests = checksums({*self.files.values(), *named}, threads, str(self.folder), self.unreadable)
        self._compare_files()
        self._compare_shared()
        self._compare_inputs()
        self._compare_cards()
        self._compare_versions()
        self._compare_config()
        return Findings(self.faults, self._summary())

    def _fault(self, name: str, text: str) -> None:
        known = self.manifest.files.get(name) if self.manifest else None
        self.faults.append(f"{self.folder / name}{f' ({known.stage})' if known else ''}: {text}")

    def _shared(self) -> dict[str, Product]:
        return self.manifest.shared if self.manifest else {}

    def _place(self, name: str) -> Path | None:
        """Location of a file, from its path relative to the workflow's folder; None if it does not exist."""
        path = Path(name)
        recorded = Path(self.manifest.folder) if self.manifest else None
        if recorded and path.is_relative_to(recorded):
            return existing(self.folder / path.relative_to(recorded))
        folder = self.folder.resolve()
        roots = [folder, *folder.parents, Path.cwd()]
        if recorded and not recorded.is_absolute() and folder.parts[-len(recorded.parts) :] == recorded.parts:
            roots = [folder.parents[len(recorded.parts) - 1]]
        found = next((file for root in roots if (file := existing(root / path))), None)
        return self.folder / found.relative_to(folder) if found and found.is_relative_to(folder) else found

    def _inputs(self) -> Iterator[tuple[str, str, Path | None, str]]:
        """Product, name of an input, its file if it exists, and its checksum in the product's stamp."""
        records: dict[str, dict[str, Any] | None] = dict(self.stamps)
        if self.manifest:
            records[FILE_NAME] = self.manifest.provenance
        for product, record in records.items():
            inputs, files = ((record or {}).get(key) for key in ("inputs", "files"))
            # The networks of an exported model are copies.
            if not isinstance(inputs, Mapping) or "/networks/" in product:
                continue
            for role, digest in inputs.items():
                name = files.get(role, role) if isinstance(files, Mapping) else role
                yield product, str(name), self._place(str(name)), str(digest)

    def _compare_files(self) -> None:
        """Find files that were changed, exchanged, removed or added."""
        recorded = self.manifest.files if self.manifest else {}
        owners = {product.sha256: name for name, product in recorded.items()}
        for path, error in self.unreadable.items():
            self.faults.append(f"{path}: cannot be read: {error.strerror or error}")
        for name, product in recorded.items():
            if name not in self.files:
                self._fault(name, "missing" if product.sha256 else "missing, also when the manifest was written")
                continue
            digest = self.digests.get(self.files[name])
            if digest == product.sha256 or digest is None:
                continue
            version = (self.stamps.get(name) or {}).get("version")
            if digest in owners:
                self._fault(name, f"has the contents of {owners[digest]}")
            elif version != product.version:
                self._fault(name, f"changed: made by cgdistill {version}, recorded as of {product.version}")
            else:
                size = self.files[name].stat().st_size
                note = "" if size == product.bytes else f", {size} bytes, recorded with {product.bytes}"
                self._fault(name, f"changed{note}")
        if self.manifest:
            for name in sorted(set(self.files) - set(recorded)):
                self._fault(name, "not a product of this run")
        for name in (name for name, record in self.stamps.items() if record is None):
            self._fault(name, "contains no readable provenance")

    def _compare_shared(self) -> None:
        for name, product in self._shared().items():
            path = self._place(name)
            if path is None:
                self.faults.append(f"{name} (made by {product.stage}): missing")
            elif self.digests.get(path, product.sha256) != product.sha256:
                self.faults.append(f"{name} (made by {product.stage}): changed since {self.folder} was made from it")

    def _compare_inputs(self) -> None:
        for product, name, path, digest in self._inputs():
            if path is None:
                self.n_absent += 1
                continue
            self.n_inputs += 1
            if self.digests.get(path, digest) != digest:
                self._fault(product, f"made from a different {name}")

    def _compare_cards(self) -> None:
        """Compare the networks of an exported model with its card."""
        for name in (name for name in self.files if Path(name).name == "card.json"):
            try:
                networks = json.loads(self.files[name].read_text(encoding="utf-8"))["networks"]
                recorded = {
                    f"networks/{network}/{file}": entry[key]
                    for network, entry in networks.items()
                    for file, key in (("weights.safetensors", "weights_sha256"), ("network.json", "settings_sha256"))
                    if key in entry
                }
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue  # reported by _compare_files
            for part, digest in recorded.items():
                path = self.files[name].parent / part
                if self.digests.get(path, digest) != digest:
                    self._fault(name, f"{part} differs from the card")

    def _compare_versions(self) -> None:
        """Without a manifest, report products of different versions."""
        versions = {name: str(record.get("version")) for name, record in self.stamps.items() if record}
        if self.manifest or not versions:
            return
        newest = max(versions.values(), key=_order)
        for name, version in versions.items():
            if version != newest:
                self._fault(name, f"made by cgdistill {version}, others by {newest}")

    def _compare_config(self) -> None:
        """Compare the complete config of the manifest, and the parts of the config that products record."""
        if self.config and self.manifest:
            source, config = self.config
            for key, here, there in differences(config, _completed(self.manifest.config)):
                if key not in keys_that_change(Changes.NOTHING):
                    self.faults.append(
                        f"{self.folder}: made with a different config: {key} is {there}, in {source} {here}"
                    )
        if self.manifest:
            reference: tuple[str, Mapping[str, Any]] | None = (FILE_NAME, self.manifest.config)
        else:
            reference = self.config
        for part, products in self._other_config(*reference).items() if reference else ():
            more = f", and {len(products) - 1} more" if len(products) > 1 else ""
            self._fault(products[0], f"made with a different {part} than in {reference and reference[0]}{more}")

    def _other_config(self, source: str, config: Mapping[str, Any]) -> dict[str, list[str]]:
        """Products whose stamps do not match a part of the config, by that part."""
        found: dict[str, list[str]] = {}
        for patterns, part, expected, of_product in _parts_of(source, config):
            for name, record in self.stamps.items():
                if record and any(fnmatch(name, pattern) for pattern in patterns):
                    try:
                        same = of_product(self.files[name], record) == expected
                    except (OSError, ValueError, KeyError, TypeError):
                        same = False
                    if not same:
                        found.setdefault(part, []).append(name)
        return found

    def _summary(self) -> str:
        size = sum(path.stat().st_size for path in self.files.values() if path in self.digests) / _MB
        words = [f"{self.folder}: {len(self.files)} files, {size:.1f} MB"]
        if self.manifest:
            made = self.manifest
            words.append(f"recorded {made.made} by cgdistill {made.provenance['version']}")
            older = {p.version for p in made.files.values() if p.version} - {made.provenance["version"]}
            if older:
                words.append(f"some products of version {', '.join(sorted(older))}")
        else:
            bare = len(self.files) - len(self.stamps)
            words.append(f"no {FILE_NAME}: the run is not finished; {bare} files without a stamp are not checked")
        absent = f" ({self.n_absent} missing)" if self.n_absent else ""
        words.append(f"{self.n_inputs} inputs compared{absent}")
        n = len(self.faults)
        return ", ".join(words) + ": " + ("no fault" if n == 0 else f"{n} fault{'s' if n > 1 else ''}")


def existing(path: Path) -> Path | None:
    """The path if it is a file, else None."""
    try:
        return path if path.is_file() else None
    except OSError:  # an impossible name
        return None


def products_of(folder: Path) -> Iterator[Path]:
    """Products of a run, without its checkpoints and without runs in subfolders."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in _NO_PRODUCTS:
            yield path
        elif path.is_dir() and path.name != _CHECKPOINTS and not _is_run(path):
            for file in sorted(path.rglob("*")):
                if file.is_file() and file.name != TIMESTAMP:
                    yield file


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def differences(one: Any, other: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted key and both values wherever two configs differ; a missing value is ``nothing``."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in dict.fromkeys([*one, *other]):
            here, there = (side.get(name, "nothing") for side in (one, other))
            yield from differences(here, there, f"{key}.{name}".lstrip("."))
    elif one != other:
        yield key, one, other


def _completed(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A recorded config with the defaults of this version; as it is where this version cannot read it."""
    try:
        return complete_config(config)
    except InputError:
        return config


def _parts_of(source: str, config: Mapping[str, Any]) -> list[tuple[Iterable[str], str, Any, Any]]:
    """Patterns of products, part of the config, its value, and the function that reads it from product and stamp.

    Only parts that follow from the config without the files that it names.
    """

    def stamped(_: Path, record: Mapping[str, Any]) -> Any:
        return record.get("config_sha256")

    def seeded(_: Path, record: Mapping[str, Any]) -> Any:
        return record.get("config_sha256"), record.get("seed")

    def trained(key: str) -> Any:
        return lambda path, _: json.loads(path.read_text(encoding="utf-8"))["training"][key]

    try:
        frames = {key: config["mapping"][key] for key in ("start_ps", "stride", "max_frames", "check_forces")}
        units = config["aa"]["files"]["units"] if config["aa"]["source"] == "files" else None
        md, training = value_settings(config, "simulation"), value_settings(config, "training")
        curves = {"structure": config["structure"], "statistics": {"blocks": config["statistics"]["blocks"]}}
        networks = ("teachers/*/network.json", "students/*/network.json")
        split = config_hash(config["split"]), derive(config["seed"], "split")
        return [
            (("mapped/beads.h5",), "mapping", config_hash({"units": units, "frames": frames}), stamped),
            (("mapped/split.json",), "split or seed", split, seeded),
            (("prior/prior.csv",), "prior", config_hash(config["prior"]), stamped),
            (networks, "network", config["network"], trained("network")),
            (networks, "training", training, trained("training")),
            (("simulations/*.json", "simulations/*.csv"), "simulation", config_hash(md), stamped),
            (("structure/reference*.parquet",), "structure or statistics.blocks", config_hash(curves), stamped),
            (
                ("structure/*/*.parquet", "structure/*/runs.csv"),
                "structure, statistics.blocks or stability",
                config_hash(curves | {"stability": config["stability"]}),
                stamped,
            ),
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(source, "keys", f"no {error}", "a complete config of a run") from None
