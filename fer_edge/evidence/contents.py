"""What is in a bundle: its manifest, which lists every file with its SHA-256, and the files themselves."""

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from fer_edge import __version__
from fer_edge.backends.contract import ModelBackend
from fer_edge.backends.registry import BackendEntry, backends_for, format_of, open_model
from fer_edge.errors import EvidenceError
from fer_edge.evidence.archive import files_below
from fer_edge.evidence.claims import NotCheckable, check_schema, decoded, json_bytes, schema_text
from fer_edge.runtime.machine import processor_name
from fer_edge.text import printable

MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
"""Beside the manifest, of everything else; so it is not listed."""
_PACKAGES = ("numpy", "onnxruntime", "pillow", "openvino", "torch", "ncnn", "ai-edge-litert", "executorch")
"""Whose versions an answer or a speed may depend on."""
_MAX_JSON = 2**28


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the manifest says of one file."""

    path: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``manifest.json``."""

    schema: str
    model: str
    """Path of the model file, or of its folder, in the bundle."""
    model_sha256: str
    """As metadata and devices name it; of a model that is a folder, of all its files."""
    kit: str
    """Path of the folder of golden vectors."""
    against: str | None = None
    """The model that it is timed against."""
    checkpoint: str | None = None
    """The checkpoint that it is compared with."""
    data: dict[str, Any]
    """Fingerprints of the faces that it was trained and measured on."""
    environment: dict[str, Any]
    """Where the claims were measured."""
    files: list[FileEntry]
    """Every file but this one and the signature."""


def environment() -> dict[str, Any]:
    """This machine and the versions that answers and speeds may depend on; plain types."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "fer_edge": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "packages": versions,
    }


def file_entry(folder: Path, name: str) -> FileEntry:
    """What the manifest says of the file ``name`` below ``folder``."""
    with (folder / name).open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileEntry(name, (folder / name).stat().st_size, sha256)


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> Manifest:
    """List every file below ``folder`` in its manifest; ``facts`` are the other fields."""
    entries = [file_entry(folder, name) for name in files_below(folder) if name not in (MANIFEST, SIGNATURE)]
    manifest = Manifest(schema=schema_text("bundle"), files=entries, **facts)
    (folder / MANIFEST).write_bytes(json_bytes(msgspec.to_builtins(manifest)))
    return manifest


@dataclass(frozen=True)
class Contents:
    """A bundle that lies unpacked in a folder."""

    folder: Path
    manifest: Manifest
    trust: bool = False
    """Open models whose loading runs code, and graphs of no image classifier."""

    def path(self, name: str) -> Path:
        """The file or model folder ``name``. Raises EvidenceError for one that the manifest does not list."""
        listed = {entry.path for entry in self.manifest.files}
        if name not in listed and not any(path.startswith(f"{name}/") for path in listed):
            raise EvidenceError(f"{MANIFEST}: expected {printable(name)[:100]!r} among its files, found no such one")
        return self.folder / name

    def read(self, name: str) -> bytes:
        """The bytes of a file of JSON or of vectors. Raises EvidenceError as ``path`` does, and where it is huge."""
        path = self.path(name)
        if not path.is_file() or path.stat().st_size > _MAX_JSON:
            raise EvidenceError(
                f"{printable(name)[:100]}: expected a file of at most {_MAX_JSON:,} bytes, found another"
            )
        return path.read_bytes()

    def backend_of(self, name: str) -> BackendEntry:
        """What opens a model. Raises EvidenceError as ``path`` does, and ModelError for a format that nothing opens."""
        return backends_for(format_of(self.path(name)))[0]

    def openable(self, name: str) -> Path:
        """The path of a model that may be opened here. Raises NotCheckable where loading it would run code, and
        MissingExtraError where its runtime is not installed."""
        path = self.path(name)
        entry = self.backend_of(name)
        if entry.runs_code and not self.trust:
            raise NotCheckable(
                f"loading {printable(path.name)} runs the code in it; add --trust if you trust where it is from"
            )
        entry.require()
        return path

    def opened(self, name: str) -> ModelBackend:
        """A model on one thread, so that sums are taken in one order and no core more or less makes a difference."""
        return open_model(self.openable(name), threads=1, trust=self.trust)

    @cached_property
    def model(self) -> ModelBackend:
        """The model of the bundle. Raises as ``openable`` and ``open_model`` do."""
        return self.opened(self.manifest.model)


def read_contents(folder: Path, where: str, *, trust: bool) -> Contents:
    """The manifest of an unpacked bundle. Raises EvidenceError where it is missing, malformed or newer."""
    try:
        data = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise EvidenceError(
            f"{where}: expected a bundle with {MANIFEST}, found none; is it another archive?"
        ) from error
    name = f"{where}: {MANIFEST}"
    check_schema(decoded(data, dict[str, Any], name).get("schema"), "bundle", name)
    manifest = decoded(data, Manifest, name)
    listed = [entry.path for entry in manifest.files]
    if len(set(listed)) < len(listed):
        raise EvidenceError(f"{name}: expected each file once, found one twice")
    return Contents(folder, manifest, trust)
