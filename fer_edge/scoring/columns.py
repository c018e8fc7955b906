"""The rows as a table: its columns, and what a file says about the model that filled them."""

import io
import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fer_edge.errors import StorageError
from fer_edge.scoring.report import PartFacts
from fer_edge.text import without_surrogates

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

FIRST_COLUMNS, LAST_COLUMNS = ("path", "label", "confidence"), ("error",)
"""Around a column of probabilities for each class."""

SETTINGS_KEY = b"fer_edge"
"""Of the schema's metadata: JSON of the labels, their columns, the model and this package's version."""
PART_KEY = b"fer_edge_part"
"""Likewise: JSON of what is in this one file."""


def probability_names(labels: Sequence[str]) -> list[str]:
    """The column of each label: the label itself, told apart from the other columns and labels.

    Columns are told apart without regard to case, as DuckDB and Spark do: beside a label ``Happy`` another ``happy``
    is ``probability of happy``, as a label ``path`` or ``error`` is. Labels that are no Unicode are escaped.
    """
    taken = {*FIRST_COLUMNS, *LAST_COLUMNS}
    names = []
    for label in labels:
        name = str(without_surrogates(label)) or "probability of "
        while name.casefold() in taken:
            name = f"probability of {name}"
        taken.add(name.casefold())
        names.append(name)
    return names


def schema_of(labels: Sequence[str], settings: dict[str, Any]) -> "pa.Schema":
    """The schema of every file: ``path`` string, ``label`` string, ``confidence`` and probabilities float32, ``error``
    string, with the JSON of ``settings`` in its metadata."""
    import pyarrow as pa

    fields = [pa.field("path", pa.string(), nullable=False), pa.field("label", pa.string())]
    fields += [pa.field(name, pa.float32()) for name in ("confidence", *probability_names(labels))]
    fields.append(pa.field("error", pa.string()))
    return pa.schema(fields, metadata={SETTINGS_KEY: json.dumps(settings).encode()})


def table_of(
    names: Sequence[str],
    rows: "Sequence[NDArray[np.float32] | str]",
    labels: Sequence[str],
    schema: "pa.Schema",
) -> "pa.Table":
    """A table of images by their names: probabilities (C,) each, or the error in words."""
    import numpy as np
    import pyarrow as pa

    failed = np.array([isinstance(row, str) for row in rows], dtype=bool)
    blank = np.zeros(len(labels), np.float32)
    probabilities = np.stack([blank if isinstance(row, str) else row for row in rows])  # (N, C)
    best = probabilities.argmax(axis=1)
    label_texts = [without_surrogates(label) for label in labels]
    told: list[Any] = [None if bad else label_texts[at] for bad, at in zip(failed, best, strict=True)]
    columns = [
        pa.array([without_surrogates(name) for name in names], pa.string()),
        pa.array(told, pa.string()),
        pa.array(probabilities[np.arange(len(rows)), best], pa.float32(), mask=failed),
        *(pa.array(np.ascontiguousarray(one), pa.float32(), mask=failed) for one in probabilities.T),
        pa.array([without_surrogates(row) if isinstance(row, str) else None for row in rows], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def facts_of(table: "pa.Table") -> PartFacts:
    """Rows, errors and labels of a table."""
    labels = Counter(label for label in table.column("label").to_pylist() if label is not None)
    return PartFacts(table.num_rows, table.column("label").null_count, labels)


def encoded(table: "pa.Table", schema: "pa.Schema", digest: str) -> tuple[bytes, PartFacts]:
    """The bytes of a Parquet file of ``table``, and what is in it. The same table gives the same bytes."""
    import pyarrow.parquet as pq

    facts = facts_of(table)
    part = json.dumps({"digest": digest, **facts.as_dict()}).encode()
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({**schema.metadata, PART_KEY: part}), buffer, compression="zstd")
    return buffer.getvalue(), facts


def part_facts(stream: Any) -> PartFacts:
    """What a file of ours says about itself, by its end alone. Raises ValueError for another or a damaged one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(stream)
        facts = PartFacts.from_dict(json.loads(footer.schema.to_arrow_schema().metadata[PART_KEY]))
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error
    if facts.rows != footer.num_rows:
        raise ValueError(f"expected {facts.rows} rows, found {footer.num_rows}")
    return facts


def read_settings(path: str) -> dict[str, Any]:
    """What a file that ``score`` wrote says: ``labels``, ``columns`` (of their probabilities), ``model``,
    ``model_sha256``, ``fer_edge_version``. Raises StorageError for another file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        values = json.loads(pq.read_schema(path).metadata[SETTINGS_KEY])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path}: expected a Parquet file that 'fer-edge score' wrote, found another") from error
    return dict(values)
