"""Writes docs/api.md: the public names of each package, from ``__all__`` and the docstrings.

python tools/api_docs.py
"""

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "api.md"
PACKAGES = (
    "fer_edge",
    "fer_edge.runtime",
    "fer_edge.data",
    "fer_edge.evaluation",
    "fer_edge.golden",
    "fer_edge.devices",
    "fer_edge.video",
    "fer_edge.scoring",
    "fer_edge.web",
    "fer_edge.training",
    "fer_edge.backends",
    "fer_edge.export",
    "fer_edge.benchmark",
    "fer_edge.serving",
    "fer_edge.evidence",
)

HEAD = """\
# Public API

Written by `python tools/api_docs.py` from each package's `__all__`; a test checks that it is current.

**Stable**: the names listed here, the commands and their options, exit codes, the keys of `--json`, the metadata in a
model, and the files of a golden kit. A change to one is in [CHANGELOG.md](../CHANGELOG.md), and the old name still
works or its error names the new one. **Not stable**: everything else, above all names that begin with `_` and modules
that are imported by their full path.

Importing `fer_edge` loads neither torch nor onnxruntime. `fer_edge.training` and `fer_edge.export` need
`pip install 'fer-edge[train]'`, `fer_edge.video` needs `pip install 'fer-edge[video]'`.
The server in `fer_edge.serving` needs `pip install 'fer-edge[serve]'`.
"""


def first_sentence(text: str | None) -> str:
    """The first paragraph of a docstring up to its first full stop, on one line, safe in a Markdown table."""
    paragraph = " ".join((text or "").strip().split("\n\n")[0].split())
    sentence = re.split(r"(?<=[.!?]) (?=[A-Z`])", paragraph, maxsplit=1)[0]
    return sentence.replace("``", "`").replace("|", "\\|")


def call(name: str, value: Any) -> str:
    """``name`` with its parameters where it is a function; classes and constants by their names."""
    if not inspect.isfunction(value):
        return f"`{name}`"
    parameters = []
    seen_star = False
    for one in inspect.signature(value).parameters.values():
        if one.kind is inspect.Parameter.KEYWORD_ONLY and not seen_star:
            seen_star = True
            parameters.append("*")
        seen_star = seen_star or one.kind is inspect.Parameter.VAR_POSITIONAL
        stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(one.kind, "")
        parameters.append(f"{stars}{one.name}" + ("" if one.default is one.empty else "=..."))
    return f"`{name}({', '.join(parameters)})`"


def members(value: type) -> list[str]:
    """Rows for the public methods that a class defines itself."""
    rows = []
    for name, attribute in vars(value).items():
        function = attribute.__func__ if isinstance(attribute, classmethod | staticmethod) else attribute
        text = first_sentence(getattr(function, "__doc__", None))
        if name.startswith("_") or not text or not (inspect.isfunction(function) or isinstance(attribute, property)):
            continue
        rows.append(f"| {call(f'{value.__name__}.{name}', function)} | {text} |")
    return rows


def page() -> str:
    """The text of docs/api.md."""
    parts = [HEAD]
    for package in PACKAGES:
        module = importlib.import_module(package)
        names = [name for name in getattr(module, "__all__", ()) if not name.startswith("__")]
        if not names:
            continue
        parts.append(f"## {package}\n\n{first_sentence(module.__doc__)}\n\n| name | what it is |\n| --- | --- |")
        for name in names:
            value = getattr(module, name)
            documented = inspect.isclass(value) or inspect.isroutine(value)
            text = first_sentence(value.__doc__) if documented else f"A constant (`{type(value).__name__}`)."
            parts.append(f"| {call(name, value)} | {text} |")
            if inspect.isclass(value) and value.__module__.startswith("fer_edge"):
                parts += members(value)
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def main() -> None:
    """Write the page."""
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
