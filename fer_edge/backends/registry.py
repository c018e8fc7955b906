"""Every backend, one row each, kept in the backend's own file as ``BACKEND``. Nothing else lists them.

A backend of another package calls ``register``; it then shows up in help, benchmarks and plots as those of here do.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from fer_edge.errors import MissingExtraError, ModelError, ProviderError, UsageError
from fer_edge.metadata import SUFFIXES
from fer_edge.runtime.file_kind import MODEL, mistaken
from fer_edge.runtime.shipped import model_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fer_edge.backends.contract import Backend, ModelBackend, Outputs
    from fer_edge.runtime.foreign_files import Description
    from fer_edge.runtime.model_file import CheckedFile

CHECKPOINT = "checkpoint"
"""Among formats: trainable weights, which are no model file."""

_NO_BACKENDS = ("contract", "evaluation", "registry")
"""Modules of this package that are none; nor are those that begin with an underscore."""

Load = Callable[..., "Backend"]
"""``load(path, *, threads, provider, precision, shape, trust)``: ``threads`` inside an operator, 0 for the runtime's
choice; ``precision`` the one to compute in, for a backend that has several for one file; ``shape`` (N, H, W, C) of the
pixels that it is called with first, for one that compiles for a shape; ``trust`` to open what ``read_model`` refuses
without it. Raises ModelError, CheckpointError for a file that is refused, ProviderError where the provider asked for
does not run it."""

Bundle = Callable[[bytes, "Sequence[tuple[NDArray[np.uint8], Outputs]]", float], bytes]
"""``bundle(data, cases, allowed)``: the bytes of the model file, inputs with the model's answers, and by how much a
logit may differ. The result was checked by the runtime. Raises ModelError where that finds another answer."""


def _as_the_file(precision: str, cpu_flags: frozenset[str]) -> tuple[str, ...]:
    return (precision,)


@dataclass(frozen=True, kw_only=True)
class BackendEntry:
    """One backend."""

    name: str
    formats: tuple[str, ...]
    """That it opens, by their names, or CHECKPOINT. A format's first backend by name is the one that verifies it."""
    load: Load
    suffixes: Mapping[str, str] = field(default_factory=dict)
    """How a file's name ends, by format, for those that ``fer_edge.metadata.SUFFIXES`` does not have: by it the file
    is known for a model, also where nothing is installed that writes one."""
    imports: tuple[str, ...] = ()
    """Modules that loading needs; the benchmark imports them first, to time the two apart."""
    package: str = ""
    """Top-level module that has to be installed; empty where the base install has all."""
    extra: str = ""
    """Of ``pip install fer-edge[EXTRA]``, which brings the package."""
    providers: tuple[str, ...] = ("cpu",)
    precisions: Callable[[str, frozenset[str]], tuple[str, ...]] = _as_the_file
    """In which precisions it runs a file of one, on a processor with these flags; none: it does not run it as such."""
    runs_code: bool = False
    """Whether loading a file runs code in it, which asks for ``--trust``."""
    colour: str = "#5c6b73"
    """In plots."""
    start_seconds: float = 0.8
    """Expected time to start a process with it; for the time left."""
    process_bytes: int = 300 * 2**20
    """What a process of a ResNet18 holds at the most."""
    compiles_once: bool = False
    """Whether only its first start on a machine is cold, because it keeps on disk what it compiled."""
    bundle: "Bundle | None" = None
    """Puts a model and golden inputs with their answers into one file that the runtime checks by itself."""
    bundle_suffix: str = ""
    """Of that file."""
    stands_for: str = ""
    """The runtime that it evaluates files of where that cannot run; empty where it is the files' own."""
    splits_preprocessing: bool = False
    """Whether ``prepare`` makes faces, so that its time is that of preprocessing."""

    counts_nodes: bool = False
    """Whether ``node_times`` tells how long each node takes."""

    @property
    def is_installed(self) -> bool:
        """Whether its package is."""
        return not self.package or find_spec(self.package) is not None

    def require(self) -> None:
        """Raises MissingExtraError where it is not installed."""
        if not self.is_installed:
            raise MissingExtraError(self.package, self.extra)


_REGISTERED: dict[str, BackendEntry] = {}


def register(entry: BackendEntry) -> BackendEntry:
    """Add a backend of another package; gives it back. One of the same name is replaced."""
    _REGISTERED[entry.name] = entry
    SUFFIXES.update(entry.suffixes)
    return entry


def unregister(name: str) -> None:
    """Take out what ``register`` added."""
    entry = _REGISTERED.pop(name, None)
    for file_format in entry.suffixes if entry is not None else ():
        SUFFIXES.pop(file_format, None)


def backends() -> Mapping[str, BackendEntry]:
    """Every backend by its name, in the order of names."""
    found = {**_built_in(), **_REGISTERED}
    return {name: found[name] for name in sorted(found)}


