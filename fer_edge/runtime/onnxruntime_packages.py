"""Which installed packages bring the module onnxruntime: any of several may, each the whole of it.

onnxruntime, onnxruntime-gpu, onnxruntime-openvino, onnxruntime-directml and others install the same files. pip sees no
conflict: the one that comes last overwrites the others, and uninstalling one takes files from the rest.
"""

from importlib.metadata import distributions

PLAIN = "onnxruntime"
"""The package that a plain installation of fer_edge brings; its module has the same name."""

_PREFIXES = (PLAIN, "ort")


def onnxruntime_packages() -> dict[str, str]:
    """Name to version of each installed package that brings onnxruntime, by name. More than one is a mistake."""
    found = {
        one.name: one.version
        for one in distributions()
        if str(one.name).lower().startswith(_PREFIXES) and PLAIN in (one.read_text("top_level.txt") or "").split()
    }
    return dict(sorted(found.items()))


def install_advice() -> str:
    """One line for where the module lacks its parts or is not there: what was found, and what to run."""
    packages = onnxruntime_packages()
    if not packages:
        return f"expected a package that brings onnxruntime, found none; run: pip install {PLAIN}"
    found = ", ".join(f"{name} {version}" for name, version in packages.items())
    kept = next((name for name in packages if name != PLAIN), PLAIN)  # the plain one came by itself
    return f"expected the files of {found}, found that another package's removal took some; run: {reinstalling(kept)}"


def reinstalling(package: str) -> str:
    """The commands that leave ``package`` as the only one."""
    return f"pip uninstall -y {' '.join(onnxruntime_packages()) or PLAIN}, then pip install {package}"


def upgrading() -> str:
    """The commands that bring a newer onnxruntime, by the package that is there: another would overwrite its files."""
    packages = list(onnxruntime_packages())
    if len(packages) > 1:
        return reinstalling(next(name for name in packages if name != PLAIN))
    return f"pip install --upgrade {packages[0] if packages else PLAIN}"
