"""The model that is served: its tensors by name, and from a request's tensors to its own input and back."""

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_edge.backends.contract import ModelBackend, Outputs
from fer_edge.errors import ImageError, ModelError, UsageError
from fer_edge.runtime.images import FORMATS, open_image
from fer_edge.runtime.inference import check_outputs
from fer_edge.serving.protocol import InferRequest, RequestedOutput, Tensor, bytes_tensor, datatype_of
from fer_edge.serving.tensors import BYTES, RequestError, shown
from fer_edge.text import without_surrogates

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "1"
"""The only version of the model that there is."""
IMAGE = "image"
"""Input of pixels UINT8 (N, H, W, 1 | 3 | 4), or of image files BYTES (N), of every model."""
PROBABILITIES, LOGITS, LABEL = "probabilities", "logits", "label"
"""Outputs of every model; ``label`` is the name of the most probable class, BYTES (N)."""
MAX_NAME = 128


@dataclass(frozen=True)
class Feed:
    """Images that can be scored with others of the same ``key``: pixels (N, H, W, C), or the model's own input."""

    key: tuple[Any, ...]
    array: NDArray[Any]
    is_raw: bool

    @classmethod
    def of(cls, array: NDArray[Any], *, is_raw: bool) -> "Feed":
        """With the key of its shape and type."""
        return cls((is_raw, array.dtype.str, array.shape[1:]), array, is_raw)


