"""RAF-DB as it comes (a list of names and numbers), and folders called by RAF-DB's and AffectNet's numbers."""

from pathlib import Path

import numpy as np
import pytest
from made_faces import write_face
from PIL import Image
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.data.class_map import SHIPPED, ClassMap, class_map_named
from fer_edge.data.load import load_faces
from fer_edge.errors import DataError
from fer_edge.labels import FER2013, FERPLUS

NUMBERS = {"1": "surprise", "2": "fear", "3": "disgust", "4": "happy", "5": "sad", "6": "angry", "7": "neutral"}


def raf_db(basic: Path, *, faces: str = "Image/aligned", suffix: str = "_aligned") -> Path:
    """Two train faces and one test face of each class, PNG under RAF-DB's names; gives the list."""
    lines = []
    for split, count in (("train", 2), ("test", 1)):
        for number in range(count * 7):
            code = str(number % 7 + 1)
            stem = f"{split}_{number + 1:05}"
            face = np.full((48, 48), 10 * FER2013.index(NUMBERS[code]), np.uint8)  # flat: JPEG changes no grey level
            face[32:, 32:] = 8 * number
            path = basic / faces / f"{stem}{suffix}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(face).save(path, quality=95)
            lines.append(f"{stem}.jpg {code}")
    table = basic / "EmoLabel" / "list_patition_label.txt"
    table.parent.mkdir(parents=True)
    table.write_text("\n".join(lines) + "\n")
    (basic / "Annotation" / "manual").mkdir(parents=True)
    return table


@pytest.mark.parametrize("named", ["basic", ".", "basic/EmoLabel/list_patition_label.txt"])
def test_the_list_says_split_and_class(tmp_path: Path, named: str) -> None:
    raf_db(tmp_path / "basic")
    (tmp_path / "compound").mkdir()
    data = load_faces(tmp_path / named)
    assert data.labels is FER2013
    assert (len(data.train) + len(data.validation), len(data.test)) == (14, 7)
    for faces in data.splits.values():
        np.testing.assert_allclose(faces.faces[:, 0, 0], 10 * faces.labels, atol=2)  # JPEG
    assert data.layout.startswith("RAF-DB: list_patition_label.txt and aligned/")


@pytest.mark.parametrize(("faces", "suffix"), [("aligned", "_aligned"), ("Image/aligned", ""), ("", "_aligned")])
def test_other_places_and_names_of_the_same_faces(tmp_path: Path, faces: str, suffix: str) -> None:
    raf_db(tmp_path, faces=faces, suffix=suffix)
    assert len(load_faces(tmp_path).test) == 7


def test_a_map_stands_for_its_numbers(tmp_path: Path) -> None:
    raf_db(tmp_path)
    swapped = ClassMap({**NUMBERS, "4": "sad", "5": "happy"})
    data = load_faces(tmp_path, class_map=swapped)
    happy = data.test.faces[data.test.labels == FER2013.index("happy")]
    np.testing.assert_allclose(happy[:, 0, 0], 10 * FER2013.index("sad"), atol=2)
    assert load_faces(tmp_path, class_map=class_map_named("raf-db")).fingerprint() == load_faces(tmp_path).fingerprint()
    with pytest.raises(DataError, match="expected folders or values called 0, as in --class-map"):
        load_faces(tmp_path, class_map=ClassMap({**NUMBERS, "0": "sad"}), skip_bad=True)


def test_what_is_wrong_is_named_line_by_line(tmp_path: Path) -> None:
    table = raf_db(tmp_path)
    lines = table.read_text().splitlines()
    lines += ["train_00001.jpg 5", "train_99999.jpg 5", "test_00001.jpg", "../../etc/passwd 4", "train_00099.jpg 8"]
    table.write_text("\n".join(lines))
    write_face(tmp_path / "Image" / "aligned" / "train_00050_aligned.jpg", "sad", 1)
    with pytest.raises(DataError) as failure:
        load_faces(tmp_path)
    text = str(failure.value)
    for line, said in (
        (22, "expected each image once, found 'train_00001.jpg' again"),
        (23, "expected the image 'train_99999_aligned.jpg' in aligned/, found none"),
        (24, "expected an image and its class (train_00001.jpg 5), found 'test_00001.jpg'"),
        (25, "expected an image called train_... or test_..., found '../../etc/passwd'"),
        (26, "expected a class of 1, 2, 3, 4, 5, 6, 7, found '8'"),
    ):
        assert f"{table}:{line}: {said}" in text
    assert "train_00050_aligned.jpg: an image without a line in list_patition_label.txt" in text
    data = load_faces(tmp_path, skip_bad=True)
    assert len(data.test) == 7
    assert data.left_out["row"] == 5


def test_whole_photos_are_no_faces(tmp_path: Path) -> None:
    raf_db(tmp_path, faces="Image/original", suffix="")
    with pytest.raises(DataError, match=r"aligned faces in Image/aligned/, found Image/original alone"):
        load_faces(tmp_path)


def test_votes_of_fer_plus_are_refused(tmp_path: Path) -> None:
    raf_db(tmp_path)
    (tmp_path / "votes.csv").write_text("x")
    with pytest.raises(DataError, match="found RAF-DB; leave out --votes"):
        load_faces(tmp_path, votes=tmp_path / "votes.csv")


@pytest.mark.parametrize("name", SHIPPED)
def test_folders_called_by_numbers_are_read_by_a_shipped_map(tmp_path: Path, name: str) -> None:
    for split in ("train", "val"):
        for code, one in SHIPPED[name].entries.items():
            for number in range(2):
                write_face(tmp_path / "faces" / split / code / f"{number}.png", _fer2013(one), number)
    data = load_faces(tmp_path / "faces", class_map=class_map_named(name))
    assert data.labels is (FERPLUS if name == "affectnet" else FER2013)
    for face, label in zip(data.validation.faces, data.validation.labels, strict=True):
        one = data.labels.names[label]
        assert abs(int(face[0, 0]) - 10 * FER2013.index(_fer2013(one))) <= 2


def _fer2013(name: str) -> str:
    return FER2013.resolve(name) or "neutral"  # contempt has no grey level of its own


def test_a_file_of_that_name_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert class_map_named("raf-db").entries == NUMBERS
    (tmp_path / "raf-db").write_text("1,happy\n2,sad\n")
    assert class_map_named("raf-db").entries == {"1": "happy", "2": "sad"}
    with pytest.raises(DataError, match="or name a known one: raf-db, affectnet, affectnet-7"):
        class_map_named("rafdb")


def test_inspect_says_what_numbers_may_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for code in NUMBERS:
        for number in range(3):
            write_face(tmp_path / "faces" / code / f"{number}.png", NUMBERS[code], number)
    done = CliRunner().invoke(app, ["data", "inspect", "--data", "faces"])
    assert done.exit_code == 0, done.stderr
    assert "classes called by numbers: 1, 2, 3, 4, 5, 6, 7; --class-map says what they mean" in done.stdout
    named = CliRunner().invoke(app, ["data", "inspect", "--data", "faces", "--class-map", "raf-db"])
    assert "called by numbers" not in named.stdout
    assert "surprise" in named.stdout
