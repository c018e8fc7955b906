"""An INT8 model from a network: the search, the two gates (accuracy, speed) and the report."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import onnx

from fer_edge.data.faces import FaceData
from fer_edge.data.leaks import leaked
from fer_edge.evaluation.metrics import Metrics, evaluate_probabilities, softmax
from fer_edge.export.card.tables import markdown_table, signed
from fer_edge.export.graph.preprocessing import with_preprocessing
from fer_edge.export.quantization.calibration import split_training_faces
from fer_edge.export.quantization.search import ACCEPTABLE_DROP_POINTS, Quantised, find_best, run_pixel_model
from fer_edge.export.quantization.targets import Target, target_named
from fer_edge.export.quantization.timing import LatencyPair, compare_latency
from fer_edge.labels import EXPRESSIONS

MAX_DROP_POINTS = 0.5
"""Percentage points of accuracy on the validation split that INT8 may cost, unless told otherwise."""


@dataclass(frozen=True)
class QuantisationReport:
    """What quantisation cost and brought; true when both gates are passed."""

    quantised: Quantised
    source: str
    fp32: Metrics
    """Of the network before quantisation, on the validation split."""
    int8: Metrics
    accuracy_without_leaks: float | None
    """INT8's, on the validation faces that are not also among the training faces; None where all of them are."""
    disagreement: float
    """Part of the faces that the two name differently."""
    bytes_fp32: int
    bytes_int8: int
    latency: LatencyPair
    """On this machine."""
    on_target: bool
    """Whether this machine is of the kind that the model is for; elsewhere its speed says nothing and is no gate."""
    max_drop_points: float

    @property
    def faces(self) -> int:
        """Number of validation faces."""
        return self.int8.num_faces

    @property
    def accuracy_fp32(self) -> float:
        """Accuracy before quantisation."""
        return self.fp32.accuracy

    @property
    def accuracy_int8(self) -> float:
        """Accuracy after quantisation."""
        return self.int8.accuracy

    @property
    def drop_points(self) -> float:
        """Percentage points of accuracy that are lost; negative where some are gained."""
        return 100 * (self.accuracy_fp32 - self.accuracy_int8)

    @property
    def failures(self) -> tuple[str, ...]:
        """What the gates say."""
        found = []
        if not self.drop_points <= self.max_drop_points:
            found.append(
                f"expected int8 to lose at most {self.max_drop_points:g} points of accuracy on {self.faces} validation "
                f"faces, found {self.drop_points:.2f}; raise --max-drop, or stay with fp32"
            )
        if self.on_target and self.latency.speedup < 1:
            found.append(
                f"expected int8 to be no slower than fp32 on this machine, found {self.latency.int8_ms:.3f} ms against "
                f"{self.latency.fp32_ms:.3f} ms an image; stay with fp32, or export on the machine it is for"
            )
        return tuple(found)

    def __bool__(self) -> bool:
        return not self.failures

    def metrics(self) -> dict[str, dict[str, Any]]:
        """What the card states: how good this very model is on the validation split."""
        without = self.accuracy_without_leaks
        return {
            "validation": {
                "accuracy": self.accuracy_int8,
                "accuracy_standard_error": self.int8.standard_error,
                **({} if without is None else {"accuracy_without_leaks": without}),
                "accuracy_fp32": self.accuracy_fp32,
                "macro_f1": self.int8.macro_f1,
                "calibration_error": self.int8.calibration_error,
                "faces": self.faces,
                "measured_on": f"this model, validation split of {self.source}",
            }
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``."""
        return {
            **self.quantised.to_dict(),
            "validation": {
                "source": self.source,
                "faces": self.faces,
                "accuracy_fp32": self.accuracy_fp32,
                "accuracy_int8": self.accuracy_int8,
                "drop_points": self.drop_points,
                "disagreement": self.disagreement,
                "accuracy_without_leaks": self.accuracy_without_leaks,
                "recall_fp32": _recalls(self.fp32),
                "recall_int8": _recalls(self.int8),
            },
            "bytes": {"fp32": self.bytes_fp32, "int8": self.bytes_int8},
            "latency_batch_1_one_thread": {**asdict(self.latency), "on_target": self.on_target},
            "failures": list(self.failures),
        }

    def summary(self) -> str:
        """The figures in a few lines."""
        recipe = self.quantised.best.recipe
        latency = self.latency
        elsewhere = "" if self.on_target else f", on another machine than {self.quantised.target.name}: no gate"
        lines = [
            f"int8 {'passed' if self else 'FAILED'}: {recipe.method} calibration, {recipe.activations.name} "
            f"activations, for {self.quantised.target.name}",
            f"  accuracy on {self.faces} validation faces: fp32 {self.accuracy_fp32:.2%}, "
            f"int8 {self.accuracy_int8:.2%} ({signed(-self.drop_points)} points), "
            f"named differently {self.disagreement:.2%}",
            f"  size: {self.bytes_fp32 / 1e6:.2f} MB to {self.bytes_int8 / 1e6:.2f} MB "
            f"({self.bytes_fp32 / self.bytes_int8:.1f}x smaller)",
            f"  latency, one image, one thread: {latency.fp32_ms:.3f} ms to {latency.int8_ms:.3f} ms "
            f"({latency.speedup:.1f}x faster){elsewhere}",
            f"  layers left in float32: {', '.join(recipe.kept_in_float) or 'none'}",
        ]
        return "\n".join([*lines, *(f"  failed: {failure}" for failure in self.failures)])

    def markdown(self) -> str:
        """Accuracy of each expression and the trials, as Markdown tables."""
        of_int8 = _recalls(self.int8)
        recalls = [(name, f"{recall:.1%}", f"{of_int8[name]:.1%}") for name, recall in _recalls(self.fp32).items()]
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
                markdown_table(("expression", "fp32 finds", "int8 finds"), recalls, right=(1, 2)),
                f"The recipe was chosen on {self.quantised.held_back_faces} training faces that took no part in "
                "calibration; the validation faces above judged the result only:",
                markdown_table(
                    ("calibration", "activations", "layers in float32", "accuracy", "agrees with fp32"),
                    trials,
                    right=(3, 4),
                ),
            ]
        )


def quantise_and_judge(
    network: onnx.ModelProto,
    faces: FaceData,
    *,
    image_size: int,
    mean: float,
    std: float,
    target: Target,
    max_drop_points: float | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> QuantisationReport:
    """Quantise ``network`` (faces to logits), calibrated on training faces, and judge it on the validation split.

    Raises DataError where there are too few training faces or no validation faces.
    """
    validation = faces.split("validation")
    limit = MAX_DROP_POINTS if max_drop_points is None else max_drop_points
    quantised = find_best(
        network,
        split_training_faces(faces.train),
        mean,
        std,
        target,
        acceptable_drop_points=min(limit, ACCEPTABLE_DROP_POINTS),
        note=note,
    )
    note(f"judging int8 on {len(validation)} validation faces")
    fp32, int8 = (with_preprocessing(model, image_size, mean, std) for model in (network, quantised.network))
    # With their own preprocessing, as they are published: it rounds otherwise, and an INT8 network may step over that.
    of_fp32, of_int8 = (softmax(run_pixel_model(model, validation.faces)) for model in (fp32, int8))
    fresh = ~leaked(faces, "validation")
    return QuantisationReport(
        quantised=quantised,
        source=faces.source,
        fp32=evaluate_probabilities(of_fp32, validation.labels),
        int8=evaluate_probabilities(of_int8, validation.labels),
        accuracy_without_leaks=(
            evaluate_probabilities(of_int8[fresh], validation.labels[fresh]).accuracy if fresh.any() else None
        ),
        disagreement=float((of_fp32.argmax(axis=1) != of_int8.argmax(axis=1)).mean()),
        bytes_fp32=fp32.ByteSize(),
        bytes_int8=int8.ByteSize(),
        latency=compare_latency(fp32, int8, image_size),
        on_target=target == target_named("auto"),
        max_drop_points=limit,
    )


def _recalls(metrics: Metrics) -> dict[str, float]:
    """Part of each expression's faces that is named right, for the expressions that occur."""
    return {
        name: expression.recall
        for name, expression in zip(EXPRESSIONS, metrics.expressions, strict=True)
        if expression.support
    }
