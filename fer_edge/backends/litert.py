"""LiteRT (formerly TensorFlow Lite) on the CPU, whose kernels there are XNNPACK's.

A .tflite file's shapes are fixed: one face a run. Its runtime checks a file's structure before it reads it: cut off and
changed ones were errors, never a crash.
"""

import io
import zipfile
from typing import TYPE_CHECKING, Any

from fer_edge.backends.contract import ModelBackend, Outputs, Weights
from fer_edge.backends.registry import BackendEntry, loads_on_cpu
from fer_edge.errors import ModelError
from fer_edge.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from fer_edge.metadata import ModelMetadata
    from fer_edge.runtime.model_file import CheckedFile

NAME = "litert"
LABELS, METADATA = "labels.txt", "metadata.json"
"""In the zip at the end of the file."""

_MAGIC = b"TFL3"
"""At byte 4: the flatbuffer's file identifier."""
_MAX_ENTRY_BYTES = 2**24
_WEIGHT, _BIAS = ".weight", ".bias"
_ULPS = 8
"""Units in the last place by which a weight may differ: the converter folds batch norm in, in another order. Measured:
3."""


def _opened(model: "CheckedFile", threads: int) -> "LiteRt":
    """Compare the labels in the file with the metadata's, and open it. Raises ModelError where it is refused."""
    if model.data[4:8] != _MAGIC:
        raise ModelError(f"{model.path}: expected a .tflite file, which has {_MAGIC.decode()} at byte 4, found none")
    _check_archive(model)
    return LiteRt(model, threads)


def labels_text(metadata: "ModelMetadata") -> str:
    """What ``labels.txt`` says: a name a line, in the order of the outputs."""
    return "".join(f"{name}\n" for name in metadata.labels)


