"""What the tests of ``score`` share."""

from pathlib import Path
from typing import Any


def rows_in(folder: Path | str) -> list[dict[str, Any]]:
    """Every row that a run wrote, by path."""
    import pyarrow.parquet as pq

    return sorted(pq.read_table(str(folder)).to_pylist(), key=lambda row: row["path"])
