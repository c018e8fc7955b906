"""Fits and measures the quality of a found face (fer_edge.runtime.quality).

Each face of FER-2013 is put into a photo of 320 pixels, as it is or spoilt in one way, and searched by the detector. A
logistic regression on training faces gives the weights; the areas under its ROC are those of validation faces, of the
faces that the detector found. The test split is not read.

    python benchmarks/quality.py --data fer2013-original

writes results/quality.json and quality.md; the weights go into fer_edge/runtime/quality.py by hand, which a test
compares.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from fer_edge import __version__
from fer_edge.data.faces import FaceSet
from fer_edge.data.load import load_faces
from fer_edge.data.votes import COLUMNS
from fer_edge.evaluation.corruptions import add_noise, blur, lower_contrast
from fer_edge.evaluation.doubtful_faces import cover, noise, scramble, turn
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.crops import DEFAULT_FRAMING, crop_face
from fer_edge.runtime.detector import FaceDetector
from fer_edge.runtime.machine import describe_machine
from fer_edge.runtime.quality import FEATURES, face_features

RESULTS = Path(__file__).parent / "results"
SIDE = 320
MIN_SCORE = 0.5
SEED = 0
UNUSABLE_VOTES = 3
"""Of ten annotators, who said "unknown" or "no face"."""

Change = Callable[[np.ndarray], np.ndarray]
GOOD = "usable"
SPOILT: dict[str, tuple[Change, int]] = {
    "blurred, sigma 1.5": (lambda face: blur(face, 1.5), 0),
    "blurred, sigma 2": (lambda face: blur(face, 2.0), 0),
    "tilted by 30 degrees": (lambda face: turn(face, 30), 0),
    "tilted by 45 degrees": (lambda face: turn(face, 45), 0),
    "one half narrower": (lambda face: squeeze(face), 0),
    "covered mouth": (lambda face: cover(face, "mouth"), 0),
    "covered eyes": (lambda face: cover(face, "eyes"), 0),
    "40 pixels": (lambda face: face, 40),
    "28 pixels": (lambda face: face, 28),
    "faint, contrast 25%": (lambda face: lower_contrast(face, 0.25), 0),
    "noisy, sigma 30": (lambda face: add_noise(face, 30.0), 0),
    "scrambled": (scramble, 0),
    "noise alone": (noise, 0),
}
"""What is done to a face, and its side in the photo, 0 for those of the usable ones in turn."""
GOOD_SIDES = (64, 96, 144, 192)


def squeeze(faces: np.ndarray) -> np.ndarray:
    """A crude stand-in for a head that is turned away: one half of the face narrower than the other."""
    side = faces.shape[1]
    left = np.stack([np.asarray(Image.fromarray(face[:, : side // 2]).resize((side // 5, side))) for face in faces])
    right = np.stack([np.asarray(Image.fromarray(face[:, side // 2 :]).resize((side // 2, side))) for face in faces])
    middle = np.concatenate([left, right], axis=2)
    missing = side - middle.shape[2]
    return np.pad(middle, ((0, 0), (0, 0), (missing // 2, missing - missing // 2)), mode="edge")


def photo_of(face: np.ndarray, side: int) -> np.ndarray:
    """uint8 (SIDE, SIDE, 1): the face in the middle, its border continued and fading to grey."""
    enlarged = np.asarray(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC))
    around = side // 3
    framed = np.pad(enlarged, around, mode="edge")
    photo = np.full((SIDE, SIDE), round(float(face.mean())), np.uint8)
    start = max(0, (SIDE - framed.shape[0]) // 2)
    cut = framed[:SIDE, :SIDE]
    photo[start : start + cut.shape[0], start : start + cut.shape[1]] = cut
    return photo[..., np.newaxis]


def unusable(faces: FaceSet) -> np.ndarray:
    assert faces.votes is not None
    return faces.votes[:, [COLUMNS.index("unknown"), COLUMNS.index("NF")]].sum(axis=1)


class Searched:
    """Features of the faces that were found, and how many were looked for, by what was done to them."""

    def __init__(self, detector: FaceDetector, classifier: Classifier) -> None:
        self._detector, self._classifier = detector, classifier
        self.features: dict[str, list[np.ndarray]] = {}
        self.confidence: dict[str, list[float]] = {}
        self.looked: dict[str, int] = {}

    def add(self, name: str, face: np.ndarray, side: int) -> None:
        self.looked[name] = self.looked.get(name, 0) + 1
        photo = photo_of(face, side)
        features, confidence = self.features.setdefault(name, []), self.confidence.setdefault(name, [])
        for place in self._detector.detect(photo)[:1]:
            crop = crop_face(photo, place, DEFAULT_FRAMING)
            features.append(face_features(crop, place))
            confidence.append(float(self._classifier.probabilities(crop[np.newaxis]).max()))


def search(faces: FaceSet, count: int, detector: FaceDetector, classifier: Classifier) -> Searched:
    """``count`` faces as they are, as many spoilt ones, and as many at most that annotators could not read."""
    generator = np.random.default_rng(SEED)
    found = Searched(detector, classifier)
    votes = unusable(faces)
    clear = generator.permutation(np.flatnonzero(votes == 0))
    for at, index in enumerate(clear[:count]):
        found.add(GOOD, faces.faces[index], GOOD_SIDES[at % len(GOOD_SIDES)])
    names = list(SPOILT)
    for at, index in enumerate(clear[count : 2 * count]):
        name = names[at % len(names)]
        change, side = SPOILT[name]
        found.add(
            name, change(faces.faces[index : index + 1])[0], side or GOOD_SIDES[at // len(names) % len(GOOD_SIDES)]
        )
    for at, index in enumerate(np.flatnonzero(votes >= UNUSABLE_VOTES)[:count]):
        found.add("FER+: unknown or no face", faces.faces[index], GOOD_SIDES[at % len(GOOD_SIDES)])
    return found


def fit(features: np.ndarray, usable: np.ndarray, penalty: float = 1.0) -> tuple[np.ndarray, float]:
    """Weights and bias of a logistic regression, both classes counting alike, by Newton's method."""
    mean, std = features.mean(axis=0), features.std(axis=0)
    design = np.column_stack([(features - mean) / std, np.ones(len(features))])
    counts = np.where(usable, len(usable) / (2 * usable.sum()), len(usable) / (2 * (~usable).sum()))
    weights = np.zeros(design.shape[1])
    ridge = penalty * np.diag([*[1.0] * features.shape[1], 0.0])
    for _ in range(50):
        probability = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (counts * (usable - probability)) - ridge @ weights
        curvature = (design * (counts * probability * (1 - probability))[:, None]).T @ design + ridge
        weights += np.linalg.solve(curvature, gradient)
    scaled = weights[:-1] / std
    return scaled, float(weights[-1] - scaled @ mean)


