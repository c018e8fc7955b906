"""From a checkpoint to a published model: write files, load them, compare them with it, then name them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from fer_edge.backends.contract import ModelBackend
from fer_edge.backends.registry import open_model
from fer_edge.data.class_map import ClassMap
from fer_edge.data.faces import NO_LABEL, FaceData, FaceSet
from fer_edge.data.leaks import leaked
from fer_edge.data.load import load_faces
from fer_edge.data.relabel import relabelled
from fer_edge.devices.farm import run_devices
from fer_edge.devices.matrix import Matrix
from fer_edge.devices.targets import DEVICES
from fer_edge.errors import DataError, ModelError, UsageError
from fer_edge.export.card.metadata import describe
from fer_edge.export.formats.registry import ModelFormat, Source, format_named, refuse_combination
from fer_edge.export.graph.model import assembled
from fer_edge.export.graph.network import export_network
from fer_edge.export.graph.older_opsets import OLDEST_OPSET
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.graph.versions import OPSET, RELEASES, read_versions
from fer_edge.export.parity.comparison import AccuracyPair, Parity, answers, measure_accuracy, measure_parity
from fer_edge.export.parity.divergence import compare_layers, layer_images, layer_noise
from fer_edge.export.parity.report import parity_summary
from fer_edge.export.parity.structure import structure_failures
from fer_edge.export.parity.tolerance import check_max_drop
from fer_edge.export.publish import default_name, model_path, publish, sidecar
from fer_edge.export.quantization.report import QuantisationReport, report_int8, search_int8
from fer_edge.export.quantization.search import Quantised
from fer_edge.export.quantization.targets import PORTABLE, target_named
from fer_edge.files import temporary_folder, write_bytes, write_text
from fer_edge.metadata import LAYER_NOISE, NORMALISED, PIXELS, ModelMetadata
from fer_edge.runtime.checksum import file_sha256
from fer_edge.training.checkpoint import CheckpointInfo, load_classifier
from fer_edge.training.evaluate import faces_of

SYNTHETIC_FACES = "sample:105"
"""Faces that parity is measured on where no others are given: two thirds of them, 70, are the train split."""

Note = Callable[[str], None]


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and under which name."""

    checkpoint: Path
    """A run folder or a checkpoint file."""
    file_format: str = "onnx"
    """One of ``all_formats()``."""
    precision: str = "fp32"
    raw: bool = False
    """Take normalised faces instead of pixels."""
    fixed_shape: bool = False
    """One face a run, for engines that want every dimension to be a number; for raw models."""
    opset: int = OPSET
    """Of raw models from OLDEST_OPSET on, as far as the network's operators allow; of others from OPSET on."""
    name: str | None = None
    """File name without suffix; None takes the run's name and what sets this file apart."""
    folder: Path = Path("exported")
    data: str | None = None
    """Labelled faces for parity and calibration. None: synthetic ones for parity, those of the training for int8."""
    skip_bad: bool = False
    """Leave out files and rows of ``data`` that cannot be read."""
    class_map: ClassMap | None = None
    """Which classes the folders or values of ``data`` mean; None: as the checkpoint recorded."""
    target: str = PORTABLE.name
    """What processors int8 is for: a name from targets.TARGETS, or "auto" for this machine's."""
    max_drop_points: float | None = None
    """Percentage points of accuracy that may be lost; None takes the precision's own bound."""

    def __post_init__(self) -> None:
        """Refuse (UsageError) combinations that no file can hold, and a loss that nothing measures."""
        chosen = format_named(self.file_format)
        refuse_combination(chosen, self.precision, PIXELS)
        check_max_drop(self.max_drop_points, has_labels=self.needs_faces)
        refuse_combination(chosen, self.precision, NORMALISED if self.raw else PIXELS)
        if self.fixed_shape and not self.raw:
            raise UsageError(
                "expected --raw with --fixed-shape, found a model of pixels, which takes any size; "
                "its resizing is what engines with fixed shapes lack"
            )
        if chosen.from_graph and self.opset < (OLDEST_OPSET if self.raw else OPSET):
            older = (
                "" if self.raw else f", or --raw, which takes {OLDEST_OPSET} and later: Resize has no antialias before"
            )
            least = OLDEST_OPSET if self.raw else OPSET
            raise UsageError(f"expected --opset {least} or later{older}, found {self.opset}")
        if chosen.from_graph and self.opset > RELEASES[-1].opset:
            raise UsageError(
                f"expected --opset {RELEASES[-1].opset} or earlier, the newest that onnxruntime {RELEASES[-1].version} "
                f"reads, found {self.opset}"
            )

    @property
    def needs_faces(self) -> bool:
        """Whether labelled faces are read."""
        return self.data is not None or self.precision == "int8"


