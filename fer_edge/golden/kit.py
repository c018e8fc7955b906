"""Writes a kit: input bytes, a model's answers to them, how far others may be, and a checker in each language."""

import json
import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import PIL
from numpy.typing import NDArray

from fer_edge import __version__
from fer_edge.backends.contract import ModelBackend
from fer_edge.backends.onnxruntime import OnnxRuntime, graph_session
from fer_edge.backends.registry import backends_for, open_model
from fer_edge.errors import ModelError
from fer_edge.folder_manifest import earlier_files, replace_folder, with_files
from fer_edge.golden.mistakes import answers_to_mistakes
from fer_edge.golden.tolerance import GOLDEN_TOLERANCES
from fer_edge.golden.vectors import Vector, make_vectors
from fer_edge.metadata import FACES, PIXELS, ModelMetadata
from fer_edge.runtime.checksum import file_sha256
from fer_edge.runtime.crops import DEFAULT_MARGIN
from fer_edge.runtime.foreign import ForeignMetadata
from fer_edge.runtime.foreign_files import Description
from fer_edge.runtime.model_file import CheckedFile, read_any
from fer_edge.runtime.shipped import model_path, shipped_named

MANIFEST = "manifest.json"
PLAIN_MANIFEST = "manifest.txt"
"""The manifest again, one fact a line, for languages without a JSON reader."""

KIT_FORMAT = "fer_edge golden vectors 1"

_EXPECTED = "an older kit"

_DTYPES = ("uint8", "float32")
"""Of inputs, that every language's checker makes."""

CHECKERS = ("check.py", "check.mjs", "check.cpp", "answers.hpp", "README.md")
"""Of a kit of an ONNX or ort model."""
ANY_CHECKERS = ("check.py", "README.md")
"""Of a kit of another format, with the runtime that ``check.py`` runs, where there is one for it."""
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
    return Path(name) if model is None or shipped_named(model) is not None else Path(model).with_name(name)


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
        raise ModelError(f"{model}: expected an input of {' or '.join(_DTYPES)}, found {checked.metadata.input.dtype}")
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
    entries = [_entry(vector, backend) for vector in vectors]
    mistakes = _mistakes(vectors, backend, entries) if inputs is None else []
    manifest = _manifest(checked, backend, entries, mistakes)
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
        (stage / MANIFEST).write_text(_json_text(manifest), encoding="utf-8", errors="backslashreplace", newline="\n")
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
    """Files of the kit that check it, and where they are from. Of a format without a runtime here, none but the page
    that says what the vectors are."""
    folder = resources.files("fer_edge.golden").joinpath("checkers")
    if checked.model is not None:
        return {name: folder.joinpath(name) for name in CHECKERS}
    runtime = folder.joinpath("runtimes", f"{checked.metadata.format}.py")
    if not runtime.is_file():
        return {"README.md": folder.joinpath("README.md")}
    return {**{name: folder.joinpath(name) for name in ANY_CHECKERS}, RUNTIME: runtime}


def plain_manifest(manifest: dict[str, Any]) -> str:
    """The text of ``manifest.txt``: a keyword and its values a line, separated by spaces.

    A ``label`` may hold blanks and ends with its line. After ``vector NAME FILE DIMENSIONS...`` follows one ``expects
    INDEX LOGITS... PROBABILITIES...`` for each image; the index is that of its label among the labels, from 0. After
    ``mistake NAME SENTENCE`` follows one ``gives VECTOR IMAGE LOGITS...`` for each image whose answer it may change.
    """
    model, tolerance = manifest["model"], manifest["tolerance"]
    lines = [
        f"model {model['file']}",
        f"sha256 {model['sha256']}",
        f"input {model['input']} {model['dtype']}",
        f"outputs {' '.join(model['outputs'])}",
        *([f"answer {model['answer']}"] if "answer" in model else []),
        *(f"label {label}" for label in model["labels"]),
        *(f"{name} {tolerance[name]!r}" for name in tolerance if name != "reason"),
    ]
    for vector in manifest["vectors"]:
        lines.append(f"vector {vector['name']} {vector['file']} {' '.join(map(str, vector['shape']))}")
        for label, *rows in zip(vector["labels"], vector["logits"], vector["probabilities"], strict=True):
            lines.append(
                f"expects {model['labels'].index(label)} {' '.join(repr(value) for row in rows for value in row)}"
            )
    for mistake in manifest["mistakes"]:
        lines.append(f"mistake {mistake['name']} {mistake['says']}")
        for name, rows in mistake["logits"].items():
            for image, logits in enumerate(rows):
                lines.append(f"gives {name} {image} {' '.join(map(repr, logits))}")
    return "\n".join(lines) + "\n"


