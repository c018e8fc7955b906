"""The machine behind a number, in one line."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_DOT_PRODUCT_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8"}
"""x86 instructions that add the products of 8-bit numbers in 32 bits."""


def processor_name() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def cpuinfo() -> str:
    """The text of /proc/cpuinfo; empty where there is none, as outside Linux."""
    try:
        return _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def saturates_int8(machine: str, cpuinfo: str) -> bool:
    """Whether sums of 8-bit products may overflow on ``platform.machine()`` with the text of /proc/cpuinfo.

    x86 without VNNI adds pairs of products in 16 bits. An x86 processor whose flags cannot be read counts as one.
    """
    if machine.lower() not in ("x86_64", "amd64", "x86", "i386", "i686"):
        return False
    flags = {
        flag
        for line in cpuinfo.splitlines()
        if line.partition(":")[0].strip() == "flags"
        for flag in line.partition(":")[2].split()
    }
    return not flags & _DOT_PRODUCT_FLAGS


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_machine(library: str = "onnxruntime") -> str:
    """Processor, cores, system, and the version of the ``library`` that did the work."""
    return f"{processor_name()}, {available_cores()} cores, {platform.system()}, {library} {version(library)}"
