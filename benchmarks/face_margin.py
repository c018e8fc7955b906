"""How FER-2013 frames a face, and how the crop's margin around YuNet's box changes a model's accuracy.

The validation faces (48x48) are enlarged to 192 and surrounded by their repeated border, as a photo would surround
them; the detector searches that, and the crop of each margin goes through the model. Beyond the original frame a crop
shows repeated pixels instead of the scene, so margins above "framing" come out somewhat worse here than in photos.

python benchmarks/face_margin.py --output benchmarks/results/face_margin.json
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fer_edge.data.load import load_faces
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.crops import DEFAULT_MARGIN, Framing, crop_face
from fer_edge.runtime.detector import Face, FaceDetector

SIDE, BORDER = 192, 48
MARGINS = (0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5)
TILTS = (-20, 20)


@dataclass(frozen=True)
class Found:
    photo: np.ndarray
    """(SIDE + 2 * BORDER, SIDE + 2 * BORDER, 1)"""
    face: Face
    label: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or CSV of faces; default: fer2013 in the working directory")
    parser.add_argument("--model", type=Path, help="default: the one shipped with fer_edge")
    parser.add_argument("--limit", type=int, help="this many faces, drawn at random; default: all")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    classifier = Classifier.load(arguments.model, threads=1)
    faces = load_faces(arguments.data).validation
    chosen = np.arange(len(faces))
    if arguments.limit and arguments.limit < len(faces):
        chosen = np.sort(np.random.default_rng(0).choice(len(faces), arguments.limit, replace=False))

    detector = FaceDetector(threads=1)
    found, indices = [], []
    for index in chosen:
        photo = surrounded(faces.faces[index])
        if places := detector.detect(photo):
            found.append(Found(photo, places[0], int(faces.labels[index])))
            indices.append(index)
    whole = classifier.probabilities(faces.faces[indices][..., np.newaxis]).argmax(axis=1)
    report = {
        "model": classifier.path.name,
        "num_faces": len(chosen),
        "found_share": round(len(found) / len(chosen), 4),
        "framing": framing(found),
        "accuracy_of_whole_images": round(float((whole == faces.labels[indices]).mean()), 4),
        "standard_error": round(float(np.sqrt(0.24 / len(found))), 4),
        "accuracy_by_margin": {str(margin): accuracy(classifier, found, Framing(margin)) for margin in MARGINS},
        "default_margin": DEFAULT_MARGIN,
        "align_at_default_margin": tilts(classifier, detector, found),
    }
    text = json.dumps(report, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")
        print(f"wrote {arguments.output}", file=sys.stderr)


def surrounded(face: np.ndarray) -> np.ndarray:
    """A face uint8 (48, 48) as it might stand in a photo: uint8 (SIDE + 2 * BORDER, SIDE + 2 * BORDER, 1)."""
    large = np.asarray(Image.fromarray(face).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return np.pad(large, BORDER, mode="edge")[:, :, np.newaxis]


def framing(found: list[Found]) -> dict[str, float]:
    """Medians of the box within the original frame, whose side is 1."""
    boxes = np.array([[*one.face.box.centre, max(one.face.box.width, one.face.box.height)] for one in found])
    x, y, longer = np.median((boxes - (BORDER, BORDER, 0)) / SIDE, axis=0)
    return {
        "median_centre_x": round(x, 3),
        "median_centre_y": round(y, 3),
        "median_longer_side": round(longer, 3),
        "margin_that_gives_the_frame_back": round(1 / longer, 3),
    }


def accuracy(classifier: Classifier, found: list[Found], framing: Framing) -> float:
    crops = (crop_face(one.photo, one.face, framing) for one in found)
    answers = [int(classifier.probabilities(crop[np.newaxis])[0].argmax()) for crop in crops]
    return round(float(np.mean([answer == one.label for answer, one in zip(answers, found, strict=True)])), 4)


def tilts(classifier: Classifier, detector: FaceDetector, found: list[Found]) -> dict[str, dict[str, float]]:
    """Accuracy with and without alignment, for faces as they are and turned by TILTS degrees."""
    plain, aligned = Framing(), Framing(align=True)
    results = {
        "0": {"plain": accuracy(classifier, found, plain), "aligned": accuracy(classifier, found, aligned)},
    }
    for tilt in TILTS:
        turned = []
        for one in found:
            image = Image.fromarray(one.photo[:, :, 0])
            photo = np.asarray(image.rotate(tilt, Image.Resampling.BILINEAR))[:, :, np.newaxis]
            if places := detector.detect(photo):
                turned.append(Found(photo, places[0], one.label))
        results[str(tilt)] = {
            "found_share": round(len(turned) / len(found), 4),
            "plain": accuracy(classifier, turned, plain),
            "aligned": accuracy(classifier, turned, aligned),
        }
    return results


if __name__ == "__main__":
    main()