class ServedModel:
    """A loaded model under the name that clients call it by. Raises UsageError for a name that a URL cannot hold."""

    def __init__(self, backend: ModelBackend, name: str, *, max_pixels: int) -> None:
        if not name or len(name) > MAX_NAME or not name.isprintable() or "/" in name or name in (".", ".."):
            raise UsageError(f"name: expected 1 to {MAX_NAME} printable characters without /, found '{shown(name)}'")
        self.name = name
        self._backend = backend
        self._max_pixels = max_pixels
        self.labels = tuple(without_surrogates(list(backend.metadata.labels)))
        own = backend.metadata.input
        self._own = None if not backend.takes_faces else (own.name, datatype_of(own.dtype), list(own.shape[1:]))
        self.outputs = (PROBABILITIES, LOGITS, LABEL)

    @property
    def path(self) -> "Path":
        """Of its file."""
        return self._backend.path

    def description(self) -> dict[str, Any]:
        """What ``GET /v2/models/NAME`` answers."""
        metadata, classes = self._backend.metadata, len(self.labels)
        inputs = [{"name": IMAGE, "datatype": "UINT8", "shape": [-1, -1, -1, -1]}]
        if self._own is not None:
            name, datatype, shape = self._own
            inputs = [{"name": name, "datatype": datatype, "shape": [-1, *_dynamic(shape)]}]
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": f"fer_edge_{metadata.format}",
            "inputs": inputs,
            "outputs": [
                {"name": PROBABILITIES, "datatype": "FP32", "shape": [-1, classes]},
                {"name": LOGITS, "datatype": "FP32", "shape": [-1, classes]},
                {"name": LABEL, "datatype": BYTES, "shape": [-1]},
            ],
            "parameters": {
                "labels": list(self.labels),
                "sha256": self._backend.sha256,
                "precision": metadata.precision,
                "image": "UINT8 [N,H,W,C] of pixels, C one of 1, 3, 4; or BYTES [N] of JPEG, PNG and other image files",
            },
        }

    def is_cheap(self, request: InferRequest) -> bool:
        """Whether ``feeds`` takes no time worth a thread: tensors as the model takes them."""
        return request.inputs[0].datatype != BYTES and (
            self._own is None or request.inputs[0].name == self._own[0] != IMAGE
        )

    def feeds(self, request: InferRequest) -> list[Feed]:
        """What the model is fed for a request, in order. Raises RequestError for inputs that it does not take."""
        if len(request.inputs) != 1:
            raise RequestError(f"expected one input, found {len(request.inputs)}")
        (tensor,) = request.inputs
        if self._own is not None and (tensor.name, tensor.datatype) == self._own[:2]:
            return [self._own_feed(tensor)]
        if tensor.name != IMAGE or tensor.datatype not in ("UINT8", BYTES):
            own = "" if self._own is None else f", or '{self._own[0]}' of {self._own[1]}"
            raise RequestError(
                f"expected the input '{IMAGE}' of UINT8 or BYTES{own}, "
                f"found '{shown(tensor.name)}' of {shown(tensor.datatype)}"
            )
        if isinstance(tensor.values, list):
            if len(tensor.shape) > 2 or tensor.shape[1:] not in ([], [1]):
                raise RequestError(f"input '{IMAGE}': expected BYTES of shape [N], found {shown(tensor.shape)}")
            return [self._pixels_feed(self._opened(at, file)[np.newaxis]) for at, file in enumerate(tensor.values)]
        return [self._pixels_feed(tensor.values)]

    def run(self, feed: Feed) -> Outputs:
        """Probabilities and logits. Raises RequestError where the model cannot answer for them."""
        try:
            if not feed.is_raw:
                return self._backend.run(feed.array)
            found = self._backend.run_feed(feed.array)
            check_outputs(self._backend.path, *found, images=len(feed.array))
        except ModelError as error:
            # The path of the model on the server is nobody's business.
            told = str(error).replace(str(self._backend.path), self.name)
            raise RequestError(f"the model cannot answer for this input: {shown(told)}") from error
        return found

    def answer(self, request: InferRequest, found: Outputs) -> list[tuple[Tensor, bool]]:
        """The outputs that were asked for, each with whether it comes as bytes. Raises RequestError for others."""
        asked = request.outputs
        if asked is None:
            asked = [RequestedOutput(name, request.is_binary) for name in self.outputs]
        return [(self._output(one, found), one.is_binary) for one in asked]

    def check_outputs(self, request: InferRequest) -> None:
        """Refuse (RequestError) outputs that there are not, before anything is computed."""
        for one in request.outputs or ():
            if one.name not in self.outputs:
                raise RequestError(f"expected outputs of {', '.join(self.outputs)}, found '{shown(one.name)}'")
            if one.name == LABEL and one.classes:
                raise RequestError(f"output '{LABEL}': expected classification with {PROBABILITIES} or {LOGITS}")

    def _output(self, one: RequestedOutput, found: Outputs) -> Tensor:
        if one.name == LABEL:
            # Not numpy's argmax, which would lend the interpreter to the model's thread, and wait for it.
            best = [row.index(max(row)) for row in found.probabilities.tolist()]
            return bytes_tensor(LABEL, [len(best)], [self.labels[at] for at in best])
        rows = found.probabilities if one.name == PROBABILITIES else found.logits
        if not one.classes:
            return Tensor(one.name, "FP32", list(rows.shape), rows)
        count = min(one.classes, len(self.labels))
        texts = [
            f"{row[at]:f}:{at}:{self.labels[at]}"
            for row in rows
            for at in np.argsort(-row, kind="stable")[:count].tolist()
        ]
        return bytes_tensor(one.name, [len(rows), count], texts)

    def _own_feed(self, tensor: Tensor) -> Feed:
        assert self._own is not None
        name, _, shape = self._own
        fits = len(tensor.shape) == len(shape) + 1 and all(
            not isinstance(one, int) or one == found for one, found in zip(shape, tensor.shape[1:], strict=True)
        )
        if not fits:
            raise RequestError(
                f"input '{name}': expected the shape {[-1, *_dynamic(shape)]}, found {shown(tensor.shape)}"
            )
        values = tensor.values
        assert not isinstance(values, list)
        if values[0].size > 4 * self._max_pixels:
            raise RequestError(f"input '{name}': expected at most {4 * self._max_pixels} values an image, found more")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise RequestError(f"input '{name}': expected finite numbers, found others")
        return Feed.of(values, is_raw=True)

    def _pixels_feed(self, pixels: NDArray[np.uint8]) -> Feed:
        if pixels.ndim != 4 or pixels.shape[3] not in (1, 3, 4):
            raise RequestError(
                f"input '{IMAGE}': expected UINT8 of shape [N,H,W,C], C one of 1, 3, 4, "
                f"found {shown(list(pixels.shape))}"
            )
        if pixels.shape[1] * pixels.shape[2] > self._max_pixels:
            raise RequestError(f"input '{IMAGE}': expected at most {self._max_pixels} pixels an image, found more")
        if not self._backend.accepts(pixels.shape[3]):
            raise RequestError(
                f"input '{IMAGE}': expected channels of {list(self._backend.metadata.input.channels)}, "
                f"found {pixels.shape[3]}"
            )
        if self._backend.takes_faces:
            try:
                prepared = self._backend.prepare(pixels)
            except (ImageError, ModelError) as error:
                raise RequestError(f"input '{IMAGE}': {shown(error)}") from error
            if isinstance(prepared, np.ndarray):  # of one size whatever the image's: scored with all others
                return Feed.of(prepared, is_raw=True)
        return Feed.of(pixels, is_raw=False)

    def _opened(self, at: int, file: bytes) -> NDArray[np.uint8]:
        name = f"input '{IMAGE}'[{at}]"
        try:
            with Image.open(BytesIO(file), formats=FORMATS) as image:  # the header alone
                num_pixels = image.width * image.height
        except Exception:  # what it is instead says open_image
            num_pixels = 0
        if num_pixels > self._max_pixels:
            raise RequestError(f"{name}: expected at most {self._max_pixels} pixels, found {num_pixels}")
        try:
            return open_image(file, name=name).pixels
        except ImageError as error:
            raise RequestError(str(error)) from error


def _dynamic(shape: list[Any]) -> list[int]:
    return [one if isinstance(one, int) else -1 for one in shape]
