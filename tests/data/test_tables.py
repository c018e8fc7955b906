"""FER-2013 as CSV: classes by name, splits by usage, and every bad row by its line."""

from pathlib import Path

import numpy as np
import pytest
from made_faces import USAGES, all_rows, face_of, pixels_of, row, tree_hash, write_face, write_table

from fer_edge.data.load import load_faces
from fer_edge.data.splits import SPLITS
from fer_edge.data.tables import CLASSES_BY_CODE
from fer_edge.errors import DataError
from fer_edge.labels import FER2013


def assert_rows_reported(path: Path, *expected: tuple[int, str]) -> None:
    """Reading ``path`` fails with exactly the rows ``expected``, goes on without them, and changes nothing."""
    before = tree_hash(path.parent)
    with pytest.raises(DataError) as failure:
        load_faces(path)
    for line, what in expected:
        assert f"{path}:{line}: {what}" in str(failure.value)
    rest = load_faces(path, skip_bad=True)
    assert [problem.where for problem in rest.problems] == [f"{path}:{line}" for line, _ in expected]
    assert len(rest.train) + len(rest.validation) + len(rest.test) == 21
    assert tree_hash(path.parent) == before


def test_class_numbers_are_mapped_by_name_and_usage_is_the_split(tmp_path: Path) -> None:
    path = write_table(tmp_path / "fer2013.csv")
    data = load_faces(path)
    assert FER2013.names != CLASSES_BY_CODE
    for number, faces in enumerate(data.splits.values()):
        assert faces.counts(FER2013) == dict.fromkeys(FER2013.names, 1)
        np.testing.assert_array_equal(faces.faces[:, 0, 0], 10 * faces.labels)
        np.testing.assert_array_equal(faces.faces[6], face_of("neutral", number))
        assert FER2013.names[faces.labels[6]] == "neutral"  # class 6 of the CSV, 4 here
    assert data.train.sources == tuple(f"{path}:{line}" for line in range(2, 9))
    assert data.layout == "CSV fer2013.csv; split: by its Usage column"


def test_folders_and_csv_of_the_same_faces_have_the_same_fingerprint(tmp_path: Path) -> None:
    root = tmp_path / "faces"
    for number, split in enumerate(SPLITS):
        for expression in FER2013.names:
            write_face(root / split / expression / "face.png", expression, number)
    assert load_faces(root).fingerprint() == load_faces(write_table(tmp_path / "fer2013.csv")).fingerprint()


def test_columns_in_another_order_with_spaces_and_capitals_are_found(tmp_path: Path) -> None:
    rows = [f"{code},{usage},{pixels_of(code, n)}" for n, usage in enumerate(USAGES) for code in range(7)]
    icml = write_table(tmp_path / "icml_face_data.csv", rows, "emotion, Usage, pixels")
    assert load_faces(icml).fingerprint() == load_faces(write_table(tmp_path / "fer2013.csv")).fingerprint()


@pytest.mark.parametrize("extra", ["byte-order mark", "crlf", "blank lines", "quotes"])
def test_what_spreadsheets_add_does_no_harm(tmp_path: Path, extra: str) -> None:
    plain = write_table(tmp_path / "fer2013.csv")
    text = plain.read_text()
    expected = load_faces(plain).fingerprint()
    if extra == "quotes":
        text = "\n".join(",".join(f'"{field}"' for field in line.split(",")) for line in text.splitlines())
    changed = {"crlf": text.replace("\n", "\r\n"), "blank lines": text.replace("\n", "\n\n")}.get(extra, text)
    plain.write_bytes((b"\xef\xbb\xbf" if extra == "byte-order mark" else b"") + changed.encode())
    assert load_faces(plain).fingerprint() == expected


def test_a_folder_that_holds_the_table_is_enough_and_the_whole_table_comes_first(tmp_path: Path) -> None:
    write_table(tmp_path / "fer2013.csv")
    write_table(tmp_path / "train.csv", ["spoiled"])
    data = load_faces(tmp_path)
    assert data.layout.startswith("CSV fer2013.csv")
    assert len(data.train) == 7


