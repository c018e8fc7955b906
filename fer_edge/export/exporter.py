"""From a checkpoint to a published model: build the file, load it, compare it with the checkpoint, then name it."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.data.faces import FaceData, FaceSet
from fer_edge.data.load import load_faces
from fer_edge.errors import ModelError
from fer_edge.export.candidate import Candidate, open_candidate
from fer_edge.export.card.metadata import describe
from fer_edge.export.formats.onnx import (
    ONNXRUNTIME_FORMATS,
    onnx_bytes,
    ort_bytes,
    pt2_bytes,
    refuse_precision,
    torchscript_bytes,
)
from fer_edge.export.graph.float16 import halve
from fer_edge.export.graph.network import export_network
from fer_edge.export.graph.preprocessing import with_preprocessing
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.graph.versions import OPSET, read_versions
from fer_edge.export.parity.comparison import Parity, measure_parity
from fer_edge.export.parity.report import parity_summary
from fer_edge.export.parity.tolerance import check_max_drop
from fer_edge.export.publish import default_name, model_path, publish
from fer_edge.export.quantization.report import QuantisationReport, quantise_and_judge
from fer_edge.export.quantization.targets import target_named
from fer_edge.training.checkpoint import CheckpointInfo, load_classifier
from fer_edge.training.evaluate import faces_of

DRAWN_FACES = "sample:105"
"""Drawn faces that parity is measured on where no others are given: two thirds of them, 70, are the train split."""

Note = Callable[[str], None]


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and under which name."""

    checkpoint: Path
    """A run folder or a checkpoint file."""
    file_format: str = "onnx"
    precision: str = "fp32"
    raw: bool = False
    """Take normalised faces instead of pixels."""
    opset: int = OPSET
    name: str | None = None
    """File name without suffix; None takes the run's name and what sets this file apart."""
    folder: Path = Path("exported")
    data: str | None = None
    """Labelled faces for parity and calibration. None: drawn faces for parity, those of the training for int8."""
    skip_bad: bool = False
    """Leave out files and rows of ``data`` that cannot be read."""
    target: str = "auto"
    """What processor int8 is for: a name from instruction_sets.TARGETS, or this machine's."""
    max_drop_points: float | None = None
    """Percentage points of accuracy that may be lost; None takes the precision's own bound."""

    def __post_init__(self) -> None:
        """Refuse combinations that no file can hold (ModelError), and a loss that nothing measures (UsageError)."""
        refuse_precision(self.file_format, self.precision)
        check_max_drop(self.max_drop_points, has_labels=self.data is not None or self.precision == "int8")
        if self.raw and self.file_format not in ONNXRUNTIME_FORMATS:
            raise ModelError(
                f"expected --format {' or '.join(ONNXRUNTIME_FORMATS)} with --raw, found {self.file_format}"
            )


