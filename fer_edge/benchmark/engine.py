"""What the engines of all runtimes share: what they are asked to load, and how a face reaches them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.metadata import NORMALISED, ModelMetadata


@dataclass(frozen=True)
class EngineSpec:
    """What a worker is to load."""

    runtime: str
    precision: str
    provider: str
    batch: int
    threads: int
    path: str
    image_size: int


def model_input(pixels: NDArray[np.uint8], card: ModelMetadata) -> NDArray[Any]:
    """What an ONNX model takes, of grey faces uint8 (N, S, S, 1): these, or normalised faces (N, 1, S, S) if raw."""
    if card.input.kind != NORMALISED:
        return pixels
    faces = pixels.transpose(0, 3, 1, 2) / np.float32(255)
    return ((faces - np.float32(card.mean)) / np.float32(card.std)).astype(card.input.dtype)


class HostEngine:
    """What engines on the CPU share: nothing is copied."""

    copies_apart = False

    def prepare(self, pixels: NDArray[np.uint8]) -> Any:
        """The pixels themselves: the model prepares them."""
        return pixels

    def upload(self, feed: Any) -> Any:
        """Nothing to do."""
        return feed

    def download(self, answer: Any) -> Any:
        """Nothing to do."""
        return answer