def test_the_pair_is_read_and_a_test_file_without_labels_left_out(tmp_path: Path) -> None:
    rows = [f"{code},{pixels_of(code, number)}" for number in range(20) for code in range(7)]
    write_table(tmp_path / "train.csv", rows, "emotion,pixels")
    write_table(tmp_path / "test.csv", [pixels_of(0, 99)], "pixels")
    data = load_faces(tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == (126, 14, 0)
    assert "CSV train.csv; split: all train; test.csv left out (no emotion column, so no labels)" in data.layout
    write_table(tmp_path / "test.csv", [f"3,{pixels_of(3, 99)}"], "emotion,pixels")
    data = load_faces(tmp_path)
    assert data.test.counts(FER2013)["happy"] == len(data.test) == 1
    assert "CSV test.csv; split: all test" in data.layout


def test_faces_are_resized_on_request(tmp_path: Path) -> None:
    assert load_faces(write_table(tmp_path / "fer2013.csv"), size=32).train.faces.shape == (7, 32, 32)


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ("3,1 2 3,Training", "expected 2304 pixels, found 3"),
        (f"3,{pixels_of(3, 0)} 7,Training", "expected 2304 pixels, found 2305"),
        ("3,,Training", "expected 2304 pixels, found 0"),
        (f"3,x{pixels_of(3, 0)},Training", "expected pixels that are whole numbers from 0 to 255, found 'x30'"),
        (f"3,256{pixels_of(3, 0)[2:]},Training", "expected pixels that are whole numbers from 0 to 255, found '256'"),
        (f"3,-1{pixels_of(3, 0)[2:]},Training", "expected pixels that are whole numbers from 0 to 255, found '-1'"),
        (f"3,1.5{pixels_of(3, 0)[2:]},Training", "expected pixels that are whole numbers from 0 to 255, found '1.5'"),
        (
            f"3,{pixels_of(3, 0).replace(' ', chr(0xA0), 1)},Training",
            r"expected pixels that are whole numbers from 0 to 255, found '\xa0'",
        ),
        (f"3,{'9' * 5000}{pixels_of(3, 0)[2:]},Training", "expected pixels that are whole numbers from 0 to 255"),
        (row(0, 0, "Training").replace("0,", "7,", 1), "expected an emotion from 0 to 6, found '7'"),
        (row(0, 0, "Training").replace("0,", "-1,", 1), "expected an emotion from 0 to 6, found '-1'"),
        (row(0, 0, "Training").replace("0,", "happy,", 1), "expected an emotion from 0 to 6, found 'happy'"),
        (row(3, 0, "Dev"), "expected the Usage Training, PublicTest or PrivateTest, found 'Dev'"),
        ("9,1 2,Dev", "expected an emotion from 0 to 6, found '9'; expected 2304 pixels, found 2; expected the Usage"),
        (f"3,{pixels_of(3, 0)}", "expected 3 fields, found 2"),
        (f"3,{'1 ' * 100_000},Training", "no valid row: field larger than field limit"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, bad: str, what: str) -> None:
    rows = all_rows()
    assert_rows_reported(write_table(tmp_path / "fer2013.csv", [*rows[:4], bad, *rows[4:]]), (6, what))


def test_every_bad_row_is_in_the_one_report(tmp_path: Path) -> None:
    path = write_table(tmp_path / "fer2013.csv", ["3,1 2 3,Training"] * 40 + all_rows() + [row(1, 5, "")])
    with pytest.raises(DataError) as failure:
        load_faces(path)
    assert str(failure.value).startswith(f"{path}: 41 problems\n")
    assert all(f"{path}:{line}\n" in str(failure.value) for line in range(2, 42))
    assert f"{path}:63: expected the Usage" in str(failure.value)


def test_a_quote_that_is_never_closed_names_the_lines_it_swallows(tmp_path: Path) -> None:
    path = write_table(tmp_path / "fer2013.csv", [*all_rows(), f'3,"{pixels_of(3, 0)},Training', row(1, 5, "Training")])
    assert_rows_reported(path, (23, "no valid row: unexpected end of data (up to line 24)"))


def test_a_class_without_a_training_row_is_a_problem(tmp_path: Path) -> None:
    rows = [line for line in all_rows() if not (line.startswith("1,") and line.endswith("Training"))]
    path = write_table(tmp_path / "fer2013.csv", rows)
    for skip_bad in (False, True):  # which leaves out rows, never a class
        with pytest.raises(DataError, match=r"fer2013\.csv: no row of class 1 \(disgust\) from train") as failure:
            load_faces(path, skip_bad=skip_bad)
        assert str(failure.value).startswith(f"{path}: 1 problem\n")


@pytest.mark.parametrize("content", [b"emotion,picture\n1,2\n", b"\xff\xfee\0m\0", bytes(range(256)), b'"never closed'])
def test_a_table_without_the_columns_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"fer2013\.csv.*expected a header with the columns emotion and pixels, found"):
        load_faces(path)


@pytest.mark.parametrize("column", ["emotion", "pixels", "Usage"])
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, column: str) -> None:
    table = write_table(tmp_path / "fer2013.csv", header=f"emotion,pixels,Usage,{column.upper()}")
    with pytest.raises(DataError, match=f"expected each column once, found {column.casefold()} more than once"):
        load_faces(table)
