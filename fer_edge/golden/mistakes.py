"""The usual mistakes of apps, each made on purpose: what such an app feeds the model, and so what it is answered.

A kit holds these answers, and its checkers name the mistake whose answers an app gives. One that cannot happen for a
model, or whose answers lie within the tolerance of the right ones, is left out of its kit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_edge.backends.contract import ModelBackend
from fer_edge.golden import feeds
from fer_edge.golden.resampling import bilinear, nearest
from fer_edge.golden.tolerance import GoldenTolerance
from fer_edge.golden.vectors import Vector
from fer_edge.labels import FER2013

CSV_ORDER = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The numbers 0 to 6 of the column ``emotion`` in FER-2013's CSV file; its folders are in alphabetical order."""

_LUMA_709 = (0.2126, 0.7152, 0.0722)
_MEAN_OF_COLOURS = (1 / 3, 1 / 3, 1 / 3)
_VISIBLE = 2.0
"""How many tolerances away from the right answers a mistake's must be: nearer, the next machine's could be either."""


@dataclass(frozen=True)
class Mistake:
    """One mistake."""

    name: str
    says: str
    """What was done; and after a semicolon what to do instead. Reads on from "your answers are those of"."""
    feed: feeds.Make


def answers_to_mistakes(
    vectors: Sequence[Vector], backend: ModelBackend, right: Sequence[NDArray[np.float32]], tolerance: GoldenTolerance
) -> Iterator[tuple[Mistake, dict[str, NDArray[np.float32]]]]:
    """Each mistake that shows, with the logits (N, classes) by the names of the vectors where it does.

    ``right`` are the logits of ``vectors``. Answers that are no numbers are left out: nobody can be told by them.
    """
    limit = tolerance.max_logit_difference
    for mistake in MISTAKES:
        shown, farthest = {}, 0.0
        for vector, expected in zip(vectors, right, strict=True):
            logits = _answer(mistake, vector, backend)
            if logits is None or logits.shape != expected.shape or not np.isfinite(logits).all():
                continue
            difference = float(np.abs(logits - expected).max())
            farthest = max(farthest, difference)
            if difference > limit / 2:  # in the others nobody can tell
                shown[vector.name] = logits
        if farthest > _VISIBLE * limit:
            yield mistake, shown
    order = wrong_order(backend.metadata.labels)
    if order is not None:
        places = [backend.metadata.labels.index(name) for name in order]
        moved = {vector.name: _moved(logits, places) for vector, logits in zip(vectors, right, strict=True)}
        yield labels_mistake(order), moved


def _answer(mistake: Mistake, vector: Vector, backend: ModelBackend) -> NDArray[np.float32] | None:
    feed = mistake.feed(vector, backend)
    if feed is None:
        return None
    return np.asarray(backend.run_feed(np.ascontiguousarray(feed)).logits, np.float32)


def wrong_order(labels: tuple[str, ...]) -> tuple[str, ...] | None:
    """What apps take the order of ``labels`` to be: FER-2013's CSV file's, else the alphabet's. None where it is."""
    order = CSV_ORDER if set(labels) == set(FER2013.names) and labels != CSV_ORDER else tuple(sorted(labels))
    return None if order == labels else order


def labels_mistake(order: tuple[str, ...]) -> Mistake:
    """The model is right, and its outputs are called by the names of ``order``."""
    whose = "FER-2013's CSV file" if order == CSV_ORDER else "the alphabet"
    says = f"labels in the order of {whose}; take them from the model or the kit, in their order"
    return Mistake("label-order", says, lambda vector, backend: None)


def _moved(logits: NDArray[np.float32], places: list[int]) -> NDArray[np.float32]:
    moved = np.empty_like(logits)
    moved[:, places] = logits  # output number i goes under the name of another
    return moved


_RESIZE = "resize bilinear with antialias, centres of pixels on centres"
_RIGHT_RESIZE = f"hand over the pixels as they are, or {_RESIZE}"

