"""The trained network as an ONNX graph: float32 (batch, 1, S, S) normalised faces to logits (batch, C)."""

import ast
import io
import logging
import warnings
from contextlib import redirect_stdout

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from fer_edge.errors import ModelError
from fer_edge.export.graph.versions import OPSET, read_versions, smallest_ir_version

FACES = "faces"
"""Name of the normalised faces: the input of a raw model, an inner value of any other."""
LOGITS = "logits"

_NAME_SCOPES = "pkg.torch.onnx.name_scopes"
_TRACE_BATCH = 2  # not 1, which torch.export would take for a constant


def export_network(classifier: nn.Module, image_size: int, opset: int = OPSET) -> onnx.ModelProto:
    """Trace ``classifier`` (in eval mode) into one self-contained ONNX model with a dynamic batch.

    Every value is named after the torch module that computes it (``network.layer1.0.conv1``; a module that is called
    again adds ``:2``), so that checkpoint and model can be compared layer by layer. The global average pool is written
    as GlobalAveragePool, which onnxruntime's quantiser knows, where torch writes ReduceMean, which it does not.

    Raises ModelError when the exporter writes another opset than asked for, which it does silently.
    """
    example = torch.zeros(_TRACE_BATCH, 1, image_size, image_size)
    # onnxscript 0.6 prints what it rewrote, into the midst of what --json prints.
    with warnings.catch_warnings(), _quiet("torch.onnx", "onnxscript"), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter's own deprecations, none of which a user can act on
        program = torch.onnx.export(
            classifier.eval(),
            (example,),
            dynamo=True,
            external_data=False,
            opset_version=opset,
            input_names=[FACES],
            output_names=[LOGITS],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    if program is None:  # only when torch.onnx.export is handed a path
        raise ModelError("expected a program from torch.onnx.export, found none")
    model = program.model_proto
    found = read_versions(model).opset
    if found != opset:
        raise ModelError(f"expected opset {opset} from torch.onnx.export, found {found}; export with --opset {found}")
    pool_globally(model.graph)
    flatten_by_constants(model.graph)
    name_values_after_modules(model.graph, {name for name, module in classifier.named_modules() if _is_leaf(module)})
    _strip(model)
    _drop_unused_weights(model.graph)
    model.ir_version = smallest_ir_version(opset)
    return model


def num_classes(network: onnx.ModelProto) -> int:
    """How many classes its logits (batch, C) are of. Raises ModelError where the graph does not say."""
    shapes = [list(one.type.tensor_type.shape.dim) for one in network.graph.output if one.name == LOGITS]
    count = shapes[0][-1].dim_value if shapes and len(shapes[0]) == 2 else 0
    if not count:
        raise ModelError(f"expected a graph with {LOGITS} of shape (batch, classes), found none")
    return int(count)


def pool_globally(graph: onnx.GraphProto) -> None:
    """Write each mean over height and width that keeps its dimensions as GlobalAveragePool, in place."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "ReduceMean" or len(node.input) < 2 or node.input[1] not in constants:
            continue
        keeps = next((attribute.i for attribute in node.attribute if attribute.name == "keepdims"), 1)
        axes = sorted(int(axis) % 4 for axis in numpy_helper.to_array(constants[node.input[1]]).ravel())
        if keeps and axes == [2, 3]:
            node.op_type = "GlobalAveragePool"
            del node.input[1:]
            del node.attribute[:]


def flatten_by_constants(graph: onnx.GraphProto) -> None:
    """Write each Reshape to (batch, K), the batch read from a Shape, with the constant shape (-1, K), in place.

    torch 2.8 writes the first; Shape with a range of its own is of opset 15, and engines of fixed shapes lack it.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made_by = {node.output[0]: node for node in graph.node}
    replaced: set[str] = set()
    for node in graph.node:
        concat = made_by.get(node.input[1]) if node.op_type == "Reshape" else None
        if concat is None or concat.op_type != "Concat" or len(concat.input) != 2:
            continue
        batch, size = made_by.get(concat.input[0]), constants.get(concat.input[1])
        if batch is None or batch.op_type != "Shape" or size is None or size.size != 1:
            continue
        name = f"{concat.output[0]}.constant"
        graph.initializer.append(numpy_helper.from_array(np.array([-1, size.item()], np.int64), name))
        node.input[1] = name
        replaced |= {concat.output[0], batch.output[0]}
    used = {value for node in graph.node for value in node.input if node.output[0] not in replaced}
    unused = [node for node in graph.node if node.output[0] in replaced - used]
    for node in unused:
        graph.node.remove(node)


def name_values_after_modules(graph: onnx.GraphProto, leaf_modules: set[str]) -> None:
    """Name nodes and the values they give after the torch modules that the exporter noted on them, in place."""
    calls: dict[tuple[str, str], int] = {}  # (module, aten call) -> how many calls of the module so far
    names: dict[str, str] = {}
    for node in graph.node:
        scopes = next((entry.value for entry in node.metadata_props if entry.key == _NAME_SCOPES), None)
        if scopes is None:
            continue
        *modules, call = ast.literal_eval(scopes)
        module = modules[-1] if modules else ""
        if module not in leaf_modules:  # an operator written in a forward(), such as ResNet's addition
            module = f"{module}.{node.op_type.lower()}".lstrip(".")
        if (module, call) not in calls:
            calls[module, call] = sum(1 for known, _ in calls if known == module) + 1
        count = calls[module, call]
        # A module of several operators gives its name to the last; the earlier ones are told apart by their type.
        names[node.output[0]] = module if count == 1 else f"{module}:{count}"
    _rename(graph, names)


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    kept = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    last_of = {name: value for value, name in names.items()}
    new_names: dict[str, str] = {}
    for node in graph.node:
        for value in node.output:
            wanted = names.get(value)
            if wanted is None or value in kept or wanted in kept:
                continue
            new_names[value] = wanted if last_of[wanted] == value else f"{wanted}/{node.op_type.lower()}.{value}"
    for node in graph.node:
        for values in (node.input, node.output):
            for index, value in enumerate(values):
                values[index] = new_names.get(value, value)
        node.name = node.output[0]
    for info in graph.value_info:
        info.name = new_names.get(info.name, info.name)


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _strip(model: onnx.ModelProto) -> None:
    """Take out the exporter's notes: stack traces with paths of this machine, which also need a newer IR version."""
    graph = model.graph
    for holder in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        del holder.metadata_props[:]
    graph.doc_string = model.doc_string = ""
    for node in graph.node:
        node.doc_string = ""


def _drop_unused_weights(graph: onnx.GraphProto) -> None:
    used = {value for node in graph.node for value in node.input} | {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


class _quiet:  # noqa: N801  # reads as a verb where it is used
    """Keep the named loggers to errors inside the block."""

    def __init__(self, *names: str) -> None:
        self._loggers = [logging.getLogger(name) for name in names]

    def __enter__(self) -> None:
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.setLevel(level)
