"""The devices that a model's answers are checked on without having them: processors, and versions of onnxruntime.

Each is one row of ``DEVICES``. What a row needs is in a folder that ``tools/devices.sh`` fills; without it the row says
"not run", and why.
"""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fer_edge.errors import UsageError

FOLDER_VARIABLE = "FER_EDGE_DEVICES"
DEFAULT_FOLDER = Path(".devices")
GET_THEM = "get it with tools/devices.sh of a checkout"

COMPLETE = ".complete"
"""In a folder that tools/devices.sh has filled to the end."""

CHECKER, NODE_CHECKER = "check.py", "check.mjs"
"""Files of a golden kit."""


class NotRun(Exception):
    """Why a device could not be tried here."""


@dataclass(frozen=True)
class Command:
    """How to run a kit's checker on a device."""

    words: tuple[str, ...]
    """What goes before the model's path."""
    environment: Mapping[str, str]
    """Added to this process's own."""
    after: tuple[str, ...] = ()
    """What goes after the model's path."""
    cwd: Path | None = None


@dataclass(frozen=True)
class Device:
    """One row of the matrix."""

    name: str
    stands_for: str
    """What it is like, in words."""
    command: Callable[[Path, Path], Command]
    """From the folder of emulators and the kit's folder. Raises NotRun."""
    load_factor: float = 1.0
    """How much longer than natively a run takes, roughly; for its time limit and the order of runs."""
    onnxruntime: str = ""
    """Its version, where that is what the row is about."""


def emulators() -> Path:
    """The folder that tools/devices.sh fills: that of the environment variable, else ``.devices`` here."""
    return Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)


def _native(folder: Path, kit: Path) -> Command:
    return Command((sys.executable, str(kit / CHECKER)), {})


def _x86(model: str, folder: Path, kit: Path) -> Command:
    _require_x86_linux()
    return Command((str(_qemu(folder, "x86_64")), "-cpu", model, sys.executable, str(kit / CHECKER)), {})


def _masked(level: str, folder: Path, kit: Path) -> Command:
    """This processor less the features that ``level`` names (tools/cpumask): qemu does not emulate AVX-512."""
    _require_x86_linux()
    if "avx512f" not in Path("/proc/cpuinfo").read_text(encoding="utf-8").split():
        raise NotRun("this processor has no AVX-512; run check.py --report on one that has, and merge its report")
    packages = (folder / "masked").resolve()
    if not (packages / COMPLETE).is_file():
        raise NotRun(f"no masked onnxruntime in {folder}; {GET_THEM}")
    environment = {"CPUMASK": level, "LD_PRELOAD": str(packages / "cpumask.so"), "PYTHONPATH": str(packages)}
    return Command((sys.executable, str(kit / CHECKER)), environment)


def _arm(model: str, folder: Path, kit: Path) -> Command:
    qemu, root, packages = _qemu(folder, "aarch64"), folder / "arm64", folder / "arm64-packages"
    pythons = sorted((root / "usr" / "bin").glob("python3.[0-9]*"))
    if not pythons or not (packages / COMPLETE).is_file():
        raise NotRun(f"no arm64 Python with onnxruntime in {folder}; {GET_THEM}")
    words = (str(qemu), "-cpu", model, "-L", str(root), str(pythons[0]), str(kit / CHECKER))
    return Command(words, {"PYTHONPATH": str(packages.resolve()), "PYTHONHOME": str((root / "usr").resolve())})


def _version(version: str, folder: Path, kit: Path) -> Command:
    packages = folder / f"onnxruntime-{version}"
    if not (packages / COMPLETE).is_file():
        raise NotRun(f"no onnxruntime {version} in {folder}; {GET_THEM}")
    return Command((sys.executable, str(kit / CHECKER)), {"PYTHONPATH": str(packages.resolve())})


def _wasm(folder: Path, kit: Path) -> Command:
    node = shutil.which("node")
    if node is None:
        raise NotRun("Node.js is not installed")
    checkout = Path(__file__).resolve().parents[2]
    for project in (folder.resolve() / "wasm", checkout / "web"):
        if (project / "node_modules" / "onnxruntime-web" / "package.json").is_file():
            return Command((node, str(kit / NODE_CHECKER)), {}, after=("onnxruntime-web",), cwd=project)
    raise NotRun(f"no onnxruntime-web in {folder}; {GET_THEM}")


def _qemu(folder: Path, machine: str) -> Path:
    qemu = (folder / f"qemu-{machine}").resolve()
    if not qemu.is_file():
        raise NotRun(f"no qemu-{machine} in {folder}; {GET_THEM}")
    return qemu


def _require_x86_linux() -> None:
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        raise NotRun("x86 is emulated on Linux x86-64 alone, with this machine's own Python")


DEVICES: Mapping[str, Device] = {
    device.name: device
    for device in (
        Device("native", "this machine, with plain onnxruntime", _native),
        Device("x86-nehalem", "x86 with SSE4.2 alone (2008)", partial(_x86, "Nehalem"), 100),
        Device("x86-haswell", "x86 with AVX2, without VNNI (2013)", partial(_x86, "Haswell-v4"), 100),
        Device("x86-skylake-server", "x86 with AVX-512, without VNNI (2017)", partial(_masked, "vnni")),
        Device("arm-cortex-a72", "ARMv8.0, as in a Raspberry Pi 4", partial(_arm, "cortex-a72"), 60),
        Device("arm-neoverse-n1", "ARMv8.2 with 8-bit dot products", partial(_arm, "neoverse-n1"), 60),
        Device("arm-max", "every ARM feature that qemu has", partial(_arm, "max"), 60),
        Device("wasm", "WebAssembly, in Node.js", _wasm, 5),
        *(
            Device(
                f"onnxruntime-{version}",
                f"onnxruntime {version} on this machine",
                partial(_version, version),
                onnxruntime=version,
            )
            for version in ("1.15.1", "1.20.1", "1.25.1", "1.31.1")
        ),
    )
}


def devices_named(names: Iterable[str]) -> list[Device]:
    """The devices called so. Raises UsageError that lists those there are."""
    wanted = list(dict.fromkeys(name.strip() for name in names))
    unknown = [name for name in wanted if name not in DEVICES]
    if unknown or not wanted:
        raise UsageError(f"--targets: expected some of {', '.join(DEVICES)}, found {', '.join(unknown) or 'none'}")
    return [DEVICES[name] for name in wanted]
