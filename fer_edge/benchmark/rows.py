"""What is measured: the files under test, and the rows (runtime, precision, provider, batch, threads) made of them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer_edge.backends import onnxruntime, torch_eager
from fer_edge.backends.registry import BackendEntry, backends_for
from fer_edge.metadata import NORMALISED, ModelMetadata
from fer_edge.runtime.foreign import ForeignDescription, ForeignMetadata

EAGER, ONNXRUNTIME = torch_eager.NAME, onnxruntime.NAME
"""The two that others are compared with: a checkpoint as PyTorch runs it, and its fp32 file as onnxruntime does."""


@dataclass(frozen=True)
class Subject:
    """One file under test: an exported model, or a checkpoint."""

    name: str
    """What tables and recommendations call it, after its file or checkpoint."""
    path: Path
    file_format: str
    """One of metadata.SUFFIXES, or CHECKPOINT."""
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
    is_baseline: bool
    """Made for this comparison, or run beside what was asked for: it may be left out with a note."""
    labels: tuple[str, ...] = ()
    """Names of its classes, in the order of its outputs."""
    description: ForeignDescription | None = None
    """Of another maker's model, which nothing verified."""
    checkpoint: Path | None = None
    """As it was named; for itself and for what was exported from it."""

    @property
    def argument(self) -> Path:
        """What was named, or found in the folder, that this is measured for."""
        return self.checkpoint or self.path

    @classmethod
    def of_model(
        cls, path: Path, metadata: ModelMetadata, sha256: str, *, num_bytes: int, is_baseline: bool = False
    ) -> "Subject":
        """An exported model, by its metadata; ``num_bytes`` of all its files."""
        return cls(
            name=path.stem,
            path=path,
            file_format=metadata.format,
            precision=metadata.precision,
            architecture=metadata.architecture,
            family=f"foreign {sha256}"
            if isinstance(metadata, ForeignMetadata)
            else family_of(
                metadata.architecture,
                metadata.settings,
                metadata.labels,
                metadata.training_data.fingerprint,
                metadata.training_data.seed,
                metadata.mean,
                metadata.std,
            ),
            image_size=metadata.image_size,
            seed=metadata.training_data.seed,
            is_raw=metadata.input.kind == NORMALISED,
            sha256=sha256,
            file_bytes=num_bytes,
            is_baseline=is_baseline,
            labels=metadata.labels,
            description=metadata.description if isinstance(metadata, ForeignMetadata) else None,
        )


def family_of(
    architecture: str, settings: Any, labels: Sequence[str], fingerprint: str, seed: int, mean: float, std: float
) -> str:
    """A key that files made from one checkpoint share, from what their metadata say.

    Labels and seed belong to it: one data set trains a network of seven classes and one of eight, or twice the same.
    """
    trained_on = f"{fingerprint} {seed} {mean:.9g} {std:.9g}"
    return f"{architecture} {sorted(dict(settings).items())} {list(labels)} {trained_on}"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    model: str
    """Name of the file under test; what is exported from a checkpoint has the checkpoint's."""
    network: str
    """Its architecture."""
    runtime: str
    precision: str
    """As it is run: OpenVINO runs an fp32 file in bf16 too."""
    provider: str
    batch: int
    threads: int
    form: str = ""
    """What sets the file apart from a model of pixels in the runtime's first format: ``raw``, ``ort``."""

    @property
    def label(self) -> str:
        """How the runtime is named in tables."""
        return f"{self.runtime} ({self.form})" if self.form else self.runtime

    @property
    def title(self) -> str:
        """The row in words."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        provider = "" if self.provider == "cpu" else f" on {self.provider}"
        return f"{self.model} {self.label} {self.precision}{provider}, batch {self.batch}, {threads}"

    @property
    def engine(self) -> tuple[str, ...]:
        """What answers: the same at every batch size and number of threads."""
        return self.model, self.runtime, self.precision, self.provider, self.form

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
    return [
        Row(subject.name, subject.architecture, runtime, precision, wanted.provider, batch, threads, form)
        for runtime, precision, form in _ways(subject, wanted)
        for threads in wanted.threads
        for batch in wanted.batch_sizes
    ]


def _form(subject: Subject, entry: BackendEntry) -> str:
    """What sets a file apart from one of the format that the backend opens first."""
    if subject.description is not None:
        return "not verified"
    if subject.is_raw:
        return "raw"
    return subject.file_format if entry.formats[0] != subject.file_format else ""


def _ways(subject: Subject, wanted: Wanted) -> Iterable[tuple[str, str, str]]:
    """Runtime, precision and form of each way to run the file on the provider, among the runtimes that are wanted."""
    return [
        (entry.name, precision, _form(subject, entry))
        for entry in backends_for(subject.file_format)
        if entry.name in wanted.runtimes and wanted.provider in entry.providers
        for precision in entry.precisions(subject.precision, wanted.cpu_flags)
    ]
