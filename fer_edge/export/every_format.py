"""One checkpoint in every format and precision that can be written here, with one table of what came of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.backends.registry import open_model
from fer_edge.data.sample import synthetic_faces
from fer_edge.errors import DataError, FerEdgeError, MissingExtraError, StorageError
from fer_edge.export.checkpoint_graphs import Search
from fer_edge.export.exporter import Export, export_checkpoint
from fer_edge.export.formats.registry import ModelFormat, all_formats
from fer_edge.export.quantization.report import search_int8
from fer_edge.export.quantization.search import Quantised
from fer_edge.export.request import ExportRequest
from fer_edge.export.timing import time_in_turns

WRITTEN, FAILED, NOT_MADE, NOT_INSTALLED = "written", "failed", "not made", "not installed"
_BASELINE = ("onnx", "fp32")
"""Format and precision whose time is 1."""


@dataclass(frozen=True)
class FormatRow:
    """What came of one format in one precision."""

    file_format: str
    precision: str
    state: str
    """WRITTEN; FAILED: a check did; NOT_MADE: it could not be converted; NOT_INSTALLED."""
    reason: str = ""
    """Of all states but the first, in one line."""
    files: tuple[Path, ...] = ()
    """Those of the model, its own first, without its sidecar and card."""
    num_bytes: int = 0
    """Of them together."""
    max_probability_difference: float | None = None
    """From the checkpoint's, of any probed image."""
    accuracy: float | None = None
    """Fraction (0-1) of the labelled faces."""
    checkpoint_accuracy: float | None = None
    labels_changed: float | None = None
    """Fraction (0-1) of the labelled faces that checkpoint and model name differently."""
    labels_changed_from_onnx: float | None = None
    """Fraction (0-1) that it names otherwise than the ONNX file of the same precision does."""
    relative_time: float | None = None
    """Of one face on one thread, over that of the ONNX file in fp32; medians of turns in one run."""
    on_device: str = ""
    """What runs it."""
    named: tuple[int, ...] = field(default=(), repr=False)
    """Place of the label that it gives to each labelled face; not in ``to_dict``."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        found = {**asdict(self), "format": self.file_format, "files": [path.name for path in self.files]}
        del found["named"]
        return found


@dataclass(frozen=True)
class EveryFormat:
    """All rows, in the order of formats and precisions."""

    rows: tuple[FormatRow, ...]
    paths: tuple[Path, ...] = field(default=())
    """Everything that was published."""
    source: str = ""
    """Where the labelled faces are from; empty where there were none."""
    num_faces: int = 0
    left_out_files: Mapping[str, int] = field(default_factory=dict)
    """Files and rows of the data set that cannot be used, by kind (``fer_edge.data.left_out``)."""

    @property
    def failures(self) -> tuple[str, ...]:
        """A line for each row whose check failed."""
        return _lines(self.rows, FAILED)

    @property
    def not_made(self) -> tuple[str, ...]:
        """A line for each row that could not be converted."""
        return _lines(self.rows, NOT_MADE)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``."""
        return {
            "rows": [row.to_dict() for row in self.rows],
            "faces": self.num_faces,
            "source": self.source,
            "published": [str(path) for path in self.paths],
            "left_out_files": dict(self.left_out_files),
        }


def export_every_format(request: ExportRequest, note: Callable[[str], None] = lambda _: None) -> EveryFormat:
    """Export the checkpoint of ``request`` in every format and precision, each with its checks, and time what passed.

    A failed check or conversion is a row and ends nothing. Raises CheckpointError, DataError and StorageError, which
    would meet every row alike.
    """
    search = searched_once()
    made = [export_row(request, *kind, search, note) for kind in every_kind()]
    rows = beside_onnx([row for row, _ in made])
    done = [export for _, export in made if export is not None]
    accuracies = [one.parity.accuracy for one in done if one.parity.accuracy is not None]
    return EveryFormat(
        rows=tuple(timed(rows, note)),
        paths=tuple(path for one in done for path in one.paths),
        source=accuracies[0].source if accuracies else "",
        num_faces=accuracies[0].faces if accuracies else 0,
        left_out_files=done[0].left_out_files if done else {},
    )


