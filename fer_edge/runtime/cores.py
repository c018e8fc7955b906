"""How many cores this process may use: its affinity, and what a container's CPU quota leaves it.

A quota (docker --cpus, a Kubernetes limit, systemd's CPUQuota) hides no cores: eight threads under a quota of two are
stopped together for most of every tenth of a second. See https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/scheduler/sched-bwc.html.
"""

import contextlib
import math
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath


def available_cores() -> int:
    """Cores that this process may run on, as many as its quota pays for: at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota_of_this_process()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def default_threads() -> int:
    """For onnxruntime, where nobody asked for a number: 0, its own choice of one a physical core, where the process has
    the whole machine, and else the available cores, which onnxruntime does not look at."""
    cores = available_cores()
    return cores if cores < (os.cpu_count() or 1) else 0


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that this process's control groups allow, the least of all above it; None without a quota.

    ``root`` is where ``proc`` and the control groups' mounts are.
    """
    return min(_quotas(root), default=None)


@cache
def _quota_of_this_process() -> float | None:
    """Read once: it is asked for with every session."""
    return cpu_quota()


def _quotas(root: Path) -> Iterator[float]:
    groups = list(_groups(_text(root / "proc/self/cgroup")))
    for mount in _text(root / "proc/self/mountinfo").splitlines():
        left, _, right = mount.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        is_v2 = kind[0] == "cgroup2"
        if not is_v2 and "cpu" not in kind[2].split(","):
            continue
        mounted = root / _unescaped(fields[4]).lstrip("/")
        for controllers, path in groups:
            if (not controllers) if is_v2 else ("cpu" in controllers):
                for folder in _upwards(path, _unescaped(fields[3])):
                    yield from _quota_in(mounted / folder, is_v2=is_v2)


def _unescaped(path: str) -> str:
    """Of mountinfo, where blanks and backslashes are octal numbers (man 5 proc)."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _groups(text: str) -> Iterator[tuple[list[str], str]]:
    """Controllers (none for version 2) and path of each line of /proc/self/cgroup."""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if number.isdecimal() and colon:
            yield [one for one in controllers.split(",") if one], path


def _upwards(path: str, mount_root: str) -> Iterator[PurePosixPath]:
    """The group's folder below the mount, and those above it. In a container the mount often begins at the group
    itself, or the path is the host's and not there: then the mount's own folder is all there is."""
    with contextlib.suppress(ValueError):
        below = PurePosixPath(path).relative_to(mount_root)
        if ".." not in below.parts:
            yield from (below, *below.parents)
            return
    yield PurePosixPath()


def _quota_in(folder: Path, *, is_v2: bool) -> Iterator[float]:
    if is_v2:
        values = _text(folder / "cpu.max").split()
    else:
        values = [_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    with contextlib.suppress(ValueError, IndexError, ArithmeticError):  # "max", -1, or no such file: no quota
        quota = int(values[0]) / int(values[1])
        if quota > 0:
            yield quota


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
