"""The models that come with this package: where they lie, in a checkout and in an installed wheel."""

from pathlib import Path

from fer_edge.errors import ModelError

DEFAULT_MODEL = "fer-resnet18-int8.onnx"
"""What apps and commands use unless they are told otherwise."""

_PACKAGE = Path(__file__).resolve().parent.parent
FOLDERS = (_PACKAGE / "models", _PACKAGE.parent / "exported")
"""A wheel holds the models inside the package (see setup.py); a checkout in ``exported/`` beside it."""


def shipped_models() -> tuple[Path, ...]:
    """Paths of the ``.onnx`` models that this installation came with, by name."""
    for folder in FOLDERS:
        if found := sorted(folder.glob("*-int8.onnx")):
            return tuple(found)
    return ()


def default_model() -> Path:
    """The path of DEFAULT_MODEL. Raises ModelError for an installation without it."""
    for path in shipped_models():
        if path.name == DEFAULT_MODEL:
            return path
    raise ModelError(
        f"expected {DEFAULT_MODEL} with this installation of fer_edge, found none; name a model, or install it again"
    )
