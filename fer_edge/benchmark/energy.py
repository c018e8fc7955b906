"""Energy by RAPL, the processor's own counters, as Linux shows them (Documentation/power/powercap/powercap.rst).

AMD's processors are under ``intel-rapl``, too. A counter is of a whole package, with all that runs on it and its idle
power, and starts again at 0 after ``max_energy_range_uj``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
NOT_MEASURED = "not measured"
_DOMAINS, _PACKAGE = "intel-rapl:*", "package"
"""``intel-rapl-mmio``, where it is there, has the same packages again."""


@dataclass(frozen=True)
class Counter:
    """One package's."""

    folder: Path
    range_uj: int
    """Where it starts again at 0."""

    def read_uj(self) -> int:
        """Microjoules since some time. Raises OSError, ValueError."""
        return int((self.folder / "energy_uj").read_text(encoding="ascii"))


@dataclass(frozen=True)
class Energy:
    """Of a number of images; either joules or the reason why there are none, never 0 for unknown."""

    joules_per_image: float | None = None
    reason: str = ""

    def in_words(self) -> str:
        """With its unit."""
        if self.joules_per_image is None:
            return f"{NOT_MEASURED}: {self.reason}"
        return f"{self.joules_per_image:.3g} J an image (whole package)"

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {"joules_per_image": self.joules_per_image, "energy_not_measured": self.reason or None}


class EnergyMeter:
    """What all packages use between ``start`` and ``stop``."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self.reason = ""
        self._counters: list[Counter] = []
        self._before: Mapping[Path, int] = {}
        try:
            self._counters = package_counters(powercap)
            self._read()
        except (OSError, ValueError) as error:
            self.reason = _why(error)
        else:
            if not self._counters:
                self.reason = f"no RAPL counter of a package in {powercap}"

    def start(self) -> None:
        """Before the work."""
        if not self.reason:
            self._before = self._read()

    def stop(self, images: int) -> Energy:
        """After the work on so many ``images``, which took less time than a counter's range (minutes at full power)."""
        if self.reason:
            return Energy(reason=self.reason)
        try:
            after = self._read()
        except (OSError, ValueError) as error:
            return Energy(reason=_why(error))
        used = sum(used_uj(self._before[one.folder], after[one.folder], one.range_uj) for one in self._counters)
        if used == 0:
            return Energy(reason="the counters stood still")
        return Energy(used / 1e6 / images)

    def _read(self) -> dict[Path, int]:
        return {one.folder: one.read_uj() for one in self._counters}


def package_counters(powercap: Path) -> list[Counter]:
    """Each package's counter, once: not those of its parts (cores, memory) nor of the whole platform, which would
    count the same energy twice. Raises OSError and ValueError for one that cannot be read."""
    found = []
    for folder in sorted(powercap.glob(_DOMAINS)):
        is_part = folder.name.count(":") > 1
        if not is_part and (folder / "name").read_text(encoding="ascii").startswith(_PACKAGE):
            found.append(Counter(folder, int((folder / "max_energy_range_uj").read_text(encoding="ascii"))))
    return found


def used_uj(before: int, after: int, range_uj: int) -> int:
    """Microjoules between two readings, at most one start from 0 apart."""
    return after - before if after >= before else after + range_uj - before


def _why(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"no permission to read {error.filename} (Linux lets only root read it, since CVE-2020-8694)"
    return f"its counters cannot be read: {error}"
