"""Reads an exported model from disk and refuses what cannot be trusted, before onnxruntime sees a byte of it."""

import json
import stat
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fer_edge.errors import ModelError, UsageError
from fer_edge.folder_files import is_folder_model, read_folder
from fer_edge.metadata import METADATA_KEY, SUFFIXES, ModelMetadata, read_sidecar
from fer_edge.runtime.checksum import file_sha256, verify_checksum, verify_zip_checksum
from fer_edge.runtime.claims import check_format, check_graph
from fer_edge.runtime.file_kind import MODEL, mistaken
from fer_edge.runtime.foreign import foreign_metadata
from fer_edge.runtime.foreign_files import HOW_TO_DESCRIBE, Description, description_beside, description_of
from fer_edge.runtime.onnx_file import OnnxFile, read_onnx
from fer_edge.runtime.operators import check_operators
from fer_edge.runtime.shipped import model_path, names_in_words, shadowed
from fer_edge.text import printable

MAX_MODEL_BYTES = 2**31
"""What protobuf, and with it an ONNX file, can hold."""
MAX_METADATA_BYTES = 2**24

_EMBEDDING_FORMATS = ("onnx", "ort", "torchscript", "pt2")
"""Formats whose files hold their metadata."""
_ARCHIVE_MAGIC = b"PK\x03\x04"
_ORT_MAGIC = b"ORTM"  # the flatbuffer's file identifier, at byte 4


@dataclass(frozen=True)
class ModelFile:
    """A model whose checksum, metadata and sidecar agree; open a session from ``data``, which was checked."""

    path: Path
    data: bytes
    metadata: ModelMetadata
    sha256: str
    onnx: OnnxFile | None
    """What the walk through an ONNX file found; None for onnxruntime's own format."""

    @property
    def card(self) -> ModelMetadata:
        """Deprecated name of ``metadata``."""
        warnings.warn("ModelFile.card is now ModelFile.metadata", DeprecationWarning, stacklevel=2)
        return self.metadata


def read_model(path: str | Path, *, trust: bool = False, description: Description | None = None) -> ModelFile:
    """Read and check an ``.onnx`` or ``.ort`` file, or the shipped model of that name.

    An ``.onnx`` file that has no metadata is somebody else's, which ``description`` or the JSON beside it says how to
    feed (see ``foreign_files``); its metadata are then ForeignMetadata.

    Raises ModelError, in one line, when the file is missing, runs code (TorchScript, pt2, checkpoints), differs from
    its content hash, has no metadata or malformed ones, claims what the file is not, keeps
    weights in another file, or disagrees with the ``NAME.json`` beside it. Without ``trust`` also when its graph is
    larger than those of image classifiers, or has other operators (see ``operators``).
    """
    path = model_path(path)
    data = read_model_bytes(path)
    if is_known_by_sidecar(path) and path.with_suffix(".json").is_file():
        raise ModelError(
            f"{path}: expected an .onnx or .ort model, found a {path.suffix} file, which another runtime runs: "
            "'fer-edge verify' and 'fer-edge evaluate --model' take it"
        )
    return _model_of(path, data, trust, description)


def _model_of(path: Path, data: bytes, trust: bool, description: Description | None) -> ModelFile:
    _refuse_mistaken(path, data)
    if is_archive(data):
        own_suffixes = (SUFFIXES["torchscript"], SUFFIXES["pt2"])
        renamed = "" if path.suffix in own_suffixes else f", after renaming it to {' or '.join(own_suffixes)} again"
        raise ModelError(
            f"{path}: expected an .onnx or .ort model, found a PyTorch archive, which needs torch and can run code; "
            f"use the .onnx, or compare it by 'fer-edge verify MODEL --trust'{renamed}"
        )
    is_ort = data[4:8] == _ORT_MAGIC
    graph = (_read_ort if is_ort else read_onnx)(data, str(path), bounded=not trust)
    if graph.external_tensors:
        raise ModelError(
            f"{path}: expected one self-contained file, found external data: {len(graph.external_tensors)} tensors "
            f"kept in another file (first: {graph.external_tensors[0]!r}); export again with fer_edge, or save "
            "another maker's model as one file"
        )
    if not is_ort and not any(key == METADATA_KEY for key, _ in graph.metadata):
        described = description_beside(path) if description is None else description_of(description)
        if described is not None:
            if not trust:
                check_operators(path, graph)
            return ModelFile(path, data, foreign_metadata(path, graph, described), file_sha256(data), graph)
    elif description is not None:
        raise says_itself(path)
    _expect_metadata_key(graph, path)
    if not trust:
        check_operators(path, graph)
    verify_checksum(data, str(path))
    metadata = ModelMetadata.from_json(dict(graph.metadata)[METADATA_KEY], where=str(path))
    check_format(path, metadata, "ort" if is_ort else "onnx")
    check_graph(path, metadata, graph)
    sha256 = file_sha256(data)
    metadata = check_beside(path, metadata, sha256)
    return ModelFile(path, data, metadata, sha256, None if is_ort else graph)


