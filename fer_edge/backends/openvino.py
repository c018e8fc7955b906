"""OpenVINO on the CPU, from the ONNX file, at a fixed input shape.

Fixed, because OpenVINO 2026.4 answers the dynamic graph with no rows at all or crashes; a fixed shape is also what its
users are told to take for speed (https://docs.openvino.ai, "Working with Dynamic Shapes"). Another shape than the last
one is compiled for when it comes.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.backends.contract import ModelBackend, Outputs
from fer_edge.backends.registry import BackendEntry
from fer_edge.errors import ModelError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fer_edge.runtime.foreign_files import Description
    from fer_edge.runtime.model_file import ModelFile

NAME = "openvino"

_PRECISION_HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f32"}
"""What OpenVINO computes in where a layer is not quantised. Unset, it takes bf16 wherever the processor has it."""

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
    from fer_edge.runtime.model_file import read_model

    if provider != "cpu":
        raise ProviderError(f"{path}: expected the provider cpu for {NAME}, found {provider}")
    model = read_model(path, trust=trust, description=description)
    backend = OpenVino(model, threads, precision or model.metadata.precision)
    if shape is not None:
        import numpy as np

        one = backend.prepare(np.zeros((1, *shape[1:]), np.uint8))
        backend.compile([model.metadata.input.fixed_batch or shape[0], *one.shape[1:]])
    return backend


class OpenVino(ModelBackend):
    """One infer request of a compiled model."""

    def __init__(self, model: "ModelFile", threads: int, precision: str) -> None:
        super().__init__(model.path, model.metadata, model.sha256)
        self._threads = threads
        self._precision = precision
        self._shape: list[int] = []
        self._request: Any = None

    def compile(self, shape: list[int]) -> None:
        """Compile for one shape of the model's own input."""
        import openvino

        threads = {"INFERENCE_NUM_THREADS": self._threads} if self._threads else {}
        try:
            core = openvino.Core()
            model = core.read_model(str(self.path))
            model.reshape(shape)
            compiled = core.compile_model(
                model,
                "CPU",
                {
                    **threads,
                    "NUM_STREAMS": 1,
                    "PERFORMANCE_HINT": "LATENCY" if shape[0] == 1 else "THROUGHPUT",
                    "INFERENCE_PRECISION_HINT": _PRECISION_HINTS[self._precision],
                },
            )
            self._request = compiled.create_infer_request()
        except RuntimeError as error:
            reason = " ".join(str(error).split())[-300:]
            raise ModelError(f"{self.path}: {NAME} cannot run it: {reason}") from error
        self._shape = shape

    def execute(self, feed: "NDArray[Any]") -> Any:
        """Every output by name."""
        from fer_edge.runtime.inference import run_in_fixed_batches

        def run(part: "NDArray[Any]") -> Any:
            if self._shape != list(part.shape):
                self.compile(list(part.shape))
            answer = self._request.infer({0: part}, share_inputs=True)  # without a copy, as onnxruntime takes them
            # The arrays own their memory: outputs, unlike inputs, are not shared.
            return {output.name: answer[output.name] for output in self.metadata.outputs}

        return run_in_fixed_batches(run, feed, self.metadata)

    def download(self, answer: Any) -> Outputs:
        """Probabilities and logits (N, C)."""
        return self.outputs_of(answer)


def _precisions(precision: str, cpu_flags: frozenset[str]) -> tuple[str, ...]:
    if precision == "fp32":
        return ("fp32", "bf16") if cpu_flags & _BF16_FLAGS else ("fp32",)
    return ("int8",) if precision == "int8" else ()  # it would run an fp16 file in fp32: no row of its own


BACKEND = BackendEntry(
    name=NAME,
    formats=("onnx",),
    load=load,
    imports=("openvino", "fer_edge.runtime.inference"),
    package="openvino",
    extra="openvino",
    precisions=_precisions,
    colour="#2e7d4f",
)
