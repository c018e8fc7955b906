"""Every face in a photo and its expression: whether to search an image, and the way from images to results."""

import math
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_edge.errors import ImageError, UsageError
from fer_edge.runtime import whole_faces
from fer_edge.runtime.batching import Decoded, Score, Scored, score_in_batches
from fer_edge.runtime.crops import DEFAULT_FRAMING, Framing, crop_face
from fer_edge.runtime.detector import SURE_SCORE, Face, FaceDetector
from fer_edge.runtime.prediction import Prediction
from fer_edge.runtime.quality import usable_face

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from fer_edge.runtime.certainty import Certainty
    from fer_edge.runtime.images import ImageSource

AUTO, CROP, DETECT = "auto", "crop", "detect"
FACES_MODES = (AUTO, CROP, DETECT)


@dataclass(frozen=True)
class FaceSearch:
    """How the faces of an image are found."""

    mode: str = AUTO
    """``crop``: an image is one face. ``detect``: it is searched. ``auto``: it is searched, but for images as small as
    FER-2013's (48 pixels), and taken whole where a face fills it (``fer_edge.runtime.whole_faces``)."""
    framing: Framing = field(default_factory=Framing)
    detector: FaceDetector = field(default_factory=FaceDetector)
    looks_sideways: bool = True
    """Whether an image without a sure face is looked at again, turned, for a hint that it lies on its side. Off in
    video."""

    def __post_init__(self) -> None:
        if self.mode not in FACES_MODES:
            raise UsageError(f"expected faces to be one of {', '.join(FACES_MODES)}, found {self.mode!r}")

    def searches(self, pixels: NDArray[np.uint8]) -> bool:
        """Whether an image uint8 (H, W, C) is searched, rather than taken as one face."""
        return self.mode == DETECT or (self.mode == AUTO and not is_small_crop(pixels))

    def find(self, pixels: NDArray[np.uint8]) -> "FoundFaces":
        """The faces of an image uint8 (H, W, C). Raises ModelError."""
        if not self.searches(pixels):
            return FoundFaces((None,), whole_faces.ASKED if self.mode == CROP else whole_faces.SMALL)
        small = self.detector.reduced(pixels)  # once for both looks: it takes longer than a search
        height, width = pixels.shape[:2]
        across, down = width / small.shape[1], height / small.shape[0]
        faces = tuple(face.enlarged(across, down) for face in self.detector.detect(small))
        if self.mode == AUTO and whole_faces.is_filled(width, height, faces):
            return FoundFaces((None,), whole_faces.FILLED)
        score = max((face.score for face in faces), default=0.0)
        looks_again = self.looks_sideways and score < SURE_SCORE
        return FoundFaces(faces, None, self.detector.clockwise_turn(small, score=score) if looks_again else None)


class FoundFaces(NamedTuple):
    """What a search gave."""

    places: tuple[Face | None, ...]
    """The surest face first; None stands for the image itself."""
    crop_reason: str | None
    """Why the image was taken as one face: ``asked``, ``small`` or ``filled``; None where it was not."""
    clockwise_turn: int | None = None
    """Degrees by which an image is to be turned so that a surer face is found; None: that helps nothing."""

    @property
    def was_searched(self) -> bool:
        """Whether the detector looked at the image."""
        return self.crop_reason not in (whole_faces.ASKED, whole_faces.SMALL)

    @property
    def num_pieces(self) -> int:
        """How many images the model sees: an image without a face has a piece all the same, its error."""
        return max(1, len(self.places))


@lru_cache(maxsize=8)
def within_threads(search: FaceSearch, threads: int) -> FaceSearch:
    """``search`` with a detector of so many threads where it has no number of its own; the same object each time, so
    that the detector's session is opened once."""
    if search.detector.threads or not threads:
        return search
    return replace(search, detector=replace(search.detector, threads=threads))


DEFAULT_SEARCH = FaceSearch()
"""Shared, so that its detector's session is opened once in a process."""


@dataclass(frozen=True)
class FacePrediction(Prediction):
    """The expression of one face, and where it is."""

    face: Face | None = None
    """Its place in the photo; None where the whole image was taken as the face."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: those of Prediction, with box, landmarks and detection_score, or null."""
        place = dict.fromkeys(("box", "landmarks", "detection_score")) if self.face is None else self.face.as_dict()
        return {**super().as_dict(), **place}


