"""OpenVINO's intermediate representation (IR): the graph as XML, the weights beside it."""

from typing import TYPE_CHECKING

from fer_edge.export.formats.registry import ModelFormat, Source

if TYPE_CHECKING:
    import onnx
    import openvino

    from fer_edge.metadata import ModelMetadata


def openvino_files(graph: "onnx.ModelProto", metadata: "ModelMetadata") -> dict[str, bytes]:
    """``graph`` as IR: ``.xml`` and ``.bin``, the labels in its ``model_info``, where OpenVINO's Model API looks.

    An 8-bit graph keeps its own quantisation. Weights are written as they are: by default OpenVINO would halve them.
    Raises ModelError where OpenVINO cannot convert it.
    """
    from pathlib import Path

    import openvino

    from fer_edge.backends.openvino import runtime_info
    from fer_edge.errors import ModelError
    from fer_edge.files import temporary_folder

    with temporary_folder() as folder:
        given, written = Path(folder) / "given.onnx", Path(folder) / "model.xml"
        given.write_bytes(graph.SerializeToString())
        try:
            model = openvino.convert_model(str(given))
            _resize_as_pillow(model, metadata.image_size)
        except RuntimeError as error:
            raise ModelError(f"{metadata.name}: OpenVINO cannot convert it: {str(error)[-300:]}") from error
        for place, value in runtime_info(metadata).items():
            model.set_rt_info(value, list(place))
        openvino.save_model(model, str(written), compress_to_fp16=False)
        return {suffix: written.with_suffix(suffix).read_bytes() for suffix in FORMAT.suffixes}


def _resize_as_pillow(model: "openvino.Model", size: int) -> None:
    """Resize to ``size`` with antialiasing, as Pillow does: OpenVINO reads that attribute from ONNX and does not act on
    it, which moves probabilities by 0.16 where a photo is made smaller.

    Source: https://docs.openvino.ai, Interpolate-11, mode ``bilinear_pillow``; equal to within 3e-6 of a logit.
    """
    import numpy as np
    from openvino import opset11 as operators

    for found in model.get_ordered_ops():
        if found.get_type_name() != "Interpolate":
            continue
        resized = operators.interpolate(
            found.input_value(0),
            operators.constant(np.array([size, size], np.int64)),
            "bilinear_pillow",
            "sizes",
            axes=operators.constant(np.array([2, 3], np.int64)),
            pads_begin=[0, 0, 0, 0],
            pads_end=[0, 0, 0, 0],
        )
        resized.set_friendly_name(found.get_friendly_name())
        found.output(0).replace(resized.output(0))
    model.validate_nodes_and_infer_types()


def _write(source: Source, metadata: "ModelMetadata") -> dict[str, bytes]:
    return openvino_files(source.graph, metadata)


FORMAT = ModelFormat(
    name="openvino",
    summary="openvino (IR)",
    suffixes=(".xml", ".bin"),
    write=_write,
    precisions=("fp32", "int8"),
    input_kinds=("pixels", "normalised"),
    from_graph=True,
    embeds_metadata=False,
    has_layer_names=True,
    on_device="OpenVINO",
    packages=("openvino",),
)
