"""Finds the faces in a photo: YuNet in onnxruntime, on a photo of bounded size.

How a photo becomes the detector's input, so that another language can do the same:

1. The photo is uint8 RGB, upright; grey is repeated three times.
2. With ``longer = max(width, height)`` and ``scale = min(max(longer, MIN_SIDE), max_side) / longer`` it is resized to
   ``w = max(1, floor(width * scale + 0.5))`` by ``h = max(1, floor(height * scale + 0.5))``, by Pillow's bilinear
   filter (antialiased: a triangle as wide as the scale asks for, rounded to uint8). From MIN_SIDE to ``max_side`` a
   photo keeps its pixels; a smaller one is enlarged.
3. Zeros (black) are put right of it and below it until both sides are multiples of 32.
4. The channels go from RGB to BGR and to (1, 3, height, width) float32, 0-255, not normalised.

The outputs are read as fer_edge/runtime/yunet.py says; x and widths are then multiplied by ``width / w``, y and heights
by ``height / h``. Boxes are not clipped: a face at the border may reach beyond it.
"""

import math
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from fer_edge.errors import UsageError
from fer_edge.runtime.forks import OwnSession
from fer_edge.runtime.pixels import check_photo
from fer_edge.runtime.providers import CPU_PROVIDER
from fer_edge.runtime.session import MAX_KEPT_PIXELS, check_threads, onnxruntime_errors, run_options, session_options
from fer_edge.runtime.yunet import CELL_MULTIPLE, OUTPUTS, Candidates, decode, suppress

WEIGHTS = Path(__file__).parent / "assets" / "yunet.onnx"
"""Beside it lies where it came from, and its licence."""

DEFAULT_MAX_SIDE = 640
"""Pixels: finds every face of the photos in benchmarks/results/face_detector.json, which also says what smaller and
larger sides find and cost."""

MIN_SIDE = 256
"""Pixels: a smaller photo is enlarged before it is searched. Of FER-2013's faces at 64 pixels more are found then than
in any other size (benchmarks/results/face_crops.md)."""

MIN_TURNED_SCORE = 0.8
"""Of a face in a photo that was turned for a second look: higher than else, because a hint that is wrong costs more
than one that is missing."""

TURNED_MARGIN = 0.05
"""By how much surer a face must be in the turned photo than in the photo as it is: YuNet finds some faces that lie, and
takes them for upright ones. benchmarks/face_crops.py counts the hints that this gives for upright and lying faces."""

SURE_SCORE = 0.88
"""A face as sure as this stands upright: no second look is taken."""

SIDE_LIMITS = (CELL_MULTIPLE, 4096)
"""Memory grows with the square of the side: 1.6 GB at 4096 (measured)."""

_SMALLEST = np.zeros((1, 3, CELL_MULTIPLE, CELL_MULTIPLE), dtype=np.float32)

LANDMARKS = ("right_eye", "left_eye", "nose_tip", "mouth_right", "mouth_left")
"""Right and left are the person's own, so the right eye is on the left of a photo."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the photo; (0, 0) is the outer corner of its first pixel."""

    x: float
    """Left edge; negative where a face reaches beyond the border."""
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """Its middle: x, y."""
        return self.x + self.width / 2, self.y + self.height / 2

    def as_dict(self) -> dict[str, float]:
        """Plain values for JSON, to a hundredth of a pixel."""
        return {name: round(getattr(self, name), 2) for name in ("x", "y", "width", "height")}


@dataclass(frozen=True)
class Face:
    """Where one face is in a photo."""

    box: Box
    landmarks: tuple[tuple[float, float], ...]
    """x, y in pixels of the photo for each of LANDMARKS."""
    score: float
    """How sure the detector is that this is a face, 0-1; says nothing about the expression."""

    def enlarged(self, across: float, down: float | None = None) -> "Face":
        """The same face in a photo of so many times the width, and of as many times the height or ``down``."""
        down = across if down is None else down
        box = Box(self.box.x * across, self.box.y * down, self.box.width * across, self.box.height * down)
        return Face(box, tuple((x * across, y * down) for x, y in self.landmarks), self.score)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "box": self.box.as_dict(),
            "landmarks": {
                name: [round(x, 2), round(y, 2)] for name, (x, y) in zip(LANDMARKS, self.landmarks, strict=True)
            },
            "detection_score": round(self.score, 4),
        }


