"""The numbers of docs/uncertainty.md are those that were measured, and the shipped models hold what was measured."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from fer_edge.evaluation.binomial import lower_bound
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.model_file import read_model
from fer_edge.uncertainty import CERTAINTY_OUTPUTS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "uncertainty.md"


def measured(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"uncertainty-{name}-int8.json").read_text())
    return found


def certain(found: dict[str, Any], faces: str) -> str:
    (row,) = [one for one in found["rows"] if one["faces"] == faces]
    one = row["certain"]["0.1"]
    return f"{one['answers'] / row['count']:.1%}; {one['wrong'] / one['answers']:.1%}"


def cells_of(name: str) -> list[str]:
    found = measured(name)
    lac = found["uncertainty"]["sets"][0]
    faces, covered = lac["classes"]["disgust"]
    return [
        certain(found, "as they are"),
        f"{lac['checked_covered'] / found['uncertainty']['checked_faces']:.1%}; {lac['mean_size']:.2f}",
        f"{covered / faces:.1%}",
        certain(found, "covered, mouth"),
        certain(found, "blurred, sigma 2"),
        certain(found, "turned, 60 degrees"),
        certain(found, "not a face, scrambled").split("; ")[0],
    ]


def test_the_table_has_the_measured_numbers() -> None:
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| `--max-risk 0.1`") :].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    names = re.findall(r"`(fer[\w-]*)`", table.splitlines()[0])
    assert len(names) == len(rows[0]) - 1
    for column, name in enumerate(names, 1):
        assert [row[column] for row in rows[2:]] == cells_of(name), name


def test_no_threshold_keeps_five_percent_and_annotators_side_with_the_model() -> None:
    found = measured("fer-resnet18")
    assert {one["max_risk"]: one["threshold"] for one in found["uncertainty"]["risks"]}[0.05] is None
    wrong, agreed = found["disputed"]["0.1"]
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"of `fer-resnet18`'s {wrong} certain answers that differ from the label" in text
    assert f"more than half of FER+'s annotators gave {agreed}, too" in text


@pytest.mark.parametrize("path", sorted(RESULTS.glob("uncertainty-*.json")), ids=lambda path: path.stem)
def test_the_shipped_model_is_calibrated_as_measured(path: Path) -> None:
    found = json.loads(path.read_text())
    stated = read_model(ROOT / "exported" / found["model"]).metadata.uncertainty
    assert stated is not None
    assert json.loads(json.dumps(asdict(stated))) == found["uncertainty"]


def test_the_faces_kept_back_break_no_promise_beyond_chance() -> None:
    for path in RESULTS.glob("uncertainty-*.json"):
        for one in json.loads(path.read_text())["uncertainty"]["risks"]:
            assert lower_bound(one["checked_mistakes"], one["checked_answers"], 0.05) <= one["max_risk"]


def test_ferplus_at_two_percent() -> None:
    found = measured("ferplus-resnet18")
    (one,) = [risk for risk in found["uncertainty"]["risks"] if risk["max_risk"] == 0.02]
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    answered = one["checked_answers"] / found["uncertainty"]["checked_faces"]
    assert f"it answers {answered:.1%} and is wrong in {one['checked_mistakes']} of {one['checked_answers']}" in text
    rows = {row["faces"]: row for row in found["rows"]}
    shares = {faces: row["certain"]["0.02"]["answers"] / row["count"] for faces, row in rows.items()}
    assert f"{shares['not a face, scrambled']:.1%} of scrambled" in text
    assert f"{shares['not a face, noise']:.1%} of noise" in text
    original = found["rows"][0]
    assert f"right on {original['correct'] / original['count']:.1%} of these faces" in text
    lac, aps = found["uncertainty"]["sets"]
    assert f"{aps['mean_size']:.2f} labels instead of {lac['mean_size']:.2f}" in text


@pytest.mark.parametrize("name", ["fer-tiny", "fer-resnet18", "ferplus-resnet18"])
def test_a_shipped_graph_says_itself_what_the_page_says(name: str) -> None:
    path = ROOT / "exported" / f"{name}-int8.onnx"
    classifier = Classifier.load(path, threads=1)
    faces = np.stack([np.full((48, 48, 1), shade, np.uint8) for shade in (0, 90, 255)])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    calibrated, certain, candidates = session.run(list(CERTAINTY_OUTPUTS), {"image": faces})
    table = PAGE.read_text(encoding="utf-8").partition("| output | shape, type |")[2]
    assert all(f"| `{one}` |" in table.partition("\n\n")[0] for one in CERTAINTY_OUTPUTS)
    for at, told in enumerate(classifier.predict_many(list(faces))):
        assert told.is_certain == certain[at, 0]
        assert told.calibrated_confidence == pytest.approx(calibrated[at].max(), abs=1e-6)
        assert set(told.candidates) == {
            one for one, is_in in zip(classifier.labels, candidates[at], strict=True) if is_in
        }
