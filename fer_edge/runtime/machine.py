"""The machine behind a number, in one line."""

import os
import platform
from importlib import import_module
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def processor_name() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # outside Linux
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_machine(library: str = "onnxruntime") -> str:
    """Processor, cores, system, and the version of the ``library`` that did the work, whichever package brought it."""
    version = import_module(library).__version__
    return f"{processor_name()}, {available_cores()} cores, {platform.system()}, {library} {version}"
