"""LiteRT's .tflite (TensorFlow Lite), for Android, iOS and boards."""

from typing import TYPE_CHECKING

from fer_edge.export.formats.registry import ModelFormat, Note, Source

if TYPE_CHECKING:
    from fer_edge.export.quantization.calibration import TrainingFaces
    from fer_edge.export.quantization.search import QuantisedFile
    from fer_edge.metadata import ModelMetadata


def with_archive(data: bytes, metadata: "ModelMetadata") -> bytes:
    """The .tflite file ``data`` with a zip at its end, where Android's tools look for ``labels.txt``.

    LiteRT reads the file from its beginning and does not see it. It also holds the metadata, without checksum.
    """
    import io
    import zipfile

    from fer_edge.backends.litert import LABELS, METADATA, labels_text

    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a") as archive:
        for name, text in ((LABELS, labels_text(metadata)), (METADATA, metadata.to_json(indent=2))):
            # A date of its own, the earliest that a zip holds: the same model gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return stream.getvalue()


def _write(source: Source, metadata: "ModelMetadata") -> dict[str, bytes]:
    from fer_edge.export.formats._litert_conversion import converted

    if source.quantised is not None:
        data = source.quantised.data
    else:
        data = converted(source.faces_module, metadata.image_size)
    return {FORMAT.suffixes[0]: with_archive(data, metadata)}


def _quantise(source: Source, faces: "TrainingFaces", acceptable_drop_points: float, note: Note) -> "QuantisedFile":
    from fer_edge.export.formats._litert_conversion import converted
    from fer_edge.export.formats._litert_quantiser import find_best_file

    note("converting it for LiteRT's quantiser")
    data = converted(source.faces_module, source.module.image_size)
    return find_best_file(data, faces, source.module.mean, source.module.std, acceptable_drop_points, note)


FORMAT = ModelFormat(
    name="litert",
    summary="litert (.tflite)",
    suffixes=(".tflite",),
    write=_write,
    precisions=("fp32", "int8"),
    input_kinds=("faces",),
    channels=(1,),
    takes_one_face=True,
    quantiser=_quantise,
    made_by="litert_torch",
    made_by_extra="litert-export",
    packages=("ai-edge-litert", "ai-edge-quantizer", "litert-torch"),
    refused_options=("target", "opset", "fixed-shape"),
    refused_because="makes one file for every processor, of one face a run",
    on_device="LiteRT (TensorFlow Lite) on Android, iOS and boards, no delegate",
    embeds_metadata=False,
    has_layer_names=True,
)
