"""Figures by group, and what changed between two models: planted gaps and regressions are found, chance is not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from uncertainties import uncertainty

from fer_edge.cli.evaluate_reports import print_changes
from fer_edge.data.faces import FaceSet
from fer_edge.data.groups import GroupColumn, GroupTable
from fer_edge.data.load import load_faces
from fer_edge.errors import DataError, StorageError
from fer_edge.evaluation.changes import compare_evaluations
from fer_edge.evaluation.evaluation import Evaluation, Subject, evaluate_split
from fer_edge.evaluation.groups import MIN_FACES, cells_of, evaluate_groups, gap_in_words
from fer_edge.evaluation.metrics import evaluate_probabilities
from fer_edge.labels import FER2013, FERPLUS, label_set_of
from fer_edge.runtime.certainty import Certainty

NAMES = ("calm", "sad | <b>", "うれしい")


def evaluation(labels: np.ndarray, answers: np.ndarray, confidence: float = 0.7, name: str = "new.onnx") -> Evaluation:
    probabilities = np.full((len(labels), 3), (1 - confidence) / 2)
    probabilities[np.arange(len(labels)), answers] = confidence
    sources = tuple(f"/faces/{number}.png" for number in range(len(labels)))
    return Evaluation(
        subject=Subject("model", Path(name), "tiny fp32", {}, "", label_set_of(NAMES)),
        split="validation",
        augmentation="none",
        metrics=evaluate_probabilities(probabilities, labels, 3),
        votes=None,
        num_leaked=0,
        metrics_without_leaks=None,
        faces=FaceSet(np.zeros((len(labels), 4, 4), np.uint8), labels, sources),
        probabilities=probabilities,
        left_out={},
        num_without_label=0,
        data_source="/faces",
        data_fingerprint="",
        is_training_data_set=False,
        machine="a machine",
    )


def answers_of(labels: np.ndarray, accuracy: np.ndarray | float, seed: int) -> np.ndarray:
    is_right = np.random.default_rng(seed).random(len(labels)) < accuracy
    return np.where(is_right, labels, (labels + 1) % 3)


def grouped(values: np.ndarray) -> GroupTable:
    return GroupTable(Path("g.csv"), (GroupColumn("light", tuple(values)),), 0)


def test_an_old_model_is_asked_about_the_faces_of_the_new_one_whatever_its_run_chose_for_validation(tmp_path):
    random = np.random.default_rng(4)
    for number in range(60):
        path = tmp_path / ("calm", "happy", "tense")[number % 3] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (48, 48), np.uint8)).save(path)

    def evaluated(size: int, seed: int, names: tuple[str, ...], like: Evaluation | None = None) -> Evaluation:
        """By a model of its run's own size of faces, seed and classes, which always says the first of these."""
        data = load_faces(tmp_path, size=size, seed=seed)
        subject = Subject("model", Path("m.onnx"), "", {}, data.fingerprint(), label_set_of(names))
        answers = lambda faces: np.tile(np.eye(len(names))[:1], (len(faces), 1))  # noqa: E731
        kinds = {"drop_leaks": False, "augmentation": "none", "machine": ""}
        return evaluate_split(subject, answers, data, "validation", like=like, **kinds)

    new = evaluated(48, 0, ("calm", "happy", "tense"))
    assert set(new.faces.sources) != set(evaluated(32, 7, ("calm", "happy", "tense")).faces.sources)
    same = evaluated(32, 7, ("calm", "happy", "tense"), like=new)
    assert set(same.faces.sources) == set(new.faces.sources)
    assert same.num_trained_on > 0
    assert compare_evaluations(new, same).num_left_out == 0
    old = evaluated(48, 7, ("sad", "happy", "calm"), like=new)  # no tense
    changes = compare_evaluations(new, old)
    assert (changes.overall.num_faces, changes.num_left_out) == (4, 2)
    assert (changes.overall.new, changes.overall.old) == (0.5, 0)
    assert evaluated(48, 0, ("calm", "happy", "tense"), like=new).num_trained_on == 0


