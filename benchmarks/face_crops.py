"""Whether pictures that are small squares are searched or taken whole, and what that costs: three kinds of pictures.

* avatars: a validation face of FER-2013 upon a drawn background, its frame a share of the picture's side;
* data-set crops: the faces themselves, enlarged to the sizes that other data sets have;
* squares of nobody: gradients, stripes, noise, checks and blobs.

Each is answered three ways: taken whole (the rule until now, for squares of up to 200 pixels), searched and always cut
out, and by the rule of fer_edge/runtime/whole_faces.py. A picture in which no face is found counts as wrong.

python benchmarks/face_crops.py --data fer2013 --output benchmarks/results/face_crops
"""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from fer_edge.data.load import load_faces
from fer_edge.runtime import detector, whole_faces
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.detector import FaceDetector
from fer_edge.runtime.photos import AUTO, CROP, DETECT, FaceSearch, PhotoPrediction

AVATAR_SIDES = (96, 160, 200)
SHARES = (0.4, 0.5, 0.65, 0.8, 0.9)
CROP_SIDES = (48, 64, 96, 128, 224)
SQUARE_SIDES = (64, 128, 200)
HINT_SIDE = 320
MODES = (CROP, DETECT, AUTO)
MIN_SIDES = (64, 128, 192, 256, 320)

Pixels = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or CSV of faces; default: fer2013 in the working directory")
    parser.add_argument("--model", type=Path, help="default: the one shipped with fer_edge")
    parser.add_argument("--limit", type=int, default=300, help="this many faces, chosen at random")
    parser.add_argument("--output", type=Path, help="name without suffix of a .json and a .md")
    arguments = parser.parse_args()
    classifier = Classifier.load(arguments.model, threads=1)
    split = load_faces(arguments.data).validation
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(len(split), arguments.limit, replace=False))
    faces, labels = split.faces[chosen], [classifier.labels[label] for label in split.labels[chosen]]
    report = {
        "model": classifier.path.name,
        "num_faces": len(chosen),
        "avatars": [
            {"share": share, "side": side, **answers(classifier, [avatar(f, side, share, rng) for f in faces], labels)}
            for share in SHARES
            for side in AVATAR_SIDES
        ],
        "crops": [
            {"side": side, **answers(classifier, [resized(face, side) for face in faces], labels)}
            for side in CROP_SIDES
        ],
        "squares_of_nobody": [
            {"side": side, **squares(classifier, [drawn(kind, side, rng) for kind in DRAWINGS for _ in range(20)])}
            for side in SQUARE_SIDES
        ],
        "hints": hints([avatar(face, HINT_SIDE, 0.5, rng) for face in faces]),
        "found_by_search_side": {str(side): found([resized(face, 64) for face in faces], side) for side in MIN_SIDES},
    }
    text = as_markdown(report)
    print(text)
    if arguments.output:
        arguments.output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
        arguments.output.with_suffix(".md").write_text(text)


def answers(classifier: Classifier, pictures: list[Pixels], labels: list[str]) -> dict[str, Any]:
    """Per mode the share of pictures whose main face has the right label; and how the rule took them."""
    accuracy = {}
    for mode in MODES:
        photos = searched(classifier, pictures, mode)
        right = [bool(one.faces) and one.faces[0].label == label for one, label in zip(photos, labels, strict=True)]
        accuracy[mode] = round(float(np.mean(right)), 4)
    return {
        "accuracy": accuracy,
        "taken_whole": round(float(np.mean([one.is_crop for one in photos])), 4),
        "no_face": round(float(np.mean([not one.faces for one in photos])), 4),
    }


def squares(classifier: Classifier, pictures: list[Pixels]) -> dict[str, Any]:
    """How many pictures of nobody have a face, by the rule."""
    return {
        "pictures": len(pictures),
        "with_a_face": sum(bool(one.faces) for one in searched(classifier, pictures, AUTO)),
    }


def searched(classifier: Classifier, pictures: Iterable[Pixels], mode: str) -> list[PhotoPrediction]:
    search = FaceSearch(mode, detector=FaceDetector(threads=1))
    outcomes = classifier.predict_photos(((str(at), one) for at, one in enumerate(pictures)), search=search)
    return [outcome.photo for outcome in outcomes if outcome.photo is not None]


def found(pictures: list[Pixels], side: int) -> float:
    """The share of pictures in which a face is found when they are resized to ``side`` first."""
    default, detector.MIN_SIDE = detector.MIN_SIDE, side
    try:
        search = FaceDetector(threads=1)
        return round(float(np.mean([bool(search.detect(one[:, :, np.newaxis])) for one in pictures])), 4)
    finally:
        detector.MIN_SIDE = default


