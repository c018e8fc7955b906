"""Every format, one row each, kept in the format's own file as ``FORMAT``. Nothing else lists them.

A format of another package calls ``register``; it then shows up in help, export, verify, benchmark and info as those of
here do. Importing this module loads neither torch nor onnx.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from fer_edge.backends.registry import BackendEntry, backends_for, in_words
from fer_edge.errors import FerEdgeError, MissingExtraError, ModelError, UsageError

if TYPE_CHECKING:
    import onnx

    from fer_edge.export.graph.reference import FacesToProbabilities, PixelsToProbabilities, PlanesToProbabilities
    from fer_edge.export.quantization.calibration import TrainingFaces
    from fer_edge.export.quantization.search import QuantisedFile
    from fer_edge.metadata import ModelMetadata

_CHANNELS = (1, 3, 4)
_SAID = 300
"""Characters of a converter's message that are shown."""


@dataclass(frozen=True)
class Source:
    """What a format's file is made from."""

    module: "PixelsToProbabilities"
    """The checkpoint from pixels to probabilities and logits, as a torch module."""
    make_graph: Callable[[], "onnx.ModelProto"]
    """Gives the same as an ONNX graph, in the precision and with the input that were asked for."""
    quantised: "QuantisedFile | None" = None
    """What the format's own ``quantiser`` made of it, where 8 bits were asked for."""

    @cached_property
    def faces_module(self) -> "FacesToProbabilities":
        """The same from grey faces of the net's own size, for a format whose input kind is ``faces``."""
        from fer_edge.export.graph.reference import FacesToProbabilities

        return FacesToProbabilities(self.module).eval()

    @cached_property
    def planes_module(self) -> "PlanesToProbabilities":
        """The same from their values as floats (N, 1, S, S), where the runtime makes these of bytes."""
        from fer_edge.export.graph.reference import PlanesToProbabilities

        return PlanesToProbabilities(self.module).eval()

    @cached_property
    def graph(self) -> "onnx.ModelProto":
        """What ``make_graph`` gives, made once."""
        return self.make_graph()


@contextmanager
def converting(model_format: "ModelFormat") -> Iterator[None]:
    """Make a ModelError of what another maker's converter raises: they share no kind, and the model is not written."""
    try:
        yield
    except (FerEdgeError, OSError, MemoryError):
        raise
    except Exception as error:
        said = " ".join(str(error).split()) or "no message"
        raise ModelError(
            f"expected {model_format.name}'s converter to write the model, it stopped with {type(error).__name__}: "
            f"{said[:_SAID]}; export another format, and report it with the checkpoint's architecture"
        ) from error


Write = Callable[[Source, "ModelMetadata"], dict[str, bytes]]
"""The files of a model by the ends of their names. The first is the model itself. It holds the metadata with their
checksum filled in, unless the format cannot (``embeds_metadata``)."""

Note = Callable[[str], None]
Quantiser = Callable[[Source, "TrainingFaces", float, Note], "QuantisedFile"]
"""Makes a model of 8 bits: calibrated on the first part of the faces, chosen on the second. The third argument is how
many percentage points may be lost there before layers stay in float, the fourth hears what is going on."""


