"""Runs that are stopped, killed and begun again: nothing is lost, nothing is done twice, nobody's files are touched."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from score_process import started
from scored_rows import rows_in

from fer_edge.errors import StorageError, UsageError

Run = Callable[..., Any]

NUM_SLOW = 80
TWO = ("--workers", "2")


@pytest.fixture(scope="module")
def slow_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of which a core opens some tens a second, a text among them."""
    folder = tmp_path_factory.mktemp("slow")
    Image.effect_noise((700, 700), 60).save(folder / "000.jpg", quality=90)
    for number in range(1, NUM_SLOW):
        os.link(folder / "000.jpg", folder / f"{number:03d}.jpg")
    (folder / "text.png").write_text("hello")
    return folder


@pytest.fixture(scope="module")
def whole(slow_faces: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows of a run that nobody stops."""
    from fer_edge.scoring import ScoreRequest, score

    out = tmp_path_factory.mktemp("whole") / "results"
    score(ScoreRequest(source=str(slow_faces), out=str(out), model=tiny, workers=2, rows=4))
    return rows_in(out)


def wait_for_parts(out: Path, process: "subprocess.Popen[str]", least: int = 3) -> set[str]:
    until = time.monotonic() + 60
    while len(found := {path.name for path in out.glob("*.parquet")}) < least:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


def workers_of(pid: int) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            words = (process / "cmdline").read_bytes().split(b"\0")
            if int(fields[1]) == pid and any(b"spawn_main" in word for word in words):
                found.append(int(process.name))
    return found


def times(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in out.glob("*.parquet")}


linux = pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")


@linux
def test_a_killed_worker_loses_nothing(
    slow_faces: Path, whole: list[dict[str, Any]], tiny: str, repository: Path, tmp_path: Path
) -> None:
    with started(repository, slow_faces, tmp_path / "out", tiny, *TWO) as process:
        wait_for_parts(tmp_path / "out", process)
        for worker in workers_of(process.pid):  # all of them, amid their work
            os.kill(worker, signal.SIGKILL)
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert json.loads(output)["restarts"] == 2
    assert "2 worker processes ended and began again" in errors
    assert rows_in(tmp_path / "out") == whole
    assert not list((tmp_path / "out").glob(".*"))


@linux
def test_a_killed_driver_takes_its_workers_along_and_the_next_run_goes_on(
    slow_faces: Path, whole: list[dict[str, Any]], tiny: str, repository: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with started(repository, slow_faces, out, tiny, *TWO) as process:
        wait_for_parts(out, process)
        workers = workers_of(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        until = time.monotonic() + 10
        while any(Path("/proc", str(worker)).exists() for worker in workers):
            assert time.monotonic() < until, "a worker outlived its driver"
            time.sleep(0.05)
    before = times(out)
    assert 3 <= len(before) < len(whole) / 6
    with started(repository, slow_faces, out, tiny, *TWO) as process:
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    told = json.loads(output)
    assert 0 < told["rows_before"] < told["rows"] == NUM_SLOW + 1
    after = times(out)
    assert {name: after[name] for name in before} == before  # none was written again
    assert rows_in(out) == whole
    assert not list(out.glob(".*"))


@linux
def test_ctrl_c_ends_in_one_line_and_the_same_command_goes_on(
    slow_faces: Path, whole: list[dict[str, Any]], tiny: str, repository: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with started(repository, slow_faces, out, tiny, *TWO) as process:
        wait_for_parts(out, process)
        os.killpg(process.pid, signal.SIGINT)  # of the terminal: workers hear it too
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == ""
    (line,) = errors.splitlines()
    assert line.startswith("interrupted; ")
    assert "are saved in" in line
    assert line.endswith("the same command goes on")
    assert not list(out.glob(".*"))
    with started(repository, slow_faces, out, tiny, *TWO) as process:
        assert process.communicate(timeout=120)
    assert rows_in(out) == whole


def test_a_second_run_scores_only_what_came_or_changed(run: Run, faces: Path, drawn: list[Path]) -> None:
    out = Path(run(faces).out)
    before = times(out)
    again = run(faces)
    assert (again.rows, again.rows_before) == (40, 40)
    assert times(out) == before
    one = faces / "006.jpg"
    one.unlink()  # a link to what others share
    one.write_bytes(drawn[1].read_bytes())
    os.link(drawn[2], faces / "a" / "new.png")
    (faces / "b" / "c" / "005.png").unlink()
    changed = run(faces)
    assert changed.rows == 40
    assert 0 < changed.rows_before < 40
    paths = [row["path"] for row in rows_in(out)]
    assert len(paths) == len(set(paths)) == 40
    assert str(faces / "a" / "new.png") in paths
    assert str(faces / "b" / "c" / "005.png") not in paths
    fresh = run(faces, out=str(out.with_name("fresh")))
    assert rows_in(fresh.out) == rows_in(out)
    assert sorted(times(out)) == sorted(times(Path(fresh.out)))  # also their numbers


def test_a_damaged_file_is_written_again(run: Run, faces: Path) -> None:
    out = Path(run(faces).out)
    wanted = rows_in(out)
    part = min(out.glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-10])
    run(faces)
    assert rows_in(out) == wanted


def test_another_model_input_or_setting_is_refused(run: Run, faces: Path, repository: Path, tmp_path: Path) -> None:
    run(faces)
    raw = str(repository / "tests" / "fixtures" / "tiny_raw.onnx")
    for settings, told in (
        ({"model": raw}, "model sha256"),
        ({"rows": 9}, "rows 8, found rows 9"),
        ({"batch_size": 4}, "batch size 32, found batch size 4"),
        ({"source": faces / "a"}, "input"),
    ):
        with pytest.raises(UsageError, match=told) as refused:
            run(**{"source": faces, **settings})
        assert "\n" not in str(refused.value)
    (tmp_path / "results" / "_score.json").write_text("{")
    with pytest.raises(UsageError, match="one that cannot be read"):
        run(faces)


def test_other_peoples_files_are_left_alone(run: Run, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "theirs"
    out.mkdir()
    (out / "part-000000-0123456789abcdef.parquet").write_bytes(b"theirs")
    with pytest.raises(UsageError, match="found other files"):
        run(faces, out=str(out))
    assert [path.name for path in out.iterdir()] == ["part-000000-0123456789abcdef.parquet"]
    with pytest.raises(UsageError, match="expected another folder than the input"):
        run(faces, out=str(faces))
    with pytest.raises(UsageError, match="found other files"):
        run(faces, out=str(faces / "b"))
    with pytest.raises(UsageError, match="found a file"):
        run(faces, out=str(out / "part-000000-0123456789abcdef.parquet"))
    ours = Path(run(faces).out)
    (ours / "notes.txt").write_text("mine")
    run(faces)
    assert (ours / "notes.txt").read_text() == "mine"


def test_two_runs_at_once_in_a_folder_are_one_too_many(run: Run, faces: Path) -> None:
    from fer_edge.scoring.results import ResultsFolder

    out = run(faces).out
    with ResultsFolder(out), pytest.raises(UsageError, match="found another run that writes into it"):
        run(faces)
    run(faces)


def test_a_full_disk_is_one_line_and_what_is_written_stays(run: Run, faces: Path) -> None:
    """A limit of the size of files stands for it: it meets the workers alike."""
    resource = pytest.importorskip("resource", reason="Windows has no such limits")
    out = Path(run(faces, rows=2).out)
    for path in list(out.glob("*.parquet"))[3:]:
        path.unlink()
    before = times(out)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StorageError, match="cannot be written"):
            run(faces, rows=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert times(out) == before
    assert run(faces, rows=2).rows == 40


def test_an_image_that_ends_its_process_each_time_is_a_row_with_an_error(
    run: Run, faces: Path, drawn: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import killed_by_image

    from fer_edge.scoring import pool

    os.link(drawn[0], faces / "deadly.png")
    monkeypatch.setattr(pool, "serve", killed_by_image.serve)
    report = run(faces, workers=2)
    assert (report.rows, report.errors) == (41, 1)
    (row,) = [row for row in rows_in(report.out) if row["error"]]
    assert row["path"].endswith("deadly.png")
    assert "the process that opened it ended each time (signal SIGKILL)" in row["error"]


def test_workers_that_cannot_even_start_end_the_run(run: Run, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import killed_by_image

    from fer_edge.scoring import pool

    monkeypatch.setattr(pool, "serve", killed_by_image.end_at_once)
    monkeypatch.setattr(pool, "_MAX_TRIES", 3)
    with pytest.raises(pool.WorkersEnded, match="is there enough memory"):
        run(faces)
