"""A run of ``score``: from a stream of images to files of rows, going on where an earlier one was stopped."""

import os
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fer_edge.errors import ImageError, UsageError
from fer_edge.files import file_identity
from fer_edge.runtime.left_out import counted
from fer_edge.scoring.items import Chunk, chunks
from fer_edge.scoring.report import PartFacts, ScoreProgress, ScoreReport
from fer_edge.scoring.request import RAY, ScoreRequest
from fer_edge.text import shown_name

if TYPE_CHECKING:
    import pyarrow as pa

    from fer_edge.scoring.results import Results
    from fer_edge.scoring.scorer import ModelSettings
    from fer_edge.scoring.source import Source

FORMAT = 2
"""Of the manifest and the files; another one cannot be gone on with."""

Report = Callable[[ScoreProgress], object]


class Engine(Protocol):
    """Scores chunks and has their files written, each under ``part_name``."""

    workers: int
    restarts: int

    def run(self, wanted: Iterator[Chunk]) -> "Iterator[tuple[Chunk, PartFacts]]":
        """What was written, in any order; ``wanted`` is read as there is room, never whole."""


def score(request: ScoreRequest, *, progress: Report | None = None) -> ScoreReport:
    """Score every image of ``request.source`` and write rows of ``path``, ``label``, ``confidence``, a probability for
    each class, what is certain of a calibrated model's answer, and ``error`` into Parquet files in ``request.out``.

    Each image is one face. One that cannot be scored is a row with an error. What an earlier run of the same input,
    model and settings wrote is kept; files that changed or came since are scored, those that went lose their rows.
    ``progress`` is called as files are written. KeyboardInterrupt leaves whole files only, and the same request goes
    on from there.

    Raises MissingExtraError; ImageError where there is no image; UsageError for another run's folder, or one that
    somebody uses or has other files in; ModelError; StorageError; WorkersEnded where the machine kills the processes.
    """
    request.require()
    from fer_edge.scoring.columns import schema_of
    from fer_edge.scoring.results import begin, results_folder
    from fer_edge.scoring.source import open_source

    start = time.perf_counter()
    source = open_source(request.source, request.column)
    model, labels, described = _checked_model(request)
    results = results_folder(request.out)
    if file_identity(results.where) == file_identity(source.where):
        raise UsageError(f"--out {shown_name(results.where)}: expected another folder than the input; choose another")
    stream = chunks(source.items(results.where), request.rows)
    first = next(stream, None)
    if first is None:
        raise _nothing_in(source)
    counts = ScoreProgress()
    report = progress or (lambda _: None)
    with results:
        begin(results, _manifest(request, source, model, labels, described))
        schema = schema_of(labels, _settings(model, labels), is_calibrated=model.certainty is not None)
        engine = _engine(request, model, schema, results)
        seen = _Seen(results, counts, report)
        for _, facts in engine.run(seen.missing(chain((first,), stream))):
            counts.add(facts, is_old=False)
            counts.restarts = engine.restarts
            report(counts)
        if not source.unreadable.count:
            seen.remove_stale()
    return ScoreReport(
        out=results.where,
        model=str(model.path),
        model_sha256=model.sha256,
        engine=request.engine,
        workers=engine.workers,
        rows=counts.rows,
        errors=counts.errors,
        rows_before=counts.rows_before,
        parts=counts.parts,
        labels=dict(counts.labels.most_common()),
        uncertain=None if model.certainty is None else counts.uncertain,
        unreadable_folders=source.unreadable.count,
        first_unreadable=source.unreadable.first,
        left_out=counted(source.unreadable.files),
        restarts=engine.restarts,
        seconds=time.perf_counter() - start,
    )


