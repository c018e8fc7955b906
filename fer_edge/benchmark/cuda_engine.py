"""onnxruntime on CUDA with IO binding: input and outputs stay on the device, and the copies are steps of their own."""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fer_edge.benchmark.engine import EngineSpec, model_input
from fer_edge.evaluation.metrics import softmax
from fer_edge.metadata import ModelMetadata
from fer_edge.runtime.model_file import read_model
from fer_edge.runtime.providers import choose_provider
from fer_edge.runtime.session import onnxruntime_errors, open_session, run_options


def open_onnxruntime_cuda(spec: EngineSpec) -> "BoundEngine":
    """Open the model on CUDA, strictly. Raises ModelError, or ProviderError where CUDA does not run it."""
    model = read_model(spec.path)
    session, share = open_session(model, choose_provider("cuda"), threads=spec.threads)
    return BoundEngine(session, model.card, share)


class BoundEngine:
    """A session whose input and outputs are bound to device memory.

    See https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html. A raw model is fed normalised faces,
    which ``prepare`` makes on the host.
    """

    copies_apart = True

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        card: ModelMetadata,
        cuda_node_share: float | None,
        device: str = "cuda",
    ) -> None:
        self._session = session
        self._card = card
        self._device = device
        self.cuda_node_share = cuda_node_share
        self._outputs = [output.name for output in card.outputs]
        self._binding = session.io_binding()
        self._bound: Any = None

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """The pixels, or for a raw model the normalised faces (N, 1, S, S)."""
        return model_input(pixels, self._card)

    def upload(self, feed: NDArray[Any]) -> None:
        """Copy to the device, into the memory that is bound; a new shape gets new memory."""
        if self._bound is None or list(self._bound.shape()) != list(feed.shape):
            self._binding.clear_binding_outputs()  # outputs keep the shape of the first run
            for name in self._outputs:
                self._binding.bind_output(name, self._device)
            # A copy: on the CPU an OrtValue would borrow the array's own memory, which the next upload writes into.
            self._bound = onnxruntime.OrtValue.ortvalue_from_numpy(np.array(feed), self._device, 0)
            self._binding.bind_ortvalue_input(self._card.input.name, self._bound)
        else:
            self._bound.update_inplace(np.ascontiguousarray(feed))
        self._binding.synchronize_inputs()

    def run(self, _feed: None) -> None:
        """Run, and wait until the device is done."""
        with onnxruntime_errors(self._card.name):  # type: ignore[arg-type]  # only named in the message
            self._session.run_with_iobinding(self._binding, run_options())
            self._binding.synchronize_outputs()

    def download(self, _answer: None) -> NDArray[np.float32]:
        """Copy the outputs back: probabilities (N, 7)."""
        found = dict(zip(self._outputs, self._binding.copy_outputs_to_cpu(), strict=True))
        if "probabilities" in found:
            return np.asarray(found["probabilities"], np.float32)
        return softmax(found["logits"]).astype(np.float32)
