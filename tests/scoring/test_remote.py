"""Addresses instead of paths: fsspec's file systems of this machine stand for s3:// and gs://."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scored_rows import rows_in

from fer_edge.errors import ImageError, UsageError

Run = Callable[..., Any]


@pytest.fixture
def memory(drawn: list[Path]) -> "Iterator[Any]":
    """fsspec's file system in memory, with twelve images in ``memory://faces``."""
    import fsspec

    system = fsspec.filesystem("memory")
    system.store.clear()
    for number, path in enumerate(drawn):
        system.pipe_file(f"/faces/{'ab'[number % 2]}/{path.name}", path.read_bytes())
    system.pipe_file("/faces/notes.txt", b"hello")
    yield system
    system.store.clear()


def test_a_storage_is_listed_and_read(memory: Any, drawn: list[Path]) -> None:
    from fer_edge.scoring.remote import read_images
    from fer_edge.scoring.source import open_source

    names = [item.name for item in open_source("memory://faces/", None).items(None)]
    assert len(names) == 12
    assert names == sorted(names)
    gone = "memory://faces/gone.png"
    found = read_images([*names, gone])
    by_name = {path.name: path.read_bytes() for path in drawn}
    assert [by_name[name.rsplit("/", 1)[1]] for name in names] == found[:-1]
    assert isinstance(found[-1], ImageError)
    assert gone in str(found[-1])
    assert read_images([names[3]]) == [found[3]]


def test_another_stamp_of_a_file_is_another_chunk(memory: Any) -> None:
    from fer_edge.scoring.source import open_source

    before = list(open_source("memory://faces", None).items(None))
    assert list(open_source("memory://faces", None).items(None)) == before
    memory.pipe_file("/faces/a/00.png", b"changed")
    after = list(open_source("memory://faces", None).items(None))
    assert [one.name for one, other in zip(before, after, strict=True) if one != other] == ["memory://faces/a/00.png"]


def test_results_go_to_a_storage_and_are_gone_on_with(memory: Any) -> None:
    from fer_edge.scoring.results import begin, part_name, results_folder

    with results_folder("memory://results") as results:
        assert not begin(results, {"run": {"rows": 8}})
        results.write(part_name(3, "0" * 16), b"rows")
        assert results.parts() == {"0" * 16: part_name(3, "0" * 16)}
        with pytest.raises(ValueError, match=r"\w"):
            results.facts(part_name(3, "0" * 16))
    with results_folder("memory://results") as results:
        assert begin(results, {"run": {"rows": 8}})
        with pytest.raises(UsageError, match="rows 8, found rows 9"):
            begin(results, {"run": {"rows": 9}})
    with pytest.raises(UsageError, match="found other files"), results_folder("memory://faces"):
        pass


def test_a_whole_run_through_fsspec_gives_the_rows_of_the_paths(run: Run, faces: Path, tmp_path: Path) -> None:
    """``local://`` is fsspec's own file system of this machine: workers open it as they would s3://."""
    run(faces, out=str(tmp_path / "paths"))
    wanted = rows_in(tmp_path / "paths")
    address = f"local://{faces}"
    assert run(address, out=f"local://{tmp_path}/remote", workers=2).rows == 40
    found = rows_in(tmp_path / "remote")
    assert [row["path"].rpartition("/faces/")[2] for row in found] == [
        row["path"].rpartition("/faces/")[2] for row in wanted
    ]
    assert [row["label"] for row in found] == [row["label"] for row in wanted]
    again = run(address, out=f"local://{tmp_path}/remote")
    assert (again.rows, again.rows_before) == (40, 40)
    assert run(f"file://{faces}", out=f"file://{tmp_path}/paths").rows_before == 40  # a path as any other


def test_a_table_in_a_storage_is_read(run: Run, drawn: list[Path], tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"path": [f"local://{path}" for path in drawn]}), tmp_path / "table.parquet")
    report = run(f"local://{tmp_path}/table.parquet")
    assert (report.rows, report.errors) == (12, 0)
    with pytest.raises(ImageError, match="found none"):
        run(f"local://{tmp_path}/missing.parquet")