class Exported(Protocol):
    """What came of a request, of a model or of weights. ``paths`` is empty when a check failed."""

    @property
    def name(self) -> str:
        """Of the files, without suffix."""

    @property
    def failures(self) -> tuple[str, ...]:
        """What the checks say."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """What was published."""

    def summary(self) -> str:
        """The figures of every check in a few lines."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``."""


@dataclass(frozen=True)
class Export:
    """What came of a request. ``paths`` is empty when a check failed: nothing was published."""

    metadata: ModelMetadata
    sha256: str
    parity: Parity
    failures: tuple[str, ...]
    paths: tuple[Path, ...]
    quantisation: QuantisationReport | None = None
    """What INT8 cost and brought."""
    devices: Matrix | None = None
    """INT8's golden answers on the devices of its target that could be tried here."""

    @property
    def name(self) -> str:
        """Of the files, without suffix."""
        return self.metadata.name

    def summary(self) -> str:
        """The figures of every check in a few lines."""
        parts = [self.quantisation.summary()] if self.quantisation is not None else []
        parts += [self.devices.line()] if self.devices is not None else []
        return "\n".join([*parts, parity_summary(self.parity)])

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``."""
        metadata = asdict(self.metadata)
        return {
            "published": [str(path) for path in self.paths],
            "failures": list(self.failures),
            "sha256": self.sha256,
            "metadata": metadata,
            "card": metadata,  # the key of earlier versions
            "parity": self.parity.to_dict(),
            "quantisation": self.quantisation.to_dict() if self.quantisation is not None else None,
            "devices": self.devices.to_dict() if self.devices is not None else None,
        }


def load_reference(checkpoint: Path) -> tuple[PixelsToProbabilities, CheckpointInfo]:
    """The checkpoint's main head behind the reference preprocessing. Raises CheckpointError."""
    classifier, info = load_classifier(checkpoint)
    classifier.keep_main_head()
    return PixelsToProbabilities(classifier, info.image_size, info.mean, info.std).eval(), info


@dataclass(frozen=True)
class JudgingFaces:
    """What parity is measured on."""

    probes: NDArray[np.uint8]
    """uint8 (N, S, S), made into probes."""
    labelled: FaceSet | None
    """Faces for the accuracy of both sides: the validation split of given data; synthetic ones say nothing about it."""
    source: str


def judging_faces(image_size: int, given: FaceData | None) -> JudgingFaces:
    """The validation split of ``given``, or synthetic faces where nothing is given. Raises DataError."""
    if given is None:
        synthetic = load_faces(SYNTHETIC_FACES, size=image_size)
        return JudgingFaces(synthetic.split("train").faces, None, synthetic.source)
    validation = given.split("validation")
    labelled = _with_labels(validation)
    if not len(labelled):
        raise DataError(f"{given.source}: expected labelled faces in validation, found faces with votes alone")
    name = Path(given.source).name  # reports travel: they must not tell this machine's folders
    return JudgingFaces(validation.faces, labelled, name)