def says_itself(path: Path) -> UsageError:
    """Of a model with metadata that was described nevertheless: of any format but ONNX."""
    return UsageError(f"{path}: expected no description of a model that says itself what it is; leave it out")


@dataclass(frozen=True)
class CheckedFile:
    """A model file of any format whose checksum, metadata and sidecar agree."""

    path: Path
    data: bytes
    metadata: ModelMetadata
    sha256: str
    model: ModelFile | None = None
    """Of an ``.onnx`` or ``.ort`` file: the same, to open a session from."""
    others: Mapping[str, bytes] = field(default_factory=dict)
    """Further files of the model, by the ends of their names, such as ``.bin``: what was checked is what is opened."""

    @property
    def num_bytes(self) -> int:
        """Of all its files."""
        return len(self.data) + sum(map(len, self.others.values()))

    def other(self, suffix: str) -> bytes:
        """The further file of that end. Raises ModelError where the sidecar names none."""
        if suffix not in self.others:
            beside = self.path.with_suffix(".json")
            raise ModelError(
                f"{self.path}: expected {beside.name} to name {self.path.stem}{suffix} and its SHA-256, found "
                f"{', '.join(self.others) or 'no other file'}; export it again"
            )
        return self.others[suffix]


def is_known_by_sidecar(path: Path) -> bool:
    """Whether the file's format is one that holds no metadata that is read here: the sidecar has them."""
    by_suffix = {suffix: file_format for file_format, suffix in SUFFIXES.items()}
    return by_suffix.get(path.suffix, _EMBEDDING_FORMATS[0]) not in _EMBEDDING_FORMATS


def read_any(path: str | Path, *, trust: bool = False, description: Description | None = None) -> CheckedFile:
    """Read and check a model of any format. Nothing of it is run. Raises ModelError as ``read_model`` does.

    Files of formats that are registered elsewhere are known by the ``NAME.json`` beside them, which also names the
    SHA-256 of further files that belong to the model.
    """
    path = model_path(path)
    data = read_model_bytes(path)
    if not is_known_by_sidecar(path) and not is_archive(data):
        model = _model_of(path, data, trust, description)
        return CheckedFile(path, data, model.metadata, model.sha256, model)
    if description is not None:
        raise says_itself(path)
    sha256 = file_sha256(data)
    if is_known_by_sidecar(path):
        metadata, others = _metadata_beside(path, sha256)
        return CheckedFile(path, data, metadata, sha256, others=others)
    _refuse_mistaken(path, data)
    metadata = ModelMetadata.from_json(verify_zip_checksum(data, str(path)), where=str(path))
    check_format(path, metadata)
    metadata = check_beside(path, metadata, sha256)
    return CheckedFile(path, data, metadata, sha256)


def further_files(path: Path) -> tuple[Path, ...]:
    """Those that the sidecar names as parts of the model; none where there is no sidecar that can be read."""
    try:
        stated = json.loads(_read_regular(path.with_suffix(".json"), MAX_METADATA_BYTES))
    except (OSError, ValueError, ModelError):
        return ()
    files = stated.get("files") if isinstance(stated, dict) else None
    names = files if isinstance(files, dict) else {}
    return tuple(path.with_name(Path(name).name) for name in names if name != path.name)


def _metadata_beside(path: Path, sha256: str) -> tuple[ModelMetadata, dict[str, bytes]]:
    """The metadata in the sidecar, and the further files that it names, by the ends of their names."""
    beside = path.with_suffix(".json")
    try:
        text = _read_regular(beside, MAX_METADATA_BYTES)
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: expected {beside.name} beside it, which says what it is, found none; copy both"
        ) from error
    except OSError as error:
        raise ModelError(f"{beside}: cannot be read: {error.strerror or error}") from error
    metadata, sha256_there = read_sidecar(text, where=str(beside))
    check_format(path, metadata)
    if sha256 != sha256_there:
        raise _other_hash(path, beside, sha256_there, sha256)
    files = json.loads(text).get("files", {})
    others = {}
    for name, expected in files.items() if isinstance(files, dict) else ():
        if name == path.name:
            continue
        if Path(name).name != name or not name.startswith(path.stem):  # it must not lead elsewhere
            raise ModelError(
                f"{beside}: expected files called {path.stem}..., found {printable(name)}; export it again"
            )
        others[name.removeprefix(path.stem)] = data = read_model_bytes(beside.with_name(name))
        if (found := file_sha256(data)) != expected:
            raise _other_hash(beside.with_name(name), beside, str(expected), found)
    return metadata, others