@dataclass(frozen=True)
class PhotoPrediction:
    """What was found in one image."""

    source: str
    width: int
    """Pixels of the image as it stands upright: what the boxes refer to."""
    height: int
    was_searched: bool
    """Whether the detector looked at it."""
    faces: tuple[FacePrediction, ...]
    """In the order of the detector's score, the surest face first; none is an answer. ``main`` is the one that matters
    most."""
    detection_ms: float
    """Milliseconds that the search took, a second look included; 0 without one."""
    crop_reason: str | None = None
    """Why the whole image was taken as one face: ``asked`` (``faces="crop"``), ``small`` (no side above 48 pixels) or
    ``filled`` (the one face that was found fills it); None where the faces were cut out."""

    clockwise_turn: int | None = None
    """Degrees clockwise (90, 180, 270): turned so, the photo has a much surer face. ``faces`` are those of the photo as
    it is: none, or some that lie."""
    num_uncertain: int = 0
    """Faces that ``certain`` left out."""

    @property
    def is_crop(self) -> bool:
        """Whether the whole image was taken as one face."""
        return self.crop_reason is not None

    @property
    def main(self) -> FacePrediction | None:
        """The face that the photo is of: the largest and most central; None without a face.

        That is the one with the largest ``longer side of its box * (1 - distance / 2)``, where ``distance`` is that of
        the middles of box and photo, over half the photo's diagonal: a face in a corner counts for half of its size.
        Of equal ones the surest.
        """
        return max(self.faces, key=self._weight, default=None)

    def _weight(self, one: FacePrediction) -> float:
        if one.face is None:
            return 1.0  # the only one there is
        x, y = one.face.box.centre
        distance = math.hypot(x - self.width / 2, y - self.height / 2) / (math.hypot(self.width, self.height) / 2)
        return max(one.face.box.width, one.face.box.height) * (1 - min(distance, 1.0) / 2)

    def certain(self) -> "PhotoPrediction":
        """The same with its certain answers alone (``Prediction.is_certain``): with none of a model that was not
        calibrated."""
        faces = tuple(face for face in self.faces if face.is_certain)
        return replace(self, faces=faces, num_uncertain=self.num_uncertain + len(self.faces) - len(faces))

    def plot(self) -> "Figure":
        """A bar for each label of each face, as a matplotlib figure. Raises MissingExtraError without matplotlib."""
        from fer_edge.runtime.results import plot_probabilities

        return plot_probabilities(self.faces, "" if self.faces else "no face found")

    def save(self, path: "str | Path", *, image: "ImageSource | None" = None) -> "Path":
        """Write it as JSON (``.json``) or as the annotated picture (``.jpg``, ``.png``, ``.webp``); gives the path.

        ``image`` is what was scored, where that was no path. Raises UsageError for another suffix, ImageError,
        StorageError.
        """
        from fer_edge.runtime.results import save_result

        values = {**self.as_dict(), "faces": [face.as_dict() for face in self.faces]}
        return save_result(path, values, self.faces, self.source, image)

    def crops(
        self, image: "ImageSource | None" = None, *, framing: Framing = DEFAULT_FRAMING
    ) -> list[NDArray[np.uint8]]:
        """What the model saw of each face, in their order: uint8 (H, W, C).

        ``image`` is what was scored, where that was no path; ``framing`` that of the search. Raises ImageError where
        it cannot be opened, or is another one by now.
        """
        from fer_edge.runtime.results import face_crops, pixels_again

        return face_crops(pixels_again(self.source, image, (self.width, self.height)), self.faces, framing)

    def hint(self) -> str:
        """What to try where faces seem to lie, in words; empty where there is nothing to say."""
        if self.clockwise_turn is None:
            return ""
        lies = "stand on its head" if self.clockwise_turn == 180 else "lie on its side"
        return f"the photo seems to {lies}; turn it clockwise by {self.clockwise_turn} degrees"

    def summary(self) -> str:
        """What was done with the image, in words: ``searched as a photo: 2 faces found``."""
        if self.crop_reason is not None:
            return f"taken as a face crop ({whole_faces.REASONS[self.crop_reason]})"
        count = len(self.faces) + self.num_uncertain
        return f"searched as a photo: {'no face' if not count else f'{count} face' + 's' * (count > 1)} found"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the faces."""
        return {
            "source": self.source,
            "width": self.width,
            "height": self.height,
            "was_searched": self.was_searched,
            "crop_reason": self.crop_reason,
            "num_faces": len(self.faces) + self.num_uncertain,
            "num_uncertain_left_out": self.num_uncertain,
            "clockwise_turn": self.clockwise_turn,
            "detection_ms": round(self.detection_ms, 4),
        }


@dataclass(frozen=True)
class PhotoOutcome:
    """What became of one image: its faces, or the error that names it."""

    source: str
    photo: PhotoPrediction | None
    error: ImageError | None
    pixels: NDArray[np.uint8] | None = None
    """The image itself, uint8 (H, W, C), to draw on; None unless asked for."""


def is_small_crop(pixels: NDArray[np.uint8]) -> bool:
    """Whether an image uint8 (H, W, C) is taken as one face without a search: no side is above 48 pixels."""
    height, width = pixels.shape[:2]
    return whole_faces.is_small_crop(width, height)


def score_photos(
    images: Iterable[Decoded[str]],
    search: FaceSearch,
    score: Score,
    batch_size: int,
    *,
    labels: Sequence[str],
    keep_pixels: bool = False,
    certainty: "Certainty | None" = None,
) -> Iterator[PhotoOutcome]:
    """One PhotoOutcome for each image, in order. Faces of equal size share a batch, also across images; with
    ``batch_size`` 1 every outcome comes as soon as its image went in. Raises ModelError when the detector fails."""
    found: deque[_Found] = deque()

    def pieces() -> Iterator[Decoded[str]]:
        for image in images:
            one, crops = _find(image, search, keep_pixels=keep_pixels)
            found.append(one)
            yield from (Decoded(image.key, crop) for crop in crops)

    scored: list[Scored[str]] = []
    for piece in score_in_batches(pieces(), score, batch_size):
        scored.append(piece)
        if len(scored) == found[0].search.num_pieces:
            yield found.popleft().outcome(scored, labels, certainty)
            scored = []


@dataclass(frozen=True)
class _Found:
    """One image whose faces are on their way through the model."""

    source: str
    width: int
    height: int
    search: FoundFaces
    detection_ms: float
    pixels: NDArray[np.uint8] | None
    qualities: tuple[float | None, ...]
    """Of each place; None for the image itself."""

    def outcome(self, scored: list[Scored[str]], labels: Sequence[str], certainty: "Certainty | None") -> PhotoOutcome:
        predictions = []
        # fewer places without a face (num_pieces)
        for place, quality, piece in zip(self.search.places, self.qualities, scored, strict=False):
            if isinstance(piece.result, ImageError):
                return PhotoOutcome(self.source, None, piece.result)
            plain = Prediction.from_row(
                piece.result, labels, latency_ms=piece.latency_ms, source=self.source, certainty=certainty
            )
            predictions.append(FacePrediction(**{**vars(plain), "quality": quality}, face=place))
        photo = PhotoPrediction(
            self.source,
            self.width,
            self.height,
            self.search.was_searched,
            tuple(predictions),
            self.detection_ms,
            self.search.crop_reason,
            self.search.clockwise_turn,
        )
        return PhotoOutcome(self.source, photo, None, self.pixels)


def _find(
    image: Decoded[str], search: FaceSearch, *, keep_pixels: bool
) -> tuple[_Found, list[NDArray[np.uint8] | ImageError]]:
    """The faces of one image, and what goes to the model for them. For an image without any, or that could not be
    opened, an error goes: batching hands it through in its turn, so that results keep the order of the images."""
    pixels = image.pixels
    if isinstance(pixels, ImageError):
        return _Found(image.key, 0, 0, FoundFaces((None,), None), 0.0, None, (None,)), [pixels]
    width, height = image.size or (pixels.shape[1], pixels.shape[0])
    start = time.perf_counter()
    found = search.find(pixels)
    detection_ms = (time.perf_counter() - start) * 1e3 if found.was_searched else 0.0
    crops = [pixels if place is None else crop_face(pixels, place, search.framing) for place in found.places]
    qualities = tuple(
        None if place is None else usable_face(crop, place) for place, crop in zip(found.places, crops, strict=True)
    )
    kept = pixels if keep_pixels else None
    if image.factor > 1:
        whole = tuple(None if place is None else place.enlarged(image.factor) for place in found.places)
        found = found._replace(places=whole)
    one = _Found(image.key, width, height, found, detection_ms, kept, qualities)
    return one, list(crops) or [ImageError(f"{image.key}: no face found")]


_RENAMED = {"is_face_crop": is_small_crop, "MAX_AUTO_CROP_SIDE": whole_faces.MAX_UNSEARCHED_SIDE}
_NEW_NAMES = {"is_face_crop": "photos.is_small_crop", "MAX_AUTO_CROP_SIDE": "whole_faces.MAX_UNSEARCHED_SIDE"}


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        warnings.warn(f"fer_edge.runtime.photos.{name} is now {_NEW_NAMES[name]}", DeprecationWarning, stacklevel=2)
        return _RENAMED[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
