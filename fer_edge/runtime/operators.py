"""The operators that a model may hold: those of image classifiers, which end, keep no state and read no file.

What onnxruntime offers beyond them is no harm from a maker who is trusted, and much from one who is not: a Loop need
not end, functions within functions unfold to billions of nodes, an operator of another domain is somebody's code.
Names are those of https://onnx.ai/onnx/operators/ and of onnxruntime's own docs/ContribOperators.md.
"""

from collections import Counter
from pathlib import Path

from fer_edge.errors import ModelError
from fer_edge.runtime.onnx_file import OnnxFile
from fer_edge.text import printable

_LAYERS = (
    "AveragePool BatchNormalization Conv ConvTranspose Gemm GlobalAveragePool GlobalMaxPool GroupNormalization "
    "InstanceNormalization LRN LayerNormalization MatMul MaxPool RMSNormalization"
)
_ACTIVATIONS = (
    "Celu Clip Elu Erf Gelu HardSigmoid HardSwish LeakyRelu LogSoftmax Mish PRelu Relu Selu Sigmoid Softmax Softplus "
    "Softsign Swish Tanh ThresholdedRelu"
)
_ARITHMETIC = (
    "Abs Add And Ceil Cos Div Equal Exp Floor Greater GreaterOrEqual Less LessOrEqual Log Max Mean Min Mod Mul Neg "
    "Not Or Pow Reciprocal ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
    "ReduceSumSquare Round Sign Sin Sqrt Sub Sum Where Xor"
)
_SHAPES = (
    "ArgMax ArgMin Cast Concat Constant DepthToSpace Expand Flatten Gather Identity Pad Reshape Resize Shape Size "
    "Slice SpaceToDepth Split Squeeze Transpose Unsqueeze"
)
_QUANTISATION = (
    "ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearConv QLinearMatMul QuantizeLinear"
)
_FUSED = (  # what onnxruntime writes into an .ort file in place of the above
    "BiasGelu DynamicQuantizeMatMul FastGelu FusedConv FusedGemm FusedMatMul Gelu MatMulIntegerToFloat NhwcMaxPool "
    "QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul "
    "QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QuickGelu SkipLayerNormalization DequantizeLinear "
    "QuantizeLinear"
)

ALLOWED = frozenset(f"{_LAYERS} {_ACTIVATIONS} {_ARITHMETIC} {_SHAPES} {_QUANTISATION}".split()) | frozenset(
    f"com.microsoft.{name}" for name in _FUSED.split()
)
"""By name, with the domain of those that are not ONNX's own."""

_MAX_NAMED = 3


def check_operators(path: Path, graph: OnnxFile) -> None:
    """Refuse (ModelError) a graph with other operators, or with operators of its own making."""
    found = Counter({name: count for name, count in graph.operators.items() if name not in ALLOWED})
    if graph.functions:
        found[f"{graph.functions} functions of its own"] = graph.functions
    if found:
        names = [printable(name[:60]) for name, _ in found.most_common(_MAX_NAMED)]
        more = f" and {len(found) - len(names)} more" if len(found) > len(names) else ""
        raise ModelError(
            f"{path}: expected the operators of image classifiers alone, found {', '.join(names)}{more}; if you trust "
            "where it is from, open it with --trust (in Python: trust=True)"
        )
