"""What YuNet's twelve outputs mean: candidate faces, decoded and thinned out in numpy.

YuNet (Wu, Peng and Yu: "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20, 2023) lays
three grids over its input, with cells of 8, 16 and 32 pixels. For each cell it gives ``cls`` and ``obj`` (0-1), a box
``b`` of four numbers and five landmarks ``k`` of two. With s the cell's side and (column, row) its place:

    score      sqrt(cls * obj), each first clipped to 0-1
    centre     ((column + b[0]) * s, (row + b[1]) * s)
    size       (exp(b[2]) * s, exp(b[3]) * s)            the box starts at centre - size / 2
    landmarks  ((k[i, 0] + column) * s, (k[i, 1] + row) * s)

All in pixels of the input, float32. Candidates of at least the score asked for are then taken from the best down
(equal scores: in the order of grid 8, 16, 32, then row, then column), and one that overlaps an already taken one by
more than the limit (area of intersection over area of union) is dropped.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STRIDES = (8, 16, 32)
"""Sides of a cell in pixels, grid by grid."""

CELL_MULTIPLE = max(STRIDES)
"""Height and width of the input must be multiples of it."""

MAX_CANDIDATES = 5000
"""Candidates that are compared with each other, as in OpenCV: noise can bring forth more, faces do not."""

OUTPUTS = tuple(f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES)


@dataclass(frozen=True)
class Candidates:
    """N faces in pixels of the detector's input, float32."""

    boxes: NDArray[np.float32]
    """(N, 4): left, top, width, height."""
    landmarks: NDArray[np.float32]
    """(N, 5, 2): x, y of right eye, left eye, nose tip, right and left corner of the mouth (of the person)."""
    scores: NDArray[np.float32]
    """(N,): 0-1."""

    def take(self, indices: NDArray[np.intp]) -> "Candidates":
        """Those at ``indices``, in that order."""
        return Candidates(self.boxes[indices], self.landmarks[indices], self.scores[indices])


def decode(outputs: Mapping[str, NDArray[np.float32]], width: int, min_score: float) -> Candidates:
    """Every cell of at least ``min_score``. ``outputs`` by name: cls, obj (1, cells, 1), bbox (1, cells, 4), kps
    (1, cells, 10) for each stride; ``width`` in pixels is the input's."""
    grids = [_decode_grid(outputs, stride, width, min_score) for stride in STRIDES]
    return Candidates(
        np.concatenate([grid.boxes for grid in grids]),
        np.concatenate([grid.landmarks for grid in grids]),
        np.concatenate([grid.scores for grid in grids]),
    )


def suppress(candidates: Candidates, max_overlap: float) -> Candidates:
    """The best of each heap of candidates, best first: no two overlap by more than ``max_overlap`` (0-1)."""
    order = np.argsort(-candidates.scores, kind="stable")[:MAX_CANDIDATES]
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        order = rest[overlaps(candidates.boxes[best], candidates.boxes[rest]) <= max_overlap]
    return candidates.take(np.array(kept, dtype=np.intp))


def overlaps(box: NDArray[np.floating], boxes: NDArray[np.floating]) -> NDArray[np.floating]:
    """Intersection over union (N,), 0-1, of one box (4,) with boxes (N, 4): left, top, width, height."""
    start = np.maximum(box[:2], boxes[:, :2])
    end = np.minimum(box[:2] + box[2:], boxes[:, :2] + boxes[:, 2:])
    shared = np.prod(np.clip(end - start, 0, None), axis=1)
    union = box[2] * box[3] + boxes[:, 2] * boxes[:, 3] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def _decode_grid(outputs: Mapping[str, NDArray[np.float32]], stride: int, width: int, min_score: float) -> Candidates:
    cls, obj = (np.clip(outputs[f"{kind}_{stride}"][0, :, 0], 0, 1) for kind in ("cls", "obj"))
    scores = np.sqrt(cls * obj)
    (found,) = np.nonzero(scores >= min_score)
    rows, columns = np.divmod(found, width // stride)
    cells = np.stack([columns, rows], axis=1).astype(np.float32)  # (n, 2)
    box = outputs[f"bbox_{stride}"][0, found]  # (n, 4)
    size = np.exp(box[:, 2:]) * stride
    start = (cells + box[:, :2]) * stride - size / 2
    landmarks = outputs[f"kps_{stride}"][0, found].reshape(-1, 5, 2)
    return Candidates(np.concatenate([start, size], axis=1), (landmarks + cells[:, np.newaxis]) * stride, scores[found])
