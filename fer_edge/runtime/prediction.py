"""What comes out of a classifier: one frozen result for one image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from fer_edge.runtime.certainty import Certainty
    from fer_edge.runtime.images import ImageSource


@dataclass(frozen=True)
class Prediction:
    """The expression that the model sees in one image."""

    label: str
    """The most probable of the model's labels."""
    confidence: float
    """Its probability, 0-1. A softmax score: how well it is calibrated says the metadata."""
    probabilities: Mapping[str, float]
    """Label to probability, in the model's order; they add up to 1."""
    latency_ms: float
    """Milliseconds from pixels to probabilities: preprocessing and net, without opening the file. For an image that was
    scored in a batch: the batch's time divided by its images."""
    source: str
    """The path, or the kind of object in angle brackets, e.g. ``<bytes>``."""
    is_certain: bool | None = field(default=None, kw_only=True)
    """Whether the answer is one of those of which at most ``max_risk`` are wrong (docs/uncertainty.md); None where the
    model was not calibrated, so that nobody knows."""
    candidates: tuple[str, ...] | None = field(default=None, kw_only=True)
    """The labels among which the right one is in 9 of 10 faces (as the model was calibrated), the most probable first;
    None where it was not."""
    calibrated_confidence: float | None = field(default=None, kw_only=True)
    """``confidence`` after temperature scaling; None where the model was not calibrated."""
    quality: float | None = field(default=None, kw_only=True)
    """How usable the face is, 0-1, by the detector and the pixels (``fer_edge.runtime.quality``), whatever the model;
    None where it was not found by the detector."""

    @classmethod
    def from_row(
        cls,
        row: NDArray[np.floating[Any]],
        labels: Sequence[str],
        *,
        latency_ms: float,
        source: str,
        certainty: "Certainty | None" = None,
    ) -> "Prediction":
        """From one row of a model's output, probabilities (C,), and the names of its C classes; ``certainty`` is that
        of a calibrated model."""
        best = int(row.argmax())
        probabilities = dict(zip(labels, row.tolist(), strict=True))
        judged = {} if certainty is None else certainty.judge(row, labels)._asdict()
        return cls(labels[best], float(row[best]), probabilities, latency_ms, source, **judged)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "source": self.source,
            "label": self.label,
            "confidence": self.confidence,
            "probabilities": dict(self.probabilities),
            "latency_ms": round(self.latency_ms, 4),
            "is_certain": self.is_certain,
            "candidates": None if self.candidates is None else list(self.candidates),
            "calibrated_confidence": self.calibrated_confidence,
            "quality": None if self.quality is None else round(self.quality, 4),
        }

    def plot(self) -> "Figure":
        """A bar for each label, as a matplotlib figure. Raises MissingExtraError without matplotlib."""
        from fer_edge.runtime.results import plot_probabilities

        return plot_probabilities([self])

    def save(self, path: "str | Path", *, image: "ImageSource | None" = None) -> "Path":
        """Write it as JSON (``.json``) or as the annotated picture (``.jpg``, ``.png``, ``.webp``); gives the path.

        ``image`` is what was scored, where that was no path. Raises UsageError for another suffix, ImageError,
        StorageError.
        """
        from fer_edge.runtime.photos import FacePrediction
        from fer_edge.runtime.results import save_result

        face = self if isinstance(self, FacePrediction) else FacePrediction(**vars(self))
        return save_result(path, self.as_dict(), [face], self.source, image)


def probability_columns(labels: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """Names of a table's columns of probabilities: the labels, told from ``others`` where one is called the same."""
    taken = {*others, *labels}
    columns = []
    for label in labels:
        column = label
        while column in others or (column != label and column in taken):
            column = f"probability of {column}"
        columns.append(column)
    return tuple(columns)