def given_faces(
    info: CheckpointInfo,
    data: str | None,
    skip_bad: bool,
    *,
    of_training: bool = False,
    class_map: ClassMap | None = None,
) -> FaceData | None:
    """The faces at ``data`` under the checkpoint's labels; None where none are named, unless those ``of_training``."""
    if data is None and not of_training:
        return None
    found = relabelled(faces_of(info, data, skip_bad=skip_bad, class_map=class_map), info.label_set)
    return replace(found, source=Path(found.source).name)  # metadata travel: they must not tell this machine's folders


def _with_labels(faces: FaceSet) -> FaceSet:
    return faces.take(faces.labels != NO_LABEL)


def export_checkpoint(request: ExportRequest, note: Note = lambda _: None) -> Export:
    """Export as asked, measure parity from image files on, and publish the model if every check passed.

    ``note`` hears what is going on. Raises CheckpointError, DataError, ModelError or StorageError.
    """
    model_format = format_named(request.file_format)
    reference, info = load_reference(request.checkpoint)
    name = request.name or default_name(
        request.checkpoint, model_format.name, request.precision, request.raw, request.fixed_shape
    )
    path = model_path(request.folder, name, model_format, note)
    given = given_faces(
        info, request.data, request.skip_bad, of_training=request.needs_faces, class_map=request.class_map
    )
    faces = judging_faces(info.image_size, given)
    note(f"exporting {info.path} as {model_format.name} {request.precision}")
    graphs = _Graphs(reference, info, request, given, note)
    source = Source(reference, lambda: graphs.model)
    metadata = describe(
        info,
        name=name,
        model_format=model_format,
        precision=request.precision,
        raw=request.raw,
        fixed_shape=request.fixed_shape,
        versions=read_versions(source.graph) if model_format.from_graph else None,
        quantisation=graphs.quantisation(faces.probes),
    )
    with temporary_folder() as temporary:
        stage = Path(temporary)
        files, backend = write_and_open(model_format, source, metadata, stage)
        note("comparing it with its checkpoint")
        accuracy, report, matrix = None, None, None
        if faces.labelled is not None:
            accuracy = measure_accuracy(reference, backend, faces.labelled, faces.source)
            if graphs.quantised is not None and given is not None:
                report = graphs.report(accuracy, given)
                matrix = _tried_on_devices(stage / f"{name}{model_format.suffixes[0]}", graphs.quantised, note)
                measured = replace(
                    metadata, metrics=report.metrics(), devices=matrix.summary() if matrix is not None else None
                )
                # Its metadata state what it was just measured at, and the file that is published holds them.
                files, backend = _again(model_format, source, measured, stage, backend, faces.labelled)
        parity = measure_parity(
            reference,
            backend,
            faces.probes,
            accuracy=accuracy,
            max_drop_points=request.max_drop_points,
        )
    failures = (
        *(report.failures if report is not None else ()),
        *(matrix.failure_lines() if matrix is not None else ()),
        *(
            structure_failures(graphs.expected(), onnx.load_from_string(files[model_format.suffixes[0]]))
            if model_format.has_layer_names
            else ()
        ),
        *parity.failures,
    )
    paths = () if failures else publish(path, files, backend.metadata, backend.sha256, parity, report)
    return Export(backend.metadata, backend.sha256, parity, failures, paths, report, matrix)


def _tried_on_devices(path: Path, quantised: Quantised, note: Note) -> Matrix | None:
    """The golden answers of the INT8 model at ``path`` on its target's devices; None where it has none of them."""
    wanted = [DEVICES[name] for name in quantised.target.devices]
    if not wanted:
        return None
    note("trying it on other devices")
    with temporary_folder() as results:
        return run_devices(path, wanted, None, Path(results))


