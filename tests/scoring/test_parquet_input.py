"""Parquet as input: a column of paths, of bytes, or of Hugging Face's images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scored_rows import rows_in

from fer_edge.errors import ImageError, UsageError

Run = Callable[..., Any]


def write(path: Path, columns: dict[str, Any]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=7)
    return path


def test_paths_bytes_and_structs_give_the_rows_of_the_folder(run: Run, drawn: list[Path], tmp_path: Path) -> None:
    run(drawn[0].parent, out=str(tmp_path / "folder"))
    wanted = rows_in(tmp_path / "folder")
    paths = [str(path) for path in drawn]
    data = [path.read_bytes() for path in drawn]
    tables = {
        "paths": {"path": paths},
        "bytes": {"bytes": data, "path": paths},
        "structs": {"image": [{"bytes": one, "path": None} for one in data], "path": paths},
    }
    for name, columns in tables.items():
        run(write(tmp_path / f"{name}.parquet", columns), out=str(tmp_path / name))
        found = rows_in(tmp_path / name)
        assert [row["path"] for row in found] == paths
        for row, other in zip(found, wanted, strict=True):
            # other images share a batch here
            assert row["label"] == other["label"]
            assert row["happy"] == pytest.approx(other["happy"], abs=1e-6)


def test_images_without_names_are_called_by_file_and_row(run: Run, drawn: list[Path], tmp_path: Path) -> None:
    data = [drawn[0].read_bytes(), None, b"hello"]
    table = write(tmp_path / "some.parquet", {"photo": data})
    assert run(table, column="photo").errors == 2
    rows = rows_in(tmp_path / "results")
    assert [row["path"] for row in rows] == [f"{table}#{number}" for number in range(3)]
    assert rows[0]["error"] is None
    assert "found an empty cell" in rows[1]["error"]
    assert "found other bytes" in rows[2]["error"]


def test_a_folder_of_parquet_files_is_read_file_by_file(run: Run, drawn: list[Path], tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / "tables" / f"{number}.parquet", {"where": [str(path) for path in drawn[number::3]]})
    assert run(tmp_path / "tables", column="where").rows == len(drawn)


def test_columns_that_are_not_there_or_of_other_types_are_refused(run: Run, tmp_path: Path) -> None:
    table = write(tmp_path / "numbers.parquet", {"number": [1, 2]})
    with pytest.raises(UsageError, match="a column bytes, image, path, or --column, found number"):
        run(table)
    with pytest.raises(UsageError, match=r"expected paths \(string\) or images \(binary\) in the column 'number'"):
        run(table, column="number")
    with pytest.raises(UsageError, match="expected the column 'photo', found number"):
        run(table, column="photo")
    (tmp_path / "damaged.parquet").write_bytes(table.read_bytes()[:-20])
    with pytest.raises(ImageError, match="expected a Parquet file that can be read"):
        run(tmp_path / "damaged.parquet")
    assert not (tmp_path / "results").exists()


def test_addresses_of_web_servers_in_a_table_are_not_asked(run: Run, drawn: list[Path], tmp_path: Path) -> None:
    bad = ["http://127.0.0.1:9/a.png", "zip::file:///a.zip", "simplecache::http://127.0.0.1:9/b.png", "ftp://h/c.png"]
    run(write(tmp_path / "web.parquet", {"path": [*bad, f"file://{drawn[0]}"]}))
    errors = {row["path"]: row["error"] for row in rows_in(tmp_path / "results")}
    assert errors.pop(f"file://{drawn[0]}") is None
    for address in ("http://127.0.0.1:9/a.png", "ftp://h/c.png"):
        assert "expected a path or an address of" in errors[address]
    assert all(errors.values())
