"""What a command wrote into a folder it may write again; what anybody else put there, or changed, stays."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fer_edge import leftovers
from fer_edge.errors import StorageError
from fer_edge.files import contents
from fer_edge.folder_manifest import earlier_files, replace_folder, with_files

MANIFEST = "made.json"
FIRST = {"index.html": b"first page", "models/a.onnx": b"model a", "models/deep/b.onnx": b"model b"}
SECOND = {"index.html": b"second page", "models/c.onnx": b"model c"}


def write(out: Path, files: dict[str, bytes]) -> None:
    with replace_folder(out, MANIFEST, "an earlier page") as stage:
        for name, data in files.items():
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            (stage / name).write_bytes(data)
        (stage / MANIFEST).write_text(json.dumps(with_files({"about": "é"}, files)))


def found(out: Path) -> dict[str, bytes]:
    """Every file but the manifest."""
    paths = sorted(path for path in out.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def test_what_was_written_is_replaced_and_what_is_no_longer_made_goes_with_its_empty_folders(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, FIRST)
    write(out, SECOND)
    assert found(out) == SECOND
    assert not (out / "models" / "deep").exists()
    write(out, SECOND)
    assert found(out) == SECOND


def test_what_others_put_there_or_changed_stays(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    mine = {"CNAME": b"mine", "models/mine.onnx": b"mine", "models/a.onnx": b"retrained"}
    for name, data in mine.items():
        (tmp_path / name).write_bytes(data)
    write(tmp_path, SECOND)
    assert found(tmp_path) == dict(sorted({**SECOND, **mine}.items()))


def taken_by_another_file(out: Path, _: Path) -> None:
    (out / "models" / "c.onnx").write_bytes(b"mine")


def changed(out: Path, _: Path) -> None:
    (out / "index.html").write_bytes(b"my page")


def link_to_a_file(out: Path, elsewhere: Path) -> None:
    (out / "index.html").unlink()
    (out / "index.html").symlink_to(elsewhere / "index.html")


def link_to_nothing(out: Path, elsewhere: Path) -> None:
    (out / "models" / "c.onnx").symlink_to(elsewhere / "c.onnx")


def link_to_a_folder(out: Path, elsewhere: Path) -> None:
    for path in sorted((out / "models").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (out / "models").rmdir()
    (out / "models").symlink_to(elsewhere / "models")


def folder_for_a_file(out: Path, _: Path) -> None:
    (out / "models" / "c.onnx").mkdir()


def file_for_a_folder(out: Path, elsewhere: Path) -> None:
    link_to_a_folder(out, elsewhere)
    (out / "models").unlink()
    (out / "models").write_bytes(b"mine")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (taken_by_another_file, "models/c.onnx"),
        (changed, "index.html"),
        (link_to_a_file, "index.html"),
        (link_to_nothing, "models/c.onnx"),
        (link_to_a_folder, "models"),
        (folder_for_a_file, "models/c.onnx"),
        (file_for_a_folder, "models"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_place_that_is_taken_is_refused_and_nothing_changes(tmp_path: Path, change: object, place: str) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    write(out, FIRST)
    write(elsewhere, FIRST)  # the same bytes: links are not followed even to what would be ours
    change(out, elsewhere)  # type: ignore[operator]
    before = (found(out), found(elsewhere), (out / MANIFEST).read_bytes())
    with pytest.raises(StorageError, match=rf"^{out / place}: expected .*which is kept; move it away, or choose"):
        write(out, SECOND)
    assert (found(out), found(elsewhere), (out / MANIFEST).read_bytes()) == before
    assert contents(out) == sorted(path for path in out.iterdir())  # and no temporary folder is left


@pytest.mark.parametrize("link", ["a folder above", "the file"])
def test_a_file_that_is_no_longer_made_is_not_removed_through_a_link(tmp_path: Path, link: str) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    write(out, {"index.html": b"", "models/a.onnx": b"model a"})
    elsewhere.mkdir()
    (elsewhere / "a.onnx").write_bytes(b"model a")
    (out / "models" / "a.onnx").unlink()
    if link == "the file":
        (out / "models" / "a.onnx").symlink_to(elsewhere / "a.onnx")
    else:
        (out / "models").rmdir()
        (out / "models").symlink_to(elsewhere)
    write(out, {"index.html": b""})
    assert (elsewhere / "a.onnx").read_bytes() == b"model a"


NAMED_SO = [
    "",
    "{}",
    "[]",
    '{"labels": ["happy"]}',
    '{"files": [{"path": "a.jpg", "sha256": ""}], "content_sha256": ""}',
    json.dumps({**with_files({}, {"a.jpg": b"photo"}), "more": 1}),
    json.dumps(with_files({}, {"../photos/a.jpg": b"photo"})),
    json.dumps(with_files({}, {"/etc/passwd": b""})),
    json.dumps(with_files({}, {"C:\\a.jpg": b""})),
]


@pytest.mark.parametrize("text", NAMED_SO)
def test_a_file_of_the_manifests_name_makes_no_folder_ours(tmp_path: Path, text: str) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"photo")
    (photos / MANIFEST).write_text(text)
    with pytest.raises(StorageError, match=r"photos: expected a new or empty folder, or an earlier page, found"):
        write(photos, SECOND)
    assert found(photos) == {"a.jpg": b"photo"}


def test_a_manifest_behind_a_link_makes_no_folder_ours(tmp_path: Path) -> None:
    write(tmp_path / "page", FIRST)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / MANIFEST).symlink_to(tmp_path / "page" / MANIFEST)
    with pytest.raises(StorageError, match="found something else there"):
        earlier_files(tmp_path / "photos", MANIFEST, "an earlier page")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("step", ["replace", "unlink"])
def test_a_killed_call_is_completed_by_the_next(tmp_path: Path, step: str) -> None:
    """Killed at the first rename of a file to its place, and at the first removal of a file that is no longer made."""
    write(tmp_path, FIRST)
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nsys.path.insert(0, 'tests')\n"
        "import test_folder_manifest as it\n"
        f"Path.{step} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nit.write(Path({str(tmp_path)!r}), it.SECOND)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[1], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".fer-edge-*.whole"))) == 1
    leftovers.sweep(tmp_path)
    assert found(tmp_path) == SECOND
    assert set(earlier_files(tmp_path, MANIFEST, "")) == set(SECOND)
