"""Class maps: RAF-DB's numbers and translated names are read as the classes they mean, and mistakes in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_faces import USAGES, pixels_of, write_face, write_table

from fer_edge.data.class_map import ClassMap, class_map_named, read_class_map
from fer_edge.data.load import load_faces, load_faces_for
from fer_edge.errors import DataError
from fer_edge.labels import FER2013, LabelSet

RAF_DB = {
    "1": "surprise",
    "2": "fear",
    "3": "disgust",
    "4": "happiness",
    "5": "sadness",
    "6": "anger",
    "7": "neutral",
}
GERMAN = {
    "Wut": "angry",
    "Ekel": "disgust",
    "Angst": "fear",
    "Freude": "happy",
    "Trauer": "sad",
    "Erstaunen": "surprise",
}
PLAIN = "\n".join(f"{name},{one}" for name, one in RAF_DB.items())


def folders(root: Path, entries: dict[str, str]) -> Path:
    """Two faces of each class of ``entries``, whose grey levels tell the class, in folders of their names."""
    for split in ("train", "test"):
        for name, one in entries.items():
            own = FER2013.resolve(one)
            assert own is not None
            for number in range(2):
                write_face(root / split / name / f"{number}.png", own, number)
    return root


def refusal(root: Path, class_map: ClassMap, labels: str | LabelSet = "auto") -> str:
    with pytest.raises(DataError) as failure:
        load_faces(root, labels=labels, class_map=class_map)
    assert "\n" not in str(failure.value)
    return str(failure.value)


@pytest.mark.parametrize("labels", ["auto", "fer2013"])
def test_numbers_of_raf_db_are_fer2013s_classes(tmp_path: Path, labels: str) -> None:
    data = load_faces(folders(tmp_path / "raf", RAF_DB), labels=labels, class_map=ClassMap(RAF_DB))
    assert data.labels is FER2013
    for faces in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(faces.faces[:, 0, 0], 10 * faces.labels)
    assert data.test.counts(FER2013) == dict.fromkeys(FER2013.names, 2)


def test_translated_names_and_several_folders_for_one_class(tmp_path: Path) -> None:
    root = folders(tmp_path / "faces", {**GERMAN, "neutral": "neutral", "LACHEN": "happy"})
    data = load_faces(root, class_map=ClassMap({**GERMAN, "lachen": "happy"}))
    assert data.labels is FER2013
    assert data.test.counts(FER2013) == {**dict.fromkeys(FER2013.names, 2), "happy": 4}
    np.testing.assert_array_equal(data.test.faces[:, 0, 0], 10 * data.test.labels)


def test_names_that_are_exchanged_follow_the_map(tmp_path: Path) -> None:
    own = {name: name for name in FER2013.names}
    root = folders(tmp_path / "faces", {**own, "sad": "happy", "happy": "sad"})
    data = load_faces(root, class_map=ClassMap({"sad": "happy", "happy": "sad"}))
    np.testing.assert_array_equal(data.test.faces[:, 0, 0], 10 * data.test.labels)


def test_a_model_of_two_classes_finds_them_by_the_map(tmp_path: Path) -> None:
    root = folders(tmp_path / "faces", {"4": "happy", "5": "sad"})
    data = load_faces_for(LabelSet(("sad", "happy")), root, class_map=ClassMap({"4": "happy", "5": "sad"}))
    assert data.labels.names == ("sad", "happy")
    assert set(data.test.faces[data.test.labels == 1][:, 0, 0]) == {10 * FER2013.index("happy")}


def test_numbers_of_a_table_are_the_maps_alone(tmp_path: Path) -> None:
    by_class = {FER2013.resolve(one): code for code, one in RAF_DB.items()}
    codes = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    rows = [f"{by_class[name]},{pixels_of(own, n)},{usage}" for n, usage in enumerate(USAGES)
            for own, name in enumerate(codes)]  # fmt: skip
    table = write_table(tmp_path / "fer2013.csv", rows)
    data = load_faces(table, class_map=ClassMap(RAF_DB))
    np.testing.assert_array_equal(data.train.faces[:, 0, 0], 10 * data.train.labels)
    plain = load_faces(write_table(tmp_path / "icml_face_data.csv"), class_map=ClassMap(RAF_DB, is_strict=False))
    np.testing.assert_array_equal(plain.train.faces[:, 0, 0], 10 * plain.train.labels)  # a recorded map changes none
    write_table(table, [*rows, f"0,{pixels_of(0, 9)},Training"])
    assert "expected an emotion of --class-map or a class of FER-2013, found '0'" in refusal_of_rows(table)


def refusal_of_rows(table: Path) -> str:
    with pytest.raises(DataError) as failure:
        load_faces(table, class_map=ClassMap(RAF_DB))
    return str(failure.value)


def test_what_does_not_fit_is_one_line(tmp_path: Path) -> None:
    root = folders(tmp_path / "raf", RAF_DB)
    unused = refusal(root, ClassMap({**RAF_DB, "8": "fear"}))
    assert "expected folders or values called 8, as in --class-map, found 1, 2, 3, 4, 5, 6, 7; correct" in unused
    part = refusal(folders(tmp_path / "part", {"1": "surprise", "4": "happy"}), class_map_named("raf-db"))
    assert "found 1, 4; 'raf-db' is for all of them: write a file with the lines of those that are there" in part
    unknown = refusal(root, ClassMap({**RAF_DB, "4": "glad"}), "fer2013")
    assert "found glad (for 4); correct the map, or name its classes with --labels" in unknown
    guessed = refusal(root, ClassMap({**RAF_DB, "4": "glad"}))
    assert "found missing happy; extra glad; mend the folders or the --class-map, or add" in guessed
    with pytest.raises(DataError, match=r"sample .synthetic faces.: expected folders or values called 1, 2"):
        load_faces("sample", class_map=ClassMap(RAF_DB))
    assert len(load_faces(root, class_map=ClassMap({**RAF_DB, "8": "fear"}, is_strict=False)).test) == 14


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "folder,class\r\n" + PLAIN.replace("\n", "\r\n"),
        "\ufeff# RAF-DB\n\n" + PLAIN.replace(",", " ; "),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "   "),
        json.dumps({f" {name}": f"{one} " for name, one in RAF_DB.items()}),
    ],
    ids=["csv", "heading", "semicolons", "tabs", "blanks", "json"],
)
def test_files_that_say_the_same(tmp_path: Path, text: str) -> None:
    file = tmp_path / "map"
    file.write_bytes(text.encode())
    assert read_class_map(file).entries == RAF_DB


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"1,surprise\n1,fear\n", "expected each folder or value once, found 1 twice (surprise, fear)"),
        (b'{"a": "happy", "A ": "sad"}', "found A twice (happy, sad)"),
        (b'{"1": "happy", "1": "sad"}', "found 1 twice (happy, sad)"),
        (b"1,surprise\n2\n", ":2: expected two columns"),
        (b"1,surprise,x\n", "found 3 columns"),
        (b'{"1": 4}', "found something else for 1"),
        (b'{"1": {"2": "x"}}', "found something else for 1"),
        (b'{"1": ', "found JSON that cannot be read"),
        (b"[1, 2]", "found a JSON list"),
        (b"{}", "found an empty one"),
        (b"# nothing\n", "found an empty one"),
        (b"\xff\xfe1", "found no UTF-8 text"),
        (b"1,\n", "expected names of 1 to 100 characters"),
        (b"x" * 1_000_001, "found more than 1,000,000 bytes"),
    ],
    ids=range(14),
)
def test_files_that_are_no_map(tmp_path: Path, text: bytes, said: str) -> None:
    file = tmp_path / "map.csv"
    file.write_bytes(text)
    with pytest.raises(DataError) as failure:
        read_class_map(file)
    assert said in str(failure.value)
    assert str(failure.value).startswith(str(file))
    assert "\n" not in str(failure.value)


def test_a_map_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match=r"found no file to read .*; check --class-map"):
            read_class_map(path)
