"""``config.pbtxt`` of a model: what Triton is told of its inputs, outputs and labels, from the model's own contract.

The text format of the message ModelConfig in ``model_config.proto`` of github.com/triton-inference-server/common. It is
written as text, so that nothing heavy is needed; tests parse it with the message itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import ModelError, UsageError
from fer_edge.metadata import PIXELS, ModelMetadata, TensorContract
from fer_edge.serving.triton_settings import TritonSettings

LABELS = "labels.txt"
"""Name of the file of labels: one a line, in the order of the outputs."""
SETTINGS = "# Settings:"
"""Begins the line between the model's contract, which all its versions share, and how it is run."""

_DATA_TYPES = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
}
"""Of numpy to those of Triton."""


@dataclass(frozen=True)
class Platform:
    """How Triton runs the files of one format."""

    line: str
    """That names the platform or the backend."""
    file: str
    """The name that the backend looks for in a version's folder."""
    threads: str
    """The parameter for threads inside an operator. PyTorch's is one for all its models: the first loaded sets it."""
    batches: bool = True
    """Whether Triton makes batches of several requests. OpenVINO's backend takes models of open dimensions with
    ``max_batch_size: 0`` and all of them in the dims (its README, Reshaping models)."""
    is_indexed: bool = False
    """Whether names of inputs and outputs carry their place (``image__0``): TorchScript keeps no names."""


PLATFORMS = {
    "onnx": Platform('platform: "onnxruntime_onnx"', "model.onnx", "intra_op_thread_count"),
    "torchscript": Platform('platform: "pytorch_libtorch"', "model.pt", "INTRA_OP_THREAD_COUNT", is_indexed=True),
    "openvino": Platform('backend: "openvino"', "model.xml", "INFERENCE_NUM_THREADS", batches=False),
}
"""By our names of formats."""


def platform_for(path: Path, file_format: str) -> Platform:
    """What runs files of ``file_format``. Raises ModelError for a format that Triton has no backend for."""
    found = PLATFORMS.get(file_format)
    if found is None:
        raise ModelError(
            f"{path}: expected a format that Triton has a backend for ({', '.join(PLATFORMS)}), found {file_format}; "
            "export it as one of these"
        )
    return found


@dataclass(frozen=True)
class Contract:
    """A model's inputs and outputs as Triton takes them."""

    platform: Platform
    input: TensorContract
    outputs: tuple[TensorContract, ...]
    labels: tuple[str, ...]
    batches: bool
    """Whether the first dimension of all of them is a batch of any size. Then Triton adds it to the dims by itself."""
    shape: tuple[int, ...] | None = None
    """(H, W, C) that alone is accepted; None: whatever the model takes."""

    @classmethod
    def of(cls, path: Path, metadata: ModelMetadata, shape: tuple[int, ...] | None = None) -> "Contract":
        """Of a model. Raises ModelError for a format or data type without a like in Triton, UsageError for a ``shape``
        that the model does not take."""
        platform = platform_for(path, metadata.format)
        tensors = (metadata.input, *metadata.outputs)
        for one in tensors:
            if one.dtype not in _DATA_TYPES:
                raise ModelError(
                    f"{path}: expected data types of Triton ({', '.join(_DATA_TYPES)}), "
                    f"found {one.dtype} of '{one.name}'"
                )
        if shape is not None:
            _check_shape(path, metadata, shape)
        batches = platform.batches and all(one.fixed_batch is None for one in tensors)
        return cls(platform, metadata.input, metadata.outputs, metadata.labels, batches, shape)

    def dims(self, tensor: TensorContract) -> tuple[int, ...]:
        """As the config states them: -1 where any size goes, without the batch where Triton adds that."""
        found = tuple(-1 if isinstance(one, str) else one for one in tensor.shape)
        if tensor is self.input and self.shape is not None:
            found = (found[0], *self.shape)
        return found[1:] if self.batches else found

    def name(self, tensor: TensorContract) -> str:
        """As the config states it."""
        if not self.platform.is_indexed:
            return tensor.name
        place = 0 if tensor is self.input else self.outputs.index(tensor)
        return f"{tensor.name}__{place}"

    def max_batch_size(self, wanted: int | None, settings: TritonSettings | None) -> int:
        """Images in a request, and in a batch made of several. 0: Triton makes none, the dims hold the batch.

        1 without a measurement: how many pay off is not known. Raises UsageError where ``wanted`` cannot be.
        """
        if not self.batches:
            if wanted:
                raise UsageError(
                    "--max-batch-size: expected a model that Triton makes batches for, found one of "
                    f"{'OpenVINO' if not self.platform.batches else self.input.shape[0]}; leave it out"
                )
            return 0
        if wanted is not None and settings is not None and wanted < settings.batch:
            raise UsageError(
                f"--max-batch-size: expected at least the batch that was measured as the best, {settings.batch}, "
                f"found {wanted}"
            )
        return wanted or (settings.max_batch if settings is not None else 1)

    def to_text(self, name: str, max_batch_size: int, settings: TritonSettings | None) -> str:
        """The whole ``config.pbtxt``."""
        lines = [f"name: {quoted(name)}", self.platform.line, f"max_batch_size: {max_batch_size}"]
        lines += _tensors("input", [(self.name(self.input), self.input.dtype, self.dims(self.input), False)])
        outputs = []
        for one in self.outputs:
            dims = self.dims(one)
            has_labels = one.dtype != "bool" and dims[-1:] == (len(self.labels),)
            outputs.append((self.name(one), one.dtype, dims, has_labels))
        lines += _tensors("output", outputs)
        # Not part of what the versions share: another measurement may change it.
        lines.append(lines.pop(2))
        lines.insert(len(lines) - 1, f"{SETTINGS} {_source(settings)}")
        return "\n".join(lines + self._settings(settings)) + "\n"

    def _settings(self, settings: TritonSettings | None) -> list[str]:
        if settings is None:
            return []
        lines = []
        if settings.batch > 1 and self.batches:
            lines += [
                "dynamic_batching {",
                f"  preferred_batch_size: [ {settings.batch} ]",
                f"  max_queue_delay_microseconds: {settings.queue_delay_us}",
                "}",
            ]
        kind = "KIND_CPU" if settings.provider == "cpu" else "KIND_GPU"
        lines += ["instance_group [", "  {", f"    count: {settings.instances}", f"    kind: {kind}", "  }", "]"]
        if settings.provider == "cpu":
            lines += [
                "parameters {",
                f"  key: {quoted(self.platform.threads)}",
                f'  value {{ string_value: "{settings.threads}" }}',
                "}",
            ]
        return lines


