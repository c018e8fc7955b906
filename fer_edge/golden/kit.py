"""Writes a kit: input bytes, a model's answers to them, how far others may be, and a checker in each language."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.backends.contract import ModelBackend
from fer_edge.backends.onnxruntime import OnnxRuntime
from fer_edge.backends.registry import backends_for, open_model
from fer_edge.errors import ModelError
from fer_edge.folder_manifest import earlier_files, replace_folder, with_files
from fer_edge.golden.manifest import (
    MANIFEST,
    PLAIN_MANIFEST,
    json_text,
    kit_manifest,
    mistake_entries,
    plain_manifest,
    vector_entry,
)
from fer_edge.golden.tolerance import GOLDEN_TOLERANCES
from fer_edge.golden.vectors import Vector, make_vectors
from fer_edge.metadata import PIXELS, ModelMetadata
from fer_edge.runtime.foreign_files import Description
from fer_edge.runtime.graph_session import graph_session
from fer_edge.runtime.model_file import CheckedFile, read_any
from fer_edge.runtime.shipped import model_path, shipped_named

_EXPECTED = "an older kit"

_DTYPES = ("uint8", "float32")
"""Of inputs, that every language's checker makes."""

CHECKERS = ("check.py", "check.mjs", "check.cpp", "answers.hpp", "README.md")
"""Of a kit of an ONNX or ort model."""
ANY_CHECKERS = ("check.py", "README.md")
"""Of a kit of another format, with the runtime that ``check.py`` runs, or what says that there is none for it."""
RUNTIME = "runtime.py"


@dataclass(frozen=True)
class Kit:
    """What was written."""

    folder: Path
    model: Path
    manifest: dict[str, Any]
    size_bytes: int

    @property
    def num_images(self) -> int:
        """Images in all vectors together."""
        return sum(vector["shape"][0] for vector in self.manifest["vectors"])


def default_folder(model: str | Path | None) -> Path:
    """Where the kit of ``model`` goes when nobody says otherwise: ``NAME-golden`` beside it.

    That of a shipped model, taken by its name, goes into the working directory: an installation is not to be filled.
    """
    name = f"{model_path(model).stem}-golden"
    return Path(name) if model is None or shipped_named(model) is not None else Path(model).parent / name


def write_kit(
    model: str | Path | None = None,
    folder: Path | None = None,
    *,
    inputs: Iterable[Vector] | None = None,
    full_precision: bool = False,
    trust: bool = False,
    description: Description | None = None,
) -> Kit:
    """Run ``model``, of any format, on the golden inputs on the CPU by the backend of its format and write the kit.

    ``model`` may be the name of a shipped model; without it, it is the default one.

    ``inputs`` replace the usual ones, to measure on more; the kit then knows no mistakes. ``full_precision`` has 8-bit
    products added in full whatever the metadata say of the weights: for those who doubt them.

    ``description`` is that of another maker's model (see ``read_model``).

    ``folder`` is made, or the kit that it holds replaced, file by file; what else lies there stays. Raises ModelError
    where the model is refused, takes no input that the kit has or answers with no numbers, and StorageError where the
    folder holds something else than a kit, a changed file of one, or cannot be written; then nothing is changed.
    """
    folder = folder or default_folder(model)
    model = model_path(model)
    earlier_files(folder, MANIFEST, _EXPECTED)  # before the work: it raises
    checked = read_any(model, trust=trust, description=description)
    if checked.metadata.input.dtype not in _DTYPES:
        raise ModelError(
            f"{model}: expected an input of {' or '.join(_DTYPES)}, found {checked.metadata.input.dtype}; "
            "convert it so that its input is float32: values inside may stay float16"
        )
    # One thread: sums are taken in the same order on every machine.
    backend: ModelBackend = open_model(model, threads=1, trust=trust, description=description)
    if full_precision and checked.model is not None:
        backend = OnnxRuntime(graph_session(checked.data, threads=1, full_precision=True), checked.model)
    fitting = (vector for vector in inputs or make_vectors() if _fits(vector, backend.metadata))
    vectors = [part for vector in fitting for part in _of_fixed_batch(vector, backend.metadata)]
    if not vectors:
        raise ModelError(
            f"{model}: expected a model of 1, 3 or 4 channels, found {backend.metadata.input.channels}; export it again"
        )
    entries = [vector_entry(vector, backend) for vector in vectors]
    mistakes = mistake_entries(vectors, backend, entries) if inputs is None else []
    manifest = kit_manifest(checked, backend, entries, mistakes)
    with replace_folder(folder, MANIFEST, _EXPECTED) as stage:
        for vector, entry in zip(vectors, entries, strict=True):
            _write_inputs(stage, vector, backend, entry)
        _write_bundle(stage, checked, backend, vectors)
        (stage / PLAIN_MANIFEST).write_text(
            plain_manifest(manifest), encoding="utf-8", errors="backslashreplace", newline="\n"
        )
        for name, source in _checkers(checked).items():
            (stage / name).write_bytes(source.read_bytes())
        manifest = with_files(manifest, _contents_of(stage))
        (stage / MANIFEST).write_text(json_text(manifest), encoding="utf-8", errors="backslashreplace", newline="\n")
    size = sum(file["bytes"] for file in manifest["files"]) + (folder / MANIFEST).stat().st_size
    return Kit(folder, model, manifest, size)


