"""A network for one face at a time, for engines that plan memory ahead: every dimension is a number."""

import onnx

_BATCH_OF_ONE = 1


def with_batch_of_one(network: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of ``network`` (faces to logits) whose batch is 1 in its input, its outputs and all values between."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(network)
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = _BATCH_OF_ONE
    del fixed.graph.value_info[:]  # which say "batch" of every value between
    return onnx.shape_inference.infer_shapes(fixed)


def with_any_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of ``model`` that takes any number of faces again, for those who compare it on many at once."""
    free = onnx.ModelProto()
    free.CopyFrom(model)
    if is_fixed(model):
        for value in (*free.graph.input, *free.graph.output):
            value.type.tensor_type.shape.dim[0].Clear()
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
        del free.graph.value_info[:]
    return free


def is_fixed(model: onnx.ModelProto) -> bool:
    """Whether the batch of ``model``'s first input is a number."""
    shapes = [value.type.tensor_type.shape.dim for value in model.graph.input]
    return bool(shapes and len(shapes[0]) and shapes[0][0].HasField("dim_value"))
