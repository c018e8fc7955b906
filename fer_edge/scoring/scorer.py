"""A model in one process, from chunks of images to tables: the same in a worker of the pool and in an actor of Ray."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from fer_edge.errors import ImageError, ModelError
from fer_edge.scoring.items import Item
from fer_edge.scoring.remote import is_address, read_images
from fer_edge.text import shown_name

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from fer_edge.backends.contract import ModelBackend
    from fer_edge.runtime.batching import Decoded
    from fer_edge.runtime.certainty import Certainty
    from fer_edge.runtime.foreign_files import Description

_READ_TOGETHER = 32
"""Files that are fetched from a storage at once."""


_PIECE = 256
"""Images whose batches are made apart from others': what a process is given at a time."""


class ModelSettings(NamedTuple):
    """Which model, and how it is called: what every process is given."""

    path: Path
    """Absolute: a process may have another working directory."""
    sha256: str
    trust: bool
    description: "Description | None"
    batch_size: int
    certainty: "Certainty | None" = None
    """Of a calibrated model."""
    certain_only: bool = False
    """Whether answers that are not certain are left out."""

    @property
    def piece_rows(self) -> int:
        """Images of a piece, whole batches of them. Which images share a batch, and so the last places of a float32,
        must not depend on who scores which piece."""
        return -(-_PIECE // self.batch_size) * self.batch_size


class Scorer:
    """An open model. Raises ModelError where the file is not the one that the settings name."""

    def __init__(self, settings: ModelSettings, schema: "pa.Schema") -> None:
        from fer_edge.backends import open_model

        # One thread: there are as many processes as cores.
        backend = open_model(settings.path, threads=1, trust=settings.trust, description=settings.description)
        if backend.sha256 != settings.sha256:
            raise ModelError(
                f"{settings.path}: expected the file that the run began with, found that it has changed; "
                "start again with another --out"
            )
        self._backend = backend
        self._settings = settings
        self._schema = schema

    def table(
        self,
        items: Sequence[Item],
        *,
        before: Callable[[int], object] | None = None,
        given_up: "Mapping[int, str] | None" = None,
    ) -> "pa.Table":
        """A row for each image, in order. ``before`` is called with the place of each before it is opened; those in
        ``given_up`` are not opened, and have the error there."""
        from fer_edge.runtime.batching import score_in_batches
        from fer_edge.scoring.columns import table_of

        score = _score(self._backend)
        rows: list[NDArray[np.float32] | str] = []
        for start in range(0, len(items), self._settings.piece_rows):
            places = range(start, min(start + self._settings.piece_rows, len(items)))
            decoded = _decoded(items, places, before or (lambda _: None), given_up or {})
            for scored in score_in_batches(decoded, score, self._settings.batch_size):
                rows.append(str(scored.result) if isinstance(scored.result, ImageError) else scored.result)
        return table_of(
            [item.name for item in items],
            rows,
            self._backend.metadata.labels,
            self._schema,
            certainty=self._settings.certainty,
            certain_only=self._settings.certain_only,
        )


def _score(backend: "ModelBackend") -> "Callable[[NDArray[np.uint8]], NDArray[np.float32]]":
    """Pixels (N, H, W, C) to probabilities (N, classes); colours become grey for a model that takes grey alone."""

    def run(pixels: "NDArray[np.uint8]") -> "NDArray[np.float32]":
        if not backend.accepts(pixels.shape[3]) and backend.accepts(1):
            import numpy as np
            from PIL import Image

            grey = [np.asarray(Image.fromarray(image).convert("L")) for image in pixels]
            pixels = np.stack(grey)[..., np.newaxis]
        return backend.run(pixels).probabilities

    return run


def _decoded(
    items: Sequence[Item], places: range, before: Callable[[int], object], given_up: Mapping[int, str]
) -> "Iterator[Decoded[str]]":
    from fer_edge.runtime.batching import Decoded
    from fer_edge.runtime.folder import decode

    for start in range(places.start, places.stop, _READ_TOGETHER):
        part = [(at, items[at]) for at in range(start, min(start + _READ_TOGETHER, places.stop))]
        addresses = [one.source for at, one in part if at not in given_up and _is_remote(one.source)]
        fetched = dict(zip(addresses, read_images(addresses), strict=True)) if addresses else {}
        for at, item in part:
            before(at)
            source = fetched.get(item.source) if _is_remote(item.source) else item.source
            if at in given_up:
                yield Decoded(item.name, ImageError(given_up[at]))
            elif isinstance(source, ImageError):
                yield Decoded(item.name, source)
            elif source is None:
                yield Decoded(item.name, ImageError(f"{shown_name(item.name)}: expected an image, found an empty cell"))
            else:
                yield decode(item.name, source)


def _is_remote(source: str | bytes | None) -> TypeGuard[str]:
    return isinstance(source, str) and is_address(source)