def hints(pictures: list[Pixels]) -> dict[str, float]:
    """The shares of pictures that get a hint that they lie: false ones at 0 degrees, right ones at the others."""
    search = FaceSearch(detector=FaceDetector(threads=1))
    shares = {}
    for quarters in range(4):  # counterclockwise
        turned = [np.ascontiguousarray(np.rot90(one, quarters))[:, :, np.newaxis] for one in pictures]
        turns = [search.find(one).clockwise_turn for one in turned]
        right = [turn is not None if quarters == 0 else turn == 90 * quarters for turn in turns]
        shares[str(90 * quarters)] = round(float(np.mean(right)), 4)
    return shares


def resized(face: Pixels, side: int) -> Pixels:
    image = Image.fromarray(face)
    return np.asarray(image if side == image.width else image.resize((side, side), Image.Resampling.BICUBIC))


def avatar(face: Pixels, side: int, share: float, rng: np.random.Generator) -> Pixels:
    """The face's frame in the middle of a blurred background, its edge soft, as a head before a wall would be."""
    background = Image.fromarray(blobs(side, rng)).convert("L")
    frame = round(side * share)
    mask = Image.new("L", (frame, frame), 0)
    edge = max(1, frame // 12)
    ImageDraw.Draw(mask).ellipse((edge, -frame // 8, frame - edge, frame + frame // 8), fill=255)
    place = (side - frame) // 2
    background.paste(
        Image.fromarray(resized(face, frame)), (place, place), mask.filter(ImageFilter.GaussianBlur(edge / 2))
    )
    return np.asarray(background)


def gradient(side: int, rng: np.random.Generator) -> Pixels:
    across, down = rng.uniform(-1, 1, 2)
    ramp = across * np.linspace(-1, 1, side)[None] + down * np.linspace(-1, 1, side)[:, None]
    return np.clip(128 + 100 * ramp, 0, 255).astype(np.uint8)


def stripes(side: int, rng: np.random.Generator) -> Pixels:
    wave = np.sin(np.arange(side) * rng.uniform(0.05, 0.8))
    return np.tile((128 + 100 * wave).astype(np.uint8), (side, 1))


def noise(side: int, rng: np.random.Generator) -> Pixels:
    return rng.integers(0, 256, (side, side, 3), dtype=np.uint8)


def checks(side: int, rng: np.random.Generator) -> Pixels:
    size = int(rng.integers(4, 24))
    row, column = np.indices((side, side)) // size
    return np.where((row + column) % 2, 230, 40).astype(np.uint8)


def blobs(side: int, rng: np.random.Generator) -> Pixels:
    coarse = rng.integers(40, 220, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


DRAWINGS: dict[str, Callable[[int, np.random.Generator], Pixels]] = {
    "gradient": gradient,
    "stripes": stripes,
    "noise": noise,
    "checks": checks,
    "blobs": blobs,
}


def drawn(kind: str, side: int, rng: np.random.Generator) -> Pixels:
    return DRAWINGS[kind](side, rng)


def as_markdown(report: dict[str, Any]) -> str:
    def row(*cells: object) -> str:
        return "| " + " | ".join(str(cell) for cell in cells) + " |"

    def percent(value: float) -> str:
        return f"{value:.1%}"

    def accuracies(one: dict[str, Any]) -> list[str]:
        return [
            *(percent(one["accuracy"][mode]) for mode in MODES),
            percent(one["taken_whole"]),
            percent(one["no_face"]),
        ]

    head = ("taken whole", "always cut out", "by the rule", "of these taken whole", "no face")
    lines = [
        "# Small pictures: searched or taken whole",
        "",
        f"`benchmarks/face_crops.py` with {report['model']} and {report['num_faces']} validation faces of FER-2013. "
        "Accuracy; a picture without a found face counts as wrong. The rule takes a picture whole where no side is "
        f"above {whole_faces.MAX_UNSEARCHED_SIDE} pixels, or where one central face is found whose box is at least "
        f"{whole_faces.MIN_FILL:.0%} of the side.",
        "",
        "## Avatars: the face's frame is a share of the side",
        "",
        row("share", "side", *head),
        row(*["---:"] * (2 + len(head))),
        *(row(percent(one["share"]), one["side"], *accuracies(one)) for one in report["avatars"]),
        "",
        "## Crops of data sets: the whole picture is the face",
        "",
        row("side", *head),
        row(*["---:"] * (1 + len(head))),
        *(row(one["side"], *accuracies(one)) for one in report["crops"]),
        "",
        "## Squares of nobody",
        "",
        row("side", "pictures", "with a face"),
        row("---:", "---:", "---:"),
        *(row(one["side"], one["pictures"], one["with_a_face"]) for one in report["squares_of_nobody"]),
        "",
        f"## Photos that lie: hints ({HINT_SIDE} pixels, the face half of the side)",
        "",
        row("turned counterclockwise by", "hint"),
        row("---:", "---:"),
        *(row(turn, percent(share)) for turn, share in report["hints"].items()),
        "",
        "At 0 each hint is a false one.",
        "",
        "## Enlarged for the search: faces found of those at 64 pixels",
        "",
        row("searched at", "found"),
        row("---:", "---:"),
        *(row(side, percent(share)) for side, share in report["found_by_search_side"].items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
