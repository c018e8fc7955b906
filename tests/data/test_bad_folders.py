"""What can be wrong with a folder of faces: told by name before training, left out on request, never changed."""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from made_faces import tree_hash, write_face, write_folders

from fer_edge.data.load import load_faces
from fer_edge.errors import DataError
from fer_edge.labels import FER2013


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "faces", ("train", "validation"))


def assert_reported(root: Path, *expected: tuple[Path, str], emptied: bool = False) -> None:
    """Reading ``root`` fails with exactly the ``expected`` problems and changes nothing.

    With ``skip_bad`` it goes on without them, unless a class is ``emptied``: then it fails as well.
    """
    before = tree_hash(root)
    with pytest.raises(DataError) as failure:
        load_faces(root)
    text = str(failure.value)
    for where, what in expected:
        assert str(where) in text
        assert what in text
    number = "1 problem" if len(expected) == 1 else f"{len(expected)} problems"
    assert text.startswith(f"{root}: {number}\n")
    assert "--skip-bad" in text
    assert "data inspect" in text
    if emptied:
        with pytest.raises(DataError, match="--skip-bad leaves out files and rows, never a class"):
            load_faces(root, skip_bad=True)
    rest = load_faces(root, skip_bad=True, allow_empty_classes=emptied)
    found = [(problem.where, problem.what) for problem in rest.problems]
    assert [where for where, _ in found] == [str(where) for where, _ in expected]
    assert all(what in said for (_, what), (_, said) in zip(expected, found, strict=True))
    assert not {source for faces in rest.splits.values() for source in faces.sources} & {where for where, _ in found}
    assert tree_hash(root) == before


def test_a_class_folder_that_one_split_lacks_is_named(root: Path) -> None:
    shutil.rmtree(root / "validation" / "disgust")
    assert_reported(root, (root / "validation/disgust", "a missing class folder"))
    assert len(load_faces(root, skip_bad=True).labels) == 7


def test_a_class_folder_without_images_is_named(root: Path) -> None:
    for path in (root / "train/sad").iterdir():
        path.unlink()
    assert_reported(root, (root / "train/sad", "a class folder without images"), emptied=True)


def test_a_class_folder_that_train_lacks_stops_also_those_who_skip(root: Path) -> None:
    shutil.rmtree(root / "train" / "disgust")
    assert_reported(root, (root / "train/disgust", "a missing class folder"), emptied=True)


def test_a_class_of_unreadable_images_alone_stops_with_the_way_out(root: Path) -> None:
    images = sorted((root / "train/sad").iterdir())
    for path in images:
        path.write_bytes(b"no image")
    no_face = (root, "no face of class sad from train that can be used")
    assert_reported(root, *((path, "found other bytes") for path in images), no_face, emptied=True)
    with pytest.raises(DataError) as failure:
        load_faces(root, skip_bad=True)
    lines = str(failure.value).splitlines()
    assert lines[0] == f"{root}: 1 problem", "files that are skipped are no problem then"
    others = "angry,disgust,fear,happy,neutral,surprise"
    assert f"take those classes out of every split and name the others with --labels {others}" in lines[-1]
    for split in ("train", "validation"):
        shutil.rmtree(root / split / "sad")
    assert load_faces(root, labels=others).labels.names == tuple(others.split(","))  # the way out is one


def test_a_folder_beside_the_split_folders_is_named(root: Path) -> None:
    write_face(root / "more" / "angry" / "a.png", "angry")
    assert_reported(root, (root / "more", "an extra folder beside the split folders; expected only train, validation"))


def test_hidden_files_and_folders_are_named_at_every_level(root: Path) -> None:
    (root / ".ipynb_checkpoints").mkdir()
    write_face(root / "train" / ".ipynb_checkpoints" / "a.png", "sad")
    write_face(root / "train" / "sad" / ".ipynb_checkpoints" / "a.png", "sad")
    (root / "validation" / "happy" / ".notes").write_bytes(b"mine")
    assert_reported(
        root,
        (root / ".ipynb_checkpoints", "hidden"),
        (root / "train/.ipynb_checkpoints", "hidden"),
        (root / "train/sad/.ipynb_checkpoints", "hidden"),
        (root / "validation/happy/.notes", "hidden"),
    )


