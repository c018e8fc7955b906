import json

import numpy as np
import pytest

from fer_edge.data.contact_sheet import CELL, GAP, HEADER, MARGIN, NAMES_WIDTH, draw_contact_sheet
from fer_edge.data.faces import FaceData, FaceSet, empty_face_set
from fer_edge.data.inspection import inspect_faces
from fer_edge.data.problems import Problem


def face_set(split: str, *faces: tuple[int, int]) -> FaceSet:
    """Faces given as (level, label); level 0 is blank."""
    pixels = np.stack([np.full((48, 48), level, np.uint8) for level, _ in faces])
    pixels[:, 0, 0] += (pixels[:, 0, 0] > 0).astype(np.uint8)
    labels = np.array([label for _, label in faces], np.int64)
    return FaceSet(pixels, labels, tuple(f"{split}/{place}" for place in range(len(faces))))


@pytest.fixture
def data() -> FaceData:
    return FaceData(
        "made",
        "by hand",
        face_set("train", (10, 0), (10, 0), (10, 3), (20, 1), (0, 6)),
        face_set("validation", (20, 1), (30, 2), (30, 2)),
        empty_face_set(48),
        (Problem("x.png", "zero bytes"),),
    )


def test_findings_are_counted_exactly(data: FaceData) -> None:
    findings = inspect_faces(data)
    assert findings.total == 8
    assert findings.counts["train"] == {
        "angry": 2, "disgust": 1, "fear": 0, "happy": 1, "neutral": 0, "sad": 0, "surprise": 1,
    }  # fmt: skip
    assert findings.blank == ("train/4",)
    assert findings.duplicates == {"train": 2, "validation": 1, "test": 0}
    assert findings.leaked == {"validation": 1, "test": 0}
    (conflict,) = findings.conflicts
    assert conflict.sources == ("train/0", "train/1", "train/2")
    assert conflict.classes == ("angry", "angry", "happy")
    pixels = data.train.faces / 255
    assert (findings.mean, findings.std) == pytest.approx((pixels.mean(), pixels.std()))


def test_json_leaves_nothing_out(data: FaceData) -> None:
    found = json.loads(json.dumps(inspect_faces(data).to_json(), allow_nan=False))
    assert found["problems"] == [{"where": "x.png", "what": "zero bytes"}]
    assert found["conflicts"] == [{"train/0": "angry", "train/1": "angry", "train/2": "happy"}]
    assert found["fingerprint"] == data.fingerprint()
    assert found["total"] == 8


def test_contact_sheet_shows_faces_in_the_row_of_their_class(data: FaceData) -> None:
    sheet = np.asarray(draw_contact_sheet(data, faces_per_class=4))

    def cell(row: int, column: int) -> np.ndarray:
        top, left = MARGIN + HEADER + row * (CELL + GAP), MARGIN + NAMES_WIDTH + column * (CELL + GAP)
        return sheet[top + 40 : top + CELL, left + 40 : left + CELL]

    assert (cell(0, 0) == 10).all()
    assert (cell(0, 1) == 10).all()
    assert (cell(0, 2) == 255).all()  # only two angry faces
    assert (cell(1, 0) == 20).all()
    assert (cell(2, 0) == 255).all()
    assert (cell(6, 0) == 0).all()


def test_expressions_without_a_face_are_named_by_split(data: FaceData) -> None:
    findings = inspect_faces(data)
    assert findings.missing == {
        "train": ("fear", "neutral", "sad"),
        "validation": ("angry", "happy", "neutral", "sad", "surprise"),
    }  # test has no faces at all
    assert findings.to_json()["missing"]["train"] == ["fear", "neutral", "sad"]
