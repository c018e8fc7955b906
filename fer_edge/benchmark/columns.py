"""The columns of the tables: one definition for the terminal, Markdown and CSV."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fer_edge.benchmark.early_stopping import N_TOO_SMALL
from fer_edge.benchmark.results import COLD_START_PARTS, RowResult

NOTHING = "–"
"""Stands where nothing was measured."""


@dataclass(frozen=True)
class Column:
    """One figure of a row."""

    key: str
    """In CSV; with its unit."""
    title: str
    """For people."""
    value: Callable[[RowResult], Any]
    """The figure itself, or None."""
    shown: Callable[[Any], str] = str
    """How people read it."""
    is_text: bool = False
    nothing: str = NOTHING
    """Stands where there is no figure."""

    def cell(self, result: RowResult) -> str:
        """The figure as text."""
        value = self.value(result)
        return self.nothing if value is None else self.shown(value)


def digits(value: float) -> str:
    """Three significant digits, without an exponent: 0.912, 5.41, 38.2, 1560."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _megabytes(value: float) -> str:
    return f"{value / 1e6:.1f}" if value < 1e8 else f"{value / 1e6:.0f}"


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.2f}"


def _from(part: str, values: Callable[[RowResult], Mapping[str, float | None]]) -> Callable[[RowResult], float | None]:
    return lambda one: values(one).get(part)


def _percentile(number: int) -> Column:
    key, title = f"p{number}_ms", f"p{number} ms"
    return Column(key, title, lambda one: one.percentiles_ms.get(number), digits, nothing=N_TOO_SMALL)


def _copies(one: RowResult) -> float | None:
    value: float | None = one.to_dict()["host_copies_p50_ms"]
    return value


NETWORK = Column("network", "network", lambda one: one.row.network, is_text=True)
MODEL = Column("model", "model", lambda one: one.row.model, is_text=True)
RUNTIME = Column("runtime", "runtime", lambda one: one.row.label, is_text=True)
PRECISION = Column("precision", "prec", lambda one: one.row.precision, is_text=True)
PROVIDER = Column("provider", "provider", lambda one: one.row.provider, is_text=True)
BATCH = Column("batch", "batch", lambda one: one.row.batch)
THREADS = Column("threads", "thr", lambda one: one.row.threads)
P50 = _percentile(50)
P90, P95, P99 = _percentile(90), _percentile(95), _percentile(99)
LOW = Column("p50_interval95_low_ms", "95% from", lambda one: one.interval_ms.low, digits)
HIGH = Column("p50_interval95_high_ms", "95% to", lambda one: one.interval_ms.high, digits)
INTERVAL = Column(
    "p50_interval95",
    "95% of p50",
    lambda one: one.interval_ms,
    lambda interval: f"{digits(interval.low)}–{digits(interval.high)}",
)
RATE = Column("images_per_s", "img/s", lambda one: one.images_per_s, lambda value: f"{value:.0f}")
RUNS = Column("runs", "runs", lambda one: one.num_runs)
COLD = Column("cold_start_total_ms", "cold s", _from("total", RowResult.cold_start_ms), _seconds)
COLD_PARTS = tuple(
    Column(f"cold_start_{part}_ms", part.replace("_", " "), _from(part, RowResult.cold_start_ms), _seconds)
    for part in COLD_START_PARTS
)
MEMORY = Column("peak_memory_bytes", "RAM MB", lambda one: one.peak_memory_bytes, _megabytes)
FILE = Column("file_bytes", "file MB", lambda one: one.file_bytes, _megabytes)
ACCURACY = Column("accuracy", "acc %", lambda one: one.accuracy, _percent)
MACRO_F1 = Column("macro_f1", "macro-F1", lambda one: one.macro_f1, lambda value: f"{value:.3f}")
AGREEMENT = Column("agreement", "agree %", lambda one: one.agreement, _percent)
COPIES = Column("host_copies_p50_ms", "copies ms", _copies, digits)
CUDA_SHARE = Column("cuda_node_share", "CUDA nodes %", lambda one: one.cuda_node_share, _percent)
PREPROCESSING = Column("preprocessing_share", "prep. in graph %", lambda one: one.preprocessing_share, _percent)
PHOTO_PARTS = tuple(
    Column(f"from_jpeg_{part}_ms", f"{part} ms", _from(part, RowResult.photo_ms), digits)
    for part in ("decode", "preprocess", "run", "total")
)
FILE_NAME = Column("file", "file", lambda one: one.file or None, is_text=True)
SHA256 = Column("sha256", "SHA-256", lambda one: one.sha256, is_text=True)

ALL = (
    *(MODEL, NETWORK, RUNTIME, PRECISION, PROVIDER, BATCH, THREADS, P50, LOW, HIGH, P90, P95, P99, RATE, RUNS),
    *(ACCURACY, MACRO_F1, AGREEMENT, COLD, *COLD_PARTS, MEMORY, FILE, COPIES, CUDA_SHARE, PREPROCESSING),
    *(*PHOTO_PARTS, FILE_NAME, SHA256),
)
"""For CSV."""
