import unicodedata

import pytest

from fer_edge import labels as labels_module
from fer_edge.errors import UsageError
from fer_edge.labels import (
    BUILT_IN,
    FER2013,
    FERPLUS,
    MAX_CLASSES,
    MAX_NAME_LENGTH,
    LabelSet,
    class_map,
    label_set_named,
    label_set_of,
    option_text,
)


def test_the_very_same_name_twice_is_refused():
    with pytest.raises(UsageError, match="expected names that differ, found 'a' and 'a'"):
        LabelSet(("a", "a", "b"))


def test_fer2013_is_in_the_alphabetical_order_of_the_folders_and_ferplus_in_that_of_its_table():
    assert FER2013.names == ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
    assert list(FER2013.names) == sorted(FER2013.names)
    assert FERPLUS.names == (
        "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    )  # fmt: skip
    assert dict(BUILT_IN) == {"fer2013": FER2013, "ferplus": FERPLUS}


@pytest.mark.parametrize(
    ("name", "resolved"),
    [
        ("Anger", "angry"),
        ("DISGUSTED", "disgust"),
        ("fearful", "fear"),
        (" happiness ", "happy"),
        ("Sadness", "sad"),
        ("surprised", "surprise"),
        ("Neutral", "neutral"),
        ("contempt", None),
        ("", None),
        ("0", None),
    ],
)
def test_aliases_are_mapped_by_name_in_any_capitals(name, resolved):
    assert FER2013.resolve(name) == resolved


def test_sets_are_equal_where_names_and_order_are_whatever_else_is_known():
    bare = LabelSet(FER2013.names)
    assert bare == FER2013
    assert hash(bare) == hash(FER2013)
    assert bare.name == "custom"
    assert bare.resolve("anger") is None  # no aliases but the names
    assert LabelSet(FER2013.names[::-1]) != FER2013
    assert label_set_of(FER2013.names) is FER2013
    assert label_set_of(["b", "a"]).names == ("b", "a")


def test_names_are_found_composed_or_decomposed():
    french = LabelSet(("fâché", "joyeux"))
    for form in ("NFC", "NFD"):
        assert french.resolve(unicodedata.normalize(form, "FÂCHÉ")) == "fâché"
    assert LabelSet(("うれしい", "غاضب")).resolve("うれしい") == "うれしい"
    assert len(french) == 2
    assert french.index("joyeux") == 1
    with pytest.raises(ValueError, match="not in tuple"):
        french.index("triste")


def test_what_a_checkpoint_keeps_is_read_back_whole():
    kept = LabelSet.from_dict(FERPLUS.to_dict())
    assert kept == FERPLUS
    assert (kept.name, kept.dataset, dict(kept.aliases)) == (FERPLUS.name, FERPLUS.dataset, dict(FERPLUS.aliases))
    with pytest.raises(TypeError, match="names: expected a list, found str"):
        LabelSet.from_dict({**FERPLUS.to_dict(), "names": "ab"})


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "expected 2 to 1000 names, found 0"),
        (("one",), "expected 2 to 1000 names, found 1"),
        (tuple(map(str, range(MAX_CLASSES + 1))), "found 1001"),
        (("a", ""), "found '' (empty, or with blanks around it)"),
        (("a", " b"), "found ' b' (empty, or with blanks around it)"),
        (("a", "x" * (MAX_NAME_LENGTH + 1)), "longer than 100 characters"),
        (("a", "b\nc"), "with a control character or line break"),
        (("a", "b\u2028c"), "with a control character or line break"),
        (("a", "\udcff"), "with a control character or line break"),
        (("a", 1), "found 1 (no text)"),
        (("happy", "Happy"), "names that differ, found 'happy' and 'Happy'"),
        (("é", "e\u0301"), "names that differ"),
    ],
)
def test_names_that_cannot_be_a_label_set_are_refused(names, said):
    with pytest.raises(UsageError) as failure:
        LabelSet(names)
    assert said in str(failure.value)
    assert "\n" not in str(failure.value)


def test_classes_are_mapped_by_name_between_sets():
    assert class_map(FERPLUS, FER2013) == (4, 3, 6, 5, 0, 1, 2, None)  # contempt has none
    assert class_map(FER2013, FERPLUS) == (4, 5, 6, 1, 0, 3, 2)
    assert class_map(LabelSet(("Sad", "tired")), FER2013) == (5, None)


@pytest.mark.parametrize(
    "names", [("a", "b"), ("a, b", 'say "hi"'), ("<b>", "it's"), ("うれしい", "غاضب"), ("a b", "c;d")]
)
def test_names_are_typed_as_they_are_suggested(names):
    assert label_set_named(option_text(names)).names == names


def test_built_in_sets_are_typed_by_their_names_and_spaces_around_names_do_no_harm():
    assert label_set_named(" ferplus ") is FERPLUS
    assert label_set_named("angry, disgust,fear ,happy,neutral,sad,surprise") is FER2013
    for text in ("", "auto", "fer2012", "one", "a,b\nc"):
        with pytest.raises(UsageError, match=r"--labels: expected auto, fer2013, ferplus, or two or more names"):
            label_set_named(text)


def test_a_set_cannot_be_changed():
    with pytest.raises(TypeError):
        FER2013.aliases["glad"] = "happy"
    assert labels_module.AUTO not in BUILT_IN
