"""What quantisation cost and brought: the search, accuracy beside the checkpoint's, speed and its gate."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fer_edge.data.faces import FaceSet
from fer_edge.evaluation.metrics import Metrics, evaluate_probabilities
from fer_edge.export.card.tables import markdown_table, plain
from fer_edge.export.graph.preprocessing import with_preprocessing
from fer_edge.export.parity.figures import AccuracyPair
from fer_edge.export.parity.tolerance import TOLERANCES
from fer_edge.export.quantization.calibration import split_training_faces
from fer_edge.export.quantization.search import ACCEPTABLE_DROP_POINTS, Found, Quantised, QuantisedFile, find_best
from fer_edge.export.quantization.targets import PORTABLE, Target, target_of_this_machine
from fer_edge.export.quantization.timing import LatencyPair, compare_latency
from fer_edge.runtime.saturation import saturates


@dataclass(frozen=True)
class QuantisationReport:
    """What quantisation cost and brought; true when the gate of speed is passed. Parity's gate is that of accuracy."""

    quantised: Found
    accuracy: AccuracyPair
    """Of the checkpoint and of this model, on the validation split."""
    labels: tuple[str, ...]
    accuracy_without_leaks: float | None
    """INT8's, on the validation faces that are not also among the training faces; None where all of them are."""
    bytes_fp32: int
    bytes_int8: int
    latency: LatencyPair | None
    """By onnxruntime on this machine; None for a format that another runtime runs."""
    on_target: bool
    """Whether this machine is of the kind that the model is for; elsewhere its speed says nothing and is no gate."""

    @property
    def fp32(self) -> Metrics:
        """Of the checkpoint."""
        return self.accuracy.metrics_of_checkpoint

    @property
    def int8(self) -> Metrics:
        """Of this model."""
        return self.accuracy.metrics_of_model

    @property
    def faces(self) -> int:
        """Number of validation faces."""
        return self.int8.num_faces

    @property
    def failures(self) -> tuple[str, ...]:
        """What the gate of speed says."""
        if self.on_target and self.latency is not None and self.latency.speedup < 1:
            return (
                f"expected int8 to be no slower than fp32 on this machine, found {self.latency.int8_ms:.3f} ms against "
                f"{self.latency.fp32_ms:.3f} ms an image; stay with fp32, or export on the machine it is for",
            )
        return ()

    def __bool__(self) -> bool:
        return not self.failures

    def metrics(self) -> dict[str, dict[str, Any]]:
        """What the metadata state: how good this very model is on the validation split."""
        without = self.accuracy_without_leaks
        return {
            "validation": {
                "accuracy": self.int8.accuracy,
                "accuracy_standard_error": self.int8.standard_error,
                **({} if without is None else {"accuracy_without_leaks": without}),
                "accuracy_fp32": self.fp32.accuracy,
                "macro_f1": self.int8.macro_f1,
                "calibration_error": self.int8.calibration_error,
                "faces": self.faces,
                "measured_on": f"this model, validation split of {self.accuracy.source}",
            }
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``."""
        return {
            **self.quantised.to_dict(),
            "validation": {
                "source": self.accuracy.source,
                "faces": self.faces,
                "accuracy_fp32": self.fp32.accuracy,
                "accuracy_int8": self.int8.accuracy,
                "drop_points": self.accuracy.drop_points,
                "disagreement": self.accuracy.disagreement,
                "accuracy_without_leaks": self.accuracy_without_leaks,
                "recall_fp32": self._recalls(self.fp32),
                "recall_int8": self._recalls(self.int8),
            },
            "bytes": {"fp32": self.bytes_fp32, "int8": self.bytes_int8},
            "latency_batch_1_one_thread": None
            if self.latency is None
            else {**asdict(self.latency), "on_target": self.on_target},
            "failures": list(self.failures),
        }

    def _recalls(self, metrics: Metrics) -> dict[str, float | None]:
        """Fraction of each class's faces that is named right; None for a class without faces."""
        return {name: one.recall for name, one in zip(self.labels, metrics.classes, strict=True)}

    def summary(self) -> str:
        """The figures in a few lines."""
        recipe = self.quantised.best.recipe
        elsewhere = "" if self.on_target else f", on another machine than {self.quantised.target.name}: no gate"
        calibration = " calibration" if self.quantised.calibration_faces else ""
        latency = (
            []
            if self.latency is None
            else [
                f"  latency, one image, one thread: {self.latency.fp32_ms:.3f} ms to {self.latency.int8_ms:.3f} ms "
                f"({self.latency.speedup:.1f}x faster){elsewhere}"
            ]
        )
        lines = [
            f"int8 {'passed' if self else 'FAILED'}: {recipe.method}{calibration}, {recipe.activations.name} "
            f"activations, for {self.quantised.target.meant_for}",
            f"  size: {self.bytes_fp32 / 1e6:.2f} MB to {self.bytes_int8 / 1e6:.2f} MB "
            f"({self.bytes_fp32 / self.bytes_int8:.1f}x smaller)",
            *latency,
            f"  layers left in float32: {', '.join(recipe.kept_in_float) or 'none'}",
        ]
        return "\n".join([*lines, *(f"  failed: {failure}" for failure in self.failures)])

    def markdown(self) -> str:
        """Accuracy of each class and the trials, as Markdown tables."""
        of_int8 = self._recalls(self.int8)
        recalls = [
            (plain(name), *("–" if one is None else f"{one:.1%}" for one in (recall, of_int8[name])))
            for name, recall in self._recalls(self.fp32).items()
        ]
        trials = [
            (
                trial.recipe.method,
                trial.recipe.activations.name,
                ", ".join(trial.recipe.kept_in_float) or "none",
                f"{trial.accuracy:.2%}",
                f"{trial.agreement:.2%}",
            )
            for trial in self.quantised.trials
        ]
        return "\n\n".join(
            [
                f"```\n{self.summary()}\n```",
                markdown_table(("class", "fp32 finds", "int8 finds"), recalls, right=(1, 2)),
                f"The recipe was chosen on {self.quantised.held_back_faces} training faces that took no part in "
                "calibration; the validation faces above judged the result only:",
                markdown_table(
                    ("calibration", "activations", "layers in float32", "accuracy", "agrees with fp32"),
                    trials,
                    right=(3, 4),
                ),
            ]
        )


def search_int8(
    network: onnx.ModelProto,
    train: FaceSet,
    *,
    mean: float,
    std: float,
    target: Target,
    max_drop_points: float | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Quantised:
    """The best INT8 form of ``network`` (faces to logits), calibrated and chosen on training faces.

    Raises DataError where there are too few of them.
    """
    return find_best(
        network,
        split_training_faces(train),
        mean,
        std,
        target,
        acceptable_drop_points=acceptable_drop(max_drop_points),
        note=note,
    )


def acceptable_drop(max_drop_points: float | None) -> float:
    """Percentage points that may be lost on held-back faces before layers go back to float."""
    limit = TOLERANCES["int8"].max_drop_points if max_drop_points is None else max_drop_points
    return min(limit, ACCEPTABLE_DROP_POINTS)


def report_int8(
    quantised: Quantised,
    network: onnx.ModelProto,
    accuracy: AccuracyPair,
    *,
    labels: tuple[str, ...],
    is_leaked: NDArray[np.bool_],
    image_size: int,
    mean: float,
    std: float,
    is_timed: bool,
) -> QuantisationReport:
    """What INT8 cost and brought beside the fp32 ``network``: both are timed from pixels on where ``is_timed``.

    ``accuracy`` is that of the published file, whose faces ``is_leaked`` (N,) marks where they are training faces too.
    """
    fp32 = with_preprocessing(network, image_size, mean, std)
    int8 = with_preprocessing(quantised.network, image_size, mean, std)
    return QuantisationReport(
        quantised=quantised,
        accuracy=accuracy,
        labels=labels,
        accuracy_without_leaks=_without_leaks(accuracy, is_leaked),
        bytes_fp32=fp32.ByteSize(),
        bytes_int8=int8.ByteSize(),
        latency=compare_latency(
            fp32, int8, image_size, full_precision=not quantised.best.recipe.reduce_range and saturates()
        )
        if is_timed
        else None,
        on_target=quantised.target in (PORTABLE, target_of_this_machine()),
    )


def report_file(
    quantised: QuantisedFile, accuracy: AccuracyPair, *, labels: tuple[str, ...], is_leaked: NDArray[np.bool_]
) -> QuantisationReport:
    """The same of a file that a format's own quantiser made, which is not timed: another runtime runs it."""
    return QuantisationReport(
        quantised=quantised,
        accuracy=accuracy,
        labels=labels,
        accuracy_without_leaks=_without_leaks(accuracy, is_leaked),
        bytes_fp32=len(quantised.float_data),
        bytes_int8=len(quantised.data),
        latency=None,
        on_target=True,
    )


def _without_leaks(accuracy: AccuracyPair, is_leaked: NDArray[np.bool_]) -> float | None:
    fresh = ~is_leaked
    if not fresh.any():
        return None
    return evaluate_probabilities(accuracy.of_model[fresh], accuracy.labels[fresh]).accuracy
