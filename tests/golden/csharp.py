"""examples/csharp compiled by Mono, with onnxruntime's own C# sources in the place of NuGet's package of them.

The compiler knows C# 7.2 and the sources are of a later one: what is new in them is said in the old words first. That
changes how they are written, not what they do.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from languages import need, run

PACKAGES = "mono-mcs and libmono-system-runtime-serialization4.0-cil"
"""Of Debian, with what they bring."""

_SPAN = r"\1{ var span = \2.Span; span[\3] = \4; }"
_OLDER_WORDS = (
    (r"\busing var\b", "var"),  # the process ends soon
    (r"\bstatic (\w+ =>)", r"\1"),
    (r"\bis null\b", "== null"),
    (r"\(([\w.]+) is not (\w+)\)", r"(!(\1 is \2))"),
    (r"(DisposableList<\w+>) (\w+) = new\(", r"\1 \2 = new \1("),
    (r": unmanaged\b", ": struct"),  # allows more
    # what this compiler does not assign to, or stops at
    (r"^( +)([\w.]+)\.Span\[(\w+)\] = (.*);$", _SPAN),
    (r"(\w+\[0\]) = (\w+\[1\]) = (\w+);", r"\1 = \3; \2 = \3;"),
)


def build(onnxruntime: Path, example: Path, place: Path) -> Path:
    """The program, in ``place``. ``onnxruntime`` has csharp/ and lib/. Skips where Mono is missing."""
    need("mcs", "mono")
    for source in (onnxruntime / "csharp").iterdir():
        text = source.read_text(encoding="utf-8-sig")
        for new, old in _OLDER_WORDS:
            text = re.sub(new, old, text, flags=re.MULTILINE)
        (place / source.name).write_text(text, encoding="utf-8")
    library = place / "Microsoft.ML.OnnxRuntime.dll"
    # NETSTANDARD2_0: what NuGet's package is for a runtime of Mono's age
    settings = (
        "-unsafe",
        "-langversion:latest",
        "-d:NETSTANDARD2_0",
        "-nowarn:1-9999",
        "-target:library",
        f"-out:{library}",
    )
    _compile(*settings, *place.glob("*.shared.cs"))
    program = compile_program(place, example.glob("*.cs"), "FerEdge")
    (place / "libonnxruntime.so").symlink_to(onnxruntime / "lib" / "libonnxruntime.so")
    return program


def compile_program(place: Path, sources: Iterable[Path], name: str) -> Path:
    """``name``.exe beside the library in ``place``, without a warning."""
    program = place / f"{name}.exe"
    references = (f"-r:{place / 'Microsoft.ML.OnnxRuntime.dll'}", "-r:System.Runtime.Serialization", "-r:System.Xml")
    _compile("-warnaserror", "-langversion:7.2", *references, f"-out:{program}", *sources)
    return program


def _compile(*words: str | Path) -> None:
    done = run("mcs", "-nologo", *words, folder=Path.cwd())
    if "CS0006" in done.stderr and "System.Runtime.Serialization" in done.stderr:
        pytest.skip(f"Mono without System.Runtime.Serialization: install {PACKAGES}")
    assert done.returncode == 0, done.stderr
