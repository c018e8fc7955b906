"""The page's own arithmetic, in node: where labels go, in which order faces are numbered, SHA-256."""

import hashlib
import json
import shutil
import subprocess
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from uncertainties import uncertainty

from fer_edge.labels import FER2013
from fer_edge.runtime import whole_faces
from fer_edge.runtime.certainty import Certainty
from fer_edge.runtime.detector import Box, Face
from fer_edge.web.site import PAGE

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="no node: install Node.js 20 or newer")

SCRIPT = """
import { readFileSync } from "node:fs";
const [page, file, name] = process.argv.slice(1);
const call = (await import(`${page}/${file}`))[name];
const calls = JSON.parse(readFileSync(0));
console.log(JSON.stringify(calls.map((values) => call(...values))));
"""
HEIGHT = 22


def in_node(file: str, name: str, calls: list[list[Any]], script: str = SCRIPT) -> list[Any]:
    """What a function of the page returns for each list of arguments."""
    command = ["node", "--input-type=module", "--eval", script, PAGE.as_uri(), file, name]
    done = subprocess.run(command, input=json.dumps(calls), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    results: list[Any] = json.loads(done.stdout)
    return results


def box(x: float, y: float, width: float, height: float) -> dict[str, float]:
    return {"x": x, "y": y, "width": width, "height": height}


def touch(one: dict[str, float], other: dict[str, float]) -> bool:
    return (
        one["left"] < other["left"] + other["width"]
        and other["left"] < one["left"] + one["width"]
        and one["top"] < other["top"] + other["height"]
        and other["top"] < one["top"] + one["height"]
    )


def crowd(rng: np.random.Generator, width: int, height: int) -> list[dict[str, float]]:
    """Seven faces, each somewhere in a cell of its own, up to the very border of the picture."""
    columns, rows = 4, 2
    cell_width, cell_height = width / columns, height / rows
    faces = []
    for cell in rng.permutation(columns * rows)[:7]:
        side = rng.uniform(0.35, 0.7) * min(cell_width, cell_height)
        left = cell % columns * cell_width + rng.uniform(0, cell_width - side)
        top = cell // columns * cell_height + rng.uniform(0, cell_height - 1.2 * side)
        faces.append(box(left, top, side, 1.2 * side))
    return faces


@pytest.mark.parametrize("width", [266, 321, 680])
def test_labels_of_crowds_never_overlap_nor_leave_the_picture(width: int) -> None:
    rng = np.random.default_rng(width)
    height = width * 3 // 4
    size = {"full": [110] * 7, "short": [22] * 7, "height": HEIGHT}
    calls = [[crowd(rng, width, height), size, {"width": width, "height": height}, 3] for _ in range(300)]
    for call, labels in zip(calls, in_node("labels.js", "placeLabels", calls), strict=True):
        for index, label in enumerate(labels):
            assert label["left"] >= 0
            assert label["top"] >= 0
            assert label["left"] + label["width"] <= width
            assert label["top"] + label["height"] <= height
            assert not any(touch(label, other) for other in labels[index + 1 :]), call
        assert len({label["isShort"] for index, label in enumerate(labels) if index != 3}) == 1  # no muddle


def test_names_are_shown_where_there_is_room() -> None:
    size = {"full": [110, 110], "short": [22, 22], "height": HEIGHT}
    faces = [box(60, 80, 100, 120), box(400, 90, 100, 120)]
    (labels,) = in_node("labels.js", "placeLabels", [[faces, size, {"width": 680, "height": 400}, 0]])
    assert [label["isShort"] for label in labels] == [False, False]
    assert all(label["top"] + HEIGHT < face["y"] for label, face in zip(labels, faces, strict=True))


def test_a_face_that_fills_the_picture_has_its_name_inside() -> None:
    size = {"full": [110], "short": [110], "height": HEIGHT}
    stage = {"width": 266, "height": 266}
    (labels,) = in_node("labels.js", "placeLabels", [[[box(0, 0, 266, 266)], size, stage, 0]])
    assert 200 < labels[0]["top"] <= 266 - HEIGHT


def test_the_page_takes_whole_what_python_takes_whole() -> None:
    rng = np.random.default_rng(4)
    settings = {"minFill": whole_faces.MIN_FILL, "maxShift": whole_faces.MAX_SHIFT}
    settings |= {"squareTolerance": whole_faces.SQUARE_TOLERANCE, "maxUnsearchedSide": whole_faces.MAX_UNSEARCHED_SIDE}
    calls, expected = [], []
    for _ in range(300):
        width, height = (int(side) for side in rng.integers(90, 110, 2))
        long = rng.uniform(60, 110)
        places = [
            Box(rng.uniform(-20, 20) + 10, (height - long) / 2 + rng.uniform(-18, 18), 0.8 * long, long)
            for _ in range(rng.choice([0, 1, 2], p=[0.1, 0.8, 0.1]))
        ]
        calls.append([{"width": width, "height": height}, [{"box": vars(place)} for place in places], settings])
        expected.append(whole_faces.is_filled(width, height, [Face(place, ((0, 0),) * 5, 1) for place in places]))
    assert 30 < sum(expected) < 270
    assert in_node("crops.js", "isFilled", calls) == expected
    sizes = [(48, 48), (49, 10), (10, 49), (1, 1)]
    small = in_node("crops.js", "isSmallCrop", [[{"width": w, "height": h}, settings] for w, h in sizes])
    assert small == [whole_faces.is_small_crop(*size) for size in sizes] == [True, False, False, True]


def test_a_label_that_is_read_from_the_right_does_not_take_its_number_along() -> None:
    """Without being isolated it would stand as "5 % 91 label" in a text that is read from the left."""
    labels = ["happy", "\u0633\u0639\u064a\u062f", "\u05e9\u05de\u05d7"]
    calls = [[{"probabilities": [1 if index == best else 0 for index in range(3)]}, labels] for best in range(3)]
    assert in_node("views.js", "nameOf", calls) == [
        "happy 100 %",
        *(f"\N{FIRST STRONG ISOLATE}{label}\N{POP DIRECTIONAL ISOLATE} 100 %" for label in labels[1:]),
    ]


def numbers(faces: list[dict[str, float]]) -> list[int]:
    wrapped = [{"box": face, "index": index} for index, face in enumerate(faces)]
    (ordered,) = in_node("order.js", "inReadingOrder", [[wrapped]])
    return [face["index"] for face in ordered]


def test_faces_are_numbered_row_by_row_from_left_to_right() -> None:
    jitter = [0, 18, -15, 10, 5, -20, 12]
    places = [(300, 40), (20, 40), (160, 40), (90, 160), (380, 160), (230, 160), (500, 160)]
    faces = [box(x, y + shift, 50, 60) for (x, y), shift in zip(places, jitter, strict=True)]
    assert numbers(faces) == [1, 2, 0, 3, 5, 4, 6]


def test_a_large_face_in_front_is_in_the_row_of_its_middle() -> None:
    behind = [box(10, 30, 40, 50), box(220, 35, 40, 50)]
    front = box(80, 120, 110, 140)
    assert numbers([front, behind[1], behind[0]]) == [2, 1, 0]
    assert numbers([]) == []


def test_sha256_without_the_browsers_help() -> None:
    script = SCRIPT.replace("call(...values)", "Array.from(call(Uint8Array.from(values[0])))")
    inputs = [list(np.random.default_rng(size).bytes(size)) for size in (0, 1, 55, 56, 63, 64, 65, 119, 120, 1000)]
    for data, digest in zip(inputs, in_node("sha256.js", "digestOf", [[data] for data in inputs], script), strict=True):
        assert bytes(digest).hex() == hashlib.sha256(bytes(data)).hexdigest()


def test_certainty_is_pythons() -> None:
    rows = np.random.default_rng(6).dirichlet([0.4] * 7, 40)
    rows[0] = [1, 0, 0, 0, 0, 0, 0]
    for found in (uncertainty(), replace(uncertainty(), sets=uncertainty().sets[1:])):
        plain = asdict(found)
        certainty = Certainty.of(found)
        calls = [[row.tolist(), FER2013.names, plain] for row in rows]
        judged = in_node("certainty.js", "judge", calls)
        expected = [certainty.judge(row, FER2013.names) for row in rows]
        assert {one.is_certain for one in expected} == {True, False}
        assert len({len(one.candidates) for one in expected}) > 1
        for theirs, ours in zip(judged, expected, strict=True):
            assert (theirs["isCertain"], tuple(theirs["candidates"])) == ours[:2]
            assert theirs["calibratedConfidence"] == pytest.approx(ours.calibrated_confidence, abs=1e-12)
    assert in_node("certainty.js", "judge", [[[0.5, 0.5], ["a", "b"], None]]) == [None]