def every_kind() -> Iterator[tuple[ModelFormat, str]]:
    """Each format of models in each of its precisions."""
    models = [one for one in all_formats().values() if one.export is None]
    yield from ((one, precision) for one in models for precision in one.precisions)


def export_row(
    request: ExportRequest, model_format: ModelFormat, precision: str, search: Search, note: Callable[[str], None]
) -> tuple[FormatRow, Export | None]:
    """One row, without what it takes other rows to know, and the export where there was one.

    Raises CheckpointError, DataError and StorageError.
    """
    row = FormatRow(model_format.name, precision, WRITTEN, on_device=model_format.on_device)
    try:
        export = export_checkpoint(
            replace(request, file_format=model_format.name, precision=precision), note, search=search
        )
    except MissingExtraError as error:
        return replace(row, state=NOT_INSTALLED, reason=str(error)), None
    except (DataError, StorageError):
        raise
    except FerEdgeError as error:
        return replace(row, state=NOT_MADE, reason=_one_line(error)), None
    accuracy = export.parity.accuracy
    files = export.paths[: len(model_format.suffixes)]
    row = replace(
        row,
        state=FAILED if export.failures else WRITTEN,
        reason=export.failures[0] if export.failures else "",
        files=files,
        num_bytes=sum(_size(path) for path in files),
        max_probability_difference=export.parity.max_probability_difference,
        accuracy=None if accuracy is None else accuracy.model,
        checkpoint_accuracy=None if accuracy is None else accuracy.checkpoint,
        labels_changed=None if accuracy is None else accuracy.disagreement,
        named=() if accuracy is None else tuple(map(int, accuracy.of_model.argmax(axis=1))),
    )
    if not row.on_device and export.metadata.minimum_onnxruntime is not None:
        row = replace(row, on_device=f"onnxruntime {export.metadata.minimum_onnxruntime} or later")
    return row, export


def beside_onnx(rows: Sequence[FormatRow]) -> list[FormatRow]:
    """With the labels that each names otherwise than the ONNX file of its precision."""
    of_onnx = {row.precision: np.array(row.named) for row in rows if row.file_format == _BASELINE[0] and row.named}
    return [
        replace(row, labels_changed_from_onnx=float((np.array(row.named) != of_onnx[row.precision]).mean()))
        if row.named and row.precision in of_onnx
        else row
        for row in rows
    ]


def timed(rows: list[FormatRow], note: Callable[[str], None]) -> list[FormatRow]:
    """With the time of each written model over that of the fp32 ONNX file, where that was written too."""
    formats = all_formats()
    # What runs it here is not what runs it there, so its time would say nothing.
    written = [row for row in rows if row.state == WRITTEN and not formats[row.file_format].untried]
    kinds = [(row.file_format, row.precision) for row in written]
    if _BASELINE not in kinds:
        return rows
    note("timing one face on one thread, in turns")
    calls = []
    for row in written:
        backend = open_model(row.files[0], trust=True, threads=1)
        face = synthetic_faces(range(1), size=backend.metadata.image_size).faces[..., np.newaxis]
        feed = backend.prepare(face)
        backend.run_feed(feed)  # compiles what compiles at the first run
        calls.append(partial(backend.run_feed, feed))
    times_ms = time_in_turns(calls)
    baseline = times_ms[:, kinds.index(_BASELINE)]
    ratios = {
        kind: float(np.median(times_ms[:, place] / baseline)) for place, kind in enumerate(kinds) if kind != _BASELINE
    } | {_BASELINE: 1.0}
    return [replace(row, relative_time=ratios.get((row.file_format, row.precision))) for row in rows]


def searched_once() -> Search:
    """``search_int8`` that gives what it found the first time: the network, the faces and the target are the same."""
    found: list[Quantised] = []

    def search(*given: Any, **more: Any) -> Quantised:
        if not found:
            found.append(search_int8(*given, **more))
        return found[0]

    return search


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _lines(rows: tuple[FormatRow, ...], state: str) -> tuple[str, ...]:
    return tuple(f"{row.file_format} {row.precision}: {row.reason}" for row in rows if row.state == state)


def _one_line(error: FerEdgeError) -> str:
    return " ".join(str(error).split())
