"""How each runtime loads a file and runs it, behind the four steps of turn.Engine. Imported by workers only."""

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmark.engine import EngineSpec, HostEngine
from fer_edge.benchmark.rows import COMPILE, EAGER, ONNXRUNTIME, OPENVINO, PT2, TORCHSCRIPT
from fer_edge.benchmark.turn import Engine
from fer_edge.errors import ProviderError


def import_runtime(spec: EngineSpec) -> Callable[[EngineSpec], Engine]:
    """Import all that the runtime needs, and return what opens a file with it: the two are timed apart.

    The opener raises ModelError, CheckpointError or ProviderError for what it refuses.
    """
    if spec.runtime == ONNXRUNTIME:
        return _import_onnxruntime(spec.provider)
    if spec.runtime == OPENVINO:
        from fer_edge.benchmark import openvino_engine

        return openvino_engine.open_openvino
    import torch  # noqa: F401  # most of a cold start, so it counts as import and not as load

    if spec.runtime in (EAGER, COMPILE):
        importlib.import_module("fer_edge.training.checkpoint")
    torch_engines = importlib.import_module("fer_edge.benchmark.torch_engines")
    openers: dict[str, Callable[[EngineSpec], Engine]] = {
        EAGER: torch_engines.open_eager,
        COMPILE: torch_engines.open_compiled,
        TORCHSCRIPT: torch_engines.open_torchscript,
        PT2: torch_engines.open_pt2,
    }
    return openers[spec.runtime]


def _import_onnxruntime(provider: str) -> Callable[[EngineSpec], Engine]:
    from fer_edge.runtime.classifier import Classifier

    if provider == "cuda":
        from fer_edge.benchmark.cuda_engine import open_onnxruntime_cuda

        return open_onnxruntime_cuda

    def open_classifier(spec: EngineSpec) -> Engine:
        classifier = Classifier.load(spec.path, provider=spec.provider, threads=spec.threads)
        if classifier.provider != spec.provider:
            raise ProviderError(f"{spec.path}: expected the provider {spec.provider}, found {classifier.provider}")
        return ClassifierEngine(classifier.probabilities, Path(spec.path))

    return open_classifier


class ClassifierEngine(HostEngine):
    """onnxruntime on the CPU, as an app meets it: ``Classifier.probabilities``."""

    def __init__(self, probabilities: Callable[[NDArray[np.uint8]], NDArray[np.float32]], path: Path) -> None:
        self._probabilities = probabilities
        self._path = path

    def run(self, feed: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (N, 7)."""
        return self._probabilities(feed)

    def preprocessing_share(self, pixels: NDArray[np.uint8], threads: int) -> float | None:
        """Part (0-1) of the nodes' time that the graph's own preprocessing takes; None for a model without it."""
        from fer_edge.backends._profile import preprocessing_share

        return preprocessing_share(self._path, pixels, threads)
