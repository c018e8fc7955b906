"""A MIL program, evaluated by torch operator by operator.

Source of the operators: https://apple.github.io/coremltools, "MIL Ops".
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_edge.backends._quiet import quietly
from fer_edge.errors import ModelError
from fer_edge.text import printable

if TYPE_CHECKING:
    import torch

_SPECIFICATION, _WEIGHTS = "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"
_FILES = {"Manifest.json", _SPECIFICATION, _WEIGHTS}
CLASSIFY = "classify"
_CONSTANTS = ("const", "constexpr_affine_dequantize")
"""Operators whose value is known before the program runs; the second one's is an 8-bit weight times its scale."""
_IN_FLOAT32 = ("conv", "linear")
"""Operators that compute in float32 whatever their weights are kept in."""


def read_package(data: bytes, where: Path) -> tuple[Any, list[Any]]:
    """The specification of a packed .mlpackage, and coremltools' operations of its program.

    Raises ModelError for other files than a package has, and many kinds for malformed ones.
    """
    from fer_edge.files import temporary_folder
    from fer_edge.folder_files import unpacked, write_model

    files = unpacked(data, where)
    if set(files) != _FILES:
        found = printable(", ".join(files)[:200])
        raise ModelError(f"{where}: expected {', '.join(sorted(_FILES))}, found {found}; export it again")
    with quietly(logging.ERROR):  # that Core ML is not there, that this torch is newer
        from coremltools.converters.mil.frontend.milproto.load import load as load_program
        from coremltools.proto import Model_pb2

        specification = Model_pb2.Model()
        specification.ParseFromString(files[_SPECIFICATION])
        # coremltools reads weights from files alone: from a copy of the bytes that were checked.
        with temporary_folder() as name:
            package = Path(name) / "model.mlpackage"
            write_model(package, data)
            program = load_program(
                specification,
                specification_version=specification.specificationVersion,
                file_weights_dir=str((package / _WEIGHTS).parent),
            )
    return specification, list(program.functions["main"].operations)


class Step(NamedTuple):
    """One operator, with the constants that it is given as tensors: they are the same for every face."""

    operator: str
    output: str
    constants: Mapping[str, Any]
    values: Mapping[str, str]
    """Names of the values that it takes from earlier steps, by its own names of them."""
    lists: Mapping[str, tuple[str, ...]]
    """The same of inputs that are lists of values."""


class MilProgram:
    """The steps of a program whose operators are known."""

    def __init__(self, operations: "list[Any]", taken: str) -> None:
        """``operations`` of coremltools; ``taken`` is the program's input. Raises ValueError for unknown operators."""
        unknown = {op.op_type for op in operations} - {CLASSIFY, *_CONSTANTS, *_OPERATORS}
        if unknown:
            raise ValueError(f"expected operators of image classifiers, found {', '.join(sorted(unknown))}")
        self._taken = taken
        self.steps = _steps(operations, taken)

    def run(self, image: "torch.Tensor") -> "dict[str, torch.Tensor]":
        """Every value by its name, for one image of grey values, float32 (1, 1, S, S)."""
        values = {self._taken: image}
        for step in self.steps:
            if step.operator != CLASSIFY:
                given = {name: values[source] for name, source in step.values.items()}
                lists = {name: [values[one] for one in sources] for name, sources in step.lists.items()}
                values[step.output] = _OPERATORS[step.operator]({**step.constants, **given, **lists})
        return values

    @property
    def classified(self) -> str:
        """Name of the value that the classifier takes as probabilities. Raises KeyError where there is none."""
        found = [step.values["probabilities"] for step in self.steps if step.operator == CLASSIFY]
        if not found:
            raise KeyError("a classifier")
        return found[-1]


def _steps(operations: "list[Any]", taken: str) -> list[Step]:
    computed = {op.outputs[0].name for op in operations if op.op_type not in _CONSTANTS} | {taken}
    tensors: dict[str, Any] = {}
    steps = []
    for op in operations:
        if op.op_type in _CONSTANTS:
            continue
        given = {name: var for name, var in op.inputs.items() if var is not None}
        values = {
            name: var.name for name, var in given.items() if not isinstance(var, list | tuple) and var.name in computed
        }
        lists = {
            name: tuple(one.name for one in var)
            for name, var in given.items()
            if isinstance(var, list | tuple) and computed.issuperset(one.name for one in var)
        }
        constants = {}
        for name, var in given.items():
            if name in values or name in lists or op.op_type == CLASSIFY:
                continue
            if var.name not in tensors:
                tensors[var.name] = _constant(var)
            constants[name] = tensors[var.name]
            if op.op_type in _IN_FLOAT32 and name in ("weight", "bias"):
                constants[name] = constants[name].float()
        steps.append(Step(op.op_type, op.outputs[0].name, constants, values, lists))
    return steps