def test_one_class_under_two_names_is_compared_as_one():
    labels = np.arange(90) % 3  # of FER-2013: angry, disgust, fear
    new, old = evaluation(labels, labels), evaluation(labels, answers_of(labels, 0.5, 7))
    in_ferplus = np.array([FERPLUS.index(name) for name in ("anger", "disgust", "fear")])
    answers = np.eye(len(FERPLUS))[in_ferplus[old.probabilities.argmax(axis=1)]]
    new = replace(new, subject=replace(new.subject, labels=FER2013))
    old = replace(
        old,
        subject=replace(old.subject, labels=FERPLUS),
        faces=replace(old.faces, labels=in_ferplus[labels]),
        probabilities=answers,
    )
    changes = compare_evaluations(new, old)
    assert (changes.overall.num_faces, changes.overall.new, changes.overall.only_old_right) == (90, 1, 0)
    assert changes.overall.only_new_right == len(changes.faces) > 20
    assert {face.old for face in changes.faces} == {"angry", "disgust", "fear"}


def test_a_planted_gap_is_found_with_its_groups():
    labels = np.arange(900) % 3
    light = np.where(np.arange(900) < 300, "dark", "bright")
    done = evaluation(labels, answers_of(labels, np.where(light == "dark", 0.6, 0.85), 1))
    (column,) = evaluate_groups(done, grouped(light)).columns
    assert [group.name for group in column.groups] == ["bright", "dark"]
    assert (column.gap.best, column.gap.worst) == ("bright", "dark")
    low, high = column.gap.interval
    assert low < 0.25 < high
    assert low < column.gap.difference < high
    assert column.gap.p_value < 0.001
    assert "more than chance" in gap_in_words(column)
    dark = column.groups[1]
    assert dark.overconfidence == pytest.approx(0.7 - dark.accuracy)
    assert dark.overconfidence_interval[0] < 0.1 < dark.overconfidence_interval[1]
    assert dark.accuracy_interval[0] < 0.6 < dark.accuracy_interval[1]


def test_groups_without_a_gap_are_not_told_from_chance():
    labels = np.arange(900) % 3
    light = np.where(np.arange(900) < 300, "dark", "bright")
    (column,) = evaluate_groups(evaluation(labels, answers_of(labels, 0.8, 2)), grouped(light)).columns
    assert column.gap.p_value > 0.05
    assert "not told from chance" in gap_in_words(column)


def test_a_gap_that_is_the_classes_alone_is_gone_at_equal_class_mix():
    # Calm faces are answered rightly in 9 of 10 cases, others in 5 of 10; one group has mostly calm ones.
    labels = np.concatenate([np.repeat([0, 1], [400, 100]), np.repeat([0, 1], [100, 400])])
    right = np.concatenate([np.arange(count) % 10 < good for count, good in ((400, 9), (100, 5), (100, 9), (400, 5))])
    done = evaluation(labels, np.where(right, labels, 2))
    (column,) = evaluate_groups(done, grouped(np.repeat(["x", "y"], 500))).columns
    x, y = column.groups
    assert (x.accuracy, y.accuracy) == pytest.approx((0.82, 0.58))
    assert (x.standardised_accuracy, y.standardised_accuracy) == pytest.approx((0.7, 0.7))


def test_small_groups_are_shown_and_not_compared():
    labels = np.zeros(100, np.int64)
    values = np.array(["few"] * (MIN_FACES - 1) + ["many"] * 50 + [""] * (71 - 50))
    (column,) = evaluate_groups(evaluation(labels, labels), grouped(values)).columns
    few, many = column.groups
    assert (few.is_compared, few.standardised_accuracy, many.is_compared) == (False, None, True)
    assert (column.gap, column.num_without_value) == (None, 21)
    assert gap_in_words(column) == "Nothing to compare: fewer than two groups have 30 faces. 21 faces have no value."


def test_answers_that_are_not_certain_are_counted_by_group():
    # At temperature 1 certain is what has a confidence above 0.6: the bright half, of which one in ten is wrong.
    labels = np.zeros(200, np.int64)
    is_bright = np.arange(200) < 100
    answers = np.where(is_bright & (np.arange(200) % 10 == 0), 1, 0)
    done = evaluation(labels, answers)
    done.probabilities[~is_bright] = [0.4, 0.3, 0.3]
    certainty = Certainty.of(replace(uncertainty(NAMES), temperature=1.0))
    calibrated = replace(done, subject=replace(done.subject, certainty=certainty))
    values = np.where(is_bright, "bright", "dark")
    bright, dark = evaluate_groups(calibrated, grouped(values)).columns[0].groups
    assert (bright.refused, bright.answered_accuracy) == (0, pytest.approx(0.9))
    assert (dark.refused, dark.answered_accuracy) == (1, None)
    assert cells_of(dark)[-2:] == ["100.0%", "–"]
    before = evaluate_groups(done, grouped(values)).columns[0].groups
    assert {(group.refused, group.answered_accuracy) for group in before} == {(None, None)}


