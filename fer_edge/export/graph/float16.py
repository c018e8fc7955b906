"""fp16: half the size, for GPUs and WebGPU. Preprocessing, inputs and outputs stay in float32."""

import onnx

from fer_edge.export.graph.network import FACES, LOGITS


def halve(network: onnx.ModelProto) -> onnx.ModelProto:
    """``network`` (faces to logits) with weights and arithmetic in float16; it still takes and gives float32.

    By the converter that ships with onnxruntime. Weights beyond float16's range are clamped to it, which parity finds.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    copy = onnx.ModelProto()
    copy.CopyFrom(network)
    half: onnx.ModelProto = convert_float_to_float16(copy, keep_io_types=[FACES, LOGITS])
    half.ir_version = network.ir_version
    return half