@cache
def _built_in() -> dict[str, BackendEntry]:
    import fer_edge.backends as package

    names = [module.name for module in iter_modules(package.__path__)]
    modules = [name for name in names if name not in _NO_BACKENDS and not name.startswith("_")]
    entries: list[Any] = [import_module(f"{package.__name__}.{name}").BACKEND for name in modules]
    for entry in entries:
        SUFFIXES.update(entry.suffixes)
    return {entry.name: entry for entry in entries}


def backend_named(name: str) -> BackendEntry:
    """The backend called ``name``. Raises UsageError, with those there are, for another."""
    found = backends().get(name)
    if found is None:
        raise UsageError(f"expected a backend of {', '.join(backends())}, found {name!r}")
    return found


def backends_for(file_format: str) -> list[BackendEntry]:
    """Those that open files of ``file_format``, the one that verifies it first."""
    return [entry for entry in backends().values() if file_format in entry.formats]


def in_words(names: list[str], word: str = "or") -> str:
    """``a, b or c``."""
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last


def formats_that_run_code() -> list[str]:
    """Formats whose files are loaded by running code in them."""
    found = {one for entry in backends().values() if entry.runs_code for one in entry.formats}
    return sorted(found)


def format_of(path: Path) -> str:
    """The format that the name of a model file says. Raises ModelError for another name."""
    from fer_edge.runtime.model_file import no_such_model

    _built_in()  # whose suffixes may be others than those that are always known
    for file_format, suffix in SUFFIXES.items():
        if path.suffix == suffix:
            return file_format
    if not path.suffix and not os.path.lexists(path):  # a shipped model's name, misspelt
        raise no_such_model(path)
    told = mistaken(path, MODEL) or (f"found '{path.suffix}'" if path.suffix else "found a name without any of these")
    raise ModelError(f"{path}: expected a model file ({', '.join(SUFFIXES.values())}), {told}")


def require_cpu(path: str | Path, name: str, provider: str) -> None:
    """Refuse (ProviderError) another ``provider`` than the CPU, of the backend called ``name``, which has no other."""
    if provider != "cpu":
        raise ProviderError(f"{path}: expected the provider cpu for {name}, found {provider}")


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How a file is to be opened: what ``Load`` says of each."""

    threads: int = 0
    provider: str = "cpu"
    precision: str | None = None
    shape: "Sequence[int] | None" = None
    trust: bool = False


def loads(opened: "Callable[[str | Path, Opening], Backend]") -> Load:
    """``load`` of a backend that has no options of its own; ``opened(path, how)`` takes those that mean something to
    it."""

    def load(path: str | Path, **options: Any) -> "Backend":
        return opened(path, Opening(**options))

    return load


def loads_on_cpu(name: str, opened: "Callable[[CheckedFile, int], ModelBackend]") -> Load:
    """``load`` of a backend that runs files on the CPU alone, in their own precision and of any shape.

    ``opened(model, threads)`` is given the file when its checksum, metadata and sidecar were found to agree.
    """

    def open_on_cpu(path: str | Path, how: Opening) -> "ModelBackend":
        from fer_edge.runtime.model_file import read_any

        require_cpu(path, name, how.provider)
        return opened(read_any(path, trust=how.trust), how.threads)

    return loads(open_on_cpu)


def check_trust(path: Path, file_format: str, *, trust: bool) -> None:
    """Refuse (ModelError) a file whose loading runs the code in it, unless it is trusted."""
    if not trust and any(entry.runs_code for entry in backends_for(file_format)[:1]):
        raise ModelError(
            f"{path}: expected --trust with a {file_format} file, because loading one runs the code in it; "
            "add it if you trust where the file is from"
        )


def open_model(
    path: str | Path,
    *,
    trust: bool = False,
    threads: int = 0,
    provider: str = "cpu",
    description: "Description | None" = None,
) -> "ModelBackend":
    """Load a model file of any format by the backend of its suffix, or the shipped model of that name.

    Raises ModelError for a file that is missing, damaged, without metadata, of external data, at odds with the JSON
    beside it, or, without ``trust``, that would run code or has a graph of no image classifier; ProviderError where
    ``provider`` does not run it; and MissingExtraError where its runtime is not installed.
    """
    from fer_edge.backends.contract import ModelBackend
    from fer_edge.runtime.model_file import says_itself

    path = model_path(path)
    file_format = format_of(path)
    entries = backends_for(file_format)
    if not entries:
        raise ModelError(f"{path}: expected a backend that opens {file_format} files, found none")
    check_trust(path, file_format, trust=trust)
    entries[0].require()
    if provider == "auto" and len(entries[0].providers) == 1:
        (provider,) = entries[0].providers
    if description is not None and file_format != "onnx":  # no other format knows models without metadata
        raise says_itself(path)
    more = {} if description is None else {"description": description}
    opened = entries[0].load(path, threads=threads, provider=provider, trust=trust, **more)
    if not isinstance(opened, ModelBackend):
        raise ModelError(f"{path}: expected a model file, found a {CHECKPOINT}; export it first")
    return opened
