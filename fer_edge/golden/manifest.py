"""What a kit says in its two manifests: the model, the vectors and its answers, tolerances, and the usual mistakes."""

import json
import platform
import re
from typing import Any

import numpy as np
import onnxruntime
import PIL
from numpy.typing import NDArray

from fer_edge import __version__
from fer_edge.backends.contract import ModelBackend
from fer_edge.backends.registry import backends_for
from fer_edge.golden.mistakes import answers_to_mistakes
from fer_edge.golden.tolerance import GOLDEN_TOLERANCES
from fer_edge.golden.vectors import Vector
from fer_edge.metadata import FACES, PIXELS, ModelMetadata
from fer_edge.runtime.checksum import file_sha256
from fer_edge.runtime.crops import DEFAULT_MARGIN
from fer_edge.runtime.foreign import ForeignMetadata
from fer_edge.runtime.model_file import CheckedFile

MANIFEST = "manifest.json"
PLAIN_MANIFEST = "manifest.txt"
"""The manifest again, one fact a line, for languages without a JSON reader."""

KIT_FORMAT = "fer_edge golden vectors 1"


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


def json_text(manifest: dict[str, Any]) -> str:
    """The text of ``manifest.json``: each row of numbers or names on one line, so that a difference between two kits
    reads as rows."""
    text = json.dumps(manifest, indent=1, allow_nan=False)
    return (
        re.sub(r"\[[^\[\]{}]*\]", lambda row: re.sub(r"\s+", " ", row[0]).replace("[ ", "[").replace(" ]", "]"), text)
        + "\n"
    )


def vector_entry(vector: Vector, backend: ModelBackend) -> dict[str, Any]:
    """What the manifest says of one vector, and what the model answers to it."""
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


def mistake_entries(
    vectors: list[Vector], backend: ModelBackend, entries: list[dict[str, Any]]
) -> list[dict[str, Any]]:
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


def kit_manifest(
    checked: CheckedFile, backend: ModelBackend, entries: list[dict[str, Any]], mistakes: list[dict[str, Any]]
) -> dict[str, Any]:
    """All of the manifest but its list of files."""
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
            "outputs": [output.name for output in metadata.answers],
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
