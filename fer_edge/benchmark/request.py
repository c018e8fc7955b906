"""What to measure, and how long."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fer_edge.backends.registry import backends
from fer_edge.benchmark.timed_run import RunLength
from fer_edge.data.class_map import ClassMap
from fer_edge.errors import UsageError
from fer_edge.runtime.foreign_files import Description
from fer_edge.runtime.session import MAX_THREADS

MAX_BATCH = 4096


@dataclass(frozen=True)
class BenchmarkRequest:
    """Settings of one benchmark. Raises UsageError for what makes no sense."""

    models: tuple[Path, ...] = ()
    """Exported models, or names of shipped ones; none: all in ``folder``, or those shipped where it has none."""
    folder: Path = Path("exported")
    checkpoints: tuple[Path, ...] = ()
    """Run folders or checkpoint files, as references and baselines."""
    data: str | None = None
    """Labelled faces, whose ``split`` gives accuracy; None: FER-2013 where it lies in the working directory."""
    class_map: ClassMap | None = None
    """Which classes the folders or values of ``data`` mean."""
    skip_bad: bool = False
    """Leave out files and rows of ``data`` that cannot be read."""
    split: str = "validation"
    num_faces: int = 0
    """Most labelled faces that are answered; 0: all."""
    provider: str = "cpu"
    batch_sizes: tuple[int, ...] = (1, 8, 32)
    threads: tuple[int, ...] = (1,)
    runtimes: tuple[str, ...] = field(default_factory=lambda: tuple(backends()))
    """Names of backends."""
    description: Description | None = None
    """How to feed another maker's model, where one is measured."""
    trust: bool = False
    """Load files that were given whose loading can run any code."""
    rounds: int = 5
    cold_starts: int = 5
    timed_run: RunLength = field(default_factory=RunLength)
    photo_budget_s: float = 0.15
    """Time a round for one row's answers from JPEG bytes."""
    audit_budget_s: float = 0.1
    """Time for comparing varied with repeated inputs, a row."""
    max_drop_points: float = 0.5
    """Percentage points of accuracy that a recommended row may lie below the best one."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured (UsageError)."""
        _check_numbers("--batch-sizes", self.batch_sizes, MAX_BATCH)
        _check_numbers("--threads", self.threads, MAX_THREADS)
        for option, least, number in (
            ("--max-drop", 0.0, self.max_drop_points),
            ("--rounds", 1, self.rounds),
            ("--faces", 0, self.num_faces),
            ("cold_starts", 0, self.cold_starts),
            ("photo_budget_s", 0.0, self.photo_budget_s),
            ("audit_budget_s", 0.0, self.audit_budget_s),
            *((f"timed_run.{name}", 0, value) for name, value in asdict(self.timed_run).items()),
        ):
            check_number(option, least, number)
        unknown = [name for name in self.runtimes if name not in backends()]
        if unknown or not self.runtimes:
            found = ", ".join(unknown) or "none"
            raise UsageError(f"--runtimes: expected some of {', '.join(backends())}, found {found}")


def check_number(option: str, least: float, number: float) -> None:
    """Raise UsageError for one that is below ``least``, infinite or NaN, which no comparison finds too small."""
    if not least <= number < math.inf:
        raise UsageError(f"{option}: expected a number from {least:g} on, found {number:g}")


def _check_numbers(option: str, numbers: tuple[int, ...], most: int) -> None:
    if not numbers or not all(1 <= number <= most for number in numbers) or len(set(numbers)) < len(numbers):
        found = ",".join(map(str, numbers)) or "none"
        raise UsageError(f"{option}: expected different numbers from 1 to {most}, such as 1,8, found {found}")
