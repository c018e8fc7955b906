"""The contract of every backend: a loaded model, from uint8 pixels to probabilities and logits.

Stdlib only: a worker of the benchmark imports it before it says how long importing the runtime takes.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from fer_edge.metadata import ModelMetadata


class Outputs(NamedTuple):
    """What a model says to N images, of C classes each."""

    probabilities: "NDArray[np.float32]"
    """(N, C)"""
    logits: "NDArray[np.float32]"
    """(N, C)"""


class NodeTime(NamedTuple):
    """What a runtime's own counters say of one node that it runs."""

    name: str
    """The runtime's: often a layer's, with more at its ends."""
    operator: str
    precision: str
    """It computes in: ``fp32``, ``int8``, …; empty where the runtime does not tell."""
    ms: float
    """Of one run, in the middle of many."""
    layers: tuple[str, ...] = ()
    """Names of the layers that it is made of, where the runtime tells."""
    num_bytes: int | None = None
    """That it reads and writes, where the runtime tells."""


class Backend(ABC):
    """A loaded model. ``run`` answers; the four steps that it consists of are apart for those who time them."""

    copies_apart = False
    """Whether upload and download are copies to and from a device, which are shown beside the latency, not in it."""
    cuda_node_share: float | None = None
    """Fraction (0-1) of the graph's nodes that CUDA runs, where the runtime tells."""

    def __init__(self, path: Path, *, provider: str = "cpu") -> None:
        self.path = path
        self.provider = provider
        """What runs it: ``cpu`` or ``cuda``."""

    def run(self, pixels: "NDArray[np.uint8]") -> Outputs:
        """Probabilities and logits of images uint8 (N, H, W, C). Raises ModelError where they are none, or it fails."""
        from fer_edge.runtime.inference import check_outputs

        outputs = self.run_feed(self.prepare(pixels))
        check_outputs(self.path, *outputs, images=len(pixels))
        return outputs

    def run_feed(self, feed: Any) -> Outputs:
        """As ``run``, of the model's own input, unchecked: for those who measure how wrong a model is."""
        return self.download(self.execute(self.upload(feed)))

    @abstractmethod
    def prepare(self, pixels: "NDArray[np.uint8]") -> Any:
        """What the model takes as input, from images uint8 (N, H, W, C); what the graph itself does is in execute."""

    def upload(self, feed: Any) -> Any:
        """Bring the input to where the model runs; nothing on the CPU."""
        return feed

    @abstractmethod
    def execute(self, feed: Any) -> Any:
        """Run the model until its answer is there: synchronised where the device works on its own."""

    @abstractmethod
    def download(self, answer: Any) -> Outputs:
        """The answer as numpy arrays."""

    def preprocessing_share(self, pixels: "NDArray[np.uint8]", threads: int) -> float | None:
        """Fraction (0-1) of the nodes' time that the graph's own preprocessing takes; None where nothing tells."""
        return None

    def node_times(self, feed: Any, threads: int, budget_s: float) -> list[NodeTime]:
        """The time of each node that runs, in the order that it does, for the model's own input.

        Measured in runs of their own that take ``budget_s`` in all, because counting takes time itself. Raises
        ModelError where the runtime has no counters.
        """
        raise ModelError(
            f"{self.path}: expected a runtime that counts the time of its nodes, found one without counters"
        )


class Weights(NamedTuple):
    """The weights of one layer, as a file holds them."""

    values: "NDArray[np.floating[Any]]"
    """In the shape that torch has; those of 8 bits times their scale."""
    steps: "NDArray[np.floating[Any]] | None" = None
    """Of 8-bit weights: the scale of each, in a shape that broadcasts to theirs; None for floats."""
    ulps: int = 1
    """Of float weights: by how many units in the last place they may differ, where a converter multiplied the batch
    norm in, in an order of its own."""


class ModelBackend(Backend):
    """A loaded model file, which says itself what it takes and what its outputs mean."""

    def __init__(self, path: Path, metadata: "ModelMetadata", sha256: str, *, provider: str = "cpu") -> None:
        super().__init__(path, provider=provider)
        self.metadata = metadata
        self.sha256 = sha256
        """Of the whole file."""

    def accepts(self, channels: int) -> bool:
        """Whether ``prepare`` makes an input of images with so many channels."""
        taken = self.metadata.input.channels
        return self.takes_faces or channels in taken or (channels == 1 and 3 in taken)

    @property
    def takes_faces(self) -> bool:
        """Whether the model takes faces of its own size, which somebody has to prepare, instead of pixels."""
        from fer_edge.metadata import PIXELS

        return self.metadata.input.kind != PIXELS

    def prepare(self, pixels: "NDArray[np.uint8]") -> Any:
        """The pixels, grey repeated for a model that takes RGB alone; what a model of faces takes (``model_feed``)."""
        import numpy as np

        from fer_edge.runtime.inference import model_feed

        taken = self.metadata.input.channels
        if not self.takes_faces and pixels.shape[3] == 1 and 1 not in taken and 3 in taken:
            return np.repeat(pixels, 3, axis=3)
        return model_feed(pixels, self.metadata)

    def layer_values(self, feed: Any, names: "Collection[str]") -> "Mapping[str, NDArray[np.float32]]":
        """Values between layers for the model's own input, by the ``names`` of torch's modules that the file keeps.

        In torch's order of dimensions, (N, C, H, W). Raises ModelError for a format that keeps no names.
        """
        raise ModelError(f"{self.path}: expected a file that keeps the names of its layers, found none of them")

    def weights(self) -> "Mapping[str, Weights]":
        """Weights by the names of torch's parameters; empty for a format that keeps no names."""
        return {}

    def outputs_of(self, found: "dict[str, NDArray[np.float32]]") -> Outputs:
        """``Outputs`` from the model's outputs by name; a raw model has logits alone."""
        from fer_edge.runtime.inference import answers_of

        return Outputs(*answers_of(found, self.metadata))
