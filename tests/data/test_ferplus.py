"""FER+ as users hold it: its own folders, or its votes beside fer2013.csv."""

from pathlib import Path

import numpy as np
import pytest
from made_faces import USAGES, all_rows, write_face, write_folders, write_table

from fer_edge.data.faces import NO_LABEL
from fer_edge.data.load import load_faces
from fer_edge.data.votes import COLUMNS
from fer_edge.errors import DataError
from fer_edge.labels import FER2013, FERPLUS

FOLDERS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
HEADER = "Usage,Image name," + ",".join(COLUMNS)


def votes_row(usage: str, image: str, **counts: int) -> str:
    return ",".join([usage, image, *(str(counts.get(column, 0)) for column in COLUMNS)])


def write_ferplus(root: Path, *, labels: bool = True) -> Path:
    """Seven faces in Train and Valid each, whose votes are their label's emotion; the last one of each is a tie."""
    votes, rows = [HEADER], ["image,fer2013_label"]
    for number in range(14):
        usage, name = USAGES[number // 7], FER2013.names[number % 7]
        image = f"fer{number:07d}.png"
        write_face(root / FOLDERS[usage] / image, name, number)
        emotion = FERPLUS.resolve(name)
        votes.append(votes_row(usage, image, **({"anger": 5, "fear": 5} if number % 7 == 6 else {emotion: 10})))
        rows.append(f"{image},{name}")
    (root / "fer2013new.csv").write_text("\n".join(votes) + "\n")
    if labels:
        (root / "rows.csv").write_text("\n".join(rows) + "\n")
    return root


def test_its_folders_are_read_with_votes_and_the_labels_of_fer2013(tmp_path: Path) -> None:
    data = load_faces(write_ferplus(tmp_path / "FERPlus"))
    assert (len(data.train), len(data.validation), len(data.test)) == (7, 7, 0)
    assert data.labels == FER2013
    np.testing.assert_array_equal(data.train.faces[:, 0, 0], 10 * data.train.labels)
    assert data.train.votes is not None
    assert data.train.votes.sum() == 70
    assert data.layout.startswith("FER+ folders FER2013Train/, FER2013Valid/; votes from fer2013new.csv")


def test_the_majority_is_the_label_on_request_and_without_other_labels_there_is_none(tmp_path: Path) -> None:
    root = write_ferplus(tmp_path / "FERPlus", labels=False)
    assert (load_faces(root).train.labels == NO_LABEL).all()
    data = load_faces(root, labels="ferplus")
    assert data.labels is FERPLUS
    expected = [FERPLUS.index(FERPLUS.resolve(name) or "") for name in FER2013.names[:6]]
    assert data.train.labels.tolist() == [*expected, NO_LABEL]
    assert len(data.train.counts(FERPLUS)) == 8
    with pytest.raises(DataError, match="expected --labels fer2013"):
        load_faces(root, labels="a,b")


def test_images_that_its_tables_promise_are_missed_and_others_are_not(tmp_path: Path) -> None:
    root = write_ferplus(tmp_path / "FERPlus")
    table = root / "fer2013new.csv"
    table.write_text(table.read_text() + votes_row("Training", "fer0000099.png", anger=10) + "\n")
    assert len(load_faces(root).train) == 7  # rows.csv, which says what is in this copy, does not name it
    (root / "FER2013Train" / "fer0000002.png").unlink()
    with pytest.raises(DataError, match=r"fer2013new\.csv:4: expected the image fer0000002\.png in FER2013Train/"):
        load_faces(root)
    (root / "rows.csv").unlink()
    with pytest.raises(DataError, match=r"fer0000099\.png in FER2013Train/, found none"):
        load_faces(root)


def test_votes_beside_fer2013_csv_are_joined_by_row(tmp_path: Path) -> None:
    write_table(tmp_path / "fer2013.csv")
    usages = [usage for usage in USAGES for _ in range(7)]
    rows = [votes_row(usage, f"fer{number:07d}.png", anger=number, fear=100) for number, usage in enumerate(usages)]
    (tmp_path / "fer2013new.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    data = load_faces(tmp_path)
    assert data.layout == "CSV fer2013.csv; split: by its Usage column; votes from fer2013new.csv"
    assert data.labels == FER2013
    for place, faces in enumerate(data.splits.values()):
        assert faces.votes is not None
        assert faces.votes[:, COLUMNS.index("anger")].tolist() == list(range(7 * place, 7 * place + 7))
    assert load_faces(tmp_path, labels="ferplus").train.labels.tolist() == [FERPLUS.index("fear")] * 7
    write_table(tmp_path / "fer2013.csv", all_rows()[:-1])
    with pytest.raises(DataError, match="expected as many rows as beside it, 20, found 21"):
        load_faces(tmp_path)


def test_votes_without_its_folders_or_table_are_no_data_set_and_class_folders_beside_them_are_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "fer2013new.csv").write_text(HEADER + "\n")
    with pytest.raises(DataError, match="expected split folders"):
        load_faces(tmp_path)
    write_folders(tmp_path, ("train", "validation"))
    assert load_faces(tmp_path).train.votes is None


def test_image_folders_without_the_votes_are_no_classes(tmp_path: Path) -> None:
    root = write_ferplus(tmp_path / "FERPlus")
    (root / "fer2013new.csv").unlink()
    with pytest.raises(DataError, match=r"expected split folders .* found FER2013Train/, FER2013Valid/, rows\.csv"):
        load_faces(root)
