"""Golden vectors in the runtime's own container, for formats whose runtime has one and checks it by itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fer_edge.backends.registry import BackendEntry, backends_for, open_model
from fer_edge.errors import ModelError
from fer_edge.files import make_folder, storage_errors, write_bytes
from fer_edge.golden.tolerance import GOLDEN_TOLERANCES, GoldenTolerance
from fer_edge.golden.vectors import Vector, make_vectors
from fer_edge.metadata import SUFFIXES
from fer_edge.runtime.model_file import read_any


@dataclass(frozen=True)
class Bundle:
    """What was written."""

    path: Path
    num_images: int
    size_bytes: int
    tolerance: GoldenTolerance


def bundles(model: Path) -> BackendEntry | None:
    """The backend that makes one file of the model at ``model`` and its golden vectors, if there is such."""
    by_suffix = {suffix: file_format for file_format, suffix in SUFFIXES.items()}
    entry = next(iter(backends_for(by_suffix.get(model.suffix, ""))), None)
    return entry if entry is not None and entry.bundle is not None else None


def write_bundle(
    model: str | Path, folder: Path | None = None, *, inputs: Iterable[Vector] | None = None, trust: bool = False
) -> Bundle:
    """Run ``model`` on the golden inputs and write it with these and its answers, into ``folder`` or beside it.

    The runtime reads the file again and checks every case. Raises ModelError where the model is refused or its backend
    has no such file, StorageError where it cannot be written.
    """
    model = Path(model)
    entry = bundles(model)
    if entry is None or entry.bundle is None:
        raise ModelError(f"{model}: expected a model whose runtime has a file for test cases, found none")
    backend = open_model(model, threads=1, trust=trust)
    feeds = [
        backend.prepare(vector.pixels) for vector in inputs or make_vectors() if backend.accepts(vector.pixels.shape[3])
    ]
    images = [feed[index : index + 1] for feed in feeds for index in range(len(feed))]
    tolerance = GOLDEN_TOLERANCES[backend.metadata.precision]
    cases = [(image, backend.run_feed(image)) for image in images]
    data = entry.bundle(read_any(model).data, cases, tolerance.max_logit_difference)
    path = (folder or model.parent) / f"{model.stem}{entry.bundle_suffix}"
    make_folder(path.parent)
    with storage_errors(path):
        write_bytes(path, data)
    return Bundle(path, len(cases), len(data), tolerance)