def shared_part(text: str) -> str:
    """Of a ``config.pbtxt`` written here: what all versions of the model must have alike."""
    return text.partition(SETTINGS)[0]


def quoted(text: str) -> str:
    """``text`` as a string of protobuf's text format."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else "".join(f"\\{b:03o}" for b in c.encode()) for c in escaped) + '"'


def _tensors(kind: str, tensors: Sequence[tuple[str, str, tuple[int, ...], bool]]) -> list[str]:
    lines = [f"{kind} ["]
    for place, (name, dtype, dims, has_labels) in enumerate(tensors):
        lines += [
            "  {",
            f"    name: {quoted(name)}",
            f"    data_type: {_DATA_TYPES[dtype]}",
            f"    dims: [ {', '.join(map(str, dims))} ]",
            *([f"    label_filename: {quoted(LABELS)}"] if has_labels else []),
            "  }" + ("," if place + 1 < len(tensors) else ""),
        ]
    return [*lines, "]"]


def _source(settings: TritonSettings | None) -> str:
    if settings is None:
        return "not measured; Triton's own defaults. 'fer-edge triton MODEL --measure' writes measured ones"
    return f"measured on {settings.machine}, {settings.created}: {settings.images_per_s:.0f} images/s"


def _check_shape(path: Path, metadata: ModelMetadata, shape: tuple[int, ...]) -> None:
    taken = metadata.input
    if taken.kind != PIXELS:
        raise UsageError(
            f"--shape: expected a model of pixels, found one of {taken.kind}, whose size is fixed; leave it out"
        )
    if len(shape) != 3 or min(shape) < 1 or shape[2] not in taken.channels:
        channels = " or ".join(map(str, taken.channels))
        raise UsageError(
            f"--shape: expected HEIGHT,WIDTH,CHANNELS in pixels with {channels} channels, "
            f"found {','.join(map(str, shape))}"
        )
    if taken.max_side is not None and max(shape[:2]) > taken.max_side:
        raise UsageError(f"--shape: expected sides of at most {taken.max_side} pixels, found {max(shape[:2])}")
    wrong = [want for want, has in zip(shape, taken.shape[1:], strict=True) if isinstance(has, int) and has != want]
    if wrong:
        raise UsageError(f"--shape: expected {taken.shape[1:]}, which is all that {path} takes, found {shape}")
