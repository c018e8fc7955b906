"""Files that commands wrote are written again; what anybody else put there, or changed, stays."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fer_edge.errors import StorageError
from fer_edge.files import write_text
from fer_edge.own_files import LIST, OwnFiles


def write(*paths: Path, text: str = "ours") -> None:
    with OwnFiles("choose another").writing(*paths):
        for path in paths:
            write_text(path, text)


def test_what_was_written_is_written_again(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    for text in ("first", "second", "first"):
        write(report, text=text)
        assert report.read_text() == text


def another(path: Path) -> None:
    path.write_text("mine")


def changed(path: Path) -> None:
    write(path)
    path.write_text("ours, with a remark of mine")


def link(path: Path) -> None:
    path.with_name("elsewhere").write_text("mine")
    path.symlink_to(path.with_name("elsewhere"))


def dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


def copied_from_elsewhere(path: Path) -> None:
    write(path.with_name("other.md"))
    path.write_text("ours")


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes in this system's folders")
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("take", "found"),
    [
        (another, "another file"),
        (changed, "one that was changed since"),
        (link, "a link"),
        (dangling_link, "a link"),
        (copied_from_elsewhere, "another file"),
        (folder, "a folder"),
        (pipe, "a device or pipe"),
    ],
)
def test_what_others_wrote_or_changed_is_refused_and_kept(tmp_path: Path, take, found: str) -> None:
    report = tmp_path / "report.md"
    take(report)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(StorageError, match=f"report.md: expected no file.* found {found}.*or choose another"):
        write(tmp_path / "free.md", report)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_place_that_was_taken_during_the_work_is_refused_after_it(tmp_path: Path) -> None:
    report, own_files = tmp_path / "report.md", OwnFiles("choose another")
    own_files.refuse_foreign([report])
    report.write_text("mine")
    with pytest.raises(StorageError, match="another file"), own_files.writing(report):
        write_text(report, "ours")
    assert report.read_text() == "mine"


def test_what_was_written_before_a_failure_is_remembered(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"

    def fail_half_way() -> None:
        with OwnFiles("choose another").writing(first, second):
            first.write_text("ours")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    write(first, second)


def test_folders_that_were_made_for_nothing_go_again(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    paths = [tmp_path / "new" / "er" / "a", tmp_path / "new" / "kept" / "b", tmp_path / "empty" / "c"]
    own_files = OwnFiles("choose another")
    own_files.refuse_foreign(paths)
    assert not (tmp_path / "new").exists()

    def fail_half_way() -> None:
        with own_files.writing(*paths):
            paths[1].write_text("ours")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert sorted(path.name for path in tmp_path.rglob("*")) == [LIST, "b", "empty", "kept", "new"]


def test_the_list_is_no_link_and_a_damaged_line_is_none(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / LIST).symlink_to(mine)
    with pytest.raises(StorageError, match=LIST):
        write(tmp_path / "report.md")
    assert mine.read_text() == "mine"
    (tmp_path / LIST).unlink()
    (tmp_path / LIST).write_text('[]\n{"name": 3}\n{"name": "report.md", "sha')
    (tmp_path / "report.md").unlink()
    write(tmp_path / "report.md")
    write(tmp_path / "report.md", text="again")


WRITER = """
import sys
from pathlib import Path
from fer_edge.files import write_text
from fer_edge.own_files import OwnFiles
own_files, (folder, who) = OwnFiles("choose another"), sys.argv[1:]
paths = [Path(folder, f"{number}.md") for number in range(40)]
own_files.refuse_foreign(paths)
print("planned", flush=True)
sys.stdin.readline()
for path in paths:
    with own_files.alone_in(path.parent):
        while own_files.source_of(path) not in ("", who):
            path = path.with_suffix(f".{who}")
        with own_files.writing(path, source=who):
            write_text(path, who)
"""


def test_commands_at_once_in_one_folder_lose_nothing_and_refuse_nothing(tmp_path: Path) -> None:
    def start(who: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", WRITER, str(tmp_path / "new"), who]
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    running = [start(who) for who in "abc"]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "planned\n"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    assert [one.wait(60) for one in running] == [0, 0, 0]
    texts = [path.read_text() for path in (tmp_path / "new").glob("[!.]*")]
    assert sorted(texts) == sorted("abc" * 40)


def test_many_files_take_time_that_grows_with_their_number(tmp_path: Path) -> None:
    """Both ways: while they are written, and where they are all refused."""

    def seconds(count: int) -> float:
        place = tmp_path / str(count)
        place.mkdir()
        paths = [place / f"{number}.md" for number in range(count)]
        start, own_files = time.process_time(), OwnFiles("choose another")
        for path in paths:
            with own_files.writing(path):
                path.write_text("ours")
        for path in paths:
            path.write_text("mine")
        with pytest.raises(StorageError, match=f"and {count - 1} more"):
            own_files.refuse_foreign(paths)
        return time.process_time() - start

    seconds(50)
    # Processor time, which other work on the machine does not add to: 8 times as many; squared, it would be 64.
    assert seconds(800) < 24 * max(seconds(100), 0.02)
