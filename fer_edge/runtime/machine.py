"""The machine behind a number, in one line."""

import platform
from importlib import import_module
from pathlib import Path

from fer_edge.runtime.cores import available_cores

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


def describe_machine(library: str = "onnxruntime") -> str:
    """Processor, cores, system, and the version of the ``library`` that did the work, whichever package brought it."""
    version = import_module(library).__version__
    return f"{processor_name()}, {available_cores()} cores, {platform.system()}, {library} {version}"
