"""Graphs and files that no image classifier is: made of a small model, to be refused before onnxruntime sees them."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from faults import changed
from onnx import TensorProto, helper, numpy_helper

from fer_edge.runtime.checksum import add_checksum

Change = Callable[[onnx.ModelProto], None]


def before_logits(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Send the network's logits, under the name "before", through ``nodes``, which make "logits" of them."""
    for node in model.graph.node:
        for index, output in enumerate(node.output):
            if output == "logits":
                node.output[index] = "before"
    at = next(index for index, node in enumerate(model.graph.node) if node.op_type == "Softmax")
    kept = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*kept[:at], *nodes, *kept[at:]])


def value(name: str, array: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(array, name)


def endless_loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["still"]), helper.make_node("Identity", ["kept"], ["out"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("kept", TensorProto.FLOAT, ["batch", 7]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 7]),
        ],
    )
    model.graph.initializer.extend([value("times", np.array(2**62, np.int64)), value("yes", np.array(True))])
    before_logits(model, [helper.make_node("Loop", ["times", "yes", "before"], ["logits"], body=body)])


def functions(model: onnx.ModelProto, count: int = 3) -> None:
    """Each calls the one before it."""
    opsets = list(model.opset_import)
    model.opset_import.append(helper.make_opsetid("own", 1))
    for index in range(count):
        call = helper.make_node(f"F{index - 1}", ["a"], ["b"], domain="own") if index else None
        node = call or helper.make_node("Identity", ["a"], ["b"])
        wanted = [*opsets, helper.make_opsetid("own", 1)]
        model.functions.append(helper.make_function("own", f"F{index}", ["a"], ["b"], [node], wanted))
    before_logits(model, [helper.make_node(f"F{count - 1}", ["before"], ["logits"], domain="own")])


def function_of_allowed_operators_alone(model: onnx.ModelProto) -> None:
    """Not called by any node, and named as an operator of ONNX is."""
    node = helper.make_node("Identity", ["a"], ["b"])
    model.functions.append(helper.make_function("", "Relu", ["a"], ["b"], [node], list(model.opset_import)))


def another_domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("some.where", 1))
    before_logits(model, [helper.make_node("Custom", ["before"], ["logits"], domain="some.where")])


def if_node(model: onnx.ModelProto) -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["before"], ["out"])],
        "branch",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 7])],
    )
    model.graph.initializer.append(value("yes", np.array(True)))
    before_logits(model, [helper.make_node("If", ["yes"], ["logits"], then_branch=branch, else_branch=branch)])


def constant_of_40_gigabytes(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(value("shape", np.array([100_000, 100_000], np.int64)))
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
        helper.make_node("Add", ["before", "sum"], ["logits"]),
    ]
    before_logits(model, nodes)


