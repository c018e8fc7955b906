import errno
import os
import shutil
import signal
import stat
import subprocess
import sys

import pytest

from fer_edge.errors import CheckpointError, StorageError
from fer_edge.files import (
    contents,
    fill_folder,
    make_folder,
    storage_errors,
    temporary_folder,
    write_atomically,
    write_text,
)
from fer_edge.leftovers import owned, sweep


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_a_write_that_breaks_off_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def break_off(stream):
        stream.write(b"half")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, break_off)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_reach_the_disk_before_the_name(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, type(tmp_path).replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(
        type(tmp_path), "replace", lambda self, target: (steps.append("rename"), replace(self, target))[1]
    )
    write_text(tmp_path / "file.txt", "text")
    assert steps == ["fsync", "rename", "fsync"]  # the last one is the folder's


def test_files_are_as_readable_as_any_other(tmp_path):
    before = os.umask(0o022)
    try:
        write_text(tmp_path / "file.txt", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file.txt").stat().st_mode) == 0o644


def test_a_path_through_a_file_is_said_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="part of the path is a file, not a folder"):
        make_folder(tmp_path / "file" / "folder")


def test_an_error_that_wraps_the_disks_is_told_by_its_cause(tmp_path):
    def write(stream):
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise RuntimeError("unexpected pos 64 vs 0") from error  # what torch's zip writer says then

    with pytest.raises(StorageError, match="the disk is full; free some space"):
        write_atomically(tmp_path / "file", write)


def test_the_projects_own_errors_pass_unchanged(tmp_path):
    with pytest.raises(CheckpointError, match="mine"), storage_errors(tmp_path):
        raise CheckpointError("mine")


def killed(code: str, folder) -> None:
    """Run ``code`` in a process of its own, which is killed where it says so: with SIGKILL, no ``finally`` runs."""
    preface = "import os, signal\nfrom pathlib import Path\nfrom fer_edge import files, leftovers\n"
    preface += f"folder = Path({str(folder)!r})\ndie = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", preface + code], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL


KILLED_WHILE = {
    "writing a file": "files.write_atomically(folder / 'file.txt', die)",
    "filling a folder": "with files.fill_folder(folder) as stage:\n (stage / 'a').write_text('half')\n die()",
    "publishing": "with files.staging_folder(folder) as stage:\n (stage / 'a').write_text('half')\n die()",
    "a library writes": "with files.temporary_folder('x-') as name:\n Path(name, 'a').write_text('half')\n die()",
}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("code", KILLED_WHILE.values(), ids=list(KILLED_WHILE))
def test_what_a_killed_process_left_is_swept_and_what_others_have_stays(tmp_path, code):
    killed(code, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    own, foreign = tmp_path / f"{owned()}now.part", tmp_path / ".fer-edge-abcdef-1-on another host.part"
    notes = tmp_path / ".fer-edge-notes"
    for path in (own, foreign, notes):
        path.write_text("")
    assert len(sweep(tmp_path)) == 1
    assert sorted(tmp_path.iterdir()) == sorted([own, foreign, notes])
    assert contents(tmp_path) == [notes]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_folder_whose_content_was_being_moved_is_completed(tmp_path):
    (tmp_path / "b").write_text("old")
    killed(
        "leftovers.move_up = lambda stage: ((stage / 'a').replace(folder / 'a'), die())\n"
        "with files.fill_folder(folder) as stage:\n for name in 'abc': (stage / name).write_text('new')",
        tmp_path,
    )
    assert [path.name for path in contents(tmp_path)] == ["a", "b", "c"]
    assert {path.read_text() for path in tmp_path.iterdir()} == {"new"}


def test_whoever_has_a_folder_to_himself_sweeps_it_all(tmp_path):
    leftover, other = tmp_path / ".fer-edge-x1.part", tmp_path / ".fer-edge-notes"
    for path in (leftover, other):
        path.write_text("")
    assert sweep(tmp_path) == []
    assert sweep(tmp_path, is_ours=True) == [leftover, other][:1]
    assert other.exists()


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_folder_for_temporary_files_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with (
        pytest.raises(StorageError, match=r"cannot be written: the disk is full; free some space$"),
        temporary_folder(),
    ):
        full()
    monkeypatch.setattr("tempfile.mkdtemp", full)
    with (
        pytest.raises(StorageError, match=r"cannot be written: the disk is full; free some space$"),
        temporary_folder(),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_hides_the_full_disk_is_understood(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=0))
    with pytest.raises(StorageError, match="the disk is full"), temporary_folder():
        raise ValueError("Expecting value: line 1 column 1")  # as of a profile cut short


def test_other_errors_inside_a_temporary_folder_pass_unchanged(tmp_path):
    with pytest.raises(ValueError, match="mine"), temporary_folder():
        raise ValueError("mine")


def test_no_folder_for_temporary_files_at_all_is_said(monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: (_ for _ in ()).throw(FileNotFoundError("none")))
    with pytest.raises(StorageError, match="expected a folder for temporary files"), temporary_folder():
        pass


def test_a_filled_folder_replaces_what_has_the_same_names_and_keeps_the_rest(tmp_path):
    for name in ("kept.txt", "old.txt"):
        (tmp_path / name).write_text("old")
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "stale").write_text("old")
    with fill_folder(tmp_path) as stage:
        (stage / "old.txt").write_text("new")
        (stage / "vectors").mkdir()
        (stage / "vectors" / "fresh").write_text("new")
        assert (tmp_path / "old.txt").read_text() == "old"
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {
        "kept.txt", "old.txt", "vectors", "vectors/fresh", "vectors/stale",
    }  # fmt: skip
    assert (tmp_path / "old.txt").read_text() == "new"


def fill_half(out):
    with fill_folder(out) as stage:
        (stage / "old.txt").write_text("half")
        raise CheckpointError("mine")


def test_a_folder_that_was_not_filled_is_as_it_was(tmp_path):
    (tmp_path / "old.txt").write_text("old")
    for out in (tmp_path, tmp_path / "new"):
        with pytest.raises(CheckpointError, match="mine"):
            fill_half(out)
    assert [path.name for path in tmp_path.iterdir()] == ["old.txt"]
    assert (tmp_path / "old.txt").read_text() == "old"
