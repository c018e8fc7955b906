"""A Triton model repository: ``NAME/config.pbtxt``, labels, and a folder for each version of the model.

Layout: https://docs.nvidia.com/deeplearning/triton-inference-server, Model Repository. A version is put in place whole,
by one rename: a server that polls the folder never sees half of one.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import StorageError, UsageError
from fer_edge.files import (
    contents,
    is_reserved_name,
    make_folder,
    staging_folder,
    storage_errors,
    sync_folder,
    write_bytes,
)
from fer_edge.metadata import sidecar_json
from fer_edge.own_files import OwnFiles
from fer_edge.runtime.checksum import file_sha256
from fer_edge.runtime.foreign import ForeignMetadata
from fer_edge.runtime.model_file import CheckedFile
from fer_edge.serving.triton_config import LABELS, Contract, shared_part
from fer_edge.serving.triton_settings import TritonSettings, kept_settings

CONFIG, MEASUREMENT = "config.pbtxt", "measurement.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_REMEDY = "choose another with --name or --out"


@dataclass(frozen=True)
class TritonModel:
    """What is to be written."""

    checked: CheckedFile
    """The model, read and checked by ``fer_edge.runtime.model_file.read_any``."""
    name: str
    """Of the model in the repository."""
    shape: tuple[int, ...] | None = None
    """(H, W, C) that alone is accepted; None: every size that the model takes."""
    max_batch_size: int | None = None
    """None: the largest that was measured, or 1."""
    settings: TritonSettings | None = None
    """None: those that were measured of this file before, if any."""

    def __post_init__(self) -> None:
        """Raises UsageError for a name that is no plain file name on every system."""
        if not _NAME.fullmatch(self.name) or is_reserved_name(self.name):
            raise UsageError(
                "--name: expected up to 200 letters, digits, '.', '_' and '-', and no device of Windows, "
                f"found {self.name[:210]!r}"
            )

    @property
    def contract(self) -> Contract:
        """Inputs and outputs. Raises ModelError for a format that Triton does not run, UsageError for ``shape``."""
        return Contract.of(self.checked.path, self.checked.metadata, self.shape)

    @property
    def version_files(self) -> dict[str, bytes]:
        """By their names in a version's folder: the model, its further files, its metadata and its card."""
        checked, main = self.checked, self.contract.platform.file
        stem = Path(main).stem
        files = {main: checked.data, **{f"{stem}{suffix}": data for suffix, data in checked.others.items()}}
        if isinstance(checked.metadata, ForeignMetadata):
            return files
        stated = json.loads(sidecar_json(checked.metadata, checked.sha256))
        if checked.others:
            stated["files"] = {name: file_sha256(data) for name, data in files.items()}
        files[f"{stem}.json"] = (json.dumps(stated, indent=2) + "\n").encode()
        card = checked.path.with_suffix(".md")
        if card.is_file():
            files[f"{stem}.md"] = card.read_bytes()
        return files


@dataclass(frozen=True)
class WrittenModel:
    """What was written."""

    folder: Path
    version: int
    is_new_version: bool
    config: str
    """Content of ``config.pbtxt``."""
    settings: TritonSettings | None


def write_repository(out: Path, model: TritonModel) -> WrittenModel:
    """Write ``model`` into the repository ``out``: a new folder, or another version in the one of its name.

    A model that is there already as the last version (the same bytes) keeps its number; its settings are written again.
    One that is there as an earlier version becomes the next: Triton serves the last. Raises
    StorageError where the place is taken by what was not written here, or was changed since; UsageError where the
    versions there have other inputs, outputs or labels: one config stands for all of them.
    """
    folder = out / model.name
    labels = "".join(f"{name}\n" for name in model.checked.metadata.labels).encode()
    with storage_errors(folder):
        is_there = folder.is_symlink() or folder.exists()
    if is_there:
        return _write_version(folder, model, labels)
    config = _config(model, model.settings)
    make_folder(out)
    with storage_errors(folder), staging_folder(out) as stage:
        made = stage / model.name
        _fill_version(made / "1", model, model.settings)
        with OwnFiles(_REMEDY).writing(made / CONFIG, made / LABELS):
            write_bytes(made / CONFIG, config.encode())
            write_bytes(made / LABELS, labels)
        made.rename(folder)
        sync_folder(out)
    return WrittenModel(folder, 1, True, config, model.settings)


def check_place(folder: Path) -> OwnFiles:
    """Raise StorageError where a model's ``folder`` cannot be written, or is not ours: before minutes of measuring."""
    own = OwnFiles(_REMEDY)
    files = [folder / CONFIG, folder / LABELS]
    with storage_errors(folder):
        is_there = folder.is_symlink() or folder.exists()
    if is_there and (folder.is_symlink() or not folder.is_dir() or not own.knows(files[0])):
        raise StorageError(
            f"{folder}: expected no file, or a model's folder that was written here before, found another; {_REMEDY}"
        )
    own.refuse_foreign(files)
    return own


def _write_version(folder: Path, model: TritonModel, labels: bytes) -> WrittenModel:
    own = check_place(folder)
    config_file = folder / CONFIG
    same, latest = _versions(folder, model)
    is_new = same != latest or not same
    version = latest + 1 if is_new else latest
    measurement = folder / str(same) / MEASUREMENT
    settings = model.settings or (kept_settings(measurement, model.checked.sha256) if same else None)
    config = _config(model, settings)
    with storage_errors(folder):
        if (
            shared_part(config_file.read_text(encoding="utf-8")) != shared_part(config)
            or (folder / LABELS).read_bytes() != labels
        ):
            raise UsageError(
                f"{folder}: expected a model with the inputs, outputs and labels of the versions there, which share "
                f"one {CONFIG}, found others; {_REMEDY}"
            )
        if is_new:
            with staging_folder(folder) as stage:
                _fill_version(stage / "version", model, settings)
                (stage / "version").rename(folder / str(version))
        elif settings is not None:
            with own.writing(measurement):
                write_bytes(measurement, settings.to_json().encode())
        # Before it, the version runs by the settings of the one before: nothing else in the config may differ.
        with own.writing(config_file):
            write_bytes(config_file, config.encode())
        sync_folder(folder)
    return WrittenModel(folder, version, is_new, config, settings)


def _config(model: TritonModel, settings: TritonSettings | None) -> str:
    contract = model.contract
    return contract.to_text(model.name, contract.max_batch_size(model.max_batch_size, settings), settings)


def _versions(folder: Path, model: TritonModel) -> tuple[int, int]:
    """The last version that is this very model, 0 for none, and the highest number."""
    numbers = [int(one.name) for one in contents(folder) if one.is_dir() and re.fullmatch("[1-9][0-9]{0,17}", one.name)]
    file = model.contract.platform.file
    data = model.checked.data
    same = [number for number in numbers if _content(folder / str(number) / file, len(data)) == data]
    return max(same, default=0), max(numbers, default=0)


def _content(path: Path, size: int) -> bytes:
    return path.read_bytes() if path.is_file() and path.stat().st_size == size else b""


def _fill_version(folder: Path, model: TritonModel, settings: TritonSettings | None) -> None:
    files = dict(model.version_files)
    if settings is not None:
        files[MEASUREMENT] = settings.to_json().encode()
    folder.mkdir(parents=True)
    with OwnFiles(_REMEDY).writing(*(folder / name for name in files)):
        for name, data in files.items():
            write_bytes(folder / name, data)
