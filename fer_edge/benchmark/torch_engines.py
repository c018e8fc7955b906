"""PyTorch in its four forms, as rivals: eager, compiled, TorchScript (frozen), pt2. Imported by workers only."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmark.engine import EngineSpec
from fer_edge.errors import ModelError, ProviderError
from fer_edge.metadata import ModelMetadata


def open_eager(spec: EngineSpec) -> "TorchEngine":
    """The checkpoint as it is. Raises CheckpointError."""
    return _from_checkpoint(spec, compiled=False)


def open_compiled(spec: EngineSpec) -> "TorchEngine":
    """The checkpoint's network under torch.compile; what is compiled is compiled at the first run of each shape."""
    return _from_checkpoint(spec, compiled=True)


def open_torchscript(spec: EngineSpec) -> "TorchEngine":
    """A .torchscript file, frozen: weights become constants, batch norms fold into convolutions. Raises ModelError."""
    import torch

    device = _prepare_torch(spec)
    data, _ = _checked_archive(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated
        module = torch.jit.load(io.BytesIO(data), map_location=device).eval()
        module = torch.jit.freeze(module)
    return TorchEngine(lambda pixels: module(pixels)[0], device)


def open_pt2(spec: EngineSpec) -> "TorchEngine":
    """A .pt2 file: a torch.export program, run as it is. Raises ModelError."""
    import torch

    device = _prepare_torch(spec)
    data, card = _checked_archive(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations
        module = torch.export.load(io.BytesIO(data)).module().to(device)
    channels = max(card.input.channels)  # a program has its number of channels fixed: grey is repeated where it is 3
    return TorchEngine(lambda pixels: module(pixels)[0], device, channels=channels)


class TorchEngine:
    """``answer`` takes what ``prepare`` gives: pixels uint8 (N, S, S, C), or faces where ``faces`` makes them."""

    def __init__(self, answer: Any, device: Any, *, faces: Any = None, channels: int = 1) -> None:
        self._answer = answer
        self._device = device
        self._faces = faces
        self._channels = channels
        self.copies_apart = device.type == "cuda"

    def prepare(self, pixels: NDArray[np.uint8]) -> Any:
        """A tensor of the pixels (torch wants memory of its own, writable), or of the normalised faces."""
        import torch

        if self._channels > 1:
            pixels = np.repeat(pixels, self._channels, axis=3)
        tensor = torch.from_numpy(np.array(pixels))
        if self._faces is None:
            return tensor
        with torch.inference_mode():
            return self._faces(tensor)

    def upload(self, feed: Any) -> Any:
        """To the GPU, where there is one, and wait until it is there."""
        if not self.copies_apart:
            return feed
        fed = feed.to(self._device)
        self._synchronise()
        return fed

    def run(self, feed: Any) -> Any:
        """Probabilities (N, 7) as a tensor where the model runs."""
        import torch

        with torch.inference_mode():
            answer = self._answer(feed)
        if self.copies_apart:
            self._synchronise()
        return answer

    def download(self, answer: Any) -> NDArray[np.float32]:
        """Probabilities (N, 7)."""
        return np.asarray(answer.float().cpu().numpy())

    def _synchronise(self) -> None:
        import torch

        torch.cuda.synchronize(self._device)


def _from_checkpoint(spec: EngineSpec, *, compiled: bool) -> TorchEngine:
    import torch

    from fer_edge.training.augmentation import normalise
    from fer_edge.training.checkpoint import load_classifier

    device = _prepare_torch(spec)
    classifier, info = load_classifier(Path(spec.path))
    classifier = classifier.to(device).eval()
    # The network alone: with the few operators of preparing a face in it, it compiled 20 times as long and ran no
    # faster (ResNet18, one thread).
    network = torch.compile(classifier, dynamic=False) if compiled else classifier
    return TorchEngine(
        lambda faces: torch.softmax(network(faces), dim=1),
        device,
        faces=lambda pixels: normalise(pixels[..., 0], info.mean, info.std),
    )


def _prepare_torch(spec: EngineSpec) -> Any:
    """Set the thread budget; the device. Raises ProviderError where CUDA is asked for and torch has none."""
    import torch

    torch.set_num_threads(spec.threads)
    torch.set_num_interop_threads(1)
    if spec.provider == "cuda" and not torch.cuda.is_available():
        raise ProviderError("expected CUDA for torch, found a torch that sees none; install a CUDA build of torch")
    return torch.device(spec.provider)


def _checked_archive(spec: EngineSpec) -> tuple[bytes, ModelMetadata]:
    from fer_edge.benchmark.subjects import read_archive
    from fer_edge.runtime.model_file import read_model_bytes

    path = Path(spec.path)
    data = read_model_bytes(path)
    card = read_archive(path, data)
    if card.format != spec.runtime:
        raise ModelError(f"{path}: expected a {spec.runtime} file, found {card.format}")
    return data, card
