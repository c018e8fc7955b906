"""Names in a .tflite file: those of its inputs and outputs, and those of torch's modules on the values between.

The converter names a value after the modules that it comes from, class by class:
``package.Net/torch.nn.modules.container.Sequential_layer1/torch.nn.modules.conv.Conv2d_0;``, and of operators that it
fuses all of them, the last one's first, between ``;;``.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fer_edge.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

    from fer_edge.export.graph.reference import FacesToProbabilities

_SIGNATURE = "serving_default"
_CLASSIFIER = "classifier."
"""Where the network is in FacesToProbabilities; the checkpoint's own names begin behind it."""
_ELEMENTWISE = ("CAST", "MUL", "SUB", "ADD", "DIV")
"""What the normalisation of faces is made of."""


def with_names_of_modules(data: bytes, module: "FacesToProbabilities", image_size: int) -> bytes:
    """The .tflite file ``data``, which was converted from ``module``, with plain names.

    ``image`` goes in, ``probabilities`` and ``logits`` come out. A value between has the name of the module that gives
    it (``layer1.0.conv1``; ``:2`` of its second call), normalised faces are ``faces``, weights
    ``layer1.0.conv1.weight``.

    Raises ModelError where the file has other inputs and outputs than the module.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    from fer_edge.export.graph.network import FACES, LOGITS
    from fer_edge.export.graph.preprocessing import IMAGE, PROBABILITIES

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
    if len(model.subgraphs) != 1 or [one.signatureKey for one in model.signatureDefs] != [_SIGNATURE.encode()]:
        raise ModelError(f"expected a .tflite file with one graph, called {_SIGNATURE}, from its converter")
    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    if len(signature.inputs) != 1 or len(signature.outputs) != 2:
        raise ModelError("expected a .tflite file of one input and two outputs from its converter")
    modules = _modules_by_origin(module)
    origins = [_Origin(tensor.name.decode(), modules) for tensor in graph.tensors]
    names: dict[int, str] = {}
    operators = [(flatbuffer_utils.opcode_to_name(model, op.opcodeIndex), op) for op in graph.operators]
    names |= _weights(operators, origins, module)
    names |= _values(operators, origins, module, image_size)
    first = next(place for place, (kind, _) in enumerate(operators) if kind not in _ELEMENTWISE)
    for place, (_, op) in enumerate(operators[:first], 1):
        names[int(op.outputs[0])] = FACES if place == first else f"{FACES}/{place}"
    # The signature's outputs are in the module's order; the converter calls them output_0 and output_1.
    outputs = sorted(signature.outputs, key=lambda output: bytes(output.name))
    for entry, name in zip([*signature.inputs, *outputs], (IMAGE, PROBABILITIES, LOGITS), strict=True):
        entry.name = name.encode()
        names[entry.tensorIndex] = name
    used = Counter(names.values())
    for place, tensor in enumerate(graph.tensors):
        # Of names that two would have, and of constants that are no weights, only the place is told.
        name = names.get(place, "")
        tensor.name = (name if name and used[name] == 1 else f"{name or 'value'}/{place}").encode()
    model.description = b"fer_edge"
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


class _Origin:
    """Which modules a tensor comes from."""

    def __init__(self, name: str, modules: dict[str, str]) -> None:
        parts = [part.partition(";")[0] for part in name.split(";;")]
        self.modules = [modules[part] for part in parts if part in modules]
        self.is_known = parts[0] in modules

    @property
    def last(self) -> str | None:
        """The name of the module that came last; None where nothing tells."""
        return self.modules[0] if self.is_known and self.modules else None


def _modules_by_origin(module: "nn.Module") -> dict[str, str]:
    """Names of modules by what the converter calls them."""

    def called(one: "nn.Module") -> str:
        return f"{type(one).__module__}.{type(one).__qualname__}"

    found = {}
    for name, _ in module.named_modules():
        steps, inner = [called(module)], module
        for step in name.split(".") if name else ():
            inner = inner.get_submodule(step)
            steps.append(f"{called(inner)}_{step}")
        found["/".join(steps)] = name.removeprefix(_CLASSIFIER)
    return found


def _calls_of(module: "FacesToProbabilities", image_size: int) -> list[str]:
    """The leaf modules that are called for a face, in their order."""
    import torch

    calls: list[str] = []
    hooks = [
        one.register_forward_hook(lambda *_, name=name: calls.append(name))
        for name, one in module.classifier.named_modules()
        if next(one.children(), None) is None
    ]
    try:
        with torch.inference_mode():
            module(torch.zeros(1, image_size, image_size, 1, dtype=torch.uint8))
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _values(
    operators: list[tuple[str | None, Any]], origins: list[_Origin], module: "FacesToProbabilities", image_size: int
) -> dict[int, str]:
    """Names of what operators give."""
    order = _calls_of(module, image_size)
    calls = Counter(order)
    places: defaultdict[str, list[int]] = defaultdict(list)
    for kind, op in operators:
        last = origins[op.outputs[0]].last
        if last not in calls or kind == "PAD":  # which the converter puts before a convolution, under its name
            continue
        if getattr(op.builtinOptions, "fusedActivationFunction", 0) and not _is_activation(module, last):
            # It gives what the activation does that follows, whose name the converter did not keep.
            last = next(iter(order[order.index(last) + 1 :]), "")
            if calls[last] != 1 or not _is_activation(module, last):
                continue
        places[last].append(int(op.outputs[0]))
    names = {}
    for name, given in places.items():
        if calls[name] == 1:  # a module of several operators gives its name to the last
            names[given[-1]] = name
        elif len(given) == calls[name]:
            names |= {place: f"{name}:{call}" if call > 1 else name for call, place in enumerate(given, 1)}
    return names


def _is_activation(module: "FacesToProbabilities", name: str) -> bool:
    from torch import nn

    return isinstance(module.classifier.get_submodule(name), nn.ReLU | nn.ReLU6 | nn.Hardtanh)


def _weights(
    operators: list[tuple[str | None, Any]], origins: list[_Origin], module: "FacesToProbabilities"
) -> dict[int, str]:
    """Names of the weights of convolutions and matrix products, and of the latter's biases."""
    names = {}
    for kind, op in operators:
        if kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        place = int(op.inputs[1])
        known = dict(_with_weights(module, origins[place].modules))
        if known:
            name = list(known)[-1]  # those of the layers fused with it come first
            names[place] = f"{name}.weight"
            if kind == "FULLY_CONNECTED" and len(op.inputs) > 2 and op.inputs[2] >= 0:
                names[int(op.inputs[2])] = f"{name}.bias"
    return names


def _with_weights(module: "FacesToProbabilities", names: list[str]) -> Iterator[tuple[str, "nn.Module"]]:
    from torch import nn

    for name in names:
        one = module.classifier.get_submodule(name) if name else None
        if isinstance(one, nn.Conv2d | nn.Linear):
            yield name, one
