"""The command that installs an extra, so that pip does not bring a second onnxruntime beside another package of it."""

import re
import shlex

_OWN = "fer-edge"
_PLAIN = "onnxruntime"
"""What fer_edge requires. Beside onnxruntime-gpu and the like pip misses it, and would install it over their files."""
_OF_EXTRA = re.compile(r"""\bextra\s*==\s*['"]([^'"]+)['"]""")
_OWN_EXTRAS = re.compile(rf"{_OWN}\[([^\]]+)\]")


def install_command(extra: str) -> str:
    """``pip install 'fer-edge[EXTRA]'``; where another package than onnxruntime brings its module, the extra's own
    packages by their names, for pip knows no other one and would put onnxruntime over its files."""
    packages = _packages_of(extra) if _has_other_onnxruntime() else []
    return f"pip install {shlex.join(packages or [f'{_OWN}[{extra}]'])}"


def _has_other_onnxruntime() -> bool:
    """Whether onnxruntime comes by another package (onnxruntime-gpu, -openvino, -directml), and not by its own."""
    from importlib.metadata import distributions  # here: every command imports this module

    names = set()
    for one in distributions():
        name = str(one.name).lower()
        if name.startswith((_PLAIN, "ort")) and _PLAIN in (one.read_text("top_level.txt") or "").split():
            names.add(name)
    return bool(names) and _PLAIN not in names


def _packages_of(extra: str) -> list[str]:
    """What the extra requires but for onnxruntime; nothing where fer_edge is not installed."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = requires(_OWN) or []
    except PackageNotFoundError:
        return []
    found: dict[str, None] = {}
    for line in lines:
        requirement, _, marker = line.partition(";")
        if extra not in _OF_EXTRA.findall(marker):
            continue
        requirement = requirement.strip()
        if own := _OWN_EXTRAS.match(requirement):
            found |= dict.fromkeys(package for one in own[1].split(",") for package in _packages_of(one.strip()))
        elif not re.match(rf"{_PLAIN}(?![\w-])", requirement):
            found[requirement] = None
    return list(found)
