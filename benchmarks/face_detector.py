"""What YuNet costs and finds at each side, beside OpenCV's FaceDetectorYN with the same weights, on real photos.

python benchmarks/face_detector.py --output benchmarks/results/face_detector.json
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tools"))
import photos  # noqa: E402  # a script of this repository, found through the line above

from fer_edge.runtime.detector import WEIGHTS, FaceDetector  # noqa: E402  # likewise
from fer_edge.runtime.images import decode_image  # noqa: E402

SIDES = (160, 256, 320, 480, 640, 960, 1280)
SCORES = (0.6, 0.7, 0.8)
SIZES = ((320, 256), (640, 480))
"""Of frames for which latency is given: width, height."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    party = {photo.name: (decode_image(photo), faces) for photo, faces in photos.party().items()}
    portrait = decode_image(photos.astronaut())
    report = {
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, one thread",
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
        "max_difference_px": difference([portrait, *(photo for photo, _ in party.values())]),
        "latency_ms_p50": {
            f"{width}x{height}": latency(party, (width, height), arguments.runs) for width, height in SIZES
        },
        "faces_in_photos": {name: faces for name, (_, faces) in party.items()},
        "faces_found_by_side": {str(side): found(party, FaceDetector(max_side=side, threads=1)) for side in SIDES},
        "faces_found_by_score": {
            str(score): found(party, FaceDetector(min_score=score, threads=1)) for score in SCORES
        },
        "least_face_px": least_face(portrait),
    }
    text = json.dumps(report, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")
        print(f"wrote {arguments.output}", file=sys.stderr)


def found(party: dict[str, tuple[np.ndarray, int]], detector: FaceDetector) -> list[int]:
    return [len(detector.detect(photo)) for photo, _ in party.values()]


def difference(pictures: list[np.ndarray]) -> float:
    """The largest in a box, landmark or score between this detector and OpenCV's, each photo at most 640 wide."""
    largest = 0.0
    detector = FaceDetector(threads=1)
    for picture in pictures:
        image = Image.fromarray(picture)
        image.thumbnail((640, 640))
        pixels = np.asarray(image)
        ours = detector.candidates(pixels)
        rows = np.hstack([ours.boxes, ours.landmarks.reshape(-1, 10), ours.scores[:, np.newaxis]])
        theirs = opencv_detector(image.size).detect(np.ascontiguousarray(pixels[:, :, ::-1]))[1]
        largest = max(largest, float(np.abs(rows - theirs).max()))
    return float(f"{largest:.2g}")


def opencv_detector(size: tuple[int, int]) -> Any:
    return cv2.FaceDetectorYN.create(str(WEIGHTS), "", size, 0.7, 0.3, 5000)


def latency(party: dict[str, tuple[np.ndarray, int]], size: tuple[int, int], runs: int) -> dict[str, float]:
    """Medians from RGB pixels of that size to faces, in turns, so that what else the machine does meets both."""
    pixels = np.asarray(Image.fromarray(next(iter(party.values()))[0]).resize(size))
    detector = FaceDetector(max_side=max(size), threads=1)
    rival = opencv_detector(size)
    calls: dict[str, Callable[[], object]] = {
        "fer_edge": lambda: detector.detect(pixels),
        "opencv": lambda: rival.detect(np.ascontiguousarray(pixels[:, :, ::-1])),
    }
    times_ms: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(runs + 3):  # three to warm up
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if number >= 3:
                times_ms[name].append((time.perf_counter() - start) * 1e3)
    return {name: round(statistics.median(times), 2) for name, times in times_ms.items()}


def least_face(portrait: np.ndarray) -> float:
    """The longer side in pixels of the smallest copy of the portrait's face that is still found."""
    detector = FaceDetector(threads=1)
    image = Image.fromarray(portrait)
    (face,) = detector.detect(portrait)
    longer = max(face.box.width, face.box.height)
    least = longer
    for percent in range(100, 3, -1):
        side = round(image.width * percent / 100)
        canvas = Image.new("RGB", image.size, (128, 128, 128))
        canvas.paste(image.resize((side, side), Image.Resampling.BILINEAR), (0, 0))
        if not detector.detect(np.asarray(canvas)):
            break
        least = longer * side / image.width
    return round(least, 1)


if __name__ == "__main__":
    main()
