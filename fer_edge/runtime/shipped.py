"""The models that come with this package, by name: where they lie, in a checkout and in an installed wheel."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.errors import ModelError

if TYPE_CHECKING:
    from fer_edge.metadata import ModelMetadata

DEFAULT_NAME = "fer-resnet18"
"""What apps and commands use unless they are told otherwise."""
_SUFFIX = "-int8.onnx"
_CHECKPOINT_SUFFIX = ".pt"
DEFAULT_MODEL = f"{DEFAULT_NAME}{_SUFFIX}"
"""The file of the model ``DEFAULT_NAME``."""

_PACKAGE = Path(__file__).resolve().parent.parent
FOLDERS = (_PACKAGE / "models", _PACKAGE.parent / "exported")
"""A wheel holds the models inside the package (see setup.py); a checkout in ``exported/`` beside it."""


@dataclass(frozen=True)
class ShippedModel:
    """A model that comes with fer_edge, under a name that every command and function takes in place of a path."""

    name: str
    """``fer-tiny`` of ``fer-tiny-int8.onnx``."""
    path: Path
    """The exported INT8 model."""

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint behind it, to fine-tune or to compare with; None where this installation lacks it."""
        path = self.path.with_name(f"{self.name}{_CHECKPOINT_SUFFIX}")
        return path if path.is_file() else None

    def metadata(self) -> "ModelMetadata":
        """What the model says about itself, by the JSON beside it. Raises ModelError where that cannot be read."""
        from fer_edge.metadata import read_sidecar

        beside = self.path.with_suffix(".json")
        try:
            return read_sidecar(beside.read_bytes(), where=str(beside))[0]
        except OSError as error:
            raise ModelError(f"{beside}: cannot be read: {error.strerror or error}; install fer_edge again") from error


def shipped_by_name() -> dict[str, ShippedModel]:
    """The models that this installation came with, by their names; none where it came without."""
    return {model.name: model for model in (ShippedModel(_name(path), path) for path in shipped_models())}


def shipped_models() -> tuple[Path, ...]:
    """Paths of the ``.onnx`` models that this installation came with, by name."""
    for folder in FOLDERS:
        if found := sorted(folder.glob(f"*{_SUFFIX}")):
            return tuple(found)
    return ()


def default_model() -> Path:
    """The path of DEFAULT_MODEL. Raises ModelError for an installation without it."""
    found = shipped_by_name().get(DEFAULT_NAME)
    if found is None:
        raise ModelError(
            f"expected {DEFAULT_MODEL} with this installation of fer_edge, found none; "
            "name a model, or install it again"
        )
    return found.path


def model_path(model: str | Path | None = None) -> Path:
    """The file that ``model`` means: a path as it stands, the shipped model of that name, or without one the default.

    What lies under that name in the working directory comes before a shipped model. A name is that of
    ``shipped_by_name`` or of the file (``fer-tiny-int8``, ``fer-tiny-int8.onnx``). Raises ModelError where there is no
    default; a path that leads nowhere is for its reader to refuse.
    """
    if model is None:
        return default_model()
    found = shipped_named(model)
    return Path(model) if found is None else found.path


def shipped_checkpoint(checkpoint: str | Path) -> Path | None:
    """The shipped checkpoint that ``checkpoint`` names (``fer-tiny`` or ``fer-tiny.pt``); None for a path."""
    found = shipped_named(checkpoint)
    return None if found is None else found.checkpoint


def shipped_named(argument: str | Path) -> ShippedModel | None:
    """The shipped model that ``argument`` means by its name; None for a path, and where a file here has that name."""
    path = Path(argument)
    if path.name != str(argument) or _is_there(path):  # a folder in it, or "."
        return None
    return shadowed(path)


def shadowed(path: Path) -> ShippedModel | None:
    """The shipped model that a name without a folder would mean if nothing of that name lay here."""
    name = path.name.removesuffix(_CHECKPOINT_SUFFIX)
    return shipped_by_name().get(_name(Path(name))) if path.name == str(path) else None


def names_in_words() -> str:
    """Where to find a model, for errors: the names of the shipped ones, or nothing where there are none."""
    names = ", ".join(shipped_by_name())
    return f"take a shipped one ({names})" if names else "name another"


def _name(path: Path) -> str:
    """``fer-tiny`` of ``fer-tiny-int8.onnx``, of ``fer-tiny-int8`` and of itself."""
    return path.name.removesuffix(_SUFFIX).removesuffix(_SUFFIX.partition(".")[0])


def _is_there(path: Path) -> bool:
    """Whether something has this name, a dead link too. A name that no file can have is none."""
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True
