"""OpenVINO on the CPU, from its own IR or the ONNX file.

Of an ONNX file the input's shape is fixed, because OpenVINO 2026.4 answers the dynamic graph with no rows at all or
crashes; another shape than the last one is compiled for when it comes. An IR of ours is compiled once for any shape,
unless the shape is known: a fixed one is what OpenVINO's users are told to take for speed (https://docs.openvino.ai,
"Working with Dynamic Shapes").
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.backends.contract import ModelBackend, NodeTime, Outputs, Weights
from fer_edge.backends.registry import BackendEntry, require_cpu
from fer_edge.errors import ModelError
from fer_edge.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fer_edge.metadata import ModelMetadata
    from fer_edge.runtime.foreign_files import Description
    from fer_edge.runtime.model_file import CheckedFile

NAME = "openvino"

_PRECISION_HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f32"}
"""What OpenVINO computes in where a layer is not quantised. Unset, it takes bf16 wherever the processor has it."""

_WEIGHTS = ".bin"
_QUANTISED, _DEQUANTISED = "_quantized", "_DequantizeLinear_Output"
"""What onnxruntime's quantiser appended to the name of a weight, and of a value after its own rounding."""
_MOST_OPS_TO_SCALE = 3
"""Between 8-bit weights and their scale: a conversion to float, and perhaps a zero point."""

_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def load(
    path: str | Path,
    *,
    threads: int = 0,
    provider: str = "cpu",
    precision: str | None = None,
    shape: "Sequence[int] | None" = None,
    trust: bool = False,
    description: "Description | None" = None,
) -> "OpenVino":
    """Read the model and compile it for this CPU and ``shape``. Raises ModelError where either is refused."""
    from fer_edge.runtime.model_file import read_any

    require_cpu(path, NAME, provider)
    model = read_any(path, trust=trust, description=description)
    backend = OpenVino(model, threads, precision or model.metadata.precision)
    if shape is not None:
        import numpy as np

        one = backend.prepare(np.zeros((1, *shape[1:]), np.uint8))
        backend.compile([model.metadata.input.fixed_batch or shape[0], *one.shape[1:]])
    return backend


def runtime_info(metadata: "ModelMetadata") -> dict[tuple[str, str], str]:
    """What an IR says of itself in its ``rt_info``, by section and key.

    ``model_info`` is for OpenVINO's Model API, whose labels are separated by blanks; ``fer_edge`` has them as they are.
    """
    import json

    spaced = " ".join(name.replace(" ", "_") for name in metadata.labels)
    return {
        ("model_info", "model_type"): "Classification",
        ("model_info", "labels"): spaced,
        ("fer_edge", "labels"): json.dumps(metadata.labels),
    }