def _constant(var: Any) -> Any:
    """A tensor of a constant's floats; as it is of whole numbers and text, which are settings."""
    import numpy as np
    import torch

    value = var.val
    if value is None and var.op is not None and hasattr(var.op, "materialized_val_inference"):
        value = var.op.materialized_val_inference()
    if isinstance(value, np.ndarray | np.floating) and np.asarray(value).dtype.kind == "f":
        return torch.from_numpy(np.array(value))
    return value


Inputs = Mapping[str, Any]
_TYPES = {"fp16": "float16", "fp32": "float32"}


def _cast(found: Inputs) -> Any:
    import torch

    return found["x"].to(getattr(torch, _TYPES[str(found["dtype"])]))


def _padded(found: Inputs, value: float = 0.0) -> Any:
    """``x`` with the padding that its setting says, (top, bottom, left, right)."""
    import torch.nn.functional as F

    kind = str(found.get("pad_type", "valid"))
    if kind == "valid":
        return found["x"].float()
    if kind != "custom":
        raise ValueError(f"padding {kind}")
    top, bottom, left, right = (int(one) for one in found["pad"])
    return F.pad(found["x"].float(), (left, right, top, bottom), value=value)


def _numbers(found: Inputs, key: str) -> tuple[int, ...]:
    return tuple(int(one) for one in found[key]) if key in found else (1, 1)


def _convolution(found: Inputs) -> Any:
    """In float32, then rounded to the type of ``x``."""
    import torch.nn.functional as F

    bias = found["bias"].float() if "bias" in found else None
    settings = {"stride": _numbers(found, "strides"), "dilation": _numbers(found, "dilations")}
    groups = int(found.get("groups", 1))
    answer = F.conv2d(_padded(found), found["weight"].float(), bias, groups=groups, **settings)
    return answer.to(found["x"].dtype)


def _linear(found: Inputs) -> Any:
    import torch.nn.functional as F

    bias = found["bias"].float() if "bias" in found else None
    return F.linear(found["x"].float(), found["weight"].float(), bias).to(found["x"].dtype)


def _max_pool(found: Inputs) -> Any:
    import torch.nn.functional as F

    sizes = _numbers(found, "kernel_sizes")
    padded, ceil = _padded(found, float("-inf")), bool(found.get("ceil_mode", False))
    return F.max_pool2d(padded, sizes, _numbers(found, "strides"), ceil_mode=ceil).to(found["x"].dtype)


def _average_pool(found: Inputs) -> Any:
    import torch.nn.functional as F

    if str(found.get("pad_type", "valid")) == "custom" and any(found["pad"]):
        raise ValueError("an average pool with padding")
    sizes, ceil = _numbers(found, "kernel_sizes"), bool(found.get("ceil_mode", False))
    return F.avg_pool2d(found["x"].float(), sizes, _numbers(found, "strides"), ceil_mode=ceil).to(found["x"].dtype)


def _mean(found: Inputs) -> Any:
    axes = tuple(int(one) for one in found["axes"])
    return found["x"].float().mean(axes, keepdim=bool(found["keep_dims"])).to(found["x"].dtype)


def _concatenation(found: Inputs) -> Any:
    import torch

    if found.get("interleave", False):
        raise ValueError("a concatenation that interleaves")
    return torch.cat(found["values"], int(found["axis"]))


_OPERATORS: Mapping[str, Callable[[Inputs], Any]] = {
    "cast": _cast,
    "add": lambda found: found["x"] + found["y"],
    "sub": lambda found: found["x"] - found["y"],
    "mul": lambda found: found["x"] * found["y"],
    "real_div": lambda found: found["x"] / found["y"],
    "concat": _concatenation,
    "conv": _convolution,
    "linear": _linear,
    "relu": lambda found: found["x"].clamp(min=0),
    "relu6": lambda found: found["x"].clamp(0, 6),
    "clip": lambda found: found["x"].clamp(float(found["alpha"]), float(found["beta"])),
    "sigmoid_hard": lambda found: (found["x"] * found["alpha"] + found["beta"]).clamp(0, 1),
    "max_pool": _max_pool,
    "avg_pool": _average_pool,
    "reduce_mean": _mean,
    "reshape": lambda found: found["x"].reshape([int(one) for one in found["shape"]]),
    "softmax": lambda found: found["x"].float().softmax(int(found["axis"])).to(found["x"].dtype),
}
