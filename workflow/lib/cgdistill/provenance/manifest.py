"""Manifest of a run: every product with its size, its checksum and the stage that made it.

The stamp of a product (`record.stamp`) identifies its inputs, but not its own contents: a byte changed in a final
product, a report or a dump, would not be noticed. The manifest is written last and lists all products of the run.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.errors import InputError
from ..io.csv_tables import read_provenance
from ..runtime.atomic_files import write_json
from ..runtime.job import Progress, log
from .record import config_hash, stamp

FORMAT = "cgdistill-manifest-1"
FILE_NAME = "manifest.json"
#: File that the workflow manager writes into folders.
TIMESTAMP = ".snakemake_timestamp"
_CHUNK_BYTES = 4 * 1024**2
_MB = 10**6


@dataclass(frozen=True)
class Product:
    """Entry of a manifest for one file.

    Attributes
    ----------
    stage: rule that makes it; for a product of another run, the name of that run.
    bytes, sha256: None if the file was missing.
    version: version of the program by the file's own stamp; None without a stamp.
    """

    stage: str
    bytes: int | None
    sha256: str | None
    version: str | None


@dataclass(frozen=True)
class Manifest:
    """A manifest.

    Attributes
    ----------
    run: name of the run.
    folder: folder of its products, as the workflow names it.
    made: date and time, UTC, ISO 8601.
    config: complete config of the run.
    provenance: `record.stamp` of that config and of the files that it names.
    packages: version by package, of the environment in which the manifest was written.
    files: products by path relative to the folder.
    shared: products of other runs among the inputs, by path as the workflow names it.
    """

    run: str
    folder: str
    made: str
    config: dict[str, Any]
    provenance: dict[str, Any]
    packages: dict[str, str]
    files: dict[str, Product]
    shared: dict[str, Product]


def write_manifest(
    path: str | Path,
    folder: str | Path,
    stages: Mapping[str, str],
    shared: Mapping[str, str],
    config: Mapping[str, Any],
    inputs: Iterable[str | Path],
    threads: int = 1,
) -> None:
    """Write the manifest of a run whose products are finished.

    Parameters
    ----------
    folder:
        Folder of the products.
    stages:
        Stage by product; a folder means all files in it.
    shared:
        Run that made it, by product of another run.
    config, inputs:
        Config of the run, and files that it names but no product records.
    """
    folder = Path(folder)
    files = {file: stage for product, stage in stages.items() for file in _files_of(Path(product))}
    others = {Path(product): run for product, run in shared.items()}
    digests = checksums([file for file in [*files, *others] if file.is_file()], threads)
    found = {file: _describe(file, stage, digests) for file, stage in (files | others).items()}
    for file, product in found.items():
        if product.sha256 is None:
            log.warning("%s: missing (stage %s)", file, product.stage)
    manifest = Manifest(
        run=str(config["run"]),
        folder=str(folder),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        config=dict(config),
        provenance=stamp(config, inputs),
        packages=installed_packages(),
        files={file.relative_to(folder).as_posix(): found[file] for file in sorted(files)},
        shared={str(file): found[file] for file in sorted(others)},
    )
    write_json(path, {"format": FORMAT, **asdict(manifest)})


def _files_of(product: Path) -> list[Path]:
    """The file itself, or all files in a folder."""
    if not product.is_dir():
        return [product]
    return [file for file in product.rglob("*") if file.is_file() and file.name != TIMESTAMP]


def _describe(file: Path, stage: str, digests: Mapping[Path, str]) -> Product:
    if file not in digests:
        return Product(stage, None, None, None)
    record = read_stamp(file)
    return Product(stage, file.stat().st_size, digests[file], None if record is None else record.get("version"))


def read_manifest(path: str | Path) -> Manifest:
    """Manifest in a file.

    Raises
    ------
    InputError
        No JSON of this format, or a config that does not match its hash.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        found = record.get("format") if isinstance(record, dict) else type(record).__name__
        if found != FORMAT:
            raise InputError(path, "format", found, FORMAT)
        parts = {key: {name: Product(**entry) for name, entry in record[key].items()} for key in ("files", "shared")}
        values = {key: value for key, value in record.items() if key != "format"}
        manifest = Manifest(**(values | parts))
        digest = manifest.provenance["config_sha256"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(path, "file", f"{type(error).__name__}: {error}", f"JSON of format {FORMAT}") from None
    if config_hash(manifest.config) != digest:
        raise InputError(path, "config", "a config that does not match its hash", "an unchanged manifest")
    return manifest


def installed_packages() -> dict[str, str]:
    """Version of every installed package by name, including this program if it is not installed."""
    found = {package.metadata["Name"]: package.version for package in distributions() if package.metadata["Name"]}
    return dict(sorted((found | {"cgdistill": __version__}).items(), key=lambda item: item[0].lower()))


def checksums(
    files: Iterable[Path], threads: int = 1, label: str = "checksums", faults: dict[Path, OSError] | None = None
) -> dict[Path, str]:
    """SHA-256 by file.

    Parameters
    ----------
    faults:
        Receives the errors of files that cannot be read, which are omitted; by default the first error is raised.
    """
    sizes = {file: file.stat().st_size for file in files}
    bar = Progress(sum(sizes.values()) // _MB, label, "MB")
    lock, done_bytes = threading.Lock(), 0

    def digest_of(file: Path) -> str | None:
        nonlocal done_bytes
        digest = hashlib.sha256()
        try:
            for piece in _pieces(file):
                digest.update(piece)
                with lock:
                    done_bytes += len(piece)
                    if done_bytes // _MB > bar.done:
                        bar.update(done_bytes // _MB - bar.done)
        except OSError as error:
            if faults is None:
                raise
            faults[file] = error
            return None
        return digest.hexdigest()

    try:
        with ThreadPoolExecutor(max(threads, 1)) as pool:
            # Largest first: otherwise the last one may occupy a single thread.
            order = sorted(sizes, key=lambda file: -sizes[file])
            found = dict(zip(order, pool.map(digest_of, order), strict=True))
    finally:
        bar.close()
    return {file: digest for file, digest in found.items() if digest is not None}


def _pieces(file: Path) -> Iterator[bytes]:
    with open(file, "rb", buffering=0) as stream:
        while piece := stream.read(_CHUNK_BYTES):
            yield piece


#: Products with a stamp, by the end of their names.
STAMPED = (".csv", ".h5", ".parquet", "card.json", "run.json", "network.json", "split.json")


def read_stamp(path: Path) -> dict[str, Any] | None:
    """Provenance stamp of a product; None if there is none, or it cannot be read."""
    if not path.name.endswith(STAMPED):
        return None
    try:
        record = _stamp_in(path)
    except (InputError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _stamp_in(path: Path) -> Any:
    match path.suffix:
        case ".csv":
            return read_provenance(path)
        case ".json":
            return json.loads(path.read_text(encoding="utf-8"))["provenance"]
        case ".h5":
            from ..io.untrusted import open_hdf5

            with open_hdf5(path, "an HDF5 file") as file:
                return json.loads(file.attrs["provenance"])
        case _:
            import pyarrow.parquet as pq

            return json.loads((pq.read_schema(path).metadata or {})[b"cgdistill"])["provenance"]