@dataclass(frozen=True)
class FaceDetector:
    """YuNet, ready to search photos. Making one costs nothing: the session is opened by the first search.

    It may be used from many threads, pickled, and used in forked processes.

    >>> FaceDetector().detect(decode_image("party.jpg"))[0].box
    Box(x=178.2, y=62.9, width=89.9, height=113.3)
    """

    min_score: float = 0.7
    """Faces of a lower score are left out. At 0.6 patterns and hands begin to come in."""
    max_overlap: float = 0.3
    """Of two boxes that overlap by more (intersection over union), the one of the lower score is left out."""
    max_side: int = DEFAULT_MAX_SIDE
    """Pixels: a larger photo is made smaller before it is searched."""
    threads: int = 0
    """Inside an operator. 0: as many as the classifier has that searches (``Classifier.load(threads=)``), and as many
    as cores where that has no number either, within affinity and a container's quota."""

    def __post_init__(self) -> None:
        check_threads(self.threads)
        for name in ("min_score", "max_overlap"):
            if not 0 < getattr(self, name) <= 1:
                raise UsageError(f"expected {name} above 0 and up to 1, found {getattr(self, name)}")
        low, high = SIDE_LIMITS
        if not low <= self.max_side <= high:
            raise UsageError(f"expected max_side from {low} to {high} pixels, found {self.max_side}")

    def detect(self, pixels: NDArray[np.uint8]) -> tuple[Face, ...]:
        """The faces in a photo, uint8 (H, W, 1 | 3 | 4), the surest first; none is an answer.

        Alpha is left out. Raises ModelError, and ImageError for an array of another shape or type."""
        check_photo(pixels)
        height, width = pixels.shape[:2]
        image = _within(pixels, self.max_side)
        found = self.candidates(np.asarray(image))
        x_scale, y_scale = width / image.width, height / image.height
        return tuple(_face(found, index, x_scale, y_scale) for index in range(len(found.scores)))

    def reduced(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What is searched for a photo uint8 (H, W, 1 | 3 | 4): RGB, within ``max_side``. Searching it again changes it
        no more. Raises ImageError as ``detect``."""
        check_photo(pixels)
        return np.asarray(_within(pixels, self.max_side))

    def clockwise_turn(self, pixels: NDArray[np.uint8], *, score: float = 0.0) -> int | None:
        """By how many degrees clockwise (90, 180 or 270) a photo seems to want turning: so that its surest face is
        surer than ``score``, that of its surest face as it is, by TURNED_MARGIN; None where that helps nothing. Three
        more searches of the reduced photo."""
        small = np.asarray(_within(pixels, self.max_side))
        surest = {
            90 * quarters: float(max(self.candidates(np.rot90(small, -quarters)).scores, default=0.0))
            for quarters in (1, 2, 3)
        }
        best = max(surest, key=surest.__getitem__)
        return best if surest[best] >= max(MIN_TURNED_SCORE, score + TURNED_MARGIN) else None

    def candidates(self, pixels: NDArray[np.uint8]) -> Candidates:
        """Steps 3 and 4 and the decoding alone: faces in an RGB image uint8 (h, w, 3) that is searched as it is."""
        outputs = self._session.run(list(OUTPUTS), {"input": _blob(pixels)}, run_options())
        found = suppress(
            decode(dict(zip(OUTPUTS, outputs, strict=True)), _padded(pixels.shape[1]), self.min_score), self.max_overlap
        )
        num_pixels = pixels.shape[0] * pixels.shape[1]
        if num_pixels > MAX_KEPT_PIXELS:
            del outputs  # large ones: memory is given back around them, so not by the run that made them
            self._session.run([OUTPUTS[0]], {"input": _SMALLEST}, run_options(num_pixels))
        return found

    @cached_property
    def _session(self) -> OwnSession:
        return OwnSession(partial(_open, self.threads))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its settings: a session belongs to a process."""
        return type(self), tuple(getattr(self, one.name) for one in fields(self))


def _open(threads: int) -> onnxruntime.InferenceSession:
    with onnxruntime_errors(WEIGHTS):
        return onnxruntime.InferenceSession(WEIGHTS.read_bytes(), session_options(threads), providers=[CPU_PROVIDER])


def _within(pixels: NDArray[np.uint8], max_side: int) -> Image.Image:
    """Steps 1 and 2: an RGB image whose longer side is from MIN_SIDE to ``max_side``."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    longer = max(image.size)
    scale = min(max(longer, MIN_SIDE), max_side) / longer
    size = (max(1, math.floor(image.width * scale + 0.5)), max(1, math.floor(image.height * scale + 0.5)))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return image.convert("RGB")


def _padded(side: int) -> int:
    return -(-side // CELL_MULTIPLE) * CELL_MULTIPLE


def _blob(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Steps 3 and 4: uint8 RGB (h, w, 3) to float32 BGR (1, 3, height, width), black to the right and below."""
    height, width = pixels.shape[:2]
    blob = np.zeros((1, 3, _padded(height), _padded(width)), dtype=np.float32)
    blob[0, :, :height, :width] = pixels[:, :, ::-1].transpose(2, 0, 1)
    return blob


def _face(found: Candidates, index: int, x_scale: float, y_scale: float) -> Face:
    x, y, width, height = found.boxes[index].tolist()
    landmarks = tuple((x * x_scale, y * y_scale) for x, y in found.landmarks[index].tolist())
    box = Box(x * x_scale, y * y_scale, width * x_scale, height * y_scale)
    return Face(box, landmarks, float(found.scores[index]))
