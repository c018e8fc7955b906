"""Runs a model's golden kit, and labelled faces in the same form, on every device: side by side, and resumable."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.data.faces import NO_LABEL, FaceSet
from fer_edge.devices.matrix import Matrix, Report, Row, read_report, row_of
from fer_edge.devices.targets import CHECKER, COMPLETE, NODE_CHECKER, Command, Device, NotRun, emulators
from fer_edge.errors import DataError, ModelError
from fer_edge.files import make_folder, temporary_folder, write_text
from fer_edge.golden.kit import Kit, write_kit
from fer_edge.golden.tolerance import GOLDEN_TOLERANCES
from fer_edge.golden.vectors import Vector, make_vectors
from fer_edge.processes import words_ending_here
from fer_edge.runtime.cores import available_cores
from fer_edge.runtime.machine import describe_machine, processor_name
from fer_edge.runtime.model_file import read_model
from fer_edge.runtime.session import version_numbers

FACES_A_VECTOR = 20
_FACES = "faces-"
_SECONDS_NATIVELY = 30.0
"""What a run on this machine may take at the most; emulated ones, by their factor, longer."""

OnRow = Callable[[Row, Sequence[str]], None]
"""Called with each row as it is known, and with the names of the devices that are left."""


@dataclass(frozen=True)
class LabelledFaces:
    """Faces uint8 (N, S, S) that accuracy is measured on, and their labels int64 (N,)."""

    faces: NDArray[np.uint8]
    labels: NDArray[np.int64]
    source: str


def chosen_faces(split: FaceSet, count: int, source: str, seed: int = 0) -> LabelledFaces:
    """``count`` labelled faces of a split, drawn by ``seed``, or all of fewer. Raises DataError for none."""
    labelled = np.flatnonzero(split.labels != NO_LABEL)
    if not len(labelled):
        raise DataError(f"{source}: expected labelled faces, found none; choose others with --data")
    drawn = np.random.default_rng(seed).permutation(labelled)[:count]
    return LabelledFaces(split.faces[np.sort(drawn)], split.labels[np.sort(drawn)], source)


def run_devices(
    model: Path,
    devices: Sequence[Device],
    faces: LabelledFaces | None,
    results: Path,
    on_row: OnRow = lambda row, left: None,
    *,
    cores: int | None = None,
) -> Matrix:
    """Try ``model`` on ``devices``, as many at a time as there are ``cores``.

    What is expected are this machine's answers with 8-bit products added in full, so that a machine that saturates is
    no yardstick. Each result is kept in the folder ``results`` and not measured again for the same model, faces and
    onnxruntime. Raises ModelError for a model that is refused, StorageError where ``results`` cannot be written.
    """
    checked = read_model(model)
    model = checked.path
    make_folder(results)
    with temporary_folder("devices-") as scratch:
        kit = write_kit(model, Path(scratch) / "kit", inputs=_inputs(faces), full_precision=True)
        minimum = checked.metadata.minimum_onnxruntime
        runs_now = _Processes()
        rows: dict[str, Row] = {}
        with ThreadPoolExecutor(cores or available_cores()) as pool:
            # The slow ones begin first, so that none is left alone at the end.
            order = sorted(devices, key=lambda device: -device.load_factor)
            runs = {pool.submit(_try, device, kit, minimum, results, runs_now): device for device in order}
            try:
                for done in _as_completed(runs):
                    device, found = runs[done], done.result()
                    rows[device.name] = _row(device, found, faces)
                    on_row(rows[device.name], [one.name for one in order if one.name not in rows])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                runs_now.kill()  # Ctrl-C in a terminal reached them, SIGTERM did not, and they may take an hour
                raise
        return Matrix(
            model=model.name,
            sha256=checked.sha256,
            precision=checked.metadata.precision,
            max_logit_difference=GOLDEN_TOLERANCES[checked.metadata.precision].max_logit_difference,
            faces=0 if faces is None else len(faces.faces),
            faces_source="" if faces is None else faces.source,
            reference_accuracy=None if faces is None else _accuracy(_expected(kit), faces),
            rows=tuple(rows[device.name] for device in devices),
            made_on=describe_machine(),
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )


def _as_completed(runs: Iterable[Future[Any]]) -> Iterator[Future[Any]]:
    """Each run as it ends. It looks up every half second: a wait without an end is not broken by Ctrl-C on Windows."""
    waiting = set(runs)
    while waiting:
        done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        yield from done


def _inputs(faces: LabelledFaces | None) -> list[Vector]:
    inputs = list(make_vectors())
    if faces is not None:
        for first in range(0, len(faces.faces), FACES_A_VECTOR):
            pixels = faces.faces[first : first + FACES_A_VECTOR, ..., np.newaxis]
            inputs.append(Vector(f"{_FACES}{first:06d}", f"faces of {faces.source}", pixels))
    return inputs


class _Processes:
    """What runs now, to be ended together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._is_over = False

    def run(self, words: Sequence[str], limit_s: float, **options: Any) -> tuple[int, str]:
        """Exit code and last line of ``words``. Raises OSError, and TimeoutExpired after ``limit_s`` seconds."""
        pipe = subprocess.PIPE
        with self._lock:
            if self._is_over:
                return -1, "interrupted"
            command = words_ending_here(words)  # an emulated run would go on for an hour
            process = subprocess.Popen(command, stdout=pipe, stderr=pipe, encoding="utf-8", errors="replace", **options)
            self._running.add(process)
        try:
            out, err = process.communicate(timeout=limit_s)
        finally:
            process.kill()  # nothing where it has ended
            process.wait()
            with self._lock:
                self._running.discard(process)
        lines = (err or out).strip().splitlines()
        return process.returncode, lines[-1][:300] if lines else "no message"

    def kill(self) -> None:
        """End all, and start no other."""
        with self._lock:
            self._is_over = True
            for process in self._running:
                process.kill()


