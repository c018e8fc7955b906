"""Which systems the base install has wheels for, asked of the package index: benchmarks/results/wheels.{json,md}.

python tools/check_wheels.py

The packages are the base dependencies of pyproject.toml within their ranges, and what these need in turn (by the
metadata installed here, any version of it). The index is the one that pip is set up with. A wheel counts where pip
would take it: by its tags, by the Python it asks for, and not withdrawn.
"""

import json
import re
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version
from pip._internal.models.index import PyPI

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
GLIBC_MINOR = 28
"""glibc 2.28 is that of Debian 10, RHEL 8 and Ubuntu 20.04 (2.31), and of all that came later."""
TIMEOUT_S = 60


@dataclass(frozen=True)
class Target:
    """A system, and the platform tags that pip takes there, best first."""

    name: str
    platforms: tuple[str, ...]
    markers: dict[str, str]


def _glibc(machine: str, minor: int = GLIBC_MINOR) -> tuple[str, ...]:
    legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    names = [[f"manylinux_2_{at}", *([legacy[at]] if at in legacy else [])] for at in range(minor, 4, -1)]
    return (*(f"{name}_{machine}" for part in names for name in part), f"linux_{machine}")


def _musl(machine: str) -> tuple[str, ...]:
    return *(f"musllinux_1_{minor}_{machine}" for minor in (2, 1, 0)), f"linux_{machine}"


_LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
_MAC = {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"}
_WINDOWS = {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"}

TARGETS = (
    Target("Windows x86-64", ("win_amd64",), _WINDOWS),
    Target("Windows arm64", ("win_arm64",), _WINDOWS),
    Target("macOS 14, Apple silicon", tuple(mac_platforms((14, 0), "arm64")), _MAC),
    Target("macOS 14, Intel", tuple(mac_platforms((14, 0), "x86_64")), _MAC),
    Target("Linux x86-64 (glibc 2.28)", _glibc("x86_64"), _LINUX),
    Target("Linux aarch64 (glibc 2.28)", _glibc("aarch64"), _LINUX),
    Target("Linux x86-64 (musl 1.2)", _musl("x86_64"), _LINUX),
    Target("Linux aarch64 (musl 1.2)", _musl("aarch64"), _LINUX),
    Target("Linux armv7 (glibc 2.36)", _glibc("armv7l", 36), _LINUX),
    Target("Linux riscv64 (glibc 2.39)", _glibc("riscv64", 39), _LINUX),
)


@dataclass(frozen=True)
class Wheel:
    """One file of the index."""

    version: Version
    tags: frozenset[Tag]
    python: SpecifierSet


def base_requirements() -> list[Requirement]:
    """The base dependencies with their ranges, as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(text) for text in project["dependencies"]]


def further_names(base: list[Requirement], markers: dict[str, str]) -> list[str]:
    """What the base dependencies need in turn on a system, as far as it is installed here."""
    found, queue = [], [one.name for one in base]
    known = set(queue)
    while queue:
        for text in _requires(queue.pop(0)):
            needed = Requirement(text)
            name = canonicalize_name(needed.name)
            if name not in known and (needed.marker is None or needed.marker.evaluate({**markers, "extra": ""})):
                known.add(name)
                found.append(name)
                queue.append(name)
    return sorted(found)


def _requires(name: str) -> list[str]:
    try:
        return requires(name) or []
    except ModuleNotFoundError:  # colorama, say, which only Windows needs: it needs nothing in turn
        return []


def index_url() -> str:
    """The index that pip is set up with here."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, encoding="utf-8", check=True
    ).stdout
    found = re.search(r"^(?:global|install|:env:)\.index-url='(.+)'$", listed, flags=re.MULTILINE)
    return found[1].rstrip("/") if found else PyPI.simple_url.rstrip("/")


def wheels_of(name: str, index: str) -> list[Wheel]:
    """Every wheel of a package that is no prerelease and was not withdrawn."""
    request = urllib.request.Request(
        f"{index}/{canonicalize_name(name)}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        files: list[dict[str, Any]] = json.load(answer)["files"]
    return list(_wheels(files))


def _wheels(files: list[dict[str, Any]]) -> Iterator[Wheel]:
    for file in files:
        if not file["filename"].endswith(".whl") or file.get("yanked"):
            continue
        try:
            _, version, _, tags = parse_wheel_filename(file["filename"])
        except InvalidWheelFilename:  # of early days
            continue
        if not version.is_prerelease:
            yield Wheel(version, tags, SpecifierSet(file.get("requires-python") or ""))


def newest(wheels: list[Wheel], wanted: SpecifierSet, target: Target, python: tuple[int, int]) -> str | None:
    """The newest version within ``wanted`` that has a wheel for a system and a Python; None where there is none."""
    interpreter = f"cp{python[0]}{python[1]}"
    tags = {
        *cpython_tags(python, [interpreter], target.platforms),
        *compatible_tags(python, interpreter, target.platforms),
    }
    full = f"{python[0]}.{python[1]}.0"
    fitting = [one.version for one in wheels if one.version in wanted and full in one.python and one.tags & tags]
    return str(max(fitting)) if fitting else None


def check() -> dict[str, Any]:
    """Every target, Python and package, as plain values."""
    base, index = base_requirements(), index_url()
    wanted = {one.name: one.specifier for one in base}
    names = {target.name: [*wanted, *further_names(base, target.markers)] for target in TARGETS}
    wheels = {name: wheels_of(name, index) for name in dict.fromkeys(name for each in names.values() for name in each)}
    ranges = {name: wanted.get(name, SpecifierSet()) for name in wheels}
    found = {
        target.name: {
            f"{python[0]}.{python[1]}": {
                name: newest(wheels[name], ranges[name], target, python) for name in names[target.name]
            }
            for python in PYTHONS
        }
        for target in TARGETS
    }
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "requires": {name: str(one) for name, one in wanted.items()},
        "newest": {
            name: str(max(one.version for one in found_wheels if one.version in ranges[name]))
            for name, found_wheels in wheels.items()
        },
        "wheels": found,
    }


def in_words(versions: dict[str, str | None], newest_of: dict[str, str]) -> str:
    """A cell of the table: what is missing, or what is older than elsewhere."""
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        return "no " + ", ".join(missing)
    older = [f"{name} {version}" for name, version in versions.items() if version != newest_of[name]]
    return "yes" + (f", with {', '.join(older)}" if older else "")


def markdown(checked: dict[str, Any]) -> str:
    """The result for people."""
    pythons = list(next(iter(checked["wheels"].values())))
    rows = [
        f"| {target} | {' | '.join(in_words(by_python[python], checked['newest']) for python in pythons)} |"
        for target, by_python in checked["wheels"].items()
    ]
    ranges = ", ".join(f"{name} {wanted}" for name, wanted in checked["requires"].items())
    versions = ", ".join(f"{name} {version}" for name, version in checked["newest"].items())
    return "\n".join(
        [
            "# Wheels of the base install",
            "",
            f"Asked of the package index on {checked['date']} by `python tools/check_wheels.py`: is there a wheel of",
            "every package, the base dependencies within their ranges and what they need in turn? 'no NAME': it would",
            "have to be compiled, or cannot be had.",
            "",
            f"| system | Python {' | '.join(pythons)} |",
            "|---" * (1 + len(pythons)) + "|",
            *rows,
            "",
            f"Ranges: {ranges}.",
            "",
            f"Newest within them: {versions}.",
            "",
        ]
    )


def main() -> None:
    """Check, write both files, and print the table."""
    checked = check()
    text = markdown(checked)
    (RESULTS / "wheels.json").write_text(json.dumps(checked, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "wheels.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
