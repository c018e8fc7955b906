"""onnxruntime on the CPU, as apps meet it, and on CUDA with IO binding."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.backends.contract import ModelBackend, NodeTime, Outputs
from fer_edge.backends.registry import BackendEntry
from fer_edge.errors import ModelError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import onnxruntime
    from numpy.typing import NDArray

    from fer_edge.runtime.foreign_files import Description
    from fer_edge.runtime.forks import OwnSession
    from fer_edge.runtime.model_file import ModelFile

NAME = "onnxruntime"


def load(
    path: str | Path,
    *,
    threads: int = 0,
    provider: str = "cpu",
    precision: str | None = None,
    shape: "Sequence[int] | None" = None,
    trust: bool = False,
    description: "Description | None" = None,
) -> "OnnxRuntime":
    """Open an .onnx or .ort file by the runtime's own loader. ``auto`` is CUDA where all of it is there."""
    from fer_edge.runtime.loading import load_session

    loaded = load_session(path, provider=provider, threads=threads, trust=trust, description=description)
    if provider not in ("auto", loaded.provider):
        raise ProviderError(f"{path}: expected the provider {provider}, found {loaded.provider}")
    # A fixed batch is run as often as it takes, which one binding cannot.
    takes_any = loaded.model.metadata.input.fixed_batch is None
    kind = BoundOnnxRuntime if loaded.provider == "cuda" and takes_any else OnnxRuntime
    backend = kind(loaded.session, loaded.model, provider=loaded.provider)
    backend.cuda_node_share = loaded.cuda_node_share
    return backend


class OnnxRuntime(ModelBackend):
    """A session whose input and outputs are numpy arrays."""

    def __init__(
        self, session: "OwnSession | onnxruntime.InferenceSession", model: "ModelFile", *, provider: str = "cpu"
    ) -> None:
        from fer_edge.runtime.session import run_options

        super().__init__(model.path, model.metadata, model.sha256, provider=provider)
        self._session = session
        self._run_options = run_options
        self._names = [output.name for output in model.metadata.answers]

    def execute(self, feed: "NDArray[Any]") -> "dict[str, NDArray[np.float32]]":
        """Probabilities and logits by name."""
        from fer_edge.runtime.inference import run_in_fixed_batches
        from fer_edge.runtime.session import onnxruntime_errors

        num_pixels = feed.size // 3

        def run(part: "NDArray[Any]") -> "dict[str, NDArray[np.float32]]":
            values = self._session.run(self._names, {self.metadata.input.name: part}, self._run_options(num_pixels))
            return dict(zip(self._names, values, strict=True))

        with onnxruntime_errors(self.path):
            return run_in_fixed_batches(run, feed, self.metadata)

    def download(self, answer: "dict[str, NDArray[np.float32]]") -> Outputs:
        """Probabilities and logits (N, C)."""
        return self.outputs_of(answer)

    def preprocessing_share(self, pixels: "NDArray[np.uint8]", threads: int) -> float | None:
        """As the contract says, by onnxruntime's profiler; None for a model without preprocessing in its graph."""
        from fer_edge.backends._profile import preprocessing_share

        if self.takes_faces:
            return None
        return preprocessing_share(self.path, pixels, threads)

    def node_times(self, feed: "NDArray[Any]", threads: int, budget_s: float) -> "list[NodeTime]":
        """As the contract says, by onnxruntime's profiler, of the nodes that its optimiser made."""
        from fer_edge.backends._profile import node_times

        return node_times(self.path, feed, threads, budget_s)


class BoundOnnxRuntime(OnnxRuntime):
    """A session whose input and outputs are bound to device memory: the copies are steps of their own.

    See https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html.
    """

    copies_apart = True

    def __init__(
        self,
        session: "OwnSession | onnxruntime.InferenceSession",
        model: "ModelFile",
        *,
        provider: str = "cuda",
        device: str = "cuda",
    ) -> None:
        from fer_edge.runtime.forks import OwnSession

        super().__init__(session, model, provider=provider)
        self._device = device
        # Bound memory belongs to one session, so this backend stays in its process.
        self._bound_session: Any = session.get() if isinstance(session, OwnSession) else session
        self._binding = self._bound_session.io_binding()
        self._bound: Any = None

    def upload(self, feed: "NDArray[Any]") -> None:
        """Copy to the device, into the memory that is bound; a new shape gets new memory."""
        import numpy as np
        import onnxruntime

        if self._bound is None or list(self._bound.shape()) != list(feed.shape):
            self._binding.clear_binding_outputs()  # outputs keep the shape of the first run
            for name in self._names:
                self._binding.bind_output(name, self._device)
            # A copy: on the CPU an OrtValue would borrow the array's own memory, which the next upload writes into.
            self._bound = onnxruntime.OrtValue.ortvalue_from_numpy(np.array(feed), self._device, 0)
            self._binding.bind_ortvalue_input(self.metadata.input.name, self._bound)
        else:
            self._bound.update_inplace(np.ascontiguousarray(feed))
        self._binding.synchronize_inputs()

    def execute(self, feed: None) -> None:  # type: ignore[override]  # what was uploaded is bound
        """Run, and wait until the device is done."""
        from fer_edge.runtime.session import onnxruntime_errors

        with onnxruntime_errors(self.path):
            self._bound_session.run_with_iobinding(self._binding, self._run_options())
            self._binding.synchronize_outputs()

    def download(self, answer: None) -> Outputs:  # type: ignore[override]  # what was computed is bound
        """Copy the outputs back: probabilities and logits (N, C)."""
        return self.outputs_of(dict(zip(self._names, self._binding.copy_outputs_to_cpu(), strict=True)))

    def preprocessing_share(self, pixels: "NDArray[np.uint8]", threads: int) -> None:
        """None: the profiler's share is of the CPU's time."""

    def node_times(self, feed: "NDArray[Any]", threads: int, budget_s: float) -> "list[NodeTime]":
        """Raises ModelError: the profiler counts the CPU's time, in which kernels are only started."""
        raise ModelError(f"{self.path}: expected the provider cpu, whose nodes can be timed, found {self.provider}")


BACKEND = BackendEntry(
    name=NAME,
    formats=("onnx", "ort"),
    load=load,
    imports=("fer_edge.runtime.loading", "fer_edge.runtime.inference"),
    providers=("cpu", "cuda"),
    colour="#3b6ea8",
    counts_nodes=True,
)
