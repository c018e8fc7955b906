"""What PyTorch's backends share: the device, the thread budget, and an archive that is checked before it is run."""

import contextlib
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.backends.contract import Backend, ModelBackend, Outputs
from fer_edge.backends.registry import Load, Opening, loads
from fer_edge.errors import ModelError, ProviderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fer_edge.runtime.model_file import CheckedFile

START_SECONDS = 4.0
PROCESS_BYTES = 600 * 2**20


def prepare_torch(threads: int, provider: str) -> Any:
    """Set the thread budget; the device: ``auto`` is CUDA where torch sees it. Raises ProviderError where CUDA is asked
    for and torch has none."""
    import torch

    if threads:
        torch.set_num_threads(threads)
        with contextlib.suppress(RuntimeError):  # torch takes it once a process, before its first work
            torch.set_num_interop_threads(1)
    if provider == "auto":
        provider = "cuda" if torch.cuda.is_available() else "cpu"
    if provider == "cuda" and not torch.cuda.is_available():
        raise ProviderError("expected CUDA for torch, found a torch that sees none; install a CUDA build of torch")
    return torch.device(provider)


def loads_archive(name: str, opened: Callable[[bytes, Any], Any]) -> Load:
    """``load`` for an archive of torch's, whose code ``opened(data, device)`` runs and gives as a module."""

    def open_archive(path: str | Path, how: Opening) -> TorchModel:
        import warnings

        from fer_edge.runtime.checksum import clean_zip

        device = prepare_torch(how.threads, how.provider)
        model = _read_archive(path, name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's own deprecations; 'export' says them in its own words
                return TorchModel(model, opened(clean_zip(model.data), device), device)
        except (RuntimeError, ValueError, KeyError) as error:
            raise ModelError(f"{path}: torch cannot load it: {' '.join(str(error).split())[:300]}") from error

    return loads(open_archive)


def loads_checkpoint(*, compiled: bool) -> Load:
    """``load`` of a backend that runs a checkpoint's network."""

    def open_checkpoint(path: str | Path, how: Opening) -> TorchCheckpoint:
        return TorchCheckpoint(path, how.threads, how.provider, compiled=compiled)

    return loads(open_checkpoint)


def _read_archive(path: str | Path, file_format: str) -> "CheckedFile":
    """A file whose checksum is right and that is what its name says; nothing of it is run. Raises ModelError."""
    from fer_edge.runtime.model_file import read_any

    model = read_any(path)
    if model.metadata.format != file_format:
        raise ModelError(f"{path}: expected a {file_format} file, found {model.metadata.format}")
    return model


class _OnDevice(Backend):
    """Tensors in, a pair of tensors out, on a device that may work on its own."""

    _device: Any

    def _tensor(self, values: "NDArray[Any]") -> Any:
        import numpy as np
        import torch

        return torch.from_numpy(np.array(values))  # a copy: torch wants it writable

    def upload(self, feed: Any) -> Any:
        """To the GPU, where there is one, and wait until it is there."""
        if not self.copies_apart:
            return feed
        fed = feed.to(self._device)
        self._synchronise()
        return fed

    def execute(self, feed: Any) -> Any:
        """Probabilities and logits (N, C) as tensors where the model runs."""
        import torch

        with torch.inference_mode():
            answer = self._answer(feed)
        if self.copies_apart:
            self._synchronise()
        return answer

    def download(self, answer: Any) -> Outputs:
        """Probabilities and logits (N, C)."""
        import numpy as np

        probabilities, logits = (np.asarray(one.float().cpu().numpy()) for one in answer)
        return Outputs(probabilities, logits)

    @abstractmethod
    def _answer(self, feed: Any) -> Any:
        """Probabilities and logits (N, C) as tensors, perhaps before they are computed."""

    def _synchronise(self) -> None:
        import torch

        torch.cuda.synchronize(self._device)


class TorchModel(_OnDevice, ModelBackend):
    """A file of PyTorch's: a module from pixels to probabilities and logits."""

    def __init__(self, model: "CheckedFile", module: Any, device: Any) -> None:
        ModelBackend.__init__(self, model.path, model.metadata, model.sha256, provider=device.type)
        self._module = module
        self._device = device
        self.copies_apart = device.type == "cuda"

    def prepare(self, pixels: "NDArray[np.uint8]") -> Any:
        """A tensor of the pixels; grey is repeated where the program has three channels fixed."""
        return self._tensor(ModelBackend.prepare(self, pixels))

    def run_feed(self, feed: Any) -> Outputs:
        """As the contract says; a numpy array is taken too."""
        import torch

        return super().run_feed(feed if isinstance(feed, torch.Tensor) else self._tensor(feed))

    def _answer(self, feed: Any) -> Any:
        return self._module(feed)


class TorchCheckpoint(_OnDevice):
    """A checkpoint's network, fed faces that are prepared on the host."""

    def __init__(self, path: str | Path, threads: int, provider: str, *, compiled: bool) -> None:
        import torch

        from fer_edge.training.checkpoint import load_classifier

        device = prepare_torch(threads, provider)
        classifier, info = load_classifier(path)
        super().__init__(info.path, provider=device.type)
        classifier.keep_main_head()
        classifier = classifier.to(device).eval()
        self.info = info
        self._device = device
        self.copies_apart = device.type == "cuda"
        # The network alone: with the few operators of preparing a face in it, it compiled 20 times as long and ran no
        # faster (ResNet18, one thread).
        self._network = torch.compile(classifier, dynamic=False) if compiled else classifier

    def prepare(self, pixels: "NDArray[np.uint8]") -> Any:
        """Normalised faces (N, 1, S, S)."""
        import numpy as np
        import torch

        from fer_edge.runtime.images import face_pixels
        from fer_edge.training.augmentation import normalise

        size = self.info.image_size
        if pixels.shape[1:] == (size, size, 1):
            faces = pixels[..., 0]
        else:
            faces = np.stack([np.asarray(face_pixels(image, size), np.uint8) for image in pixels])
        with torch.inference_mode():
            return normalise(self._tensor(faces), self.info.mean, self.info.std)

    def _answer(self, feed: Any) -> Any:
        import torch

        logits = self._network(feed)
        return torch.softmax(logits, dim=1), logits
