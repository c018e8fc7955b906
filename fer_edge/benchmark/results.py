"""What a benchmark found: rows with their figures and raw samples, as JSON and back."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.backends.registry import backends
from fer_edge.benchmark.answers import AnsweredFaces, check_signs
from fer_edge.benchmark.audit import failures
from fer_edge.benchmark.rows import Row
from fer_edge.benchmark.statistics import PERCENTILES, Interval, median_interval, percentiles
from fer_edge.errors import ModelError
from fer_edge.text import without_surrogates

FORMAT, VERSION = "fer_edge benchmark", 1

COLD_START_PARTS = ("start", "import", "load", "first_answer")
"""Of a fresh process: the interpreter until its first line, importing the runtime, loading the file, one answer."""
PHOTO_PARTS = ("decode", "prepare", "run")


@dataclass
class RowResult:
    """What was measured of one row; filled while the benchmark runs. None or empty: not measured."""

    row: Row
    sha256: str
    file_bytes: int
    is_baseline: bool = True
    file: str = ""
    """Name of the file that was run, without its folder."""
    labels: list[str] = field(default_factory=list)
    """Names of its classes; empty in results of earlier versions."""
    latency_ms: list[list[float]] = field(default_factory=list)
    """Every timed run: one list a round."""
    copies_ms: list[list[float]] = field(default_factory=list)
    """Copies between host and device of the same runs, where they are apart from the latency."""
    peak_memory_bytes: int | None = None
    """Most memory held, over that of the process before its imports."""
    cold_starts_ms: list[dict[str, float]] = field(default_factory=list)
    """Fresh processes of the same engine, by COLD_START_PARTS; measured at the smallest batch and number of threads."""
    photos_ms: dict[str, list[float]] = field(default_factory=dict)
    """From JPEG bytes, by PHOTO_PARTS."""
    preprocessing_share: float | None = None
    """Fraction (0-1) of the model's own time that its graph spends on preprocessing."""
    accuracy: float | None = None
    """Fraction (0-1) of the labelled faces, answered at the row's batch size."""
    macro_f1: float | None = None
    agreement: float | None = None
    """Fraction (0-1) of the faces that the row, at its batch size, names as its reference does."""
    cuda_node_share: float | None = None
    faces: str = ""
    """Fingerprint of the labelled faces among ``Benchmark.faces`` that it answered."""
    answers: str = ""
    """The sign of the class that it names (``answers.py``), one a face; empty in results of earlier versions."""
    audit: dict[str, float] = field(default_factory=dict)
    """What the row's audit found (``audit.py``); empty where there was none, as in results of earlier versions."""

    @cached_property
    def percentiles_ms(self) -> dict[int, float]:
        """Latency by percentile, where its runs support it. Only for a row that was timed, and when it is complete."""
        return percentiles(self.latency_ms)

    @cached_property
    def interval_ms(self) -> Interval:
        """95% interval of the median latency. Only for a row that was timed, and when it is complete."""
        return median_interval(self.latency_ms)

    @property
    def is_timed(self) -> bool:
        """Whether any run was timed."""
        return any(self.latency_ms)

    @property
    def p50_ms(self) -> float:
        """Median latency."""
        return self.percentiles_ms[50]

    @property
    def images_per_s(self) -> float:
        """At the median latency."""
        return 1000 * self.row.batch / self.p50_ms

    @property
    def num_runs(self) -> int:
        """Timed runs."""
        return sum(map(len, self.latency_ms))

    def cold_start_ms(self) -> dict[str, float]:
        """Median of each part and of the total; empty where there was none."""
        if not self.cold_starts_ms:
            return {}
        parts = {part: float(np.median([one[part] for one in self.cold_starts_ms])) for part in COLD_START_PARTS}
        return {**parts, "total": float(np.median([sum(one.values()) for one in self.cold_starts_ms]))}

    def photo_ms(self) -> dict[str, float | None]:
        """Medians from JPEG bytes to the answer: decode, preprocess, run, total; empty where it was not measured.

        ``preprocess`` is what the host does and what the graph does by itself. It is None, and all of it in ``run``,
        where the runtime does not tell the two apart.
        """
        if not self.photos_ms.get("run"):
            return {}
        decode, prepare, run = (float(np.median(self.photos_ms[part])) for part in PHOTO_PARTS)
        total = float(np.median(np.sum([self.photos_ms[part] for part in PHOTO_PARTS], axis=0)))
        if self.preprocessing_share is None and not _splits_preprocessing(self.row.runtime):
            return {"decode": decode, "preprocess": None, "run": prepare + run, "total": total}
        inside = run * (self.preprocessing_share or 0.0)
        return {"decode": decode, "preprocess": prepare + inside, "run": run - inside, "total": total}

    def to_dict(self) -> dict[str, Any]:
        """Figures first, then the raw samples."""
        figures: dict[str, Any] = {"latency": None}
        if self.is_timed:
            figures["latency"] = {
                **_rounded_or_none({f"p{one}_ms": self.percentiles_ms.get(one) for one in PERCENTILES}),
                "p50_interval95_ms": [round(self.interval_ms.low, 4), round(self.interval_ms.high, 4)],
                "images_per_s": round(self.images_per_s, 1),
                "runs": self.num_runs,
            }
        figures["cold_start_ms"] = _rounded(self.cold_start_ms())
        figures["from_jpeg_ms"] = _rounded(self.photo_ms())
        copies = [one for round_ms in self.copies_ms for one in round_ms]
        figures["host_copies_p50_ms"] = round(float(np.median(copies)), 4) if copies else None
        kept = {key: value for key, value in asdict(self).items() if key != "row"}
        samples = {key: kept.pop(key) for key in ("latency_ms", "copies_ms", "cold_starts_ms", "photos_ms")}
        kept["is_rival"] = self.is_baseline  # the key of earlier versions
        return {**self.row.to_dict(), **figures, **kept, "samples": samples}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RowResult":
        """What ``to_dict`` gave. Raises KeyError, TypeError or ValueError for something else."""
        row = Row(**{key: values[key] for key in Row.__dataclass_fields__})
        for key in Row.__dataclass_fields__:
            if type(values[key]) is not (int if key in ("batch", "threads") else str):
                raise ValueError(f"{key} {values[key]!r}")
        for latency in chain.from_iterable(values["samples"]["latency_ms"]):
            if type(latency) not in (int, float) or not 0 < latency < math.inf:
                raise ValueError(f"a latency of {latency!r} ms")
        if "is_baseline" not in values and "is_rival" in values:  # before version 0.2
            values = {**values, "is_baseline": values["is_rival"]}
        if "file" not in values and values.get(
            "is_baseline"
        ):  # what a checkpoint was exported to had a name of its own
            row = replace(row, model=re.sub("-fp(16|32)$", "", row.model))
        check_signs(values.get("answers", ""), len(values.get("labels", ())))
        own = {key: values[key] for key in cls.__dataclass_fields__ if key in values}
        return cls(row, **own, **values["samples"])


