"""The machine that the figures belong to, and whether it was quiet."""

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fer_edge.export.formats.registry import all_formats
from fer_edge.runtime.cores import available_cores
from fer_edge.runtime.machine import processor_name
from fer_edge.runtime.onnxruntime_packages import onnxruntime_packages

PACKAGES = ("fer-edge", "numpy", "pillow", "torch", "torchvision", "onnx")
"""Beside whichever brings onnxruntime, and what the other formats need."""

FLAGS_THAT_MATTER = (
    *("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"),  # x86
    *("asimddp", "i8mm", "bf16", "sve", "sve2"),  # Arm: 8-bit dot products, 8-bit matrices, bf16, wide vectors
)
"""What decides how fast 8- and 16-bit networks run."""

BUSY_SAMPLE_S = 0.5
MAX_QUIET_BUSY_SHARE = 0.1
"""Part of the available cores that other processes may use on a machine that is called quiet."""


def describe_environment(provider: str = "cpu") -> dict[str, Any]:
    """CPU, flags, cores, memory, system, versions, governor, load and git commit, as plain values; None if unknown.

    Takes BUSY_SAMPLE_S, in which it watches how busy other processes keep the processor. Call it before the work.
    """
    cpuinfo = _text("/proc/cpuinfo")
    memory = _kibibytes(_text("/proc/meminfo"))
    return {
        "cpu": processor_name(),
        "cpu_flags": sorted(cpu_flags(cpuinfo) & set(FLAGS_THAT_MATTER)),
        "architecture": platform.machine(),
        "cores_available": available_cores(),
        "cores": os.cpu_count(),
        "memory_bytes": memory.get("MemTotal"),
        "memory_available_bytes": memory.get("MemAvailable"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in _packages() if (found := _version(name)) is not None}
        | onnxruntime_packages(),
        "gpu": _gpu() if provider == "cuda" else None,
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        "load_average": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "busy_cores": busy_cores(BUSY_SAMPLE_S),
        "git_commit": _git_commit(),
    }


def _packages() -> tuple[str, ...]:
    """Those whose versions the figures belong to."""
    of_formats = (package for one in all_formats().values() for package in one.packages)
    return tuple(dict.fromkeys((*PACKAGES, *of_formats)))


def cpu_flags(cpuinfo: str | None = None) -> frozenset[str]:
    """What the processor can do, by /proc/cpuinfo's own names: its line 'flags' on x86, 'Features' on Arm."""
    text = _text("/proc/cpuinfo") if cpuinfo is None else cpuinfo
    return frozenset(flag for key in ("flags", "Features") for line in _values(text, key) for flag in line.split())


def busy_cores(seconds: float) -> float | None:
    """How many cores' worth of time is used over the next ``seconds``, in which this process sleeps; None off Linux."""
    before = _busy_ticks(_text("/proc/stat"))
    time.sleep(seconds)
    after = _busy_ticks(_text("/proc/stat"))
    if before is None or after is None or sys.platform == "win32":
        return None
    return round((after - before) / os.sysconf("SC_CLK_TCK") / seconds, 2)


def stolen_ticks() -> int | None:
    """Ticks so far in which this virtual machine wanted to run and its host ran another; None where nobody says."""
    fields = _text("/proc/stat").partition("\n")[0].split()
    return int(fields[8]) if len(fields) > 8 else None


def noise_in(environment: dict[str, Any]) -> list[str]:
    """Why figures from this machine are to be taken with care, one line each; nothing for a quiet one."""
    found = []
    cores, busy = environment["cores"] or 1, environment["busy_cores"]
    if busy is not None and busy > MAX_QUIET_BUSY_SHARE * cores:
        found.append(f"noisy machine: other processes kept {busy:.1f} of {cores} cores busy at the start")
    load = environment["load_average"]
    if load is not None and load[0] > 0.5 * cores:
        found.append(f"noisy machine: the load average at the start was {load[0]:.1f} on {cores} cores")
    governor = environment["governor"]
    if governor in ("powersave", "ondemand", "conservative"):
        found.append(f"the CPU governor is '{governor}': its clock follows the load; 'performance' is steadier")
    return found


def _busy_ticks(stat: str) -> int | None:
    fields = stat.partition("\n")[0].split()[1:]
    if len(fields) < 8:
        return None
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, _stolen = map(int, fields[:8])
    return user + nice + system + interrupts + soft_interrupts


def _values(text: str, key: str) -> list[str]:
    return [line.partition(":")[2].strip() for line in text.splitlines() if line.partition(":")[0].strip() == key]


def _kibibytes(meminfo: str) -> dict[str, int]:
    """Name to bytes of the lines of /proc/meminfo."""
    found = {}
    for line in meminfo.splitlines():
        name, _, amount = line.partition(":")
        if amount.endswith(" kB"):
            found[name] = 1024 * int(amount.removesuffix(" kB"))
    return found


def _text(path: str) -> str:
    """The content of a file of the system; '' where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _gpu() -> str | None:
    """Name, driver and memory of each GPU, as nvidia-smi has them."""
    return _output("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")


def _git_commit() -> str | None:
    """The commit of this package's checkout, with ``-dirty`` where tracked files differ; None outside a checkout."""
    folder = str(Path(__file__).parent)
    commit = _output("git", "-C", folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _output("git", "-C", folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-dirty" if changes else commit


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
