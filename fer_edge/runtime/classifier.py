"""Classifier: an exported model, checked and ready, from images of any kind to predictions."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.errors import ImageError
from fer_edge.metadata import ModelMetadata
from fer_edge.runtime.batching import score_in_batches
from fer_edge.runtime.certainty import Certainty
from fer_edge.runtime.folder import Outcome, count_images, decode, decode_ahead, images_in
from fer_edge.runtime.foreign import ForeignMetadata
from fer_edge.runtime.foreign_files import Description
from fer_edge.runtime.forks import OwnSession
from fer_edge.runtime.images import ImageSource, open_image, source_name
from fer_edge.runtime.inference import answers_of, check_outputs, model_feed, run_in_fixed_batches
from fer_edge.runtime.left_out import LeftOut
from fer_edge.runtime.loading import ModelOrigin, load_session
from fer_edge.runtime.photos import (
    DEFAULT_SEARCH,
    FaceSearch,
    PhotoOutcome,
    PhotoPrediction,
    score_photos,
    within_threads,
)
from fer_edge.runtime.pixels import check_images, check_one, check_several
from fer_edge.runtime.prediction import Prediction
from fer_edge.runtime.session import onnxruntime_errors, run_options

DEFAULT_BATCH_SIZE = 32


class Classifier:
    """An exported model in an onnxruntime session. Make one with ``Classifier.load``; it may be used from many threads,
    pickled, and used in forked processes, each of which opens the file again (docs/deployment/processes.md).

    >>> Classifier.load().predict("face.jpg").label
    'happy'
    """

    def __init__(
        self,
        session: OwnSession,
        metadata: ModelMetadata,
        path: Path,
        *,
        origin: ModelOrigin,
        provider: str,
        provider_note: str = "",
        cuda_node_share: float | None = None,
        certainty: Certainty | None = None,
    ) -> None:
        self._session = session
        self._origin = origin
        self.metadata = metadata
        """What the model says about itself."""
        self.path = path
        self.provider = provider
        """``cpu`` or ``cuda``: what runs the model."""
        self.provider_note = provider_note
        """What ``auto`` chose and why; empty when the provider was named."""
        self.cuda_node_share = cuda_node_share
        """Share (0-1) of the graph's nodes that CUDA ran for the first image; None on the CPU."""
        self.certainty = certainty
        """When its answers are certain; None where the model was not calibrated."""

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        provider: str = "cpu",
        threads: int = 0,
        trust: bool = False,
        description: Description | None = None,
        max_risk: float | None = None,
    ) -> "Classifier":
        """Read an ``.onnx`` or ``.ort`` model, check it, and open it on ``cpu``, ``cuda`` or ``auto`` (the best here).

        ``path`` may be the name of a shipped model, such as ``fer-tiny`` ('fer-edge models' lists them); without it, it
        is ``shipped.DEFAULT_MODEL``. A file of that name in the working directory comes first.

        ``threads`` are those inside an operator, of the model and of the face detector each; 0: as many as cores,
        within affinity and a container's quota (``cores``). ``trust`` opens also a graph that
        no image classifier has: with operators that need not end, with functions, or very large. ``description`` says
        how to feed an ``.onnx`` of another maker, as keys of ForeignDescription or the path of their JSON; without it
        the JSON beside the file does. What such a model answers is not verified (``is_verified``).

        ``max_risk`` (0-1): which fraction of the answers that ``Prediction.is_certain`` marks may be wrong; without it
        ``fer_edge.uncertainty.DEFAULT_MAX_RISK``, where the model was calibrated. Raises UsageError for a stricter one
        than the model was calibrated for, ModelError where it was not.

        Raises ModelError when the model is missing, damaged, without valid metadata or refused for another reason, and
        ProviderError when the provider is not there: never another one silently.
        """
        loaded = load_session(path, provider=provider, threads=threads, trust=trust, description=description)
        return cls(
            loaded.session,
            loaded.model.metadata,
            loaded.model.path,
            origin=loaded.origin._replace(max_risk=max_risk),
            provider=loaded.provider,
            provider_note=loaded.provider_note,
            cuda_node_share=loaded.cuda_node_share,
            certainty=Certainty.of_model(loaded.model.metadata, loaded.model.path, max_risk),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by the file's path and checksum: another process opens the file again, as it was opened here."""
        return _load_again, (type(self), self._origin)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the model's outputs."""
        return self.metadata.labels

    @property
    def is_verified(self) -> bool:
        """Whether the model was compared with its checkpoint when it was made: not so for another maker's."""
        return not isinstance(self.metadata, ForeignMetadata)

    @property
    def card(self) -> ModelMetadata:
        """Deprecated name of ``metadata``."""
        warnings.warn("Classifier.card is now Classifier.metadata", DeprecationWarning, stacklevel=2)
        return self.metadata

    def predict(self, image: ImageSource) -> Prediction:
        """The expression in one image: a path, the bytes of a file, a file open in binary mode, a PIL image, an array
        (H, W) or (H, W, 1 | 3 | 4).

        For more than one use ``predict_many``. Raises ImageError, which names the image, when it cannot be opened.
        """
        check_one(image, "predict_many")
        name = source_name(image)
        pixels = open_image(image).pixels
        start = time.perf_counter()
        row = self.probabilities(pixels[np.newaxis])[0]
        latency_ms = (time.perf_counter() - start) * 1e3
        return self._prediction(row, latency_ms, name)

    def predict_many(
        self, images: Iterable[ImageSource], *, batch_size: int = DEFAULT_BATCH_SIZE
    ) -> Iterator[Prediction]:
        """One Prediction for each image of a list or generator, in order, as they are scored.

        Sizes may differ: images of equal height, width and channels are scored together, up to ``batch_size``. The
        iterable is read a few batches ahead, never whole. Raises ImageError when it is an unreadable image's turn, and
        at once for a single image, an array (H, W, C) too. What a generator itself raises comes after the predictions
        of all images that it gave before.
        """
        check_several(images)
        return self._predict_all(images, batch_size)

    def _predict_all(self, images: Iterable[ImageSource], batch_size: int) -> Iterator[Prediction]:
        decoded = (decode(source_name(image), image) for image in images)
        for scored in score_in_batches(decoded, self.probabilities, batch_size):
            if isinstance(scored.result, ImageError):
                raise scored.result
            yield self._prediction(scored.result, scored.latency_ms, scored.key)

    def predict_named(
        self,
        images: Iterable[tuple[str, ImageSource]],
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        decoders: int = 2,
        progress: Callable[[int], object] | None = None,
    ) -> Iterator[Outcome]:
        """One Outcome for each (name, image), in order: a Prediction, or an error that names it and stops no other.

        Images are opened by ``decoders`` threads a little ahead of the model, within bounded memory. ``progress`` is
        called with the number of images done.
        """
        decoded = decode_ahead(images, threads=decoders, ahead=2 * batch_size)
        for done, scored in enumerate(score_in_batches(decoded, self.probabilities, batch_size), start=1):
            if isinstance(scored.result, ImageError):
                yield Outcome(scored.key, None, scored.result)
            else:
                yield Outcome(scored.key, self._prediction(scored.result, scored.latency_ms, scored.key), None)
            if progress is not None:
                progress(done)

    def predict_folder(
        self,
        folder: str | Path,
        *,
        search: FaceSearch = DEFAULT_SEARCH,
        batch_size: int = DEFAULT_BATCH_SIZE,
        decoders: int = 2,
        progress: Callable[[int, int], object] | None = None,
        left_out: LeftOut | None = None,
    ) -> Iterator[PhotoOutcome]:
        """As predict_photos, for every image file in ``folder`` and below, by name, without hidden ones: what
        ``predict FOLDER`` on the command line does. For crops of faces take ``search=FaceSearch(mode="crop")``.

        ``progress`` is called with the files done and their total. ``left_out`` (a ``LeftOut()``) counts the folder's
        other files by kind: videos, RAW photos, PDFs. Raises ImageError when there is no such folder, or no image in
        it.
        """
        total = count_images(folder)
        named = ((str(path), path) for path in images_in(folder, left_out))
        outcomes = self.predict_photos(named, search=search, batch_size=batch_size, decoders=decoders)
        return outcomes if progress is None else _counted(outcomes, lambda done: progress(done, total))

    def predict_faces(self, photo: ImageSource, *, search: FaceSearch = DEFAULT_SEARCH) -> PhotoPrediction:
        """The expression of every face in one photo, the surest face first; a photo without a face has none.

        A small square (see ``FaceSearch``) is taken as one face. For more than one photo use ``predict_photos``. Raises
        ImageError, which names the photo, when it cannot be opened.

        >>> [(one.label, one.face.box) for one in classifier.predict_faces("party.jpg").faces]
        [('happy', Box(x=178.2, y=62.9, width=89.9, height=113.3))]
        """
        check_one(photo, "predict_photos")
        images = [decode(source_name(photo), photo)]
        search = within_threads(search, self._origin.threads)
        (outcome,) = score_photos(images, search, self.probabilities, 1, labels=self.labels, certainty=self.certainty)
        if outcome.photo is None:
            raise outcome.error or ImageError(f"{outcome.source}: cannot be scored")
        return outcome.photo

    def predict_photos(
        self,
        photos: Iterable[tuple[str, ImageSource]],
        *,
        search: FaceSearch = DEFAULT_SEARCH,
        batch_size: int = DEFAULT_BATCH_SIZE,
        decoders: int = 2,
        keep_pixels: bool = False,
    ) -> Iterator[PhotoOutcome]:
        """As predict_named, for every face of every (name, photo). ``keep_pixels`` hands the photos out with their
        faces, to draw on; take ``batch_size`` 1 then, which keeps one photo at a time."""
        decoded = decode_ahead(photos, threads=decoders, ahead=2 * batch_size, reduces=not keep_pixels)
        search = within_threads(search, self._origin.threads)
        return score_photos(
            decoded,
            search,
            self.probabilities,
            batch_size,
            labels=self.labels,
            keep_pixels=keep_pixels,
            certainty=self.certainty,
        )

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (N, classes), float32, of images uint8 (N, H, W, 1 | 3 | 4), RGB. Raises ModelError,
        and ImageError for an array of another shape or type."""
        return self.probabilities_and_logits(pixels)[0]

    def probabilities_and_logits(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As ``probabilities``, and the logits (N, classes), float32. Raises ModelError where they are none."""
        check_images(pixels)
        names = [output.name for output in self.metadata.answers]
        options = run_options(pixels.shape[0] * pixels.shape[1] * pixels.shape[2])

        def run(feed: NDArray[np.generic]) -> dict[str, NDArray[np.float32]]:
            values = self._session.run(names, {self.metadata.input.name: feed}, options)
            return dict(zip(names, values, strict=True))

        with onnxruntime_errors(self.path):
            found = run_in_fixed_batches(run, self.feed(pixels), self.metadata)
        probabilities, logits = answers_of(found, self.metadata)
        check_outputs(self.path, probabilities, logits, images=len(pixels))
        return probabilities, logits

    def _prediction(self, row: NDArray[np.float32], latency_ms: float, source: str) -> Prediction:
        return Prediction.from_row(row, self.labels, latency_ms=latency_ms, source=source, certainty=self.certainty)

    def feed(self, pixels: NDArray[np.uint8]) -> NDArray[np.generic]:
        """What the model's input is given for images (N, H, W, C): these pixels, or faces prepared for a raw model."""
        return model_feed(pixels, self.metadata)


def _counted(outcomes: Iterator[PhotoOutcome], report: Callable[[int], object]) -> Iterator[PhotoOutcome]:
    for done, outcome in enumerate(outcomes, start=1):
        yield outcome
        report(done)


def _load_again(kind: type[Classifier], origin: ModelOrigin) -> Classifier:
    again = kind.load(
        origin.path,
        provider=origin.provider,
        threads=origin.threads,
        trust=origin.trust,
        description=origin.description,
        max_risk=origin.max_risk,
    )
    origin.check(again._origin.sha256)
    return again