class OpenVino(ModelBackend):
    """One infer request of a compiled model."""

    def __init__(self, model: "CheckedFile", threads: int, precision: str) -> None:
        super().__init__(model.path, model.metadata, model.sha256)
        self._model = model
        self._is_dynamic = model.metadata.format == NAME
        self._threads = threads
        self._precision = precision
        self._shape: list[int] = []
        self._request: Any = None

    def compile(self, shape: list[int] | None) -> None:
        """Compile for one shape of the model's own input, or for any where it is None."""
        if shape is not None:
            self._is_dynamic = False
        self._request = self._compiled(shape, self._threads).create_infer_request()
        self._shape = shape or []

    def _compiled(self, shape: list[int] | None, threads: int, *, counts: bool = False) -> Any:
        """The model for one shape of its input or any; ``counts``: with the time of its nodes. Raises ModelError."""
        import openvino

        try:
            core = openvino.Core()
            network = self._read(core)
            if shape is not None:
                network.reshape(shape)
            return core.compile_model(
                network,
                "CPU",
                {
                    **({"INFERENCE_NUM_THREADS": threads} if threads else {}),
                    **({"PERF_COUNT": True} if counts else {}),
                    "NUM_STREAMS": 1,
                    "PERFORMANCE_HINT": "LATENCY" if shape is None or shape[0] == 1 else "THROUGHPUT",
                    "INFERENCE_PRECISION_HINT": _PRECISION_HINTS[self._precision],
                },
            )
        except RuntimeError as error:
            reason = " ".join(str(error).split())[-300:]
            raise ModelError(f"{self.path}: {NAME} cannot run it: {reason}") from error

    def _read(self, core: Any) -> Any:
        """The network, from the very bytes that were checked. Raises ModelError where its labels are others."""
        if self.metadata.format != NAME:
            return core.read_model(self._model.data)
        network = core.read_model(self._model.data, self._model.other(_WEIGHTS))
        for (section, key), expected in runtime_info(self.metadata).items():
            has_it = network.has_rt_info([section, key])
            found = str(network.get_rt_info([section, key]).value) if has_it else "none"
            if found != expected:
                raise ModelError(
                    f"{self.path}: expected {key} {expected!r} in its {section}, as the metadata say, found "
                    f"{printable(found)!r}; export it again"
                )
        return network

    def layer_values(self, feed: "NDArray[Any]", names: "Collection[str]") -> "Mapping[str, NDArray[np.float32]]":
        """Values by the names of torch's modules; of an 8-bit model those after rounding, where it rounds them."""
        import numpy as np
        import openvino

        core = openvino.Core()
        network = self._read(core)
        known = {name: output for op in network.get_ops() for output in op.outputs() for name in output.get_names()}
        wanted = {name: known.get(name + _DEQUANTISED, known.get(name)) for name in names}
        outputs = {name: output for name, output in wanted.items() if output is not None}
        network = openvino.Model(list(outputs.values()), network.get_parameters())
        network.reshape(list(feed.shape))
        request = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
        answer = request.infer({0: feed})
        return {name: np.array(answer[place], np.float32) for place, name in enumerate(outputs)}

    def weights(self) -> "Mapping[str, Weights]":
        """Every convolution's and matrix product's, by the name of torch's parameter."""
        import openvino

        found = {}
        for op in self._read(openvino.Core()).get_ops():
            if op.get_type_name() != "Constant":
                continue
            names = [name for output in op.outputs() for name in output.get_names()]
            quantised = [name for name in names if name.endswith(_QUANTISED)]
            if quantised and (steps := _steps_behind(op)) is not None:
                found[quantised[0].removesuffix(_QUANTISED)] = Weights(op.data * steps, steps)
            elif names and op.data.dtype.kind == "f":
                found[names[0]] = Weights(op.data)
        return found

    def node_times(self, feed: "NDArray[Any]", threads: int, budget_s: float) -> list[NodeTime]:
        """As the contract says, by OpenVINO's own counters, compiled for the shape of ``feed``."""
        from fer_edge.backends._openvino_counters import node_times

        compiled = self._compiled(None if self._is_dynamic else list(feed.shape), threads, counts=True)
        return node_times(compiled, feed, budget_s)

    def execute(self, feed: "NDArray[Any]") -> Any:
        """Probabilities and logits by name."""
        from fer_edge.runtime.inference import run_in_fixed_batches

        def run(part: "NDArray[Any]") -> Any:
            shape = None if self._is_dynamic else list(part.shape)
            if self._request is None or (shape is not None and self._shape != shape):
                self.compile(shape)
            answer = self._request.infer({0: part}, share_inputs=True)  # without a copy, as onnxruntime takes them
            # The arrays own their memory: outputs, unlike inputs, are not shared.
            return {output.name: answer[output.name] for output in self.metadata.answers}

        return run_in_fixed_batches(run, feed, self.metadata)

    def download(self, answer: Any) -> Outputs:
        """Probabilities and logits (N, C)."""
        return self.outputs_of(answer)


def _steps_behind(weights: Any) -> "NDArray[np.floating[Any]] | None":
    """The scale that a constant of 8-bit weights, which have no zero point, is multiplied by; None where nothing does
    so."""
    op = weights
    for _ in range(_MOST_OPS_TO_SCALE):
        followers = list(op.output(0).get_target_inputs())
        if len(followers) != 1:
            return None
        op = followers[0].get_node()
        if op.get_type_name() == "Multiply":
            factor = op.input_value(1 - followers[0].get_index()).get_node()
            return factor.data if factor.get_type_name() == "Constant" else None
    return None


def _precisions(precision: str, cpu_flags: frozenset[str]) -> tuple[str, ...]:
    if precision == "fp32":
        return ("fp32", "bf16") if cpu_flags & _BF16_FLAGS else ("fp32",)
    return ("int8",) if precision == "int8" else ()  # it would run an fp16 file in fp32: no row of its own


BACKEND = BackendEntry(
    name=NAME,
    formats=("onnx", NAME),
    load=load,
    imports=("openvino", "fer_edge.runtime.inference"),
    package="openvino",
    extra="openvino",
    precisions=_precisions,
    colour="#2e7d4f",
    counts_nodes=True,
)
