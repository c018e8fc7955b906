"""Make fer_edge/runtime/assets/saturation.onnx: a convolution of 8-bit numbers whose answer is known.

python tools/make_saturation_probe.py

Every product is 255 * 127, the largest there is. A processor that adds pairs of them in 16 bits gives 32,767 for each
pair in place of 64,770, so about half of the right sum. The graph is as onnxruntime's quantiser writes convolutions, so
that it takes the kernel that models take.
"""

import sys
from pathlib import Path

import numpy as np

CHANNELS, SIDE = 16, 3
ASSET = Path(__file__).resolve().parent.parent / "fer_edge" / "runtime" / "assets" / "saturation.onnx"


def probe() -> bytes:
    """The graph: float32 ``values`` (1, 16, 3, 3) to float32 ``sums`` (1, 16, 1, 1)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "one": np.float32(1),
        "zero": np.uint8(0),
        "weights": np.full((CHANNELS, CHANNELS, SIDE, SIDE), 127, np.int8),
        "weights_zero": np.int8(0),
        "sum_scale": np.float32(32768),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["values", "one", "zero"], ["quantized"]),
        helper.make_node("DequantizeLinear", ["quantized", "one", "zero"], ["dequantized"]),
        helper.make_node("DequantizeLinear", ["weights", "one", "weights_zero"], ["dequantized_weights"]),
        helper.make_node("Conv", ["dequantized", "dequantized_weights"], ["convolved"]),
        helper.make_node("QuantizeLinear", ["convolved", "sum_scale", "zero"], ["quantized_sums"]),
        helper.make_node("DequantizeLinear", ["quantized_sums", "sum_scale", "zero"], ["sums"]),
    ]
    graph = helper.make_graph(
        nodes,
        "saturation probe",
        [helper.make_tensor_value_info("values", TensorProto.FLOAT, [1, CHANNELS, SIDE, SIDE])],
        [helper.make_tensor_value_info("sums", TensorProto.FLOAT, [1, CHANNELS, 1, 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="fer_edge"
    )
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def main() -> None:
    """Write the asset."""
    ASSET.write_bytes(probe())
    print(f"wrote {ASSET}", file=sys.stderr)


if __name__ == "__main__":
    main()
