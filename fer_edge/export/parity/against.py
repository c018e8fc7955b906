"""Any two model files against each other: yesterday's and today's, two formats, two runtimes, somebody else's and ours.

Each is opened by the backend of its format, so this needs no checkpoint and no torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.backends.contract import ModelBackend
from fer_edge.backends.registry import open_model
from fer_edge.data.class_map import ClassMap
from fer_edge.data.faces import NO_LABEL, FaceSet
from fer_edge.data.load import load_faces, load_faces_for
from fer_edge.data.relabel import relabelled
from fer_edge.errors import DataError, ModelError, UsageError
from fer_edge.export.parity.comparison import Parity, measure_parity
from fer_edge.export.parity.report import parity_markdown, parity_summary, plot_parity
from fer_edge.export.parity.tolerance import TOLERANCES, check_max_drop
from fer_edge.labels import FERPLUS, LabelSet
from fer_edge.metadata import PRECISIONS
from fer_edge.runtime.foreign import ForeignMetadata
from fer_edge.runtime.foreign_files import Description
from fer_edge.text import printable

_SYNTHETIC_FACES = "sample:105"
"""Faces that both answer where no others are given."""


@dataclass(frozen=True)
class AgainstRequest:
    """Which models to compare, on what."""

    model: Path
    other: Path
    """The reference."""
    data: str | None = None
    """Labelled faces, whose validation split adds the accuracy of both; None: synthetic faces."""
    skip_bad: bool = False
    class_map: ClassMap | None = None
    trust: bool = False
    description: Description | None = None
    """How to feed another maker's model, whichever of the two is one."""
    max_drop_points: float | None = None

    def __post_init__(self) -> None:
        """Refuse (UsageError) a loss of accuracy that nothing measures."""
        check_max_drop(self.max_drop_points, has_labels=self.data is not None)


class ModelReference:
    """A model file as the reference of another, whose order of classes it takes."""

    def __init__(self, backend: ModelBackend, labels: LabelSet) -> None:
        self._backend = backend
        own = backend.metadata.label_set
        places = _places(labels, own)
        if places is None:
            raise ModelError(
                f"{backend.path}: expected the classes {printable(', '.join(labels.names))} in any order, as the model "
                f"that it is compared with has them, found {printable(', '.join(own.names))}"
            )
        self._places = places

    def answer(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities and logits (N, C), classes in the other model's order."""
        found = self._backend.run_feed(self._backend.prepare(image))
        return found.probabilities[:, self._places], found.logits[:, self._places]

    def prepared_faces(self, image: NDArray[np.uint8]) -> None:
        """None: the other model's own loader prepares them."""


@dataclass(frozen=True)
class ModelComparison:
    """How far the answers of one model are from another's; true when within what the coarser precision explains."""

    parity: Parity
    left_out_files: Mapping[str, int] = field(default_factory=dict)
    """Files and rows of the data set that cannot be used, by kind (``fer_edge.data.left_out``)."""

    def __bool__(self) -> bool:
        return bool(self.parity)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``."""
        return {"parity": self.parity.to_dict(), "left_out_files": dict(self.left_out_files)}

    def summary(self) -> str:
        """The figures in a few lines."""
        return parity_summary(self.parity)

    def markdown(self) -> str:
        """All of it as a Markdown document."""
        return parity_markdown(self.parity)

    def plot(self, path: Path) -> None:
        """The plot of the differences."""
        plot_parity(self.parity, path)


def compare_models(request: AgainstRequest, note: Callable[[str], None] = lambda _: None) -> ModelComparison:
    """Open both models and compare their answers, from image files on.

    Raises ModelError for a file that is refused and for other classes, DataError for faces that are, UsageError.
    """
    backend, reference_backend = _opened(request)
    labels = backend.metadata.label_set
    reference = ModelReference(reference_backend, labels)
    faces, labelled, source, left_out_files = _faces(request, backend, reference_backend.metadata.label_set)
    note(f"comparing {request.model} with {request.other}")
    coarser = max((one.metadata.precision for one in (backend, reference_backend)), key=PRECISIONS.index)
    parity = measure_parity(
        reference,
        backend,
        faces,
        labelled=labelled,
        source=source,
        max_drop_points=request.max_drop_points,
        tolerance=TOLERANCES[coarser],
        face_size=_common_face_size(backend, reference_backend),
        name=printable(request.other.name),
    )
    return ModelComparison(parity, left_out_files)


def _places(labels: LabelSet, other: LabelSet) -> list[int] | None:
    """For each class of ``labels`` its index in ``other``; None unless both have the same classes.

    Somebody else's model may call them otherwise: what FER+ calls by one name (anger, angry) is one class.
    """
    names = {FERPLUS.resolve(name) or name.casefold(): place for place, name in enumerate(other.names)}
    places = [names.get(FERPLUS.resolve(name) or name.casefold()) for name in labels.names]
    found = [place for place in places if place is not None]
    return found if sorted(found) == list(range(len(other))) and len(found) == len(labels) else None


def _opened(request: AgainstRequest) -> tuple[ModelBackend, ModelBackend]:
    """Both models. The description goes to the one that does not say itself what it is."""
    opened = []
    used = request.description is None
    for path in (request.model, request.other):
        try:
            opened.append(open_model(path, trust=request.trust, description=request.description))
            used = used or isinstance(opened[-1].metadata, ForeignMetadata)
        except UsageError:
            opened.append(open_model(path, trust=request.trust))
    if not used:
        raise UsageError(
            f"expected no --describe: {request.model.name} and {request.other.name} say themselves what they are"
        )
    return opened[0], opened[1]


def _faces(
    request: AgainstRequest, backend: ModelBackend, others: LabelSet
) -> tuple[NDArray[np.uint8], FaceSet | None, str, Mapping[str, int]]:
    """Faces uint8 (N, S, S) that both answer; those with labels among them, where they are from, and what was left out.

    The faces may be called as either model calls them, the second by ``others``.
    """
    metadata = backend.metadata
    if request.data is None:
        synthetic = load_faces(_SYNTHETIC_FACES, size=metadata.image_size)
        return synthetic.train.faces, None, synthetic.source, {}
    own = metadata.label_set
    data = load_faces_for(
        own,
        request.data,
        size=metadata.image_size,
        seed=metadata.training_data.seed,
        skip_bad=request.skip_bad,
        class_map=request.class_map,
    )
    try:
        validation = relabelled(data, own).split("validation")
    except DataError:
        validation = relabelled(data, others).split("validation")
        places = np.array(_places(others, own))  # ModelReference has found that there are
        validation = replace(
            validation, labels=np.where(validation.labels == NO_LABEL, NO_LABEL, places[validation.labels])
        )
    labelled = validation.take(validation.labels != NO_LABEL)
    if not len(labelled):
        raise DataError(f"{data.source}: expected labelled faces in validation, found faces with votes alone")
    return validation.faces, labelled, Path(data.source).name, data.left_out


def _common_face_size(*backends: ModelBackend) -> int | None:
    """The side of grey faces that both are given, where a model of ours takes nothing else; two of different sizes
    prepare their own."""
    sizes = {
        one.metadata.image_size for one in backends if one.takes_faces and not isinstance(one.metadata, ForeignMetadata)
    }
    return sizes.pop() if len(sizes) == 1 else None
