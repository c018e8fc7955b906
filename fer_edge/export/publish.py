"""Puts a model that passed its checks under its name: its files, its metadata as JSON, and its card for people."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fer_edge.errors import ModelError, UsageError
from fer_edge.export.card.model_card import model_card_markdown
from fer_edge.export.formats.registry import ModelFormat, format_named
from fer_edge.export.parity.comparison import Parity
from fer_edge.export.quantization.report import QuantisationReport
from fer_edge.files import (
    is_reserved_name,
    make_folder,
    require_writable,
    staging_folder,
    storage_errors,
    sync_folder,
    write_text,
)
from fer_edge.folder_files import sha256_of, write_model
from fer_edge.metadata import SUFFIXES, ModelMetadata, read_sidecar, sidecar_json
from fer_edge.own_files import OwnFiles
from fer_edge.runtime.checksum import file_sha256
from fer_edge.training.checkpoint import BEST, LAST

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def default_name(checkpoint: Path, file_format: str, precision: str, raw: bool, fixed_shape: bool = False) -> str:
    """The run's name, with what sets this file apart from the plain ONNX model, e.g. ``NAME-int8``.

    Every model has a name of its own, because the cards beside two files of one name would be the same file.
    """
    run = checkpoint.resolve()
    if run.name in (BEST, LAST):
        run = run.parent.parent if run.parent.name == "checkpoints" else run.parent
    parts = [run.stem if run.suffix == ".pt" else run.name]
    parts += [precision] if precision != "fp32" else []
    parts += ["raw"] if raw else []
    parts += ["fixed"] if fixed_shape else []
    parts += [format_named(file_format).name_part or file_format] if file_format != "onnx" else []
    return "-".join(parts)


def check_name(name: str) -> None:
    """Raises UsageError for a name that is no plain file name on every system."""
    if is_reserved_name(name):
        raise UsageError(f"--name: expected a name that is a file's everywhere, found {name!r}, a device on Windows")
    if not _NAME.fullmatch(name):
        raise UsageError(f"--name: expected up to 200 letters, digits, '.', '_' and '-', found {name[:210]!r}")


def model_path(
    folder: Path, name: str, model_format: ModelFormat, note: Callable[[str], None] = lambda _: None
) -> Path:
    """Where a model of this name goes. A model that was exported there may be replaced, and ``note`` hears of it.

    Raises ModelError for a name that is no plain file name, or that is taken by a model of another format or by a file
    that is no exported model's.
    """
    check_name(name)
    require_writable(folder)
    paths = [folder / file for file in model_format.files_of(name)]
    path = paths[0]
    beside, for_people = path.with_suffix(".json"), path.with_suffix(".md")
    if not beside.exists():
        for other in (*paths, for_people):
            if other.exists():
                raise _not_ours(other, f"one without its card {beside.name}")
        return path
    try:
        there, _ = read_sidecar(beside.read_bytes(), where=str(beside))
    except (OSError, ModelError) as error:
        raise _not_ours(beside, "another file") from error
    if there.format != model_format.name and beside.with_suffix(SUFFIXES[there.format]).exists():
        raise ModelError(
            f"{beside}: expected to be free for {path.name}, found the card of {name}{SUFFIXES[there.format]}; "
            f"choose another --name"
        )
    _own_files(paths, beside, for_people).refuse_foreign([*paths, beside, for_people])
    note(f"{path} will be replaced: exported {there.created} as {there.format} {there.precision}")
    return path


def _own_files(paths: Sequence[Path], beside: Path, for_people: Path) -> OwnFiles:
    """The model's files, taken for ours as far as they are as they were exported, also before there were lists of what
    was written: its metadata as such, the model by its SHA-256 in them, its page by naming that."""
    own_files = OwnFiles("choose another --name")
    try:
        text = beside.read_bytes()
        _, sha256 = read_sidecar(text, where=str(beside))
    except (OSError, ModelError):
        return own_files
    own_files.accept(beside)
    others = json.loads(text).get("files")
    hashes = {sha256, *(others.values() if isinstance(others, dict) else ())}
    for path in paths:
        if sha256_of(path) in hashes:
            own_files.accept(path)
    if not own_files.knows(for_people) and sha256.encode() in _content(for_people):
        own_files.accept(for_people)
    return own_files


def _content(path: Path) -> bytes:
    try:
        return b"" if path.is_symlink() or not path.is_file() else path.read_bytes()
    except OSError:
        return b""


def _not_ours(path: Path, found: str) -> ModelError:
    return ModelError(
        f"{path}: expected no file, or a model exported with its card, found {found}; move it away or choose another "
        "--name"
    )


def sidecar(metadata: ModelMetadata, sha256: str, files: Mapping[str, bytes]) -> str:
    """Text of ``NAME.json``: as ``sidecar_json``, and of a model of several files the SHA-256 of each."""
    text = sidecar_json(metadata, sha256)
    if len(files) == 1:
        return text
    hashes = {f"{metadata.name}{suffix}": file_sha256(data) for suffix, data in files.items()}
    return json.dumps({**json.loads(text), "files": hashes}, indent=2) + "\n"


def publish(
    path: Path,
    files: Mapping[str, bytes],
    metadata: ModelMetadata,
    sha256: str,
    parity: Parity,
    quantisation: QuantisationReport | None = None,
) -> tuple[Path, ...]:
    """Write the model's files by their suffixes, ``NAME.json`` and ``NAME.md``; their paths, the model's first.

    All are written whole and flushed before the first gets its name, and the model gets its name last: a full disk
    changes nothing, and after a crash in between, the new metadata name another hash than an older model has, so
    that a reader refuses the pair. Raises StorageError, also where it would replace what was not exported.
    """
    make_folder(path.parent)
    beside, for_people = path.with_suffix(".json"), path.with_suffix(".md")
    others = [path.with_name(f"{path.stem}{suffix}") for suffix in list(files)[1:]]
    data = dict(zip((path, *others), files.values(), strict=True))
    text = model_card_markdown(metadata, path.name, sum(map(len, files.values())), sha256, parity, quantisation)
    written = (path, *others, beside, for_people)
    own_files = _own_files((path, *others), beside, for_people)
    with own_files.writing(*written), storage_errors(path), staging_folder(path.parent) as stage:
        write_text(stage / for_people.name, text)
        write_text(stage / beside.name, sidecar(metadata, sha256, files))
        for file, content in data.items():
            write_model(stage / file.name, content)
        for target in (for_people, beside, *others, path):
            if target.is_dir():  # which nothing replaces in one step
                target.replace(stage / f"earlier-{target.name}")
            (stage / target.name).replace(target)
        sync_folder(path.parent)
    return written