@dataclass(frozen=True)
class Export:
    """What came of a request. ``paths`` is empty when a check failed: nothing was published."""

    candidate: Candidate
    parity: Parity
    failures: tuple[str, ...]
    paths: tuple[Path, ...]
    quantisation: QuantisationReport | None = None
    """What INT8 cost and brought."""

    def summary(self) -> str:
        """The figures of every check in a few lines."""
        parts = [self.quantisation.summary()] if self.quantisation is not None else []
        return "\n".join([*parts, parity_summary(self.parity)])

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``."""
        return {
            "published": [str(path) for path in self.paths],
            "failures": list(self.failures),
            "sha256": self.candidate.sha256,
            "card": asdict(self.candidate.card),
            "parity": self.parity.to_dict(),
            "quantisation": self.quantisation.to_dict() if self.quantisation is not None else None,
        }


def load_reference(checkpoint: Path) -> tuple[PixelsToProbabilities, CheckpointInfo]:
    """The checkpoint behind the reference preprocessing. Raises CheckpointError."""
    classifier, info = load_classifier(checkpoint)
    return PixelsToProbabilities(classifier, info.image_size, info.mean, info.std).eval(), info


@dataclass(frozen=True)
class JudgingFaces:
    """What parity is measured on."""

    probes: NDArray[np.uint8]
    """uint8 (N, S, S), made into probes."""
    labelled: FaceSet | None
    """Faces for the accuracy of both sides: the validation split of given data; drawn ones say nothing about it."""
    source: str


def judging_faces(image_size: int, given: FaceData | None) -> JudgingFaces:
    """The validation split of ``given``, or drawn faces where nothing is given. Raises DataError."""
    if given is None:
        drawn = load_faces(DRAWN_FACES, size=image_size)
        return JudgingFaces(drawn.split("train").faces, None, drawn.source)
    validation = given.split("validation")
    name = Path(given.source).name  # reports travel: they must not tell this machine's folders
    return JudgingFaces(validation.faces, validation, name)


def export_checkpoint(request: ExportRequest, note: Note = lambda _: None) -> Export:
    """Export as asked, measure parity from image files on, and publish the model if every check passed.

    ``note`` hears what is going on. Raises CheckpointError, DataError, ModelError or StorageError.
    """
    reference, info = load_reference(request.checkpoint)
    name = request.name or default_name(request.checkpoint, request.file_format, request.precision, request.raw)
    path = model_path(request.folder, name, request.file_format, note)
    needs_faces = request.data is not None or request.precision == "int8"
    given = faces_of(info, request.data, skip_bad=request.skip_bad) if needs_faces else None
    if given is not None:
        given = replace(
            given, source=Path(given.source).name
        )  # a card travels: it must not tell this machine's folders
    faces = judging_faces(info.image_size, given)
    note(f"exporting {info.path} as {request.file_format} {request.precision}")
    data, quantisation = _build(reference, info, request, name, given, note)
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / path.name
        temporary.write_bytes(data)
        candidate = open_candidate(temporary, trust=True)  # written by this very process
    note("comparing it with its checkpoint")
    parity = measure_parity(
        reference,
        candidate,
        faces.probes,
        labelled=faces.labelled,
        source=faces.source,
        max_drop_points=request.max_drop_points,
    )
    failures = (*(quantisation.failures if quantisation is not None else ()), *parity.failures)
    paths = () if failures else publish(path, data, candidate, parity, quantisation)
    return Export(candidate, parity, failures, paths, quantisation)


def _build(
    reference: PixelsToProbabilities,
    info: CheckpointInfo,
    request: ExportRequest,
    name: str,
    faces: FaceData | None,
    note: Note,
) -> tuple[bytes, QuantisationReport | None]:
    """The bytes of the file, and what quantisation came to."""
    if request.file_format not in ONNXRUNTIME_FORMATS:
        card = describe(info, name=name, file_format=request.file_format)
        to_bytes = torchscript_bytes if request.file_format == "torchscript" else pt2_bytes
        return to_bytes(reference, card), None
    report = None
    network = export_network(reference.classifier, info.image_size, request.opset)
    if request.precision == "fp16":
        network = halve(network)
    elif request.precision == "int8" and faces is not None:
        report = quantise_and_judge(
            network,
            faces,
            image_size=info.image_size,
            mean=info.mean,
            std=info.std,
            target=target_named(request.target),
            max_drop_points=request.max_drop_points,
            note=note,
        )
        network = report.quantised.network
    model = network if request.raw else with_preprocessing(network, info.image_size, info.mean, info.std)
    card = describe(
        info,
        name=name,
        file_format=request.file_format,
        precision=request.precision,
        raw=request.raw,
        versions=read_versions(model),
        quantisation=report.quantised.to_dict() if report is not None else None,
        metrics=report.metrics() if report is not None else None,
    )
    return (ort_bytes if request.file_format == "ort" else onnx_bytes)(model, card), report
