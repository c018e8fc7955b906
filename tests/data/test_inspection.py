import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from fer_edge.data import fonts
from fer_edge.data.contact_sheet import CELL, GAP, HEADER, MARGIN, NAMES_WIDTH, draw_contact_sheet
from fer_edge.data.contrast import measure_contrast
from fer_edge.data.faces import NO_LABEL, FaceData, FaceSet, empty_face_set
from fer_edge.data.inspection import inspect_faces
from fer_edge.data.problems import Problem
from fer_edge.data.sample import synthetic_faces
from fer_edge.data.votes import COLUMNS
from fer_edge.labels import LabelSet


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


def natural_faces(count: int = 60) -> np.ndarray:
    return synthetic_faces(range(count)).faces


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image: image, ()),
        (ImageOps.equalize, ("histogram-equalised",)),
        (ImageOps.autocontrast, ("stretched",)),
        (lambda image: image.point(lambda level: level * 0.3 + 90), ("of low contrast",)),
        (lambda image: image.point(lambda level: (level - 128) * 3 + 128), ("stretched", "saturated")),
    ],
    ids=["as it is", "equalised", "stretched", "low", "saturated"],
)
def test_changed_contrast_is_found_and_said_what_it_means(change: Callable, words: tuple[str, ...]) -> None:
    faces = np.stack([np.asarray(change(Image.fromarray(face))) for face in natural_faces()])
    found = measure_contrast(faces)
    assert [finding.partition(" (")[0] for finding in found.findings] == list(words)
    assert bool(found.advice) == bool(words)
    assert "will be less accurate on photos" in found.advice or not words
    assert json.loads(json.dumps(found.to_dict()))["num_faces"] == len(faces)


def test_blank_faces_say_nothing_of_contrast() -> None:
    blank = np.full((4, 48, 48), 255, np.uint8)
    assert measure_contrast(blank).findings == ()
    assert measure_contrast(blank[:0]).findings == ()
    equalised = np.stack([np.asarray(ImageOps.equalize(Image.fromarray(face))) for face in natural_faces(20)])
    assert measure_contrast(np.concatenate([blank, equalised])).num_faces == 20


def test_votes_are_counted() -> None:
    def row(**counts: int) -> list[int]:
        return [counts.get(name, 0) for name in COLUMNS]

    votes = np.array(
        [row(happiness=10), row(sadness=5, anger=5), row(NF=9, fear=1), row(unknown=8, fear=2), row()], np.float32
    )
    faces = face_set("train", (10, 3), (20, 5), (30, 2), (40, 2), (50, NO_LABEL))
    data = FaceData("made", "by hand", replace(faces, votes=votes), empty_face_set(48), empty_face_set(48))
    findings = inspect_faces(data)
    assert findings.total == 5
    assert findings.num_without_label == 1
    assert sum(findings.counts["train"].values()) == 4
    found = findings.votes
    assert (found.num_faces, found.num_votes) == (4, 10)
    assert found.agreement == pytest.approx((1 + 0.5 + 0.9 + 0.8) / 4)
    assert (found.num_majority, found.num_ties, found.num_unknown, found.num_not_a_face) == (1, 1, 1, 1)
    assert findings.to_json()["votes"]["num_ties"] == 1


@pytest.mark.parametrize("num_classes", [2, 5, 8, 20])
def test_any_label_set_is_inspected_and_drawn(num_classes: int) -> None:
    odd = ("<b>", "a, b", "うれしい", "غاضب", "a name that is as long as a name of a class can be, and longer")
    labels = LabelSet((*odd, *(f"class {number}" for number in range(5, num_classes)))[:num_classes])
    faces = face_set("train", *((10 + label, label) for label in range(num_classes - 1)))
    data = FaceData("made", "by hand", faces, empty_face_set(48), empty_face_set(48), labels=labels)
    findings = inspect_faces(data)
    assert findings.counts["train"] == {**dict.fromkeys(labels.names, 1), labels.names[-1]: 0}
    assert findings.missing == {"train": (labels.names[-1],)}
    assert findings.to_json()["labels"] == list(labels.names)
    sheet = draw_contact_sheet(data, faces_per_class=3)
    assert sheet.height == 2 * MARGIN + HEADER + num_classes * (CELL + GAP) - GAP


def test_a_name_is_written_in_a_font_that_has_it_or_in_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_system_fonts", lambda: ())
    assert fonts.font_for("a · …", 20) is not None
    assert fonts.font_for("喜", 20) is None
    assert fonts.escaped("喜 é a") == "\\u559c \\xe9 a"
