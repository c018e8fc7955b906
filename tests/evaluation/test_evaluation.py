"""Evaluation of models on faces with label sets of 2, 5, 7 and 8 classes, the same as the model's or others."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_edge.data.faces import NO_LABEL, FaceData, FaceSet, empty_face_set
from fer_edge.errors import DataError
from fer_edge.evaluation.evaluation import Subject, evaluate_split
from fer_edge.labels import FER2013, FERPLUS, LabelSet

FIVE = LabelSet(("bored", "confused", "<b>", "a, b", "うれしい"))


def faces_of(labels: list[int], first: int = 0, votes: np.ndarray | None = None) -> FaceSet:
    """Faces whose first pixel is their label, and whose second numbers them."""
    faces = np.zeros((len(labels), 8, 8), np.uint8)
    faces[:, 0, 0] = np.array(labels) % 256
    faces[:, 0, 1] = first + np.arange(len(labels))
    return FaceSet(faces, np.array(labels, np.int64), tuple(f"{first + n}.png" for n in range(len(labels))), votes)


def data_of(labels: LabelSet, validation: FaceSet, train: FaceSet | None = None) -> FaceData:
    return FaceData("made", "by hand", train or faces_of([0, 1], 100), validation, empty_face_set(8), labels=labels)


def subject_of(labels: LabelSet) -> Subject:
    return Subject("model", Path("m.onnx"), "made", {}, "", labels)


def evaluate(labels: LabelSet, data: FaceData, answers: np.ndarray | None = None, *, drop_leaks: bool = False):
    """Of a model that answers ``answers``, or reads the label that is in each face's first pixel."""

    def probabilities_of(faces: np.ndarray) -> np.ndarray:
        return np.eye(len(labels))[faces[:, 0, 0] if answers is None else answers]

    how = {"drop_leaks": drop_leaks, "augmentation": "none", "machine": "here"}
    return evaluate_split(subject_of(labels), probabilities_of, data, "validation", **how)


@pytest.mark.parametrize("labels", [LabelSet(("yes", "no")), FIVE, FER2013, FERPLUS], ids=["2", "5", "7", "8"])
def test_figures_and_plots_have_the_classes_of_the_model(tmp_path: Path, labels: LabelSet) -> None:
    done = evaluate(labels, data_of(labels, faces_of([*range(len(labels)), 0])))
    assert done.metrics.accuracy == 1
    assert done.metrics.confusion.diagonal().tolist() == [2] + [1] * (len(labels) - 1)
    found = json.loads(json.dumps(done.to_dict(), allow_nan=False))
    assert found["labels"] == list(found["expressions"]) == list(labels.names)
    assert found["votes"] is None
    assert found["left_out"] == {}
    written = done.write(tmp_path / "out")
    assert [path.name.partition("-")[0] for path in written] == ["evaluation", "confusion", "mistakes", "reliability"]
    assert all(path.stat().st_size for path in written)


def test_ferplus_faces_are_mapped_to_a_fer2013_model_and_contempt_is_left_out_and_counted() -> None:
    wanted = [FERPLUS.index(name) for name in ("anger", "contempt", "neutral", "happiness", "contempt")]
    answers = np.array([FER2013.index(name) for name in ("angry", "neutral", "sad")])
    done = evaluate(FER2013, data_of(FERPLUS, faces_of(wanted)), answers)
    assert done.left_out == {"contempt": 2}
    assert done.metrics.num_faces == 3
    assert done.metrics.accuracy == pytest.approx(2 / 3)
    assert done.metrics.confusion[FER2013.index("happy"), FER2013.index("sad")] == 1


def test_labels_in_another_order_and_capitals_are_mapped() -> None:
    model, data = LabelSet(("Sad", "happy")), LabelSet(("happy", "sad", "tired"))
    done = evaluate(model, data_of(data, faces_of([0, 1, 2])), np.array([1, 0]))
    assert done.metrics.accuracy == 1
    assert done.left_out == {"tired": 1}


def test_data_without_a_class_of_the_model_is_refused_in_one_line() -> None:
    with pytest.raises(DataError) as failure:
        evaluate(FERPLUS, data_of(FER2013, faces_of([0, 1])))
    text = str(failure.value)
    assert "\n" not in text
    assert text.startswith("made: expected faces of the model's classes (neutral, happiness,")
    assert "found a data set of angry, disgust, fear, happy, neutral, sad, surprise, which has no contempt" in text
    with pytest.raises(DataError, match="which has no bored, confused"):
        evaluate(FIVE, data_of(FER2013, faces_of([0, 1])))


def test_faces_that_leaked_under_a_class_that_the_model_has_not_are_leaked() -> None:
    validation = faces_of([FERPLUS.index("neutral"), FERPLUS.index("anger")])
    train = replace(validation.take([0]), labels=np.array([FERPLUS.index("contempt")]))
    answers = np.array([FER2013.index("neutral"), FER2013.index("angry")])
    data = data_of(FERPLUS, validation, train)
    assert evaluate(FER2013, data, answers).num_leaked == 1
    assert evaluate(FER2013, data, answers[1:], drop_leaks=True).metrics.num_faces == 1


def test_votes_are_evaluated_and_give_a_ferplus_model_its_labels() -> None:
    votes = np.zeros((4, 10), np.float32)
    for row, emotion in enumerate(("anger", "contempt", "fear")):
        votes[row, FERPLUS.index(emotion)] = 10
    votes[3, [FERPLUS.index("fear"), FERPLUS.index("surprise")]] = 5  # a tie: without a label
    data = data_of(FER2013, faces_of([0, 4, 2, 6], votes=votes), faces_of([0], 100, votes[:1]))
    answers = np.array([FERPLUS.index(name) for name in ("anger", "contempt", "neutral", "fear")])
    done = evaluate(FERPLUS, data, answers)
    assert (done.metrics.num_faces, done.num_without_label) == (3, 1)
    assert done.metrics.accuracy == done.votes.majority_accuracy == pytest.approx(2 / 3)
    assert done.votes.num_faces == 4
    seven = evaluate(FER2013, data, np.array([0, 4, 2, 6]))
    assert seven.metrics.accuracy == 1
    assert seven.votes.majority_accuracy == pytest.approx(2 / 3)


def test_votes_without_labels_are_labels_by_their_majority() -> None:
    votes = np.zeros((2, 10), np.float32)
    votes[0, FERPLUS.index("happiness")] = votes[1, FERPLUS.index("contempt")] = 10
    data = data_of(FER2013, faces_of([NO_LABEL, NO_LABEL], votes=votes), faces_of([NO_LABEL], 100, votes[:1]))
    done = evaluate(FER2013, data, np.array([FER2013.index("happy")]))
    assert done.metrics.accuracy == 1
    assert done.left_out == {"contempt": 1}


def test_votes_say_nothing_to_classes_that_nobody_could_choose() -> None:
    votes = np.full((2, 10), 1, np.float32)
    assert evaluate(FIVE, data_of(FIVE, faces_of([0, 1], votes=votes))).votes is None
