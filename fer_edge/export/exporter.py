"""From a checkpoint to a published model: write files, load them, compare them with it, then name them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fer_edge.backends.contract import ModelBackend
from fer_edge.backends.registry import open_model
from fer_edge.data.faces import FaceSet
from fer_edge.devices.farm import run_devices
from fer_edge.devices.matrix import Matrix
from fer_edge.devices.targets import DEVICES
from fer_edge.errors import ModelError
from fer_edge.export.card.metadata import describe
from fer_edge.export.checkpoint_graphs import CheckpointGraphs, Search, load_reference
from fer_edge.export.faces import given_faces, judging_faces
from fer_edge.export.formats.registry import ModelFormat, Source, converting, format_named
from fer_edge.export.graph.versions import read_versions
from fer_edge.export.parity.comparison import Parity, answers, measure_accuracy, measure_parity
from fer_edge.export.parity.report import parity_summary
from fer_edge.export.parity.structure import structure_failures
from fer_edge.export.publish import default_name, model_path, publish, sidecar
from fer_edge.export.quantization.report import QuantisationReport, search_int8
from fer_edge.export.quantization.search import Quantised
from fer_edge.export.request import ExportRequest
from fer_edge.files import temporary_folder, write_text
from fer_edge.folder_files import write_model
from fer_edge.metadata import ModelMetadata
from fer_edge.runtime.checksum import file_sha256

Note = Callable[[str], None]


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
    left_out_files: Mapping[str, int] = field(default_factory=dict)
    """Files and rows of the data set that cannot be used, by kind (``fer_edge.data.left_out``)."""

    @property
    def name(self) -> str:
        """Of the files, without suffix."""
        return self.metadata.name

    def summary(self) -> str:
        """The figures of every check in a few lines."""
        parts = [self.quantisation.summary()] if self.quantisation is not None else []
        parts += [self.devices.line()] if self.devices is not None else []
        untried = format_named(self.metadata.format).untried
        return "\n".join([*parts, parity_summary(self.parity), *([untried] if untried else [])])

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
            "left_out_files": dict(self.left_out_files),
        }


def export_checkpoint(request: ExportRequest, note: Note = lambda _: None, *, search: Search = search_int8) -> Export:
    """Export as asked, measure parity from image files on, and publish the model if every check passed.

    ``note`` hears what is going on; ``search`` finds the INT8 network. Raises CheckpointError,
    DataError, ModelError or StorageError.
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
    graphs = CheckpointGraphs(reference, info, request, given, note, search)
    source = Source(reference, lambda: graphs.model, graphs.quantised_file)
    metadata = describe(
        info,
        name=name,
        model_format=model_format,
        precision=request.precision,
        raw=request.raw,
        fixed_shape=request.fixed_shape,
        versions=read_versions(source.graph) if model_format.for_onnxruntime else None,
        quantisation=graphs.quantisation(faces.probes),
    )
    with temporary_folder() as temporary:
        stage = Path(temporary)
        files, backend = write_and_open(model_format, source, metadata, stage)
        note("comparing it with its checkpoint")
        accuracy, report, matrix = None, None, None
        if faces.labelled is not None:
            accuracy = measure_accuracy(reference, backend, faces.labelled, faces.source)
            if graphs.found is not None and given is not None:
                report = graphs.report(accuracy, given)
                if model_format.for_onnxruntime and graphs.quantised is not None:
                    matrix = _tried_on_devices(stage / f"{name}{model_format.suffixes[0]}", graphs.quantised, note)
                measured = replace(
                    metadata,
                    metrics=report.metrics(),
                    devices=matrix.summary() if matrix is not None else None,
                    quantisation=graphs.noise_of(backend, faces.probes),
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
            structure_failures(
                model_format.reread(Source(reference, graphs.expected), metadata),
                model_format.read_graph(files[model_format.suffixes[0]]),
            )
            if model_format.read_graph is not None
            else ()
        ),
        *parity.failures,
    )
    paths = () if failures else publish(path, files, backend.metadata, backend.sha256, parity, report)
    return Export(backend.metadata, backend.sha256, parity, failures, paths, report, matrix, faces.left_out)


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
    with converting(model_format):
        files = model_format.write(source, metadata)
    if tuple(files) != model_format.suffixes:
        found = ", ".join(files) or "none"
        raise ModelError(f"expected {model_format.name} to write {', '.join(model_format.suffixes)}, found {found}")
    for suffix, data in files.items():
        write_model(folder / f"{metadata.name}{suffix}", data)
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


def export(request: ExportRequest, note: Note = lambda _: None) -> Exported:
    """As ``export_checkpoint``, and for formats that are no models, such as weights, by their own way."""
    own = format_named(request.file_format).export
    if own is None:
        return export_checkpoint(request, note)
    done: Exported = own(request, note)
    return done