def interpreter_of(data: bytes, *, threads: int = 0, keep_values: bool = False) -> Any:
    """LiteRT's interpreter of a file; with ``keep_values`` all values between layers can be read, without XNNPACK.

    ``threads`` of 0 is the runtime's own choice, which is one. Raises ValueError or RuntimeError for what it refuses.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if keep_values else OpResolverType.AUTO
    interpreter = Interpreter(
        model_content=data,
        num_threads=threads or None,
        experimental_op_resolver_type=kernels,
        experimental_preserve_all_tensors=keep_values,
    )
    interpreter.allocate_tensors()
    return interpreter


def _check_archive(model: "CheckedFile") -> None:
    """Refuse (ModelError) a file whose labels or metadata, in the zip at its end, are not those of the sidecar."""
    from dataclasses import replace

    from fer_edge.metadata import NO_CHECKSUM, ModelMetadata

    try:
        with zipfile.ZipFile(io.BytesIO(model.data)) as archive:
            found = {name: archive.open(name).read(_MAX_ENTRY_BYTES) for name in (LABELS, METADATA)}
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise ModelError(
            f"{model.path}: expected {LABELS} and {METADATA} in a zip at its end, found none; export it again"
        ) from error
    labels = found[LABELS].decode("utf-8", "replace")
    if labels != labels_text(model.metadata):
        raise ModelError(
            f"{model.path}: expected the labels {', '.join(model.metadata.labels)} in its {LABELS}, as the metadata "
            f"say, found {printable(', '.join(labels.splitlines()))}; export it again"
        )
    stated = ModelMetadata.from_json(found[METADATA], where=f"{model.path}: {METADATA} in it")
    if stated != replace(model.metadata, content_sha256=NO_CHECKSUM):
        beside = model.path.with_suffix(".json").name
        raise ModelError(f"{model.path}: expected the metadata in it to be those of {beside}, found others")


class LiteRt(ModelBackend):
    """One interpreter."""

    def __init__(self, model: "CheckedFile", threads: int) -> None:
        super().__init__(model.path, model.metadata, model.sha256)
        self._data = model.data
        self._interpreter = self._open(threads)
        wanted = [model.metadata.input.name, *(output.name for output in model.metadata.outputs)]
        signatures = self._interpreter.get_signature_list().values()
        names = [name for one in signatures for name in (*one["inputs"], *one["outputs"])]
        if sorted(names) != sorted(wanted):
            raise ModelError(
                f"{self.path}: expected a signature of {', '.join(wanted)}, found "
                f"{printable(', '.join(names)) or 'none'}; export it again"
            )
        (self._input,) = self._interpreter.get_input_details()
        tensors = {one["name"]: one["index"] for one in self._interpreter.get_output_details()}
        self._outputs = {name: tensors[name] for name in wanted[1:] if name in tensors}
        stated = (model.metadata.input.dtype, *model.metadata.input.shape)
        found = (self._input["dtype"].__name__, *map(int, self._input["shape"]))
        if found != stated:
            raise ModelError(
                f"{self.path}: expected an input of {stated}, as the metadata say, found {found}; export it again"
            )

    def _open(self, threads: int = 0, *, keep_values: bool = False) -> Any:
        try:
            return interpreter_of(self._data, threads=threads, keep_values=keep_values)
        except (ValueError, RuntimeError) as error:
            reason = printable(" ".join(str(error).split())[-300:])
            raise ModelError(f"{self.path}: {NAME} cannot run it: {reason}") from error

    def execute(self, feed: "NDArray[Any]") -> Any:
        """Every output by name."""
        from fer_edge.runtime.inference import run_in_fixed_batches

        def run(face: "NDArray[Any]") -> "dict[str, NDArray[np.float32]]":
            self._interpreter.set_tensor(self._input["index"], face)
            self._interpreter.invoke()
            return {name: self._interpreter.get_tensor(place) for name, place in self._outputs.items()}  # copies

        try:
            return run_in_fixed_batches(run, feed, self.metadata)
        except (ValueError, RuntimeError) as error:
            reason = printable(" ".join(str(error).split())[-300:])
            raise ModelError(f"{self.path}: {NAME} cannot run it: {reason}") from error

    def download(self, answer: Any) -> Outputs:
        """Probabilities and logits (N, C)."""
        return self.outputs_of(answer)

    def layer_values(self, feed: "NDArray[Any]", names: "Collection[str]") -> "Mapping[str, NDArray[np.float32]]":
        """Values by the names of torch's modules, of LiteRT's plain kernels; those of 8 bits times their scale."""
        import numpy as np

        interpreter = self._open(keep_values=True)
        found = {one["name"]: one for one in interpreter.get_tensor_details() if one["name"] in names}
        rows: dict[str, list[NDArray[np.float32]]] = {name: [] for name in found}
        for face in feed:
            interpreter.set_tensor(self._input["index"], face[np.newaxis])
            interpreter.invoke()
            for name, one in found.items():
                value = _in_float(interpreter.get_tensor(one["index"]), one)[0]
                # from (N, H, W, C) to (N, C, H, W)
                rows[name].append(value.transpose(0, 3, 1, 2) if value.ndim == 4 else value)
        return {name: np.concatenate(values) for name, values in rows.items()}

    def weights(self) -> "Mapping[str, Weights]":
        """Every convolution's and matrix product's, by the name of torch's parameter."""
        interpreter = self._open(keep_values=True)
        found = {}
        for one in interpreter.get_tensor_details():
            if not one["name"].endswith((_WEIGHT, _BIAS)):
                continue
            values, steps = _in_float(interpreter.get_tensor(one["index"]), one)
            if values.ndim == 4:  # (1, H, W, O) where each channel has its own kernel, else (O, H, W, I)
                order = (3, 0, 1, 2) if values.shape[0] == 1 and values.shape[3] != 1 else (0, 3, 1, 2)
                values = values.transpose(order)
                steps = None if steps is None else steps.transpose(order)
            found[one["name"]] = Weights(values, steps, ulps=_ULPS)
        return found


def _in_float(
    value: "NDArray[Any]", details: "Mapping[str, Any]"
) -> "tuple[NDArray[np.float32], NDArray[np.float32] | None]":
    """A tensor's values and, of one of 8 bits, its scales in a shape that broadcasts to them."""
    import numpy as np

    quantisation = details["quantization_parameters"]
    scales, zeros = quantisation["scales"], quantisation["zero_points"]
    if not len(scales):
        return np.asarray(value, np.float32), None
    shape = [1] * value.ndim
    if len(scales) > 1:
        shape[quantisation["quantized_dimension"]] = len(scales)
    scales, zeros = scales.reshape(shape), zeros.reshape(shape)
    return ((value.astype(np.float64) - zeros) * scales).astype(np.float32), scales


def _precisions(precision: str, cpu_flags: frozenset[str]) -> tuple[str, ...]:
    return (precision,) if precision in ("fp32", "int8") else ()


BACKEND = BackendEntry(
    name=NAME,
    formats=(NAME,),
    load=loads_on_cpu(NAME, _opened),
    imports=("ai_edge_litert.interpreter", "fer_edge.runtime.inference"),
    package="ai_edge_litert",
    extra="litert",
    precisions=_precisions,
    colour="#c47f00",
    splits_preprocessing=True,
)
