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

    from fer_edge.runtime.certainty import Certainty

FIRST_COLUMNS, LAST_COLUMNS = ("path", "label", "confidence"), ("error",)
"""Around a column of probabilities for each class."""
CERTAINTY_COLUMNS = ("is_certain", "candidates", "calibrated_confidence")
"""Before the last, of a model that was calibrated: as ``predict --csv`` has them."""

SETTINGS_KEY = b"fer_edge"
"""Of the schema's metadata: JSON of the labels, their columns, the model and this package's version."""
PART_KEY = b"fer_edge_part"
"""Likewise: JSON of what is in this one file."""


def probability_names(labels: Sequence[str]) -> list[str]:
    """The column of each label: the label itself, told apart from the other columns and labels.

    Columns are told apart without regard to case, as DuckDB and Spark do: beside a label ``Happy`` another ``happy``
    is ``probability of happy``, as a label ``path`` or ``error`` is. Labels that are no Unicode are escaped.
    """
    taken = {*FIRST_COLUMNS, *CERTAINTY_COLUMNS, *LAST_COLUMNS}  # whether the model was calibrated or not
    names = []
    for label in labels:
        name = str(without_surrogates(label)) or "probability of "
        while name.casefold() in taken:
            name = f"probability of {name}"
        taken.add(name.casefold())
        names.append(name)
    return names


def schema_of(labels: Sequence[str], settings: dict[str, Any], *, is_calibrated: bool = False) -> "pa.Schema":
    """The schema of every file: ``path`` string, ``label`` string, ``confidence`` and probabilities float32, of a
    calibrated model ``is_certain`` bool, ``candidates`` list of string and ``calibrated_confidence`` float32, then
    ``error`` string, with the JSON of ``settings`` in its metadata."""
    import pyarrow as pa

    fields = [pa.field("path", pa.string(), nullable=False), pa.field("label", pa.string())]
    fields += [pa.field(name, pa.float32()) for name in ("confidence", *probability_names(labels))]
    if is_calibrated:
        types = (pa.bool_(), pa.list_(pa.string()), pa.float32())
        fields += [pa.field(name, kind) for name, kind in zip(CERTAINTY_COLUMNS, types, strict=True)]
    fields.append(pa.field("error", pa.string()))
    return pa.schema(fields, metadata={SETTINGS_KEY: json.dumps(settings).encode()})


def table_of(
    names: Sequence[str],
    rows: "Sequence[NDArray[np.float32] | str]",
    labels: Sequence[str],
    schema: "pa.Schema",
    *,
    certainty: "Certainty | None" = None,
    certain_only: bool = False,
) -> "pa.Table":
    """A table of images by their names: probabilities (C,) each, or the error in words; ``certainty`` is that of a
    calibrated model. With ``certain_only`` nothing is told of an answer that is not certain but that."""
    import numpy as np
    import pyarrow as pa

    failed = np.array([isinstance(row, str) for row in rows], dtype=bool)
    blank = np.zeros(len(labels), np.float32)
    probabilities = np.stack([blank if isinstance(row, str) else row for row in rows])  # (N, C)
    best = probabilities.argmax(axis=1)
    label_texts = [without_surrogates(label) for label in labels]
    untold = failed
    judged: list[Any] = []
    if certainty is not None:
        judgements = certainty.judge_all(probabilities, label_texts)
        is_certain = np.array([one.is_certain for one in judgements])
        untold = failed | ~is_certain if certain_only else failed
        candidates = [None if out else one.candidates for out, one in zip(untold, judgements, strict=True)]
        calibrated = np.array([one.calibrated_confidence for one in judgements], np.float32)
        judged = [
            pa.array(is_certain, pa.bool_(), mask=failed),
            pa.array(candidates, pa.list_(pa.string())),
            pa.array(calibrated, pa.float32(), mask=untold),
        ]
    told: list[Any] = [None if out else label_texts[at] for out, at in zip(untold, best, strict=True)]
    columns = [
        pa.array([without_surrogates(name) for name in names], pa.string()),
        pa.array(told, pa.string()),
        pa.array(probabilities[np.arange(len(rows)), best], pa.float32(), mask=untold),
        *(pa.array(np.ascontiguousarray(one), pa.float32(), mask=untold) for one in probabilities.T),
        *judged,
        pa.array([without_surrogates(row) if isinstance(row, str) else None for row in rows], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def facts_of(table: "pa.Table") -> PartFacts:
    """What a table of ``table_of`` holds."""
    import pyarrow.compute as pc

    labels = Counter(label for label in table.column("label").to_pylist() if label is not None)
    errors = table.num_rows - table.column("error").null_count
    uncertain = 0
    if "is_certain" in table.schema.names:
        uncertain = table.num_rows - errors - (pc.sum(table.column("is_certain")).as_py() or 0)
    return PartFacts(table.num_rows, errors, labels, uncertain)


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
    ``model_sha256``, ``certainty`` (None, or ``max_risk``, ``threshold``, ``temperature``, ``candidates``,
    ``certain_only``), ``fer_edge_version``. Raises StorageError for another file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        values = json.loads(pq.read_schema(path).metadata[SETTINGS_KEY])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path}: expected a Parquet file that 'fer-edge score' wrote, found another") from error
    return dict(values)