def read_model_bytes(path: Path) -> bytes:
    """The bytes of ``path``. Raises ModelError when it is missing, no regular file, empty, too large or unreadable."""
    try:
        is_folder = is_folder_model(path)
        data = read_folder(path, MAX_MODEL_BYTES) if is_folder else _read_regular(path, MAX_MODEL_BYTES)
    except FileNotFoundError as error:
        raise no_such_model(path) from error
    except IsADirectoryError as error:
        told = mistaken(path, MODEL) or "found a folder; name the .onnx in it"
        if (named := shadowed(path)) is not None:
            told = f"found a folder; the shipped model of that name is {named.path}"
        raise ModelError(f"{path}: expected a model file, {told}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ModelError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not data:
        raise ModelError(f"{path}: expected a model, found an empty file; export it again")
    return data


def no_such_model(path: Path) -> ModelError:
    """The error for a path at which nothing is."""
    return ModelError(
        f"{path}: no such model; make one with 'fer-edge export --checkpoint runs/NAME', or {names_in_words()}"
    )


def _refuse_mistaken(path: Path, data: bytes) -> None:
    """Refuse (ModelError) a file that is known to be something else than a model, and say what to do with it."""
    told = mistaken(path, MODEL, data)
    if told is not None:
        raise ModelError(f"{path}: expected an exported model, {told}")


def _read_regular(path: Path, limit: int) -> bytes:
    """Of a pipe or device the end may never come, and memory runs out before that of a file of holes."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(path)
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{path}: expected a file, found a device, pipe or socket; write it to a file first")
    if status.st_size > limit:
        raise ModelError(f"{path}: expected at most {limit} bytes, found {status.st_size}; is it the right file?")
    return path.read_bytes()


def is_archive(data: bytes) -> bool:
    """Whether these are the bytes of a zip archive: TorchScript, pt2 or a checkpoint."""
    return data.startswith(_ARCHIVE_MAGIC)


def _read_ort(data: bytes, name: str, *, bounded: bool) -> OnnxFile:
    from fer_edge.runtime.ort_file import read_ort  # few need it, and the library that it imports

    return read_ort(data, name, bounded=bounded)


def _expect_metadata_key(graph: OnnxFile, path: Path) -> None:
    count = sum(key == METADATA_KEY for key, _ in graph.metadata)
    if count != 1:
        raise ModelError(
            f"{path}: expected one entry of metadata ('{METADATA_KEY}'), found {count or 'none'}: labels and input are "
            f"unknown; {'export the checkpoint with fer_edge' if count else HOW_TO_DESCRIBE}"
        )


def check_beside(path: Path, metadata: ModelMetadata, sha256: str) -> ModelMetadata:
    """Refuse (ModelError) a model whose metadata or hash differs from those in ``NAME.json`` beside it, if any.

    ``uncertainty`` may be there alone, which is bound to the file by the hash; gives the metadata with it."""
    beside = path.with_suffix(".json")
    try:
        text = _read_regular(beside, MAX_METADATA_BYTES)
    except FileNotFoundError:
        return metadata  # a model may travel alone: its checksum was checked
    except OSError as error:
        raise ModelError(f"{beside}: cannot be read: {error.strerror or error}") from error
    metadata_there, sha256_there = read_sidecar(text, where=str(beside))
    if sha256_there != sha256:
        raise _other_hash(path, beside, sha256_there, sha256)
    if metadata.uncertainty is None:
        metadata = replace(metadata, uncertainty=metadata_there.uncertainty)
    if metadata_there != metadata:
        raise ModelError(
            f"{path}: expected the metadata in {beside.name} to be those in the model, found others; export again"
        )
    return metadata


def _other_hash(path: Path, beside: Path, expected: str, found: str) -> ModelError:
    return ModelError(
        f"{path}: expected the SHA-256 {expected[:12]}... that {beside.name} names, found {found[:12]}...: "
        "one of the two was changed or belongs to another model; copy or export both again"
    )
