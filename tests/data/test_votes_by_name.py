"""Votes for the popular folder by its file names, and for tables that lie elsewhere."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_faces import USAGES, all_rows, write_face, write_folders, write_table

from fer_edge.data.inspection import inspect_faces
from fer_edge.data.load import load_faces
from fer_edge.data.names import NAMES_TABLE, is_fer2013, number_of_each_row, parse_name
from fer_edge.data.votes import COLUMNS, NO_MAJORITY, majority
from fer_edge.errors import DataError
from fer_edge.labels import FER2013, FERPLUS

POPULAR, ORIGINAL = Path("/tmp/data/popular/fer2013"), Path("/tmp/data/fer2013-original")
HEADER = "Usage,Image name," + ",".join(COLUMNS)
FIRST_ROWS = {"Training": 0, "PublicTest": 28709, "PrivateTest": 32298}


@pytest.fixture(scope="module")
def votes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table as long as FER+'s, in which row i has i votes for neutral."""
    bounds = [*FIRST_ROWS.values(), 35887]
    lines = [HEADER]
    for usage, first, end in zip(USAGES, bounds, bounds[1:], strict=False):
        lines += [f"{usage},fer{row:07d}.png,{row},0,0,0,0,0,0,0,0,0" for row in range(first, end)]
    path = tmp_path_factory.mktemp("votes") / "fer2013new.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def known_rows(usage: str, count: int) -> list[int]:
    first = FIRST_ROWS[usage]
    return [first + int(row) for row in np.flatnonzero(number_of_each_row()[first:])[:count]]


def write_popular(root: Path, per_class: int = 3) -> dict[str, list[int]]:
    """Faces under names of the popular folder, in two split folders; their rows, by split, in reading order."""
    rows: dict[str, list[int]] = {}
    for usage, folder, split in (("Training", "train", "train"), ("PublicTest", "test", "validation")):
        placed = {}
        for at, row in enumerate(known_rows(usage, 7 * per_class)):
            name = FER2013.names[at % 7]
            path = write_face(root / folder / name / f"{usage}_{number_of_each_row()[row]}.png", name, row)
            placed[path] = row
        rows[split] = [placed[path] for path in sorted(placed, key=lambda path: (path.parent.name, path.name))]
    return rows


def test_the_table_that_ships_has_each_row_of_the_csv_and_each_name_once() -> None:
    numbers = number_of_each_row()
    assert numbers.shape == (35887,)
    assert numbers.dtype == np.uint32
    assert (numbers > 0).sum() == 35653
    for first, end in ((0, 28709), (28709, 32298), (32298, 35887)):
        known = numbers[first:end][numbers[first:end] > 0]
        assert len(np.unique(known)) == len(known)
        assert len(known) > 0.99 * (end - first)
    assert NAMES_TABLE.stat().st_size < 150_000


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("Training_3908.jpg", ("train", 3908)),
        ("PublicTest_10130075.png", ("validation", 10130075)),
        ("PrivateTest_88305.JPG", ("test", 88305)),
        ("Training_3908 (1).jpg", None),
        ("Training_3908_flipped.jpg", None),
        ("training_3908.jpg", None),
        ("im0.png", None),
        ("Training_" + "9" * 400 + ".jpg", None),
    ],
)
def test_a_name_is_a_usage_and_a_number(name: str, parsed: tuple[str, int] | None) -> None:
    assert parse_name(name) == parsed


def test_each_face_of_the_folder_gets_the_votes_of_its_row(tmp_path: Path, votes: Path) -> None:
    rows = write_popular(tmp_path / "faces")
    data = load_faces(tmp_path / "faces", votes=votes)
    for split, expected in rows.items():
        faces = data.splits[split]
        assert faces.votes is not None
        assert faces.votes[:, 0].tolist() == expected
        assert faces.votes[:, 1:].sum() == 0
    assert data.layout.endswith("votes from fer2013new.csv by file name (1 faces without)")  # row 0 has 0 votes
    assert data.labels == FER2013
    assert load_faces(tmp_path / "faces", votes=votes.parent).train.votes is not None  # the folder that holds it
    by_votes = load_faces(tmp_path / "faces", votes=votes, labels="ferplus")
    assert set(by_votes.validation.labels.tolist()) == {FERPLUS.index("neutral")}
    assert not inspect_faces(data).can_have_votes
    without = load_faces(tmp_path / "faces")
    assert inspect_faces(without).can_have_votes
    assert without.train.votes is None
    assert without.fingerprint() == data.fingerprint()


def test_other_numbers_are_told_and_never_joined(tmp_path: Path, votes: Path) -> None:
    write_popular(tmp_path / "faces", per_class=20)
    train = tmp_path / "faces" / "train" / "happy"
    files = sorted(train.iterdir())
    files[0].rename(train / "Training_5.png")  # 1 of 280: what the folder itself lacks
    data = load_faces(tmp_path / "faces", votes=votes)
    assert data.train.votes is not None
    place = [Path(source).name for source in data.train.sources].index("Training_5.png")
    assert data.train.votes[place].sum() == 0
    for number, path in enumerate(files[1:4]):
        path.rename(train / f"Training_{number + 6}.png")
    with pytest.raises(DataError) as failure:
        load_faces(tmp_path / "faces", votes=votes)
    text = str(failure.value)
    assert "\n" not in text
    assert "expected the file names of FER-2013's popular folder" in text
    assert "found 276 of 280 that are known (not Training_5.png)" in text
    with pytest.raises(DataError, match="found 0 of 42 that are known"):
        load_faces(write_folders(tmp_path / "other", ("train", "test")), votes=votes)
    assert not inspect_faces(load_faces(tmp_path / "other")).can_have_votes