def test_files_that_are_no_intact_image_are_named(root: Path) -> None:
    folder = root / "train" / "sad"
    (folder / "a_zero.png").touch()
    (folder / "b_text.jpg").write_text("not an image")
    whole = (folder / "face_0.png").read_bytes()
    (folder / "c_truncated.png").write_bytes(whole[: len(whole) // 2])
    assert_reported(
        root,
        (folder / "a_zero.png", "found no bytes"),
        (folder / "b_text.jpg", "found other bytes"),
        (folder / "c_truncated.png", "image"),
    )


def test_folders_where_images_belong_are_named(root: Path) -> None:
    (root / "train/sad/x.jpg").mkdir()
    write_face(root / "train" / "sad" / "nested" / "a.png", "sad")
    what = "a folder inside a class folder, which is not read"
    assert_reported(root, (root / "train/sad/nested", what), (root / "train/sad/x.jpg", what))


def test_images_outside_the_class_folders_are_named_and_other_files_do_no_harm(root: Path) -> None:
    write_face(root / "a.png", "sad")
    write_face(root / "train" / "b.png", "sad")
    (root / "README.txt").write_text("hello")
    what = "an image outside the class folders"
    assert_reported(root, (root / "a.png", what), (root / "train/b.png", what))


def test_links_that_loop_or_lead_nowhere_are_named(root: Path) -> None:
    folder = root / "train" / "sad"
    (folder / "a_self.png").symlink_to("a_self.png")
    (folder / "b_up").symlink_to(root)
    (folder / "c_gone.png").symlink_to("nowhere.png")
    (root / "validation" / "happy2").symlink_to(root / "validation")
    assert_reported(
        root,
        (folder / "a_self.png", "a symbolic link that loops"),
        (folder / "b_up", "loops back to a folder above it"),
        (folder / "c_gone.png", "a symbolic link to something that is not there"),
        (root / "validation/happy2", "loops back to a folder above it"),
    )


def test_a_class_folder_that_links_to_its_split_is_a_loop_and_missing(root: Path) -> None:
    (root / "train/happy").rename(root.parent / "moved")
    (root / "train/happy").symlink_to(root / "train")
    assert_reported(
        root,
        (root / "train/happy", "loops back to a folder above it"),
        (root / "train/happy", "a missing class folder"),
        emptied=True,
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_named_and_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "train" / "sad" / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png: neither a file nor a folder \(a pipe, socket or device\)"):
        load_faces(root)
    with pytest.raises(DataError, match="expected a folder of faces or a CSV file, found a pipe, socket or device"):
        load_faces(root / "train" / "sad" / "pipe.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_table_beside_class_folders_is_not_passed_over_in_silence(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "fer_edge")
    os.mkfifo(root / "fer2013.csv")
    assert_reported(root, (root / "fer2013.csv", "neither a file nor a folder (a pipe, socket or device)"))
    (root / "fer2013.csv").unlink()
    (root / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    load_faces(root)
    assert f"{root}: its folders are read, fer2013.csv beside them is not (--data names it)" in caplog.messages


def test_files_and_folders_without_permission_are_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed_file, closed_folder = root / "train/sad/face_1.png", root / "train/happy"
    refuse = PermissionError(13, "Permission denied")  # raised by hand: tests may run as root, who may read anything
    true_open, true_iterdir = open, Path.iterdir

    def open_file(path: Any, *arguments: Any, **options: Any) -> Any:
        if str(path) == str(closed_file):
            raise refuse
        return true_open(path, *arguments, **options)

    def list_folder(path: Path) -> Any:
        if path == closed_folder:
            raise refuse
        return true_iterdir(path)

    monkeypatch.setattr("builtins.open", open_file)
    monkeypatch.setattr(Path, "iterdir", list_folder)
    with pytest.raises(DataError) as failure:
        load_faces(root)
    assert f"{closed_file}: cannot be opened: Permission denied" in str(failure.value)
    assert f"{closed_folder}: cannot be read: Permission denied" in str(failure.value)


def test_every_path_is_listed_however_many(root: Path) -> None:
    names = [root / "train" / "fear" / f"zero_{number:03d}.png" for number in range(150)]
    for path in names:
        path.touch()
    with pytest.raises(DataError) as failure:
        load_faces(root)
    assert all(str(path) in str(failure.value) for path in names)
    assert "found no bytes (150):" in str(failure.value)
    assert len(load_faces(root, skip_bad=True).train) == 21


def test_a_name_with_a_line_break_or_undecodable_bytes_stays_on_its_line(root: Path) -> None:
    (root / "train/sad/two\nlines.png").touch()
    try:
        os.close(os.open(os.fsencode(root / "train/sad") + b"/\xff.png", os.O_CREAT))
    except OSError:
        pytest.skip("this file system takes only names that are valid text")
    with pytest.raises(DataError) as failure:
        load_faces(root)
    text = str(failure.value)
    assert "two\\nlines.png" in text
    assert "\\udcff.png" in text
    text.encode()  # can be printed on any terminal


def test_nothing_usable_is_an_error_under_skip_bad_too(tmp_path: Path) -> None:
    root = tmp_path / "faces"
    for name in FER2013.names:
        (root / "train" / name).mkdir(parents=True)
        (root / "train" / name / "a.png").touch()
    with pytest.raises(DataError, match="expected labelled faces, found none that can be used; 7 problems") as failure:
        load_faces(root, skip_bad=True)
    assert f"{root}/train/sad/a.png" in str(failure.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "expected a folder of faces or a CSV file, found none that can be opened"),
        (lambda path: path.mkdir(), "found an empty folder; name the folder that holds one"),
        (lambda path: path.symlink_to(path), "found none that can be opened"),
        (
            lambda path: write_face(path / "a.png", "sad"),
            r"expected a folder of images for each class .* with no class",
        ),
        (lambda path: [(path / name / "c").mkdir(parents=True) for name in "ab"], "found a/, b/"),
        (
            lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0"),
            "expected a folder of faces or a CSV file, found an image; name a folder",
        ),
        (lambda path: path.touch(), "found an empty file"),
    ],
    ids=["nothing", "empty", "loop", "loose images", "other folders", "an image", "an empty file"],
)
def test_what_is_no_data_set_is_refused(tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "given")
    for skip_bad in (False, True):
        with pytest.raises(DataError, match=message):
            load_faces(tmp_path / "given", skip_bad=skip_bad)


def test_nothing_named_and_nothing_there_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match=r"expected fer2013 or fer2013\.csv in .* --data PATH.*--data sample.*data fetch"
    ):
        load_faces()


def test_an_empty_split_is_refused_with_the_splits_there_are(root: Path) -> None:
    data = load_faces(root)
    with pytest.raises(DataError, match="faces in the split 'test', found none; splits with faces: train, validation"):
        data.split("test")
    with pytest.raises(DataError, match="faces in the split 'dev', found none"):
        data.split("dev")
    assert data.split("train") is data.train


def test_folders_of_which_every_name_is_of_one_split_say_what_put_them_there(tmp_path: Path) -> None:
    for label in ("calm", "tense"):
        write_face(tmp_path / label / "PublicTest_1.png", "happy")
    with pytest.raises(DataError, match=r"splits with faces: validation \(.*split: by the prefix of each file name"):
        load_faces(tmp_path).split("train")


def test_reading_faces_imports_no_torch(root: Path) -> None:
    code = f"import sys, fer_edge.data.load as load; load.load_faces({str(root)!r}); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("suffix", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_an_archive_is_to_be_unpacked(tmp_path: Path, suffix: str) -> None:
    root = write_folders(tmp_path / "faces")
    archive = Path(shutil.make_archive(str(tmp_path / "fer2013"), suffix, root))
    expected = f"{archive}: expected a folder of faces or a CSV file, found an archive; unpack it and name the folder"
    with pytest.raises(DataError) as failure:
        load_faces(archive)
    assert str(failure.value) == f"{expected} with --data"


def test_a_folder_that_holds_an_archive_alone_says_so(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "faces")
    shutil.make_archive(str(tmp_path / "downloaded" / "archive"), "zip", root)
    with pytest.raises(
        DataError, match=r"downloaded: expected faces, found an archive \(archive\.zip\); unpack it there"
    ):
        load_faces(tmp_path / "downloaded")


def test_what_macos_and_windows_leave_behind_is_passed_over(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "archive" / "fer2013", ("train", "test"))
    (tmp_path / "archive" / "__MACOSX" / "fer2013" / "train").mkdir(parents=True)
    (tmp_path / "archive" / "__MACOSX" / "fer2013" / "train" / "._face_0.png").write_bytes(b"\0\5\x16\7")
    for folder in (tmp_path / "archive", root, root / "train", root / "train" / "sad"):
        (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (root / "train" / "sad" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    for folder in ("@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"):
        (root / "train" / folder).mkdir()
    data = load_faces(tmp_path / "archive")
    assert data.problems == ()
    assert sum(len(faces) for faces in data.splits.values()) == 42


@pytest.mark.parametrize("named", [True, False], ids=["named", "in the working directory"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_or_device_called_as_the_table_is_not_read(
    tmp_path: Path, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "fer2013.csv"
    monkeypatch.chdir(tmp_path)
    for make in (lambda: os.mkfifo(table), lambda: table.symlink_to("/dev/zero")):
        make()
        with pytest.raises(DataError, match=r"fer2013\.csv: .*pipe, socket or device") as failure:
            load_faces(tmp_path if named else None)
        assert "empty folder" not in str(failure.value)
        table.unlink()


@pytest.mark.parametrize("named", [True, False], ids=["its folder named", "in the working directory"])
def test_an_archive_called_as_the_table_is_to_be_unpacked(
    tmp_path: Path, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fer2013.csv").write_bytes(gzip.compress(b"emotion,pixels,Usage\n"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"fer2013\.csv: .*found an archive; unpack it"):
        load_faces(tmp_path if named else None)
