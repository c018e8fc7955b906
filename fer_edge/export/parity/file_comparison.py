"""Whether a file is the one that its checkpoint exports to here: its graph, or its bytes."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnx

import fer_edge
from fer_edge.errors import ModelError
from fer_edge.export.formats.registry import ModelFormat, Source
from fer_edge.export.graph.fixed_shape import is_fixed
from fer_edge.export.graph.model import assembled, precision_of
from fer_edge.export.graph.network import export_network
from fer_edge.export.graph.preprocessing import is_raw
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.graph.versions import OPSET, read_versions
from fer_edge.export.parity.reproduction import reproduction_failures
from fer_edge.export.parity.structure import structure_failures
from fer_edge.metadata import ModelMetadata
from fer_edge.runtime.model_file import read_any

SAME_BYTES = "the checkpoint's, byte by byte"
SAME_GRAPH = "the checkpoint's, operator by operator and weight by weight"
"""What ``Verification.graph`` says of one that was proved."""


def compare_graphs(
    model: onnx.ModelProto,
    metadata: ModelMetadata,
    model_format: ModelFormat,
    reference: PixelsToProbabilities,
    *,
    other_writer: bool,
) -> tuple[str, list[str], onnx.ModelProto]:
    """What was found, what fails, and the checkpoint's own network.

    ``other_writer`` accepts another graph of a file that states versions which are not here.
    """
    try:
        opset = read_versions(model).opset
        network = export_network(reference.classifier, reference.image_size, max(opset, OPSET))
        expected = assembled(
            network,
            reference,
            precision=precision_of(model),
            raw=is_raw(model),
            opset=opset,
            fixed_shape=is_fixed(model),
        )
        failures = structure_failures(model_format.reread(Source(reference, lambda: expected), metadata), model)
    except ModelError as error:  # this opset cannot be exported here
        network = export_network(reference.classifier, reference.image_size)
        failures = [str(error)]
    if not failures:
        return SAME_GRAPH, [], network
    # Another version may write other operators for the same network.
    writers = ("torch", "onnxruntime") if model_format.needs_writers_onnxruntime else ("torch",)
    for package in writers:
        made_with, here = _versions_of(package, metadata)
        if made_with != here:
            found = f"another than {package} {here} writes here, which proves nothing: it states {made_with}"
            return found, _unless_accepted(other_writer, package, made_with, here), network
    return "NOT the checkpoint's", failures, network


def compare_bytes(
    path: Path,
    metadata: ModelMetadata,
    model_format: ModelFormat,
    reference: PixelsToProbabilities,
    *,
    other_writer: bool,
) -> tuple[str, list[str]]:
    """What was found, and what fails; ``other_writer`` accepts other bytes of a file that states other versions."""
    for package in (fer_edge.__name__, "torch", *model_format.packages):
        try:
            made_with, here = _versions_of(package, metadata)
        except PackageNotFoundError:
            return f"not compared byte by byte, which needs {package}; it is not installed", []
        if made_with != here:
            failures = _unless_accepted(other_writer, package, made_with, here)
            return f"not compared: it states {package} {made_with}, here is {here}, which may write others", failures
    assert model_format.write is not None
    checked = read_any(path)
    found = {model_format.suffixes[0]: checked.data, **checked.others}
    expected = model_format.write(Source(reference, _no_graph), metadata)
    failures = reproduction_failures(expected, found, are_floats=metadata.precision != "int8")
    return "NOT the checkpoint's" if failures else SAME_BYTES, failures


def _unless_accepted(other_writer: bool, package: str, made_with: str, here: str) -> list[str]:
    """What fails where a file cannot be compared for want of a version. The version is the file's own word: if that
    were enough, whoever changed a file could switch the comparison off."""
    if other_writer:
        return []
    return [
        f"expected a file that {package} {here} writes, found one that states {package} {made_with}; install that "
        "version to compare the two, or accept it by --other-writer: weights, layers and answers alone judge it then"
    ]


def _versions_of(package: str, metadata: ModelMetadata) -> tuple[str, str]:
    """The version that the model was made with, and the one here, without what a build adds to it.

    Raises PackageNotFoundError where it is not installed.
    """
    installed = (
        fer_edge.__version__ if package == fer_edge.__name__ else version(package)
    )  # a checkout needs no install
    made_with, here = (str(one).split("+")[0] for one in (metadata.versions.get(package), installed))
    return made_with, here


def _no_graph() -> onnx.ModelProto:
    raise ModelError("expected a format that is written without the ONNX graph")