def test_faces_that_share_a_name_have_no_votes(tmp_path: Path, votes: Path) -> None:
    write_popular(tmp_path / "faces", per_class=60)
    first = sorted((tmp_path / "faces" / "train" / "sad").iterdir())[0]
    write_face(tmp_path / "faces" / "train" / "fear" / first.name, "fear", 99999)
    data = load_faces(tmp_path / "faces", votes=votes)
    assert data.train.votes is not None
    shared = [at for at, source in enumerate(data.train.sources) if Path(source).name == first.name]
    assert len(shared) == 2
    assert data.train.votes[shared].sum() == 0


def test_votes_that_are_none_or_not_needed_are_refused_in_one_line(tmp_path: Path, votes: Path) -> None:
    write_popular(tmp_path / "faces")
    short = tmp_path / "short.csv"
    short.write_text("\n".join(votes.read_text().splitlines()[:-1]) + "\n")
    mixed = tmp_path / "mixed.csv"
    first, *lines = votes.read_text().splitlines()
    mixed.write_text("\n".join([first, *lines[::-1]]) + "\n")
    for source, table, expected in (
        (tmp_path / "faces", mixed, "expected FER\\+'s table of 35887 rows, found rows in another order"),
        (tmp_path / "faces", short, "expected FER\\+'s table of 35887 rows, found 35886"),
        (tmp_path / "faces", tmp_path / "none.csv", "expected FER\\+'s fer2013new.csv, found no such file"),
        (tmp_path / "faces", tmp_path, "expected FER\\+'s fer2013new.csv, found no such file"),
        ("sample:42", votes, "nobody voted on synthetic faces"),
    ):
        with pytest.raises(DataError, match=expected) as failure:
            load_faces(source, votes=table)
        assert "\n" not in str(failure.value)


def test_votes_elsewhere_are_joined_to_fer2013_csv_by_row(tmp_path: Path) -> None:
    table = write_table(tmp_path / "fer2013.csv")
    lines = [f"{usage},fer{row}.png,{row},0,0,0,0,0,0,0,0,0" for row, usage in enumerate(np.repeat(USAGES, 7))]
    (tmp_path / "votes").mkdir()
    votes = tmp_path / "votes" / "v.csv"
    votes.write_text("\n".join([HEADER, *lines]) + "\n")
    for source in (table, tmp_path):
        data = load_faces(source, votes=votes)
        assert data.validation.votes is not None
        assert data.validation.votes[:, 0].tolist() == list(range(7, 14))
        assert data.layout.endswith("; votes from v.csv")
    shutil.copy(votes, tmp_path / "fer2013new.csv")
    with pytest.raises(DataError, match=r"expected faces without votes, found fer2013new\.csv there"):
        load_faces(tmp_path, votes=votes)
    write_table(table, all_rows()[:-1])
    with pytest.raises(DataError, match="expected as many rows as beside it, 20, found 21"):
        load_faces(table, votes=votes)


@pytest.mark.slow
@pytest.mark.skipif(not (POPULAR.is_dir() and ORIGINAL.is_dir()), reason="needs the real popular folder and FER+'s")
def test_the_real_folder_gets_the_votes_of_the_same_faces() -> None:
    data = load_faces(POPULAR, votes=ORIGINAL)
    with (ORIGINAL / "rows.csv").open(newline="") as stream:
        image_of = {row["kaggle_name"]: row["image"] for row in csv.DictReader(stream)}
    with (ORIGINAL / "fer2013new.csv").open(newline="") as stream:
        counts = {row["Image name"]: [float(row[column]) for column in COLUMNS] for row in csv.DictReader(stream)}
    for faces in (data.train, data.validation):
        assert faces.votes is not None
        has_votes = faces.votes.sum(axis=1) > 0
        assert has_votes.mean() > 0.99
        for at in np.flatnonzero(has_votes):
            assert faces.votes[at].tolist() == counts[image_of[Path(faces.sources[at]).name]]
        emotions = np.array([FERPLUS.index(FERPLUS.resolve(name) or "") for name in FER2013.names])
        majorities = majority(faces.votes)
        agreed = (emotions[faces.labels] == majorities)[majorities != NO_MAJORITY].mean()
        assert 0.65 < agreed < 0.7  # of shuffled votes it would be 0.2


def test_fer2013_is_known_by_its_names_or_votes_and_other_faces_are_not(tmp_path: Path) -> None:
    write_popular(tmp_path / "faces")
    popular = load_faces(tmp_path / "faces")
    assert is_fer2013(popular)
    renamed = replace(popular.train, sources=tuple(f"my_{source}" for source in map(str, range(len(popular.train)))))
    own = replace(popular, train=renamed, validation=renamed, test=renamed)
    assert not is_fer2013(own)
    with_votes = replace(renamed, votes=np.ones((len(renamed), 10), np.float32))
    assert is_fer2013(replace(own, train=with_votes))