class _Seen:
    """The files that are written already: those of chunks of this input, and those of none."""

    def __init__(self, results: "Results", counts: ScoreProgress, report: Report) -> None:
        self._results, self._counts, self._report = results, counts, report
        self._written = results.parts()

    def missing(self, stream: Iterator[Chunk]) -> Iterator[Chunk]:
        """The chunks that have no file yet, or a damaged one; the others are counted."""
        from fer_edge.scoring.results import part_name

        for chunk in stream:
            name = self._written.pop(chunk.digest, None)
            if name is None:
                yield chunk
                continue
            try:
                facts = self._results.facts(name)
            except ValueError:
                self._results.remove(name)
                yield chunk
                continue
            if name != (wanted := part_name(chunk.number, chunk.digest)):
                self._results.rename(name, wanted)
            self._counts.add(facts, is_old=True)
            self._report(self._counts)

    def remove_stale(self) -> None:
        """Remove files of images that went or changed since an earlier run."""
        for name in self._written.values():
            self._results.remove(name)


def _checked_model(request: ScoreRequest) -> "tuple[ModelSettings, tuple[str, ...], str | None]":
    """The model, opened once to see that it can be, its labels, and how another maker's is fed."""
    from fer_edge.backends import open_model
    from fer_edge.runtime.certainty import Certainty
    from fer_edge.runtime.foreign import ForeignMetadata
    from fer_edge.runtime.shipped import model_path
    from fer_edge.scoring.scorer import ModelSettings

    path = model_path(request.model)
    backend = open_model(path, threads=1, trust=request.trust, description=request.description)
    description = request.description
    if isinstance(description, str | Path):
        description = Path(description).absolute()
    metadata = backend.metadata
    settings = ModelSettings(
        Path(os.path.abspath(path)),  # noqa: PTH100  # links stay: what they lead to may lack the files beside it
        backend.sha256,
        request.trust,
        description,
        request.batch_size,
        Certainty.of_model(metadata, path, request.wanted_risk),
        request.certain_only,
    )
    described = repr(metadata.description) if isinstance(metadata, ForeignMetadata) else None
    return settings, metadata.labels, described


def _settings(model: "ModelSettings", labels: tuple[str, ...]) -> dict[str, Any]:
    """What every file says about its rows."""
    import fer_edge
    from fer_edge.scoring.columns import probability_names

    return {
        "labels": list(labels),
        "columns": probability_names(labels),
        "model": model.path.name,
        "model_sha256": model.sha256,
        "certainty": _told_certainty(model),
        "fer_edge_version": fer_edge.__version__,
    }


def _told_certainty(model: "ModelSettings") -> dict[str, Any] | None:
    """What the columns of certainty come from; None for a model that was not calibrated."""
    if model.certainty is None:
        return None
    candidates = model.certainty.uncertainty.sets[0]
    return {
        "max_risk": model.certainty.max_risk,
        "threshold": model.certainty.threshold,
        "temperature": model.certainty.uncertainty.temperature,
        "candidates": {"method": candidates.method, "coverage": candidates.coverage, "threshold": candidates.threshold},
        "certain_only": model.certain_only,
    }


def _manifest(
    request: ScoreRequest, source: "Source", model: "ModelSettings", labels: tuple[str, ...], described: str | None
) -> dict[str, Any]:
    """What a run is, under ``run``: a folder goes on only with the same. The engine and the workers may change."""
    return {
        "run": {
            "format": FORMAT,
            "input": source.where,
            "column": request.column,
            "model_sha256": model.sha256,
            "description": described,
            "labels": list(labels),
            "certainty": _told_certainty(model),
            "rows": request.rows,
            "batch_size": request.batch_size,
        },
        "model": str(model.path),
        **{key: value for key, value in _settings(model, labels).items() if key in ("columns", "fer_edge_version")},
    }


def _engine(request: ScoreRequest, model: "ModelSettings", schema: "pa.Schema", results: "Results") -> Engine:
    if request.engine == RAY:
        from fer_edge.scoring.ray_engine import RayEngine

        return RayEngine(request, model, schema, results)
    from fer_edge.scoring.local_engine import LocalEngine

    return LocalEngine(request.workers, model, schema, results)


def _nothing_in(source: "Source") -> ImageError:
    where = shown_name(source.where)
    if source.unreadable.first is not None:
        return ImageError(f"{where}: expected a folder that can be read, found {source.unreadable.first}")
    others = sum(source.unreadable.files.values())
    found = f"none among {others} other file{'s' * (others != 1)}" if others else "none"
    return ImageError(f"{where}: expected images, found {found}")