def chain(count: int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        names = ["before", *(f"link{index}" for index in range(count)), "logits"]
        pairs = pairwise(names)
        before_logits(model, [helper.make_node("Identity", [one], [other]) for one, other in pairs])

    return change


def nested_functions(model: onnx.ModelProto) -> None:
    """Twenty functions, each of which calls the one before it ten times: 10**20 nodes when they are unfolded."""
    opsets = [*model.opset_import, helper.make_opsetid("own", 1)]
    model.opset_import.append(helper.make_opsetid("own", 1))
    for level in range(20):
        names = ["a", *(f"v{index}" for index in range(9)), "b"]
        kind, domain = (f"F{level - 1}", "own") if level else ("Identity", "")
        nodes = [helper.make_node(kind, [one], [other], domain=domain) for one, other in pairwise(names)]
        model.functions.append(helper.make_function("own", f"F{level}", ["a"], ["b"], nodes, opsets))
    before_logits(model, [helper.make_node("F19", ["before"], ["logits"], domain="own")])


def nested_ifs(model: onnx.ModelProto, depth: int = 6) -> None:
    """Each in a branch of the one around it."""

    def graph(level: int) -> onnx.GraphProto:
        result = helper.make_tensor_value_info(f"out{level}", TensorProto.FLOAT, ["batch", 7])
        if level == depth:
            node = helper.make_node("Identity", ["before"], [f"out{level}"])
        else:
            inner = graph(level + 1)
            node = helper.make_node("If", ["yes"], [f"out{level}"], then_branch=inner, else_branch=inner)
            if level:  # two branches a level would make 2**depth graphs
                node.attribute[1].g.CopyFrom(graph(depth))
                node.attribute[1].g.output[0].name = node.attribute[1].g.node[0].output[0]
        return helper.make_graph([node], f"level{level}", [], [result])

    model.graph.initializer.append(value("yes", np.array(True)))
    top = graph(0).node[0]
    top.output[0] = "logits"
    before_logits(model, [top])


def external_weights(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")


def dangling(model: onnx.ModelProto) -> None:
    model.graph.node.extend(helper.make_node("Identity", ["image"], [f"loose{index}"]) for index in range(20_000))


def many_metadata(model: onnx.ModelProto) -> None:
    for index in range(300_000):
        model.metadata_props.add(key=f"k{index}", value="v")


def rows(count: int) -> Change:
    """Logits of so many rows, whatever the number of images."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.extend([value("from", np.array([0])), value("to", np.array([count]))])
        before_logits(model, [helper.make_node("Slice", ["before", "from", "to", "from"], ["logits"])])

    return change


def doubled_again_and_again(model: onnx.ModelProto) -> None:
    """Each value is the one before it twice over: 2**40 numbers."""
    names = ["before", *(f"twice{index}" for index in range(40))]
    nodes = [helper.make_node("Concat", [one, one], [other], axis=0) for one, other in pairwise(names)]
    nodes.append(helper.make_node("ReduceMax", [names[-1]], ["largest"], keepdims=1))
    before_logits(model, [*nodes, helper.make_node("Add", ["before", "largest"], ["logits"])])


def large_resize(model: onnx.ModelProto) -> None:
    resize = next(node for node in model.graph.node if node.op_type == "Resize")
    sizes = next(tensor for tensor in model.graph.initializer if tensor.name == resize.input[3])
    large = numpy_helper.to_array(sizes).copy()
    large[-2:] = 60_000
    sizes.CopyFrom(value(sizes.name, large))


def negative_size(model: onnx.ModelProto) -> None:
    tensor = TensorProto(name="negative", data_type=TensorProto.FLOAT, dims=[-5], raw_data=b"\0" * 28)
    model.graph.initializer.append(tensor)
    before_logits(model, [helper.make_node("Add", ["before", "negative"], ["logits"])])


def cycle(model: onnx.ModelProto) -> None:
    nodes = [("Add", ["before", "b"], ["a"]), ("Add", ["a", "before"], ["b"]), ("Identity", ["b"], ["logits"])]
    before_logits(model, [helper.make_node(*node) for node in nodes])


def unknown_type(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = 999


GRAPHS: dict[str, Change] = {
    "an endless loop": endless_loop,
    "a loop in a branch of If": if_node,
    "three functions": functions,
    "3,000 functions, each calling the one before": lambda model: functions(model, 3_000),
    "functions that unfold to 10**20 nodes": nested_functions,
    "a function named as an operator": function_of_allowed_operators_alone,
    "six Ifs in one another": nested_ifs,
    "an operator of another domain": another_domain,
    "a constant of 40 GB": constant_of_40_gigabytes,
    "2**40 numbers by doubling": doubled_again_and_again,
    "faces resized to 60,000 pixels": large_resize,
    "a chain of 20,000 nodes": chain(20_000),
    "20,000 loose nodes": dangling,
    "300,000 entries of metadata": many_metadata,
    "weights in another file": external_weights,
    "one row for all images": rows(1),
    "no rows": rows(0),
    "a negative size": negative_size,
    "a cycle": cycle,
    "a type of tensor that is none": unknown_type,
}


def with_graph_fields(data: bytes, fields: bytes) -> bytes:
    """The model ``data`` and, as the end of its graph, raw ``fields``: protobuf joins two parts of a message."""
    length, more = len(fields), b""
    while True:
        more += bytes([(length & 127) | (128 if length > 127 else 0)])
        length >>= 7
        if not length:
            break
    return add_checksum(data + b"\x3a" + more + fields)


FIELDS = {
    "5 million empty nodes": b"\x0a\x00" * 5_000_000,
    "5 million empty tensors": b"\x2a\x00" * 5_000_000,
    "5 million empty values": b"\x6a\x00" * 5_000_000,
    "a value described in 16 kB": b"\x6a\xff\x7f" + b"\x0a\x01a" * 5461,
}

CONTROL = "\x1b[2J\x1b]0;renamed\x07"


def in_text(field: str, text: str) -> Callable[[dict], None]:
    """Metadata with ``text`` in a field."""

    def lie(stated: dict) -> None:
        stated[field] = [text, *stated[field][1:]] if isinstance(stated[field], list) else text

    return lie


TEXTS = {
    f"terminal codes in {field}": in_text(field, f"{CONTROL}evil [/nope]")
    for field in ("name", "architecture", "limits", "license", "created", "labels")
} | {"a name of a million letters": in_text("name", "n" * 1_000_000)}


def hostile_files(tiny: Path) -> Iterator[tuple[str, bytes]]:
    """Every file's name in words, and the file, made of the small model at ``tiny``."""
    sound = onnx.load(tiny)
    for name, change in GRAPHS.items():
        yield name, changed(sound, change)
    for name, fields in FIELDS.items():
        yield name, with_graph_fields(tiny.read_bytes(), fields)
    for name, lie in TEXTS.items():
        yield name, changed(sound, lie=lie)