def _json_text(manifest: dict[str, Any]) -> str:
    """Indented, but each row of numbers or names on one line, so that a difference between two kits reads as rows."""
    text = json.dumps(manifest, indent=1, allow_nan=False)
    return (
        re.sub(r"\[[^\[\]{}]*\]", lambda row: re.sub(r"\s+", " ", row[0]).replace("[ ", "[").replace(" ]", "]"), text)
        + "\n"
    )


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


def _entry(vector: Vector, backend: ModelBackend) -> dict[str, Any]:
    probabilities, logits = backend.run(vector.pixels)
    entry: dict[str, Any] = {
        "name": vector.name,
        "about": vector.about,
        "file": f"vectors/{vector.name}.bin",
        "shape": list(backend.prepare(vector.pixels).shape),
        "labels": [backend.metadata.labels[best] for best in probabilities.argmax(axis=1)],
        "logits": _shortest(logits),
        "probabilities": _shortest(probabilities),
    }
    if vector.image is not None:
        entry["image"] = {
            "file": f"images/{vector.name}{vector.image.suffix}",
            "decoded_by": f"Pillow {PIL.__version__}",
            "pixels": f"vectors/{vector.name}.pixels" if backend.metadata.input.kind != PIXELS else entry["file"],
            "shape": list(vector.pixels.shape[1:]),
            "max_mean_level_difference": vector.image.max_mean_level_difference,
        }
    if vector.photo is not None:
        box = vector.photo.face.box
        entry["photo"] = {
            "file": f"images/{vector.name}{vector.photo.image.suffix}",
            "box": [box.x, box.y, box.width, box.height],
            "margin": DEFAULT_MARGIN,
        }
    return entry


def _mistakes(vectors: list[Vector], backend: ModelBackend, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What apps that make one of the usual mistakes are answered, where that is not the right answer."""
    right = [np.asarray(entry["logits"], np.float32) for entry in entries]
    tolerance = GOLDEN_TOLERANCES[backend.metadata.precision]
    return [
        {
            "name": mistake.name,
            "says": mistake.says,
            "logits": {name: [_rounded(row) for row in rows] for name, rows in logits.items()},
        }
        for mistake, logits in answers_to_mistakes(vectors, backend, right, tolerance)
    ]


def _rounded(row: NDArray[np.float32]) -> list[float]:
    """Far below every tolerance; a mistake is recognised, not measured."""
    return [round(float(value), 4) for value in row]


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
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()


def _shortest(rows: NDArray[np.float32]) -> list[list[float]]:
    """float32 as the shortest decimals that read back as the same float32."""
    return [[float(str(value)) for value in row] for row in rows]


def _layout(metadata: ModelMetadata) -> str:
    if metadata.input.kind == PIXELS:
        return "batch, height, width, channels"
    if metadata.input.kind == FACES:
        return "batch, height, width, 1"
    if not isinstance(metadata, ForeignMetadata):
        return "batch, 1, height, width"
    channels = metadata.input.channels[0]
    is_first = metadata.description.layout == "NCHW"
    return f"batch, {channels}, height, width" if is_first else f"batch, height, width, {channels}"


def _manifest(
    checked: CheckedFile, backend: ModelBackend, entries: list[dict[str, Any]], mistakes: list[dict[str, Any]]
) -> dict[str, Any]:
    metadata = backend.metadata
    others = {f"{checked.path.stem}{end}": file_sha256(data) for end, data in checked.others.items()}
    tolerance = GOLDEN_TOLERANCES[metadata.precision]
    return {
        "kit": KIT_FORMAT,
        "model": {
            "file": backend.path.name,
            "name": metadata.name,
            "sha256": checked.sha256,
            **({"files": others} if others else {}),
            "precision": metadata.precision,
            "input": metadata.input.name,
            "dtype": metadata.input.dtype,
            "layout": _layout(metadata),
            "outputs": [output.name for output in metadata.outputs],
            "labels": list(metadata.labels),
            **({"answer": metadata.description.outputs} if isinstance(metadata, ForeignMetadata) else {}),
        },
        "made_with": {
            "fer_edge": __version__,
            **(
                {"onnxruntime": onnxruntime.__version__, "provider": "CPUExecutionProvider"}
                if checked.model is not None
                else {"backend": backends_for(metadata.format)[0].name}
            ),
            "processor": platform.machine(),
        },
        "tolerance": {
            "max_logit_difference": tolerance.max_logit_difference,
            "max_probability_difference": tolerance.max_probability_difference,
            "tie_margin": tolerance.tie_margin,
            "reason": tolerance.reason,
        },
        "vectors": entries,
        "mistakes": mistakes,
    }
