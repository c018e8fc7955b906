"""Core ML's model package (.mlpackage, an ML program): for iOS and macOS. Converted here, run nowhere but on Apple's
systems."""

from typing import TYPE_CHECKING, Any

from fer_edge.export.formats.registry import ModelFormat, Note, Source

if TYPE_CHECKING:
    from fer_edge.export.quantization.calibration import TrainingFaces
    from fer_edge.export.quantization.search import QuantisedFile
    from fer_edge.metadata import ModelMetadata


def coreml_bytes(source: Source, metadata: "ModelMetadata") -> bytes:
    """The package, as ``folder_files.pack`` of its files. The same network gives the same bytes.

    Core ML takes an image and makes its grey values 0-255 of it; the program normalises them. Raises ModelError where
    coremltools cannot convert the network.
    """
    from fer_edge.backends.mil_torch import METADATA_KEY
    from fer_edge.export.formats._coreml_package import package_of
    from fer_edge.metadata import NO_CHECKSUM

    def described(description: Any) -> None:
        description.metadata.shortDescription = f"One face to {len(metadata.labels)} classes"
        description.metadata.license = metadata.license
        description.metadata.userDefined[METADATA_KEY] = metadata.with_checksum(NO_CHECKSUM).to_json()

    return package_of(source.planes_module, metadata.image_size, metadata.precision, metadata.labels, described)


def _write(source: Source, metadata: "ModelMetadata") -> dict[str, bytes]:
    return {FORMAT.suffixes[0]: coreml_bytes(source, metadata)}


def _quantise(source: Source, faces: "TrainingFaces", acceptable_drop_points: float, note: Note) -> "QuantisedFile":
    from fer_edge.export.formats._coreml_quantiser import weights_only

    return weights_only(source.planes_module, source.module.image_size, faces, note)


FORMAT = ModelFormat(
    name="coreml",
    summary="coreml (.mlpackage)",
    suffixes=(".mlpackage",),
    write=_write,
    precisions=("fp32", "fp16", "int8"),
    input_kinds=("faces",),
    channels=(1,),
    takes_one_face=True,
    quantiser=_quantise,
    writes_same_bytes=True,
    made_by="coremltools",
    made_by_extra="coreml",
    packages=("coremltools",),
    refused_options=("target", "opset", "fixed-shape"),
    refused_because="makes one package for every Apple processor, of one face a run",
    embeds_metadata=False,
    on_device="Core ML on iOS 15, macOS 12 (int8: iOS 16, macOS 13) and later: not run here",
    untried="Core ML itself was not run: the package's MIL graph was evaluated by torch, on a system without Core ML.",
    note="Core ML itself is not run here, but on Apple's systems alone; torch evaluates the package's MIL graph",
)