@dataclass(frozen=True, kw_only=True)
class ModelFormat:
    """One kind of file."""

    name: str
    summary: str
    """In a few words, for help."""
    suffixes: tuple[str, ...]
    """Of its files; the first one's is the model's own."""
    name_part: str = ""
    """What a file's name has beside the run's, such as ``mobile`` of ``NAME-mobile.ort``: the cards beside two files of
    one name would be the same file. Empty: the format's name."""
    write: Write | None = None
    precisions: tuple[str, ...] = ("fp32",)
    input_kinds: tuple[str, ...] = ("pixels",)
    """The first is what it takes unless ``--raw`` asks for ``normalised``."""
    channels: tuple[int, ...] = _CHANNELS
    """That a model of pixels takes."""
    max_side: int | None = None
    """The largest height and width of an image that a model of pixels takes, where the runtime wants to know one."""
    takes_one_face: bool = False
    """Whether a run is of one face, because the runtime fixes every shape, or keeps memory for the largest."""
    quantiser: Quantiser | None = None
    """For a format that is quantised by its own tools; None: onnxruntime's quantiser does it to the ONNX graph."""
    made_by: str = ""
    """Top-level module that writes it; empty where what opens it or the training's extra has all."""
    made_by_extra: str = ""
    """Of ``pip install fer-edge[EXTRA]``, which brings that module."""
    from_graph: bool = False
    """Whether it is made from the ONNX graph."""
    for_onnxruntime: bool = False
    """Whether onnxruntime runs it, so that opset and IR version say something about it, and other processors and
    versions of onnxruntime can be tried."""
    needs_writers_onnxruntime: bool = False
    """Whether it needs an onnxruntime as new as the one that wrote it, rather than one for its opset."""
    embeds_metadata: bool = True
    """Otherwise the sidecar alone has them."""
    has_layer_names: bool = False
    """Whether values between layers keep the names of torch's modules, so that it can be compared layer by layer."""
    read_graph: "Callable[[bytes], onnx.ModelProto] | None" = None
    """Gives the ONNX graph in a file, which is compared operator by operator; None where it holds none."""
    writes_same_bytes: bool = False
    """Whether a model is written from its checkpoint and metadata alone, and to the same bytes each time, so that a
    file can be compared with what they give: with these versions of ``packages``, and without a graph."""
    packages: tuple[str, ...] = ()
    """Whose versions the metadata state, beside those that every model states."""
    on_device: str = ""
    """What runs it where it is shipped, in a few words; empty: onnxruntime, from the version that the metadata name."""
    untried: str = ""
    """A sentence on what could not be tried here, for metadata, card and report; empty: the runtime itself was run."""
    torch_loader: str = ""
    """Python that loads ``{file}`` as a torch module, for the card; empty where torch does not."""
    note: str = ""
    """Said before it is exported."""
    export: Callable[..., Any] | None = None
    """What exports it, for a file that is no model (trainable weights); None: the exporter does."""
    refused_options: tuple[str, ...] = ()
    """Options of 'export' that it takes no part in."""
    refused_because: str = ""
    """Why, in words that follow the format's name."""

    def reread(self, source: Source, metadata: "ModelMetadata") -> "onnx.ModelProto":
        """The graph in a file that is written from ``source``, as ``read_graph`` gives it of one that was published."""
        assert self.write is not None
        assert self.read_graph is not None
        return self.read_graph(self.write(source, metadata)[self.suffixes[0]])

    @property
    def opened_by(self) -> BackendEntry | None:
        """The backend that verifies it."""
        return next(iter(backends_for(self.name)), None)

    @property
    def runs_code(self) -> bool:
        """Whether loading a file runs code in it."""
        return self.opened_by is not None and self.opened_by.runs_code

    @property
    def extra(self) -> str:
        """Of ``pip install fer-edge[EXTRA]``, which is needed to run a file; empty: the base install does."""
        return self.opened_by.extra if self.opened_by is not None else ""

    def files_of(self, stem: str) -> tuple[str, ...]:
        """Names of all its files."""
        return tuple(f"{stem}{suffix}" for suffix in self.suffixes)


_REGISTERED: dict[str, ModelFormat] = {}


def register(model_format: ModelFormat) -> ModelFormat:
    """Add a format of another package; gives it back. Its backend says how its files' names end."""
    _REGISTERED[model_format.name] = model_format
    return model_format


def unregister(name: str) -> None:
    """Take out what ``register`` added."""
    _REGISTERED.pop(name, None)


def all_formats() -> Mapping[str, ModelFormat]:
    """Every format by its name, in the order of names."""
    found = {**_built_in(), **_REGISTERED}
    return {name: found[name] for name in sorted(found)}


@cache
def _built_in() -> dict[str, ModelFormat]:
    import fer_edge.export.formats as package

    names = [module.name for module in iter_modules(package.__path__)]
    modules = [name for name in names if name != "registry" and not name.startswith("_")]
    entries: list[Any] = [import_module(f"{package.__name__}.{name}").FORMAT for name in modules]
    return {entry.name: entry for entry in entries}


def format_named(name: str) -> ModelFormat:
    """The format called ``name``. Raises UsageError, with those there are, for another."""
    found = all_formats().get(name)
    if found is None:
        raise UsageError(f"--format: expected one of {', '.join(all_formats())}, found {name!r}")
    return found


def refuse_combination(model_format: ModelFormat, precision: str, input_kind: str) -> None:
    """Raises UsageError for a precision or input that the format cannot hold, MissingExtraError without its runtime."""
    if model_format.export is not None:
        return
    if precision not in model_format.precisions:
        able = [one.name for one in all_formats().values() if precision in one.precisions and one.export is None]
        raise UsageError(f"expected --format {in_words(able)} with --precision {precision}, found {model_format.name}")
    if input_kind not in model_format.input_kinds:
        able = [one.name for one in all_formats().values() if input_kind in one.input_kinds and one.export is None]
        raise UsageError(f"expected --format {in_words(able)} with --raw, found {model_format.name}")
    opener = model_format.opened_by
    if opener is None:
        raise ModelError(f"expected a backend that opens {model_format.name} files, found none; register one")
    if not opener.is_installed:  # what cannot be loaded cannot be compared
        raise MissingExtraError(opener.package, opener.extra)
    if model_format.made_by and find_spec(model_format.made_by) is None:
        raise MissingExtraError(model_format.made_by, model_format.made_by_extra)
