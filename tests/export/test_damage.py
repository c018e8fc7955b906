"""Verify fails for another weight, other labels and other preprocessing in every format and precision there is.

The damaged files are written as a liar would write them: by the exporter's own code, from the checkpoint with the
damage in it, with the metadata of the sound one and right checksums. ``verify`` gets less than it has: one probe of a
few faces, because more can only find more, and no comparison of bytes, which needs the versions that wrote the file.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from onnx import ModelProto

from fer_edge.errors import MissingExtraError
from fer_edge.export.card.metadata import describe
from fer_edge.export.checkpoint_graphs import CheckpointGraphs, load_reference
from fer_edge.export.every_format import every_kind
from fer_edge.export.exporter import write_and_open
from fer_edge.export.faces import JudgingFaces
from fer_edge.export.formats.registry import ModelFormat, Source, all_formats, refuse_combination
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.graph.versions import read_versions
from fer_edge.export.parity import comparison, verification
from fer_edge.export.parity.probes import make_probes
from fer_edge.export.parity.verification import VerifyRequest, verify_model
from fer_edge.export.quantization.search import Quantised, Recipe, Trial, quantise
from fer_edge.export.quantization.targets import PORTABLE, UINT8
from fer_edge.export.request import ExportRequest
from fer_edge.metadata import SUFFIXES, ModelMetadata

pytestmark = pytest.mark.slow  # each test writes a file and verifies it

KINDS = list(every_kind())
ANSWERS = ("expected probabilities within", "expected logits at least", "expected the same class")
PROBE = "faces in strong colours of the same luma, RGB PNG"
TRAINING_FACES = 60
"""Of those that a format's own quantiser is given; a third of them calibrate."""


@dataclass(frozen=True)
class Written:
    """A file, and what it was written from."""

    model_format: ModelFormat
    source: Source
    metadata: ModelMetadata
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / f"{self.metadata.name}{self.model_format.suffixes[0]}"


def another_weight(reference: PixelsToProbabilities) -> PixelsToProbabilities:
    """One of the last layer's is larger by 5."""
    with torch.no_grad():
        reference.classifier.network[-1].weight[0, 0] += 5.0
    return reference


def other_preprocessing(reference: PixelsToProbabilities) -> PixelsToProbabilities:
    """Faces are normalised by another mean."""
    return PixelsToProbabilities(reference.classifier, reference.image_size, reference.mean + 0.2, reference.std).eval()


def with_other_labels(metadata: ModelMetadata) -> ModelMetadata:
    """The same ones, in another order."""
    return replace(metadata, labels=metadata.labels[::-1])


DAMAGES = {
    "weight": (another_weight, None, ANSWERS),
    "preprocessing": (other_preprocessing, None, ANSWERS),
    "labels": (None, with_other_labels, ("expected labels ['angry'",)),
}
"""What is done to the checkpoint or to the metadata, and one of which the report then says."""


@pytest.fixture(scope="module", autouse=True)
def little_is_compared(tiny_run) -> Iterator[None]:
    few = tiny_run.faces.train.faces[:5]
    probes = [replace(one, batches=(1,)) for one in make_probes(few) if one.name == PROBE]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "make_probes", lambda faces: probes)
        patch.setattr(verification, "judging_faces", lambda size, given: JudgingFaces(few, None, "few faces"))
        patch.setattr(verification, "compare_bytes", lambda *_, **__: ("not compared", []))
        yield


@pytest.fixture(scope="module")
def graphs_of(tiny_run, calibration) -> Callable[..., CheckpointGraphs]:
    """The checkpoint as graphs and as what a format's own quantiser makes of it, without a long search."""

    def quantised(network: ModelProto, *_: object, **__: object) -> Quantised:
        best = Trial(Recipe("MinMax", UINT8, reduce_range=True), accuracy=1.0, agreement=1.0, logit_error=0.0)
        return Quantised(
            network=quantise(network, calibration, best.recipe),
            best=best,
            float_accuracy=1.0,
            trials=(best,),
            target=PORTABLE,
            calibration_faces=96,
            held_back_faces=96,
        )

    def graphs(reference: PixelsToProbabilities, model_format: ModelFormat, precision: str) -> CheckpointGraphs:
        _, info = load_reference(tiny_run.folder)
        request = ExportRequest(
            tiny_run.folder,
            file_format=model_format.name,
            precision=precision,
            data="sample",
            max_drop_points=100.0,  # a format's own quantiser searches on where it loses more
        )
        train = tiny_run.faces.train.take(range(TRAINING_FACES))
        return CheckpointGraphs(
            reference, info, request, replace(tiny_run.faces, train=train), lambda _: None, quantised
        )

    return graphs


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0].name}-{kind[1]}")
def sound(request, tiny_run, graphs_of, tmp_path_factory) -> Written:
    """The checkpoint in each format and precision, written as the exporter does."""
    model_format, precision = request.param
    try:
        refuse_combination(model_format, precision, model_format.input_kinds[0])
    except MissingExtraError as error:
        pytest.skip(str(error))
    reference, info = load_reference(tiny_run.folder)
    graphs = graphs_of(reference, model_format, precision)
    source = Source(reference, lambda: graphs.model, graphs.quantised_file)
    faces = tiny_run.faces.train.faces[:TRAINING_FACES]
    metadata = describe(
        info,
        name="sound",
        model_format=model_format,
        precision=precision,
        versions=read_versions(source.graph) if model_format.for_onnxruntime else None,
        quantisation=graphs.quantisation(faces),
    )
    folder = tmp_path_factory.mktemp("sound")
    _, backend = write_and_open(model_format, source, metadata, folder)
    if graphs.quantised_file is not None:  # how far each of its layers is from the checkpoint's
        metadata = replace(metadata, quantisation=graphs.noise_of(backend, faces))
        write_and_open(model_format, source, metadata, folder)
    return Written(model_format, source, metadata, folder)


def failures_of(written: Written, checkpoint: Path) -> tuple[str, ...]:
    return verify_model(VerifyRequest(written.path, checkpoint, trust=True)).parity.failures


def test_a_sound_file_passes(sound, tiny_run):
    assert failures_of(sound, tiny_run.folder) == ()


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found(damage, sound, tiny_run, graphs_of, tmp_path):
    of_reference, of_metadata, words = DAMAGES[damage]
    source, metadata = sound.source, sound.metadata
    if of_reference is not None:
        reference = of_reference(load_reference(tiny_run.folder)[0])
        if sound.model_format.writes_same_bytes:  # from checkpoint and metadata alone
            source = Source(reference, source.make_graph, source.quantised)
        else:
            graphs = graphs_of(reference, sound.model_format, metadata.precision)
            source = Source(reference, lambda: graphs.model, graphs.quantised_file)
    if of_metadata is not None:
        metadata = of_metadata(metadata)
    write_and_open(sound.model_format, source, metadata, tmp_path)
    failures = failures_of(replace(sound, metadata=metadata, folder=tmp_path), tiny_run.folder)
    assert any(word in failure for failure in failures for word in words), failures


def test_no_kind_of_file_and_no_damage_is_left_out():
    kinds = {(model_format.name, precision) for model_format, precision in KINDS}
    assert {name for name, _ in kinds} == set(SUFFIXES)
    assert kinds == {(name, precision) for name in SUFFIXES for precision in all_formats()[name].precisions}
    assert set(DAMAGES) == {"weight", "labels", "preprocessing"}