MISTAKES = (
    Mistake("swapped-red-blue", "swapped red and blue; feed red first (RGB)", feeds.of_pixels(feeds.swapped)),
    Mistake("no-antialias", f"a resize without antialias; {_RIGHT_RESIZE}", feeds.resized(bilinear, "centres")),
    Mistake("align-corners", f"a resize with aligned corners; {_RIGHT_RESIZE}", feeds.resized(bilinear, "corners")),
    Mistake(
        "upper-left",
        f"a resize that samples from the upper left corner; {_RIGHT_RESIZE}",
        feeds.resized(bilinear, "start"),
    ),
    Mistake("nearest", f"a nearest-neighbour resize; {_RIGHT_RESIZE}", feeds.resized(nearest, "centres")),
    Mistake(
        "nearest-upper-left",
        f"a nearest-neighbour resize from the upper left corner; {_RIGHT_RESIZE}",
        feeds.resized(nearest, "start"),
    ),
    Mistake(
        "exif-ignored",
        "EXIF orientation ignored; turn images upright when you decode them",
        feeds.of_file(feeds.as_stored),
    ),
    Mistake(
        "alpha-dropped",
        "alpha dropped instead of composited; put transparent images on white",
        feeds.of_file(feeds.without_alpha(False)),
    ),
    Mistake(
        "alpha-on-black", "transparent images on black; put them on white", feeds.of_file(feeds.without_alpha(True))
    ),
    Mistake(
        "margin-1.5",
        "faces cropped with margin 1.5; cut a square as long as the face box's longer side (margin 1)",
        feeds.of_file(feeds.too_wide),
    ),
    Mistake(
        "luma-bt709",
        "grey by the weights of BT.709; use those of BT.601: 0.299 R + 0.587 G + 0.114 B, or feed colour",
        feeds.grey_by(_LUMA_709),
    ),
    Mistake(
        "luma-mean",
        "grey as the mean of red, green and blue; use 0.299 R + 0.587 G + 0.114 B, or feed colour",
        feeds.grey_by(_MEAN_OF_COLOURS),
    ),
    Mistake(
        "transposed",
        "transposed images; feed rows, then columns",
        feeds.of_pixels(lambda pixels: pixels.swapaxes(1, 2)),
    ),
    Mistake(
        "height-for-width",
        "height and width exchanged; the shape is batch, height, width",
        feeds.only_pixels(feeds.exchanged_sides),
    ),
    Mistake(
        "planes",
        "one plane after the other (CHW); feed the channels of each pixel together (HWC)",
        feeds.only_pixels(feeds.planes),
    ),
    Mistake(
        "divided-before",
        "pixels divided by 255 before the model divides them; feed 0 to 255 as uint8",
        feeds.of_bytes(feeds.divided),
    ),
    Mistake(
        "normalised-before",
        "mean and std applied before the model applies them; feed 0 to 255 as uint8",
        feeds.of_bytes(feeds.normalised),
    ),
    Mistake(
        "float-bytes",
        "the bytes of floats 0 to 255 instead of uint8; feed one byte a value",
        feeds.of_bytes(feeds.float_bytes(1)),
    ),
    Mistake(
        "float-bytes-0-1",
        "the bytes of floats 0 to 1 instead of uint8; feed one byte a value, 0 to 255",
        feeds.of_bytes(feeds.float_bytes(1 / 255)),
    ),
    Mistake(
        "divided-twice",
        "pixels divided by 255 twice; divide once, then apply mean and std",
        feeds.of_floats(lambda levels, mean, std: (levels / 255 / 255 - mean) / std),
    ),
    Mistake(
        "not-divided",
        "pixels not divided by 255; divide, then apply mean and std",
        feeds.of_floats(lambda levels, mean, std: (levels - mean) / std),
    ),
    Mistake(
        "not-normalised",
        "pixels divided by 255 without mean and std; apply them",
        feeds.of_floats(lambda levels, mean, std: levels / 255),
    ),
    Mistake(
        "levels",
        "pixels 0 to 255 as they are; divide by 255, then apply mean and std",
        feeds.of_floats(lambda levels, *_: levels),
    ),
    Mistake(
        "normalised-twice",
        "mean and std applied twice; apply them once",
        feeds.of_floats(lambda levels, mean, std: ((levels / 255 - mean) / std - mean) / std),
    ),
    Mistake("range-0-255", "pixels not divided by 255; divide them", feeds.of_description(range="0-255")),
    Mistake("range-0-1", "pixels divided by 255; feed 0 to 255", feeds.of_description(range="0-1")),
    Mistake("no-mean-std", "pixels without mean and std; apply them", feeds.of_description(mean=(0.0,), std=(1.0,))),
    Mistake(
        "opencv",
        "swapped red and blue and a resize without antialias, as cv2.imread and cv2.resize give them; feed red first "
        "(RGB), and hand over the pixels as they are or resize with antialias",
        feeds.swapped_and(feeds.resized(bilinear, "centres")),
    ),
)
"""In the order in which they are tried; of two that give the same answers the first is named."""