def _try(device: Device, kit: Kit, minimum: str | None, results: Path, processes: _Processes) -> Report | NotRun | str:
    """What the kit's checker reports, why it was not run, or the last line of one that crashed."""
    if device.onnxruntime and minimum is not None and version_numbers(device.onnxruntime) < version_numbers(minimum):
        return NotRun(f"the model asks for onnxruntime {minimum} or later")
    try:
        command = device.command(emulators(), kit.folder)
    except NotRun as reason:
        return reason
    kept = results / f"{device.name}-{_key(command, kit)}.json"
    if kept.is_file():
        with suppress(ModelError):  # damaged: run again
            return read_report(kept)
    with temporary_folder("fer-edge-device-") as scratch:
        report = Path(scratch) / "report.json"
        limit_s = _SECONDS_NATIVELY * device.load_factor
        found = _run(command, kit.model.resolve(), report, limit_s, processes)
        if not report.is_file():
            return found
        try:
            read = read_report(report)
        except ModelError:
            return f"it wrote no whole report; {found}"
        text = report.read_text(encoding="utf-8")
    write_text(kept, text)
    return read


def _key(command: Command, kit: Kit) -> str:
    """Changes with all that an answer may depend on: model, inputs, checker, emulator, packages and this processor."""
    parts = [json.dumps(kit.manifest, sort_keys=True), processor_name(), sys.version]
    parts += [hashlib.sha256((kit.folder / checker).read_bytes()).hexdigest() for checker in (CHECKER, NODE_CHECKER)]
    parts += [word for word in command.words if not word.startswith(str(kit.folder))]
    emulator = Path(command.words[0])
    if emulator.is_file():
        parts.append(f"{emulator.stat().st_size} {emulator.stat().st_mtime_ns}")
    packages = command.environment.get("PYTHONPATH")
    if packages is not None:
        parts += sorted(path.name for path in Path(packages).glob("*.dist-info"))
        parts += [path.read_text(encoding="utf-8") for path in Path(packages).glob(COMPLETE)]
    if command.cwd is not None:
        parts += [
            (path / "package.json").read_text(encoding="utf-8")
            for path in command.cwd.glob("node_modules/onnxruntime-web")
        ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _run(command: Command, model: Path, report: Path, limit_s: float, processes: _Processes) -> str:
    words = [*command.words, str(model), *command.after, "--report", str(report)]
    environment = {**os.environ, **command.environment, "OMP_NUM_THREADS": "1"}
    try:
        code, line = processes.run(words, limit_s, env=environment, cwd=command.cwd)
    except subprocess.TimeoutExpired:
        return f"no answer within {limit_s:.0f} seconds"
    except OSError as error:
        return f"{words[0]} cannot be run: {error.strerror}"
    return f"exit code {code}: {line}"


def _row(device: Device, found: Report | NotRun | str, faces: LabelledFaces | None) -> Row:
    if isinstance(found, NotRun):
        return Row(device.name, device.stands_for, "not run", str(found))
    if isinstance(found, str):
        return Row(device.name, device.stands_for, "failed", found)
    accuracy = None if faces is None else _accuracy(found.answers, faces)
    return row_of(found, device.name, device.stands_for, accuracy)


def _expected(kit: Kit) -> dict[str, list[int]]:
    labels = list(kit.manifest["model"]["labels"])
    return {one["name"]: [labels.index(label) for label in one["labels"]] for one in kit.manifest["vectors"]}


def _accuracy(answers: dict[str, list[int]], faces: LabelledFaces) -> float | None:
    """Fraction of the labelled faces that were named right; None where not all were answered."""
    named = [label for name in sorted(answers) if name.startswith(_FACES) for label in answers[name]]
    return float(np.mean(np.array(named) == faces.labels)) if len(named) == len(faces.labels) else None
