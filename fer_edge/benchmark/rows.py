"""What is measured: the files under test, and the rows (runtime, precision, provider, batch, threads) made of them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer_edge.metadata import NORMALISED, ModelMetadata

ONNXRUNTIME, OPENVINO = "onnxruntime", "openvino"
EAGER, COMPILE, TORCHSCRIPT, PT2 = "torch-eager", "torch-compile", "torchscript", "pt2"
RUNTIMES = (ONNXRUNTIME, OPENVINO, EAGER, COMPILE, TORCHSCRIPT, PT2)
TORCH_RUNTIMES = (EAGER, COMPILE, TORCHSCRIPT, PT2)
CHECKPOINT = "checkpoint"
"""The ``file_format`` of a subject that is trainable weights."""

_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


@dataclass(frozen=True)
class Subject:
    """One file under test: an exported model, or a checkpoint."""

    name: str
    path: Path
    file_format: str
    """One of card.FORMATS, or CHECKPOINT."""
    precision: str
    architecture: str
    family: str
    """The same for all files made from one network: they are compared with one reference."""
    image_size: int
    seed: int
    """The training run's: it chose the validation faces where the data set has none."""
    is_raw: bool
    sha256: str
    file_bytes: int
    is_rival: bool
    """Made for this comparison, or run beside what was asked for: it may be left out with a note."""

    @classmethod
    def of_model(cls, path: Path, card: ModelMetadata, sha256: str, *, is_rival: bool = False) -> "Subject":
        """An exported model, by its card."""
        return cls(
            name=card.name,
            path=path,
            file_format=card.format,
            precision=card.precision,
            architecture=card.architecture,
            family=family_of(card.architecture, card.settings, card.training_data.fingerprint, card.mean, card.std),
            image_size=card.image_size,
            seed=card.training_data.seed,
            is_raw=card.input.kind == NORMALISED,
            sha256=sha256,
            file_bytes=path.stat().st_size,
            is_rival=is_rival,
        )


def family_of(architecture: str, settings: Any, fingerprint: str, mean: float, std: float) -> str:
    """A key that files made from one checkpoint share, from what their cards say."""
    return f"{architecture} {sorted(dict(settings).items())} {fingerprint} {mean:.9g} {std:.9g}"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    model: str
    """Name of the file under test."""
    network: str
    """Its architecture."""
    runtime: str
    precision: str
    """As it is run: OpenVINO runs an fp32 file in bf16 too."""
    provider: str
    batch: int
    threads: int
    form: str = ""
    """What sets the file apart from a plain ONNX model of pixels: ``raw``, ``ort``."""

    @property
    def label(self) -> str:
        """How the runtime is named in tables."""
        return f"{self.runtime} ({self.form})" if self.form else self.runtime

    @property
    def title(self) -> str:
        """The row in words."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        provider = "" if self.provider == "cpu" else f" on {self.provider}"
        return f"{self.network} {self.label} {self.precision}{provider}, batch {self.batch}, {threads}"

    @property
    def engine(self) -> tuple[str, str, str, str]:
        """What answers: the same at every batch size and number of threads."""
        return self.model, self.runtime, self.precision, self.provider

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)


@dataclass(frozen=True)
class Wanted:
    """What was asked for."""

    runtimes: Sequence[str]
    provider: str
    batch_sizes: Sequence[int]
    threads: Sequence[int]
    cpu_flags: frozenset[str] = frozenset()


def rows_of(subject: Subject, wanted: Wanted) -> list[Row]:
    """The rows of one file: every way to run it, at every batch size and number of threads."""
    form = "raw" if subject.is_raw else "ort" if subject.file_format == "ort" else ""
    return [
        Row(subject.name, subject.architecture, runtime, precision, wanted.provider, batch, threads, form)
        for runtime, precision in _ways(subject, wanted)
        for threads in wanted.threads
        for batch in wanted.batch_sizes
    ]


def _ways(subject: Subject, wanted: Wanted) -> Iterable[tuple[str, str]]:
    """Runtime and precision of each way to run the file on the provider, among the runtimes that are wanted."""
    ways: list[tuple[str, str]] = []
    if subject.file_format in ("onnx", "ort"):
        ways.append((ONNXRUNTIME, subject.precision))
        if subject.file_format == "onnx" and wanted.provider == "cpu":
            ways += [(OPENVINO, precision) for precision in _openvino_precisions(subject, wanted.cpu_flags)]
    elif subject.file_format == CHECKPOINT:
        ways += [(EAGER, subject.precision), (COMPILE, subject.precision)]
    else:
        ways.append((subject.file_format, subject.precision))
    return [way for way in ways if way[0] in wanted.runtimes]


def _openvino_precisions(subject: Subject, cpu_flags: frozenset[str]) -> list[str]:
    if subject.precision == "fp32":
        return ["fp32", "bf16"] if cpu_flags & _BF16_FLAGS else ["fp32"]
    return ["int8"] if subject.precision == "int8" else []  # it would run an fp16 file in fp32: no row of its own
