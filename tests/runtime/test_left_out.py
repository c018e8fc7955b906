"""Files that a search of a folder leaves out are counted by kind, and what is not worth a word is not."""

import os
from pathlib import Path

import pytest
from PIL import Image

from fer_edge.errors import ImageError
from fer_edge.runtime import Classifier, LeftOut
from fer_edge.runtime.folder import count_images, image_suffixes, images_in, images_named
from fer_edge.runtime.left_out import in_words
from fer_edge.runtime.photos import FaceSearch

MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"
OTHERS = {
    **dict.fromkeys(("1.mp4", "2.MOV", "trip/3.mp4"), MP4),
    **dict.fromkeys(("a.nef", "b.CR2"), b"II*\0\x08\0\0\0"),
    "c.raf": b"FUJIFILMCCD-RAW 0201",
    "scan.pdf": b"%PDF-1.7\n",
    "face.jxl": b"\xff\x0a" + bytes(20),
    "all.zip": b"PK\x03\x04",
    "notes.txt": b"hello",
    "coded.txt": b"/9j/4AAQSkZJRgABAQAAAQABAAD/",
}
SILENT = ("a.json", "faces.CSV", "card.md", "Thumbs.db", "desktop.ini", "a.xmp", ".hidden.mp4", ".DS_Store")
COUNTS = {"RAW photo": 3, "video": 3, "JPEG XL image": 1, "PDF": 1, "archive": 1, "image under another suffix": 1}
TOLD = (
    "left out 12 files: 3 RAW photos, 3 videos (fer-edge webcam FILE), 1 JPEG XL image, 1 PDF, 1 archive (unpack "
    "them), 1 image under another suffix (rename them), 2 others"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images among what people have beside them."""
    (tmp_path / "trip").mkdir()
    for name in ("a.png", "trip/b.jpg", "no-suffix"):
        Image.new("L", (8, 8)).save(tmp_path / name, "PNG")
    for name, content in OTHERS.items():
        (tmp_path / name).write_bytes(content)
    for name in SILENT:
        (tmp_path / name).write_bytes(MP4)
    return tmp_path


def test_the_files_of_a_folder_that_are_no_images_are_counted_by_kind(folder: Path) -> None:
    left_out = LeftOut()
    assert len(list(images_in(folder, left_out))) == 2
    assert left_out.as_dict() == COUNTS | {"other": 2}
    assert list(left_out.as_dict()) == [*COUNTS, "other"]
    assert str(left_out) == TOLD


def test_predict_folder_counts_for_its_caller(folder: Path, repository: Path) -> None:
    left_out = LeftOut()
    classifier = Classifier.load(repository / "tests" / "fixtures" / "tiny.onnx")
    assert len(list(classifier.predict_folder(folder, search=FaceSearch("crop"), left_out=left_out))) == 2
    assert left_out.counts == COUNTS | {"other": 2}


def test_of_nothing_left_out_nothing_is_said(folder: Path) -> None:
    left_out = LeftOut()
    for name in OTHERS | {"no-suffix": b""}:
        (folder / name).unlink()
    assert len(list(images_in(folder, left_out))) == 2
    assert not left_out
    assert str(left_out) == ""


def test_a_glob_counts_its_files_and_no_folders(folder: Path) -> None:
    left_out = LeftOut()
    assert [Path(one).name for one in images_named(f"{folder}/*", left_out)] == ["a.png"]
    assert left_out.counts == COUNTS | {"other": 2, "video": 2}


def test_a_folder_without_images_is_refused_with_what_it_has(folder: Path) -> None:
    for name in ("a.png", "trip/b.jpg"):
        (folder / name).unlink()
    with pytest.raises(ImageError, match="found none in 12 files: 3 RAW photos, 3 videos"):
        count_images(folder)


def test_a_glob_without_images_is_refused_with_what_it_has(folder: Path) -> None:
    left_out = LeftOut()
    with pytest.raises(ImageError, match=r"found none in 1 file: 1 PDF$"):
        list(images_named(f"{folder}/*.pdf", left_out))
    assert not left_out  # the error has said it


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_beside_images_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.mp4")
    left_out = LeftOut()
    list(images_in(folder, left_out))
    assert left_out.counts["other"] == 3


def test_heic_is_searched_for_where_it_can_be_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "c.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    for is_there in (True, False):
        monkeypatch.setattr("fer_edge.runtime.folder.can_open", lambda _known, there=is_there: there)
        image_suffixes.cache_clear()
        left_out = LeftOut()
        assert (folder / "c.HEIC" in images_in(folder, left_out)) is is_there
        assert left_out.counts["HEIC photo"] == (not is_there)
    image_suffixes.cache_clear()


def test_several_of_a_kind_are_plural_whatever_they_are_called() -> None:
    wanted = {
        "video": "videos",
        "folder of models": "folders of models",
        "model of another library": "models of another library",
        "image under another suffix": "images under another suffix",
        "PyTorch weights": "PyTorch weights",
        "the metadata of a model": "metadata of models",
        "camera's raw file": "camera's raw files",
        "data: URL": "data: URLs",
    }
    assert in_words(dict.fromkeys(wanted, 2)) == ", ".join(f"2 {words}" for words in wanted.values())