@dataclass
class Benchmark:
    """A whole run."""

    created: str
    """ISO 8601."""
    command: str
    environment: dict[str, Any]
    settings: dict[str, Any]
    """How it was measured: rounds, labelled data, reference."""
    rows: list[RowResult]
    faces: list[AnsweredFaces] = field(default_factory=list)
    """The labelled faces that rows answered."""
    left_out: list[str] = field(default_factory=list)
    """Rows that were wanted and are not there, each with its reason."""
    failures: list[str] = field(default_factory=list)
    """Those of them that were asked for by name or provider: the command ends with exit code 1."""
    notes: list[str] = field(default_factory=list)
    """What a reader has to know beside the figures, such as a noisy machine."""
    recommendations: list[str] = field(default_factory=list)
    is_partial: bool = False
    """Whether it was interrupted."""
    left_out_files: dict[str, int] = field(default_factory=dict)
    """Files and rows of the data set that cannot be used, by kind (``fer_edge.data.left_out``)."""

    @property
    def audit_failures(self) -> list[str]:
        """What the audits of the rows found wrong: the command ends with exit code 3."""
        return [line for one in self.timed for line in failures(one.row.title, one.audit)]

    @property
    def timed(self) -> list[RowResult]:
        """Rows with a latency."""
        return [row for row in self.rows if row.is_timed]

    def to_json(self) -> str:
        """Indented JSON in which lists of numbers stay on one line. No NaN."""
        values = {
            "format": FORMAT,
            "version": VERSION,
            **{key: value for key, value in self.__dict__.items() if key not in ("rows", "faces")},
            "faces": [one.to_dict() for one in self.faces],
            "rows": [row.to_dict() for row in self.rows],
        }
        return readable_json(values)

    @classmethod
    def read(cls, path: Path) -> "Benchmark":
        """Read what ``to_json`` wrote. Raises ModelError for a file that is missing or is something else."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if (values.pop("format"), values.pop("version")) != (FORMAT, VERSION):
                raise ValueError("another format")
            faces = {one["fingerprint"]: AnsweredFaces(**one) for one in values.get("faces", ())}
            rows = [RowResult.from_dict(row) for row in values["rows"]]
            if any(one.answers and len(one.answers) != len(faces[one.faces]) for one in rows):
                raise ValueError("answers to another number of faces")
            return cls(**{**values, "rows": rows, "faces": list(faces.values())})
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{path}: expected the JSON of 'fer-edge benchmark', found something else ({str(error)[:80]})"
            ) from error


def _splits_preprocessing(runtime: str) -> bool:
    entry = backends().get(runtime)  # None: in results of a machine that has more
    return entry is not None and entry.splits_preprocessing


def readable_json(values: Any) -> str:
    """Indented JSON in which lists of numbers stay on one line. No NaN."""
    text = json.dumps(without_surrogates(values), indent=1, allow_nan=False)
    return re.sub(r"\[[-0-9.eE,\s]+\]", _on_one_line, text) + "\n"


def _on_one_line(found: re.Match[str]) -> str:
    return f"[{', '.join(found.group()[1:-1].replace(',', ' ').split())}]"


def _rounded(values: Mapping[str, float | None]) -> dict[str, float | None] | None:
    return _rounded_or_none(values) or None


def _rounded_or_none(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {key: None if value is None else round(value, 4) for key, value in values.items()}


def by_setting(rows: Sequence[RowResult]) -> dict[tuple[int, int], list[RowResult]]:
    """Timed rows by (batch, threads), fastest first within each: these are compared with each other."""
    groups: dict[tuple[int, int], list[RowResult]] = {}
    for row in sorted(rows, key=lambda one: (one.row.batch, one.row.threads, one.p50_ms)):
        groups.setdefault((row.row.batch, row.row.threads), []).append(row)
    return groups