def test_what_is_written_are_whole_files_and_no_other_is_replaced(tmp_path):
    labels = np.arange(120) % 3
    odd = np.array(["a|b", "<i>", "うれしい"], object)[np.arange(120) % 3]
    done = evaluate_groups(evaluation(labels, labels), grouped(odd))
    figures, tables, plot = done.write(tmp_path)
    assert json.loads(figures.read_text())["columns"][0]["groups"][0]["name"] == "<i>"
    assert "| a\\|b | 40 |" in tables.read_text(encoding="utf-8")
    with Image.open(plot) as picture:
        assert picture.format == "PNG"
    done.write(tmp_path)
    tables.write_text("mine")
    with pytest.raises(StorageError, match=r"groups-validation\.md: expected no file, or one that was written here"):
        done.write(tmp_path)


def test_a_planted_regression_of_one_class_is_found_and_named():
    labels = np.arange(1500) % 3
    old_answers = answers_of(labels, 0.8, 3)
    new_answers = old_answers.copy()
    lost = np.flatnonzero((labels == 1) & (old_answers == 1))[:60]
    new_answers[lost] = 0
    changes = compare_evaluations(evaluation(labels, new_answers), evaluation(labels, old_answers, name="old.onnx"))
    assert changes.drop_points == pytest.approx(100 * 60 / 1500)
    assert (changes.overall.only_old_right, changes.overall.only_new_right) == (60, 0)
    assert changes.overall.in_words == "more than chance"
    told = {one.name: (one.in_words, one.only_old_right) for one in changes.classes}
    assert told == {"calm": ("unchanged", 0), "sad | <b>": ("more than chance", 60), "うれしい": ("unchanged", 0)}
    assert [face.source for face in changes.faces] == [f"/faces/{place}.png" for place in lost]
    assert {(face.label, face.old, face.new) for face in changes.faces} == {("sad | <b>", "sad | <b>", "calm")}


def test_classes_without_faces_are_told_and_have_no_figures(capsys):
    labels = np.arange(40) % 2
    changes = compare_evaluations(evaluation(labels, labels), evaluation(labels, labels, name="old.onnx"))
    assert changes.without_faces == (NAMES[2],)
    told = json.loads(json.dumps(changes.to_dict()))["classes"][-1]
    assert (told.pop("name"), told.pop("num_faces")) == (NAMES[2], 0)
    assert set(told.values()) == {None}
    assert f"| {NAMES[2]} | 0 | – | – | – | – | – | – |" in changes.to_markdown().splitlines()
    print_changes(changes)
    assert "no faces" in capsys.readouterr().out


def test_answers_that_change_both_ways_are_not_told_from_chance():
    labels = np.arange(1500) % 3
    changes = compare_evaluations(
        evaluation(labels, answers_of(labels, 0.8, 4)), evaluation(labels, answers_of(labels, 0.8, 5))
    )
    assert changes.overall.p_value > 0.05
    assert len(changes.faces) > 300


def test_faces_that_one_left_out_are_counted_and_other_labels_refused():
    labels = np.arange(90) % 3
    new, old = evaluation(labels, labels), evaluation(labels, labels)
    kept = np.arange(90) >= 30
    part = replace(old, faces=old.faces.take(kept), probabilities=old.probabilities[kept])
    assert compare_evaluations(new, part).num_left_out == 30
    other = replace(old, faces=replace(old.faces, labels=(labels + 1) % 3))
    with pytest.raises(DataError, match=r"0\.png: expected one label for both models, found sad \| <b> and calm"):
        compare_evaluations(new, other)
    nothing = replace(old, faces=replace(old.faces, sources=tuple(f"x{number}" for number in range(90))))
    with pytest.raises(DataError, match="expected faces that both have classes for, found none"):
        compare_evaluations(new, nothing)


def test_changes_are_written_as_a_table_and_as_json(tmp_path):
    labels = np.arange(1500) % 3
    changes = compare_evaluations(evaluation(labels, answers_of(labels, 0.5, 6)), evaluation(labels, labels))
    figures, table = changes.write(tmp_path)
    assert len(json.loads(figures.read_text())["changed_faces"]) == len(changes.faces)
    text = table.read_text(encoding="utf-8")
    assert "| sad \\| &lt;b> | 500 | 100.0% |" in text
    assert f"And {len(changes.faces) - 40:,} more, in the JSON file." in text
