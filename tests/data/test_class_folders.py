"""Class folders of any label set: recognised, asked for, or refused in one line that says how to go on."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from made_faces import write_folders, write_table

from fer_edge.data.load import load_faces
from fer_edge.errors import DataError, UsageError
from fer_edge.labels import FER2013, FERPLUS, LabelSet, label_set_named

TWO = LabelSet(("happy", "not happy"))
FIVE = LabelSet(("bored", "confused", "engaged", "frustrated", "tired"))
ODD = LabelSet(("<b>bold", "a, b", "it's", 'say "hi"', "غاضب", "うれしい"))


def write(root: Path, labels: LabelSet, splits: tuple[str, ...] = ("train", "validation"), per_class: int = 3) -> Path:
    return write_folders(root, splits, labels.names, per_class, labels=labels)


def refusal(root: Path, labels: str = "auto") -> str:
    """What ``load_faces`` says, the same with and without ``skip_bad``, in one line."""
    said = set()
    for skip_bad in (False, True):
        with pytest.raises(DataError) as failure:
            load_faces(root, labels=labels, skip_bad=skip_bad)
        said.add(str(failure.value))
    (text,) = said
    assert "\n" not in text
    return text


@pytest.mark.parametrize("labels", [TWO, FIVE, FERPLUS, FER2013, ODD], ids=["2", "5", "8", "7", "odd"])
@pytest.mark.parametrize("splits", [("train", "validation"), ("",)], ids=["splits", "classes alone"])
def test_folders_are_read_with_their_own_label_set(tmp_path: Path, labels: LabelSet, splits: tuple[str, ...]) -> None:
    data = load_faces(write(tmp_path / "faces", labels, splits, per_class=4))
    assert data.labels == labels
    assert data.labels.name == labels.name
    assert sum(map(len, data.splits.values())) == 4 * len(labels) * len(splits)
    assert data.train.counts(data.labels).keys() == set(labels.names)
    for faces in data.splits.values():
        np.testing.assert_array_equal(faces.faces[:, 0, 0], 10 * faces.labels)


def test_folders_called_by_aliases_are_ferplus_where_contempt_is_one_of_them(tmp_path: Path) -> None:
    names = ("Angry", "contempt", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")
    root = write_folders(tmp_path / "faces", ("train", "val"), names, labels=FERPLUS)
    assert load_faces(root).labels is FERPLUS


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (FER2013.names[:6], "the 7 class folders of fer2013 (angry, disgust, fear, happy, neutral, sad, surprise), "
         "found missing surprise; mend the folders, or add --labels angry,disgust,fear,happy,neutral,sad to take"),
        (("happy", "sad"), "found missing angry, disgust, fear, neutral, surprise; mend"),
        ((*FER2013.names, "bored"), "found extra bored; mend the folders, or add --labels angry,bored,disgust,fear,"),
        ((*FER2013.names[:4], "bored", "x, y"), "found missing neutral, sad, surprise; extra bored, x, y; mend"),
        ((*FERPLUS.names[1:],), "the 8 class folders of ferplus (neutral, happiness, surprise, sadness, anger, "
         "disgust, fear, contempt), found missing neutral; mend the folders, or add --labels anger,contempt,disgust,"),
    ],
    ids=["missing", "two", "extra", "both", "no neutral"],
)  # fmt: skip
def test_nearly_a_built_in_set_is_refused_with_a_way_on_that_works(
    tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    own = LabelSet(names)
    root = write_folders(tmp_path / "faces", ("train", "validation"), names, labels=own)
    text = refusal(root)
    assert text.startswith(f"{root}: expected ")
    assert said in text
    option = text.partition("--labels ")[2].partition(" to take the folders as they are")[0]
    data = load_faces(root, labels=shlex.split(option)[0])
    assert data.labels.names == tuple(sorted(names))
    assert len(data.train) == 3 * len(names)


def test_a_few_known_words_among_others_are_a_set_of_its_own(tmp_path: Path) -> None:
    own = LabelSet(("bored", "happy", "neutral", "sad", "tired"))
    assert load_faces(write(tmp_path / "faces", own)).labels == own


def test_labels_that_are_asked_for_decide_the_order_and_what_is_missing(tmp_path: Path) -> None:
    root = write(tmp_path / "faces", FIVE)
    data = load_faces(root, labels=" tired, bored,engaged ,Confused,frustrated")
    assert data.labels.names == ("tired", "bored", "engaged", "Confused", "frustrated")
    places = [FIVE.index(name.lower()) for name in data.labels.names]
    np.testing.assert_array_equal(data.train.faces[:, 0, 0], 10 * np.array(places)[data.train.labels])
    assert "of --labels (bored, tired, x), found missing x; extra confused, engaged, frustrated" in refusal(
        root, "bored,tired,x"
    )
    assert "the 7 class folders of fer2013" in refusal(root, "fer2013")


def test_a_way_out_that_cannot_be_is_not_told(tmp_path: Path) -> None:
    (write(tmp_path / "faces", FER2013) / "train" / "a\x1bb").mkdir()
    assert refusal(tmp_path / "faces", "auto").endswith(r"found extra a\x1bb; mend the folders")


def test_a_built_in_set_that_fits_is_named(tmp_path: Path) -> None:
    assert "or add --labels fer2013 for that label set" in refusal(write(tmp_path / "faces", FER2013), "ferplus")


@pytest.mark.parametrize("labels", ["", "happy", "happy,", "happy,Happy", "a,,b", "a,b\nc", "fer2012"])
def test_labels_that_are_none_are_refused(tmp_path: Path, labels: str) -> None:
    with pytest.raises(UsageError, match="labels: expected"):
        load_faces(write(tmp_path / "faces", TWO), labels=labels)


def test_names_with_commas_and_quotes_can_be_typed(tmp_path: Path) -> None:
    text = refusal(write(tmp_path / "faces", ODD), "a,b")
    option = text.partition("or add --labels ")[2].partition(" to take the folders as they are")[0]
    (option,) = shlex.split(option)  # as a shell reads it
    assert '"a, b"' in option
    assert load_faces(tmp_path / "faces", labels=option).labels == label_set_named(option) == ODD


def test_composed_and_decomposed_names_and_capitals_are_one_class(tmp_path: Path) -> None:
    own = LabelSet(("fâché", "joyeux"))
    root = write_folders(tmp_path / "faces", ("train",), ("fa\u0302che\u0301", "joyeux"), labels=own)
    write_folders(root, ("validation",), ("Fâché", "JOYEUX"), labels=own)
    data = load_faces(root)
    assert len(data.labels) == 2
    assert data.validation.counts(data.labels) == dict.fromkeys(data.labels.names, 3)
    assert data.labels.resolve("FÂCHÉ") == data.labels.names[0]


def test_extra_folders_of_one_split_alone_are_classes_of_the_whole_set(tmp_path: Path) -> None:
    root = write(tmp_path / "faces", FER2013)
    write_folders(root, ("train",), ("contempt",), labels=FERPLUS)
    with pytest.raises(DataError) as failure:
        load_faces(root)
    assert f"{root}/validation/contempt: a missing class folder" in str(failure.value)
    data = load_faces(root, skip_bad=True)
    assert data.labels is FERPLUS
    assert data.train.counts(FERPLUS)["contempt"] == 3
    assert data.validation.counts(FERPLUS)["contempt"] == 0


@pytest.mark.parametrize("name", [" a\tb", "x" * 101])
def test_a_folder_whose_name_is_no_label_is_to_be_renamed(tmp_path: Path, name: str) -> None:
    root = write(tmp_path / "faces", FIVE)
    (root / "train" / "bored").rename(root / "train" / name)
    assert "expected class folders whose names can be labels" in refusal(root)
    assert refusal(root).endswith("; rename them")


def test_one_class_folder_is_no_data_set(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "faces", ("train", "validation"), ("bored",), labels=FIVE)
    assert "found one, bored; name the folder that holds them" in refusal(root)


@pytest.mark.parametrize("source", ["table", "sample:42"])
def test_sources_of_fer2013_have_no_other_classes(tmp_path: Path, source: str) -> None:
    given = str(write_table(tmp_path / "fer2013.csv")) if source == "table" else source
    assert load_faces(given, labels="fer2013").labels == load_faces(given).labels == FER2013
    with pytest.raises(DataError, match=r"expected --labels fer2013 .* found --labels ferplus; leave --labels out"):
        load_faces(given, labels="ferplus")
    with pytest.raises(DataError, match="found --labels a,b; leave"):
        load_faces(given, labels="a,b")


def test_fingerprints_state_other_names_and_stay_as_they_were_for_fer2013(tmp_path: Path) -> None:
    table = load_faces(write_table(tmp_path / "fer2013.csv"))
    assert table.fingerprint() == TABLE_FINGERPRINT
    assert table.training_fingerprints()["order"] == TABLE_ORDER
    first = load_faces(write(tmp_path / "a", FIVE))
    renamed = write_folders(tmp_path / "b", classes=FIVE.names, splits=("train", "validation"), labels=FIVE)
    assert load_faces(renamed).fingerprint() == first.fingerprint()
    for split in ("train", "validation"):
        (renamed / split / "tired").rename(renamed / split / "weary")
    other = load_faces(renamed)
    np.testing.assert_array_equal(other.train.labels, first.train.labels)
    assert other.fingerprint() != first.fingerprint()
    assert other.training_fingerprints()["pool"] != first.training_fingerprints()["pool"]


def test_more_than_256_classes_have_fingerprints_of_their_own(tmp_path: Path) -> None:
    many = LabelSet(tuple(f"class {number:03d}" for number in range(300)))
    root = tmp_path / "faces"
    write_folders(root, ("train",), many.names[:2], 4, labels=LabelSet(many.names[:2]))
    for name in many.names[2:]:
        (root / "train" / name).mkdir()
    before = load_faces(root, skip_bad=True, allow_empty_classes=True)
    assert len(before.labels) == 300
    (root / "train" / many.names[0] / "face_0.png").rename(root / "train" / many.names[256] / "face_0.png")
    assert load_faces(root, skip_bad=True, allow_empty_classes=True).fingerprint() != before.fingerprint()


# Of written pixels: drawn faces differ by a grey level here and there with another numpy.
TABLE_FINGERPRINT = "c141de960db0863ed27f8c61dd86bd178606b40c78996a31d76a76cb610b445a"
TABLE_ORDER = "e90f716aacde1c5de8d33d21e42fb867224a52ae0acc19117d91ed6b8d2fe5ba"
