"""The MIL graph of a Core ML package, evaluated by torch. This is not Core ML, which runs on Apple's systems alone.

It says that the graph and its weights are right, not that Core ML is: that computes in float16 on the Neural Engine and
the GPU, and resizes images by itself.

Source of the operators: https://apple.github.io/coremltools, "MIL Ops".
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.backends._quiet import quietly
from fer_edge.backends.contract import ModelBackend, Outputs
from fer_edge.backends.registry import BackendEntry, require_cpu
from fer_edge.errors import ModelError
from fer_edge.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fer_edge.runtime.model_file import CheckedFile

NAME = "mil-torch"
METADATA_KEY = "fer_edge.metadata"
"""Of the package's user-defined metadata: ours, as JSON, without checksum."""
PROBABILITIES = "probabilities"
"""A dictionary from label to probability, as Core ML gives it."""
_SPECIFICATION, _WEIGHTS = "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"
_FILES = {"Manifest.json", _SPECIFICATION, _WEIGHTS}
_GREYSCALE = 10
"""Of the specification's colour spaces."""


def load(
    path: str | Path,
    *,
    threads: int = 0,
    provider: str = "cpu",
    precision: str | None = None,
    shape: "Sequence[int] | None" = None,
    trust: bool = False,
) -> "MilTorch":
    """Read the package and its program. Raises ModelError for another, and for operators that are not known here."""
    from fer_edge.backends import _torch
    from fer_edge.runtime.model_file import read_any

    require_cpu(path, NAME, provider)
    _torch.prepare_torch(threads, provider)
    return MilTorch(read_any(path, trust=trust))


class MilTorch(ModelBackend):
    """A program, run operator by operator, one face at a time."""

    def __init__(self, model: "CheckedFile") -> None:
        super().__init__(model.path, model.metadata, model.sha256)
        try:
            self._operations = self._read(model.data)
        except ModelError:
            raise
        except Exception as error:  # protobuf, coremltools and struct raise many kinds for malformed bytes
            reason = printable(" ".join(str(error).split()))[:300]
            raise ModelError(f"{self.path}: expected a Core ML package, found another ({reason})") from error

    def _read(self, data: bytes) -> list[Any]:
        from fer_edge.files import temporary_folder
        from fer_edge.folder_files import unpacked, write_model

        files = unpacked(data, self.path)
        if set(files) != _FILES:
            found = printable(", ".join(files)[:200])
            raise ModelError(f"{self.path}: expected {', '.join(sorted(_FILES))}, found {found}; export it again")
        with quietly(logging.ERROR):  # that Core ML is not there, that this torch is newer
            from coremltools.converters.mil.frontend.milproto.load import load as load_program
            from coremltools.proto import Model_pb2

            specification = Model_pb2.Model()
            specification.ParseFromString(files[_SPECIFICATION])
            self._check_description(specification.description)
            # coremltools reads weights from files alone: from a copy of the bytes that were checked.
            with temporary_folder() as name:
                package = Path(name) / "model.mlpackage"
                write_model(package, data)
                program = load_program(
                    specification,
                    specification_version=specification.specificationVersion,
                    file_weights_dir=str((package / _WEIGHTS).parent),
                )
            operations = list(program.functions["main"].operations)
        unknown = {op.op_type for op in operations} - {"const", "classify", *_OPERATORS}
        if unknown:
            raise ModelError(
                f"{self.path}: expected operators of image classifiers, found {', '.join(sorted(unknown))}"
            )
        self._check_labels(operations)
        return operations

    def _check_description(self, description: Any) -> None:
        """Refuse (ModelError) a package that takes or gives something else than the metadata say."""
        size = self.metadata.image_size
        taken = [(one.name, one.type.imageType) for one in description.input]
        images = [(name, image.width, image.height, image.colorSpace) for name, image in taken]
        names = {one.name for one in description.output}
        expected = {output.name for output in self.metadata.outputs}
        if images != [(self.metadata.input.name, size, size, _GREYSCALE)] or not expected <= names:
            wanted, found = ", ".join(sorted(expected)), printable(f"{images} and {', '.join(sorted(names))}")
            raise ModelError(
                f"{self.path}: expected a grey image {self.metadata.input.name} of {size}x{size} pixels and the "
                f"outputs {wanted}, found {found}"
            )
        if description.predictedProbabilitiesName != PROBABILITIES:
            raise ModelError(f"{self.path}: expected {PROBABILITIES} to be those of the labels; export it again")
        from fer_edge.metadata import NO_CHECKSUM

        stated = replace(self.metadata, content_sha256=NO_CHECKSUM, uncertainty=None)  # which the sidecar alone has
        if description.metadata.userDefined.get(METADATA_KEY) != stated.to_json():
            raise ModelError(
                f"{self.path}: expected the metadata in {self.path.stem}.json to be those in the package, found "
                "others; export it again"
            )

    def _check_labels(self, operations: list[Any]) -> None:
        found = [tuple(map(str, op.classes.val)) for op in operations if op.op_type == "classify"]
        if found != [self.metadata.labels]:
            raise ModelError(
                f"{self.path}: expected a classifier of the labels in the metadata, found "
                f"{printable(str(found))[:200]}; export it again"
            )

    def execute(self, feed: "NDArray[Any]") -> Any:
        """Every output by name, of one face after the other."""
        import numpy as np
        import torch

        found: dict[str, list[NDArray[np.float32]]] = {output.name: [] for output in self.metadata.outputs}
        with torch.inference_mode():
            for face in feed:
                for name, value in self._run(torch.tensor(face[..., 0], dtype=torch.float32)[None, None]).items():
                    found[name].append(value.float().numpy().reshape(-1))
        return {name: np.stack(rows) for name, rows in found.items()}

    def _run(self, image: Any) -> dict[str, Any]:
        values = {self.metadata.input.name: image}

        def value_of(var: Any) -> Any:
            if isinstance(var, list | tuple):
                return [value_of(one) for one in var]
            return values[var.name] if var.name in values else _constant(var)

        answers = {}
        try:
            for op in self._operations:
                if op.op_type == "const":
                    continue
                inputs = {name: value_of(var) for name, var in op.inputs.items() if var is not None}
                if op.op_type == "classify":
                    answers[PROBABILITIES] = inputs["probabilities"]
                    continue
                values[op.outputs[0].name] = _OPERATORS[op.op_type](inputs)
            answers["logits"] = values["logits"]
        except (RuntimeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise ModelError(
                f"{self.path}: torch cannot evaluate its MIL graph: {printable(str(error))[:300]}"
            ) from error
        return answers

    def download(self, answer: "Mapping[str, NDArray[np.float32]]") -> Outputs:
        """Probabilities and logits (N, C)."""
        return self.outputs_of(dict(answer))


def _constant(var: Any) -> Any:
    """A tensor of a constant's floats; as it is of whole numbers and text, which are settings."""
    import numpy as np
    import torch

    value = var.val
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


_OPERATORS: Mapping[str, Callable[[Inputs], Any]] = {
    "cast": _cast,
    "add": lambda found: found["x"] + found["y"],
    "sub": lambda found: found["x"] - found["y"],
    "mul": lambda found: found["x"] * found["y"],
    "real_div": lambda found: found["x"] / found["y"],
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


BACKEND = BackendEntry(
    name=NAME,
    formats=("coreml",),
    load=load,
    imports=("torch", "coremltools", "fer_edge.runtime.inference"),
    package="coremltools",
    extra="coreml",
    colour="#a0a0a0",
    start_seconds=6.0,
    process_bytes=700 * 2**20,
    splits_preprocessing=True,
)