def write_and_open(
    model_format: ModelFormat, source: Source, metadata: ModelMetadata, folder: Path
) -> tuple[dict[str, bytes], ModelBackend]:
    """The files of a model by their suffixes, and the model loaded from ``folder``, where they are written first.

    Raises ModelError where they cannot be made or loaded.
    """
    if model_format.write is None:
        raise ModelError(f"expected a format of models, found {model_format.name}")
    files = model_format.write(source, metadata)
    if tuple(files) != model_format.suffixes:
        found = ", ".join(files) or "none"
        raise ModelError(f"expected {model_format.name} to write {', '.join(model_format.suffixes)}, found {found}")
    for suffix, data in files.items():
        write_bytes(folder / f"{metadata.name}{suffix}", data)
    path = folder / f"{metadata.name}{model_format.suffixes[0]}"
    if not model_format.embeds_metadata:
        sha256 = file_sha256(files[model_format.suffixes[0]])
        write_text(path.with_suffix(".json"), sidecar(metadata.with_checksum(sha256), sha256, files))
    return files, open_model(path, trust=True)  # written by this very process


def _again(
    model_format: ModelFormat,
    source: Source,
    metadata: ModelMetadata,
    folder: Path,
    measured: ModelBackend,
    labelled: FaceSet,
) -> tuple[dict[str, bytes], ModelBackend]:
    """The same model with other metadata. Raises ModelError should it answer otherwise than ``measured``."""
    files, backend = write_and_open(model_format, source, metadata, folder)
    few = labelled.faces[:64]
    if not np.array_equal(answers(backend, few), answers(measured, few)):
        raise ModelError(
            f"{metadata.name}: expected the answers that were measured, found others after writing it again"
        )
    return files, backend


class _Graphs:
    """The checkpoint as ONNX graphs: the float32 network, and the model in the precision that is asked for."""

    def __init__(
        self,
        reference: PixelsToProbabilities,
        info: CheckpointInfo,
        request: ExportRequest,
        faces: FaceData | None,
        note: Note,
    ) -> None:
        self._info, self._reference, self._request = info, reference, request
        self.quantised: Quantised | None = None
        if not format_named(request.file_format).from_graph:
            return
        # PyTorch writes no opset before its own oldest; a raw model is brought there when it is whole.
        self._network = export_network(reference.classifier, info.image_size, max(request.opset, OPSET))
        network = self._network
        if request.precision == "int8" and faces is not None:
            self.quantised = search_int8(
                network,
                _with_labels(faces.train),
                mean=info.mean,
                std=info.std,
                target=target_named(request.target),
                max_drop_points=request.max_drop_points,
                note=note,
            )
            network = self.quantised.network
        self.model = self._assembled(network)

    def expected(self) -> onnx.ModelProto:
        """The model in float: what a published graph must compute, but for its rounding to 8 bits."""
        return self._assembled(self._network)

    def _assembled(self, network: onnx.ModelProto) -> onnx.ModelProto:
        request = self._request
        return assembled(
            network,
            self._reference,
            precision=request.precision,
            raw=request.raw,
            opset=request.opset,
            fixed_shape=request.fixed_shape,
        )

    def quantisation(self, faces: NDArray[np.uint8]) -> dict[str, Any] | None:
        """What the metadata state of it: how it was made, and how far each layer is from the float network's."""
        if self.quantised is None:
            return None
        channels = (1,) if self._request.raw else format_named(self._request.file_format).channels
        layers = compare_layers(
            self._reference, self._network, self.model, self._request.precision, *layer_images(faces, channels)
        )
        return {**self.quantised.to_dict(), LAYER_NOISE: layer_noise(layers)}

    def report(self, accuracy: AccuracyPair, given: FaceData) -> QuantisationReport:
        """What quantisation cost and brought, with the accuracy of the file."""
        assert self.quantised is not None
        validation = given.split("validation")
        return report_int8(
            self.quantised,
            self._network,
            accuracy,
            labels=self._info.labels,
            is_leaked=leaked(given, "validation")[validation.labels != NO_LABEL],
            image_size=self._info.image_size,
            mean=self._info.mean,
            std=self._info.std,
        )


def export(request: ExportRequest, note: Note = lambda _: None) -> Exported:
    """As ``export_checkpoint``, and for formats that are no models, such as weights, by their own way."""
    own = format_named(request.file_format).export
    if own is None:
        return export_checkpoint(request, note)
    done: Exported = own(request, note)
    return done