def _write_bundle(stage: Path, checked: CheckedFile, backend: ModelBackend, vectors: Iterable[Vector]) -> None:
    """Where the model's runtime has a file for test cases: the model with every vector and its answers in one."""
    opener = backends_for(backend.metadata.format)[0]
    if opener.bundle is None:
        return
    feeds = [np.asarray(backend.prepare(vector.pixels), np.uint8) for vector in vectors]
    cases = [(feed, backend.run_feed(feed)) for feed in feeds]
    allowed = GOLDEN_TOLERANCES[backend.metadata.precision].max_logit_difference
    path = stage / f"{checked.path.stem}{opener.bundle_suffix}"
    path.write_bytes(opener.bundle(checked.data, cases, allowed))


def _checkers(checked: CheckedFile) -> dict[str, Traversable]:
    """Files of the kit that check it, and where they are from. Of a format without a runtime here, ``check.py``
    compares the answers that an app wrote."""
    folder = resources.files("fer_edge.golden").joinpath("checkers")
    if checked.model is not None:
        return {name: folder.joinpath(name) for name in CHECKERS}
    runtime = folder.joinpath("runtimes", f"{checked.metadata.format}.py")
    if not runtime.is_file():
        runtime = folder.joinpath("no_runtime.py")
    return {**{name: folder.joinpath(name) for name in ANY_CHECKERS}, RUNTIME: runtime}


def _contents_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _fits(vector: Vector, metadata: ModelMetadata) -> bool:
    """A raw model takes faces that were prepared, from any number of channels."""
    return metadata.input.kind != PIXELS or vector.pixels.shape[3] in metadata.input.channels


def _of_fixed_batch(vector: Vector, metadata: ModelMetadata) -> Iterator[Vector]:
    """``vector`` itself, or the vectors of as many images as a model of a fixed batch takes, its images repeated where
    they are fewer."""
    size = metadata.input.fixed_batch
    if size is None or len(vector.pixels) == size:
        yield vector
        return
    for number, start in enumerate(range(0, len(vector.pixels), size), start=1):
        part = vector.pixels[start : start + size]
        name = f"{vector.name}-{number}"
        yield replace(vector, name=name, pixels=np.resize(part, (size, *part.shape[1:])))


def _write_inputs(stage: Path, vector: Vector, backend: ModelBackend, entry: dict[str, Any]) -> None:
    _write(stage / entry["file"], _bytes_of(backend.prepare(vector.pixels)))
    if vector.image is not None:
        _write(stage / entry["image"]["file"], vector.image.data)
        _write(stage / entry["image"]["pixels"], _bytes_of(vector.pixels))
    if vector.photo is not None:
        _write(stage / entry["photo"]["file"], vector.photo.image.data)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def _bytes_of(values: NDArray[np.generic]) -> bytes:
    """Row by row, little-endian, as every machine that this is for has it."""
    values = np.ascontiguousarray(values)  # of torch's models a tensor
    return values.astype(values.dtype.newbyteorder("<")).tobytes()
