import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_faces import tree_hash, write_folders

from fer_edge.data.kaggle import fetch_fer2013
from fer_edge.data.load import load_faces
from fer_edge.errors import DataError, MissingExtraError, StorageError


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "cache" / "versions" / "1", ("train", "test"), prefix="Training_")


def stand_in(monkeypatch: pytest.MonkeyPatch, download: Any) -> list[str]:
    """Put ``download`` in the place of kagglehub; returns the list of what is asked of it."""
    asked: list[str] = []

    def dataset_download(handle: str) -> str:
        asked.append(handle)
        print("Downloading ...")
        return str(download())

    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=dataset_download))
    return asked


def test_the_download_is_copied_and_reads(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = stand_in(monkeypatch, lambda: cache)
    before = tree_hash(cache)
    out = tmp_path / "here" / "fer2013"
    assert fetch_fer2013(out) == out
    assert asked == ["msambare/fer2013"]
    assert load_faces(out).fingerprint() == load_faces(cache).fingerprint()
    assert [path.name for path in out.parent.iterdir()] == ["fer2013"]  # no temporary folder is left
    assert tree_hash(cache) == before
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "Downloading ...\n")


def test_what_is_there_is_never_overwritten(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = stand_in(monkeypatch, lambda: cache)
    before = tree_hash(cache)
    with pytest.raises(StorageError, match="expected a new or empty folder, found something there"):
        fetch_fer2013(cache)
    assert not asked
    assert tree_hash(cache) == before
    (tmp_path / "empty").mkdir()
    assert fetch_fer2013(tmp_path / "empty").is_dir()


def test_a_failed_download_says_how_to_go_on_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise ConnectionError("no route\nto host")

    stand_in(monkeypatch, fail)
    with pytest.raises(DataError) as failure:
        fetch_fer2013(tmp_path / "fer2013")
    text = str(failure.value)
    assert "\n" not in text
    assert text.startswith("expected FER-2013 from Kaggle, the download failed (no route to host); download it by hand")
    assert "https://www.kaggle.com/datasets/msambare/fer2013" in text
    assert f"--data {tmp_path / 'fer2013'}, or try everything with --data sample" in text
    assert not list(tmp_path.iterdir())


def test_without_kagglehub_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(MissingExtraError, match=r"kagglehub.*pip install 'fer-edge\[fetch\]'"):
        fetch_fer2013(tmp_path / "fer2013")


def test_a_copy_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, lambda: tmp_path / "not there")
    with pytest.raises(StorageError, match="cannot be written"):
        fetch_fer2013(tmp_path / "fer2013")
    assert not list(tmp_path.iterdir())
