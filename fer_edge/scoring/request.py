"""What is to be scored, by which model, and where the rows go."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.errors import MissingExtraError, UsageError
from fer_edge.uncertainty import DEFAULT_MAX_RISK

if TYPE_CHECKING:
    from fer_edge.runtime.foreign_files import Description

LOCAL, RAY = "local", "ray"
ENGINES = (LOCAL, RAY)

MAX_WORKERS = 1024
"""Far above what a machine has cores for: each is a process with a session of its own."""

MAX_RAY_ROWS = 2**16
"""Far below what Ray Data cuts into several blocks (128 MB)."""

_PACKAGES = {"score": ("pyarrow", "fsspec", "filelock"), "ray": ("ray",)}


@dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """One run of ``score``. Raises UsageError for settings that cannot be."""

    source: str
    """A folder of images, a Parquet file or a folder of such, as a path or an address (``s3://``, ``gs://``)."""
    out: str
    """The folder for the rows: a new or empty one, or that of the same run, which then goes on."""
    model: str | Path | None = None
    """A model file of any format that a backend opens, or the name of a shipped one; None: the default."""
    column: str | None = None
    """Of a Parquet input: paths, addresses or the bytes of images. None: ``bytes``, ``image`` or ``path``, the first
    that is there."""
    engine: str = LOCAL
    """``local``: processes of this machine; ``ray``: Ray Data."""
    address: str | None = None
    """Of the Ray cluster; None: the one that RAY_ADDRESS names, or one that is started here and ends with the run."""
    workers: int = 0
    """Processes, each with a session of one thread; 0: as many as cores, in a cluster as many as it has CPUs for."""
    rows: int = 2048
    """About how many rows a file has: what a killed process has to do again."""
    batch_size: int = 32
    """Images of one size that the model scores together."""
    max_risk: float | None = None
    """Fraction (0-1) of the certain answers that may be wrong; None: the default of a calibrated model."""
    certain_only: bool = False
    """Leave out answers that are not certain: such a row has its path and ``is_certain`` alone."""
    trust: bool = False
    """Open a model whose loading runs code, or whose graph no image classifier has."""
    description: "Description | None" = None
    """How to feed another maker's ``.onnx``."""

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UsageError(f"expected the engine {' or '.join(ENGINES)}, found {self.engine!r}")
        if self.address is not None and self.engine != RAY:
            raise UsageError("expected --engine ray with --address: it is that of a Ray cluster")
        for name, value, least, most in (
            ("workers", self.workers, 0, MAX_WORKERS),
            ("rows", self.rows, 1, 2**20),
            ("batch size", self.batch_size, 1, 2**16),
        ):
            if not least <= value <= most:
                raise UsageError(f"expected {name} from {least} to {most}, found {value}")
        if self.engine == RAY and self.rows > MAX_RAY_ROWS:  # else Ray might cut a file in two
            raise UsageError(f"expected rows up to {MAX_RAY_ROWS} with the engine ray, found {self.rows}")

    @property
    def wanted_risk(self) -> float | None:
        """None: whatever the model is calibrated for, if it is."""
        return DEFAULT_MAX_RISK if self.certain_only and self.max_risk is None else self.max_risk

    def require(self) -> None:
        """Raises MissingExtraError where a package of the extra is not installed."""
        for extra in ("score", *(("ray",) if self.engine == RAY else ())):
            for package in _PACKAGES[extra]:
                if find_spec(package) is None:
                    raise MissingExtraError(package, extra)
