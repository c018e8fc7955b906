import os
import stat

import pytest

from fer_edge.errors import CheckpointError, StorageError
from fer_edge.files import fill_folder, make_folder, storage_errors, sweep_temporary_files, write_atomically, write_text


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


def test_sweeping_takes_only_what_an_atomic_write_left(tmp_path):
    leftover, other = tmp_path / ".fer-edge-x1.part", tmp_path / ".fer-edge-notes"
    for path in (leftover, other):
        path.write_text("")
    assert sweep_temporary_files(tmp_path) == [leftover]
    assert other.exists()


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
        "kept.txt", "old.txt", "vectors", "vectors/fresh",
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