def area(high: np.ndarray, low: np.ndarray) -> float | None:
    """Area under the ROC: how often one of ``high`` is above one of ``low``, ties half."""
    if not len(high) or not len(low):
        return None
    return float(((high[:, None] > low).mean() + (high[:, None] >= low).mean()) / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fer2013-original")
    parser.add_argument("--faces", type=int, default=1500)
    options = parser.parse_args()
    data = load_faces(options.data)
    detector = FaceDetector(min_score=MIN_SCORE, max_side=SIDE, threads=1)
    classifier = Classifier.load("fer-tiny", threads=1)
    training = search(data.train, options.faces, detector, classifier)
    names = [name for name in training.features if training.features[name]]
    features = np.concatenate([training.features[name] for name in names])
    usable = np.concatenate([np.full(len(training.features[name]), name == GOOD) for name in names])
    weights, bias = fit(features, usable)
    weights, bias = np.round(weights, 3), round(bias, 3)

    checked = search(data.validation, min(options.faces, len(data.validation) // 3), detector, classifier)

    def scores(name: str) -> dict[str, np.ndarray]:
        rows = np.array(checked.features[name]).reshape(-1, len(FEATURES))
        return {
            "quality": 1 / (1 + np.exp(-(rows @ weights + bias))),
            "detector": rows[:, 0],
            "confidence": np.array(checked.confidence[name]),
        }

    good = scores(GOOD)
    rows = []
    for name in checked.features:
        own = scores(name)
        rows.append(
            {
                "faces": name,
                "looked_for": checked.looked[name],
                "found": len(own["quality"]),
                "median_quality": float(np.median(own["quality"])) if len(own["quality"]) else None,
                "area": {key: area(good[key], own[key]) for key in own} if name != GOOD else None,
            }
        )
    found = {
        "data": Path(options.data).name,
        "fer_edge": __version__,
        "machine": describe_machine(),
        "training_faces": len(features),
        "features": FEATURES,
        "weights": weights.tolist(),
        "bias": bias,
        "rows": rows,
    }
    (RESULTS / "quality.json").write_text(json.dumps(found, indent=2) + "\n")
    lines = [
        "# The quality of a found face",
        "",
        f"Validation faces of {found['data']} in photos of {SIDE} pixels; weights from {len(features):,} training "
        "faces. The area under the ROC is how often a usable face is ranked above one of the row: 50% is chance. "
        f"{found['machine']}; fer_edge {__version__}.",
        "",
        "| faces | found by the detector | median quality | area: quality | area: detector's score | "
        "area: model's confidence |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        areas = [None if row["area"] is None else row["area"][key] for key in ("quality", "detector", "confidence")]
        cells = ["" if value is None else f"{value:.1%}" for value in areas]
        median = "" if row["median_quality"] is None else f"{row['median_quality']:.2f}"
        lines.append(f"| {row['faces']} | {row['found']} of {row['looked_for']} | {median} | {' | '.join(cells)} |")
    weighed = ", ".join(f"{name} {weight:g}" for name, weight in zip(FEATURES, weights, strict=True))
    lines += ["", f"Weights: {weighed}; bias {bias:g}."]
    (RESULTS / "quality.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
