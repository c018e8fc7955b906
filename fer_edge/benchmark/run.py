"""From a request to a benchmark: what is there to measure, on which machine, measured and judged."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from fer_edge.backends.registry import CHECKPOINT, backend_named, in_words
from fer_edge.benchmark.client import Stop
from fer_edge.benchmark.faces import JudgingFaces, judging_faces
from fer_edge.benchmark.machine import cpu_flags, describe_environment, noise_in, stolen_ticks
from fer_edge.benchmark.measure import Measurement, Progress
from fer_edge.benchmark.plan import model_paths, plan_rows
from fer_edge.benchmark.recommendation import recommend, width_notes
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.benchmark.results import Benchmark
from fer_edge.benchmark.rows import Subject, Wanted
from fer_edge.benchmark.subjects import Note
from fer_edge.errors import DataError
from fer_edge.extras import install_command
from fer_edge.files import temporary_folder
from fer_edge.labels import label_set_of
from fer_edge.metadata import SUFFIXES
from fer_edge.runtime.cores import available_cores
from fer_edge.runtime.providers import choose_provider
from fer_edge.text import printable


def run_benchmark(
    request: BenchmarkRequest, progress: Progress, *, stop: Stop = lambda: False, command: str = ""
) -> Benchmark:
    """Measure all rows of the request. When ``stop`` says so, what is measured is returned, marked as partial.

    Raises, before any row is measured: ProviderError where the provider is not there, ModelError, CheckpointError or
    DataError for files that cannot be used, UsageError for a named file that ``request.runtimes`` do not run, and
    StorageError where there is no room for temporary files.
    """
    choose_provider(request.provider)
    environment = describe_environment(request.provider)
    stolen_before = stolen_ticks()
    notes = noise_in(environment)

    def note(text: str) -> None:
        """Say it now, and keep it with the figures."""
        progress.note(text)
        notes.append(text)

    for line in notes:
        progress.note(line)
    runtimes = _installed(request, note)
    if max(request.threads) > available_cores():
        note(f"{max(request.threads)} threads were asked for, {available_cores()} cores are available")
    with temporary_folder("benchmark-") as temporary:
        folder = Path(temporary)
        wanted = Wanted(runtimes, request.provider, request.batch_sizes, request.threads, cpu_flags())
        planned = plan_rows(request, wanted, folder, progress.note, note)
        judged: list[str] = []
        left_out_files: dict[str, int] = {}

        @cache
        def faces_for(size: int, seed: int, labels: tuple[str, ...]) -> JudgingFaces:
            faces = judging_faces(request, size, seed, label_set_of(labels))
            judged.append(faces.source)
            if absent := faces.classes_without_faces(labels):
                note(f"macro-F1 is the mean of the other classes: no face of {printable(', '.join(absent))}")
            left_out_files.update(faces.left_out_files)  # of one data set, however often it is read
            return faces

        def judging(subject: Subject) -> JudgingFaces:
            return faces_for(subject.image_size, subject.seed, subject.labels)

        without_labels = {one.subject.name: judging(one.subject).other_classes for one in planned}
        if request.data is not None and all(without_labels.values()):
            raise DataError(next(iter(without_labels.values())))
        for model, reason in without_labels.items():
            if reason:
                note(f"{model}: no accuracy: {reason}")
        free = environment["memory_available_bytes"]
        measurement = Measurement(planned, request, folder, progress, stop, free, judging)
        is_complete = measurement.run()
    results = list(measurement.results.values())
    timed = [one for one in results if one.is_timed]
    stolen_after = stolen_ticks()
    if stolen_before is not None and stolen_after is not None and stolen_after > stolen_before:
        notes.append(f"the host of this virtual machine took {(stolen_after - stolen_before) / 100:.1f} s of its time")
    return Benchmark(
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        command=command,
        environment=environment,
        settings=_settings(request, runtimes, judged),
        rows=results,
        faces=measurement.faces,
        left_out=[f"{row.title}: {reason}" for row, reason in measurement.left_out.items()],
        failures=measurement.failures,
        notes=[*notes, *measurement.notes, *width_notes(timed)],
        recommendations=recommend(timed, request.max_drop_points),
        is_partial=not is_complete,
        left_out_files=left_out_files,
    )


def _installed(request: BenchmarkRequest, note: Note) -> tuple[str, ...]:
    """The runtimes that are wanted and installed. The notes say which are not, and how to get them: of those that open
    a file that is measured, or would be a baseline of a checkpoint."""
    entries = [backend_named(name) for name in request.runtimes]
    able = [entry for entry in entries if request.provider in entry.providers]
    by_suffix = {suffix: name for name, suffix in SUFFIXES.items()}
    given = {by_suffix.get(path.suffix, "onnx") for path in model_paths(request)}
    missing: dict[tuple[str, str], list[str]] = {}
    for entry in able:
        if not entry.is_installed and (request.checkpoints or given & set(entry.formats)):
            missing.setdefault((entry.package, entry.extra), []).append(entry.name)
    for (package, extra), names in missing.items():
        note(f"{package} is not installed: no {in_words(names)} rows; run: {install_command(extra)}")
    of_checkpoints = [entry for entry in able if CHECKPOINT in entry.formats]
    if of_checkpoints and not request.checkpoints:
        wanted = in_words([entry.name for entry in of_checkpoints])
        note(f"no checkpoint was named: no {wanted} rows; add --checkpoint runs/NAME")
    return tuple(entry.name for entry in able if entry.is_installed)


def _settings(request: BenchmarkRequest, runtimes: Sequence[str], judged: Sequence[str]) -> dict[str, object]:
    return {
        "runtimes": list(runtimes),
        "provider": request.provider,
        "batch_sizes": list(request.batch_sizes),
        "threads": list(request.threads),
        "rounds": request.rounds,
        "cold_starts": request.cold_starts,
        "timed_run": asdict(request.timed_run),
        "judged_on": "; ".join(judged),
        "max_drop_points": request.max_drop_points,
    }
