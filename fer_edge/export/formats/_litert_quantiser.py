"""8 bits for LiteRT by its own quantiser (ai-edge-quantizer): weights and values between layers int8, calibrated.

It takes ranges from whoever calibrates. By itself it averages each face's smallest and largest value, which cuts off
what few faces have: of ResNet18 one layer had its noise 6 dB below its signal, on other faces than those that
calibrated. Here the whole range and a percentile are tried (20 and 15 dB), and training faces that took no part choose.
"""

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.backends.litert import interpreter_of
from fer_edge.export.graph.network import FACES, LOGITS
from fer_edge.export.graph.preprocessing import IMAGE, PROBABILITIES
from fer_edge.export.quantization.calibration import TrainingFaces
from fer_edge.export.quantization.search import QuantisedFile, Recipe, Trial, choose
from fer_edge.export.quantization.targets import INT8, Target

Ranges = dict[str, dict[str, NDArray[np.float32]]]
"""``min`` and ``max`` of each value between layers, by its name, in the quantiser's form."""

EVERY_PROCESSOR = Target("portable", "every processor", (INT8,), reduce_range=False, devices=())
"""LiteRT's kernels (XNNPACK) add 8-bit products in 32 bits on x86 and ARM alike."""
PERCENTILES = {"Percentile 99.999": 1e-5}
"""Fraction of the values that is left out at each end. With 1e-4 the noise was 9 dB below the signal."""
MAX_LAYERS_IN_FLOAT = 6
"""As for onnxruntime's."""

_SIGNATURE = "serving_default"
_BINS = 8192
_FACES_THAT_RANK = 64


def find_best_file(
    data: bytes,
    faces: TrainingFaces,
    mean: float,
    std: float,
    acceptable_drop_points: float,
    note: Callable[[str], None],
) -> QuantisedFile:
    """Try each calibration on the float32 file ``data``. The best on held-back faces wins (see ``choose``).

    Normalisation, logits and probabilities stay float. If the best loses more than ``acceptable_drop_points``, the
    layers that quantisation harms most do too, one after the other, until it does not.
    """
    note(f"calibrating int8 on {len(faces.calibration)} training faces")
    calibrations = calibrate(data, faces.calibration.faces, mean, std)
    judge = _Judge(data, faces)
    trials, files = [], {}
    for method, ranges in calibrations.items():
        note(f"trying int8 on {len(faces.held_back)} training faces: {method}")
        recipe = Recipe(method, INT8, reduce_range=False)
        files[method] = quantise(data, ranges)
        trials.append(judge.try_out(files[method], recipe))
    best = choose(trials, len(faces.held_back))
    file, ranges = files[best.recipe.method], calibrations[best.recipe.method]
    ranked: list[str] | None = None
    while 100 * (judge.float_accuracy - best.accuracy) > acceptable_drop_points:
        if ranked is None:
            ranked = rank_layers(data, ranges, faces.calibration.faces[:_FACES_THAT_RANK])
        if not ranked or len(best.recipe.kept_in_float) >= MAX_LAYERS_IN_FLOAT:
            break
        kept = (*best.recipe.kept_in_float, ranked.pop(0))
        note(
            f"{100 * (judge.float_accuracy - best.accuracy):.2f} points lost on held-back faces: {kept[-1]} stays float"
        )
        file = quantise(data, ranges, kept)
        best = judge.try_out(file, Recipe(best.recipe.method, INT8, reduce_range=False, kept_in_float=kept))
        trials.append(best)
    return QuantisedFile(
        best=best,
        float_accuracy=judge.float_accuracy,
        trials=tuple(trials),
        target=EVERY_PROCESSOR,
        calibration_faces=len(faces.calibration),
        held_back_faces=len(faces.held_back),
        data=file,
        float_data=data,
        float_parts=("normalisation", LOGITS, PROBABILITIES),
        saturates=False,
    )


def quantise(data: bytes, ranges: Ranges, kept_in_float: tuple[str, ...] = ()) -> bytes:
    """The file in int8, weights with a scale for each channel, but for layers whose outputs are ``kept_in_float``."""
    from ai_edge_quantizer import algorithm_manager, qtyping, recipe

    quantiser = _quantiser(data, recipe.static_wi8_ai8())
    # Operators are selected by the names of their outputs, with ; between them. 256 steps for the logits would cost
    # accuracy and save nothing.
    for name in (IMAGE, FACES, LOGITS, PROBABILITIES, *kept_in_float):
        quantiser.update_quantization_recipe(
            rf"^{re.escape(name)}(/\d+)?(;|$)",
            qtyping.TFLOperationName.ALL_SUPPORTED,
            algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE,
        )
    with _quiet():
        return bytes(quantiser.quantize(ranges, enable_progress_report=False).quantized_model)


def calibrate(data: bytes, faces: NDArray[np.uint8], mean: float, std: float) -> dict[str, Ranges]:
    """Ranges of values between layers on ``faces`` (N, S, S), by the method that found them."""
    from ai_edge_quantizer import recipe

    with _quiet():
        form = _quantiser(data, recipe.static_wi8_ai8()).calibrate(
            {_SIGNATURE: [{IMAGE: faces[:1, :, :, np.newaxis]}]}, num_threads=1
        )
    interpreter = interpreter_of(data, keep_values=True)
    places = {one["name"]: one["index"] for one in interpreter.get_tensor_details() if one["name"]}
    measured = [name for name in form if name in places]

    def values(face: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        interpreter.set_tensor(places[IMAGE], face[np.newaxis, :, :, np.newaxis])
        interpreter.invoke()
        return {name: interpreter.get_tensor(places[name]) for name in measured}

    ends: dict[str, list[tuple[float, float]]] = {name: [] for name in measured}
    for face in faces:
        for name, value in values(face).items():
            ends[name].append((float(value.min()), float(value.max())))
    whole = {name: (min(low for low, _ in found), max(high for _, high in found)) for name, found in ends.items()}
    found = {"MinMax": whole}
    counts = {name: np.zeros(_BINS, np.int64) for name in measured}
    for face in faces:
        for name, value in values(face).items():
            if _is_wide(*whole[name]):
                counts[name] += np.histogram(value, _BINS, whole[name])[0]
    for method, outside in PERCENTILES.items():
        found[method] = {name: _percentile(counts[name], whole[name], outside) for name in measured}
    # A grey value is a step: nothing of the face is lost.
    grey = ((0 - mean) / std, (1 - mean) / std)
    return {method: _in_form(form, {**ends_of, FACES: grey}) for method, ends_of in found.items()}


def rank_layers(data: bytes, ranges: Ranges, faces: NDArray[np.uint8]) -> list[str]:
    """Names of the quantised layers, those first whose quantisation alone changes the logits of ``faces`` most."""
    layers = [name for name in ranges if name not in (IMAGE, FACES, LOGITS, PROBABILITIES) and "/" not in name]
    expected = logits_of(data, faces)
    harm = {}
    for layer in layers:
        others = tuple(name for name in layers if name != layer)
        harm[layer] = float(np.abs(logits_of(quantise(data, ranges, others), faces) - expected).mean())
    return sorted(harm, key=lambda name: -harm[name])


def logits_of(data: bytes, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits (N, C) of ``faces`` (N, S, S)."""
    interpreter = interpreter_of(data)
    runner = interpreter.get_signature_runner(_SIGNATURE)
    return np.concatenate([runner(**{IMAGE: face[np.newaxis, :, :, np.newaxis]})[LOGITS] for face in faces])


class _Judge:
    """The held-back faces and what the float32 file says to them."""

    def __init__(self, data: bytes, faces: TrainingFaces) -> None:
        self._faces = faces.held_back
        self._logits = logits_of(data, self._faces.faces)
        self.float_accuracy = self._accuracy(self._logits)

    def _accuracy(self, logits: NDArray[np.float32]) -> float:
        return float((logits.argmax(axis=1) == self._faces.labels).mean())

    def try_out(self, data: bytes, recipe: Recipe) -> Trial:
        logits = logits_of(data, self._faces.faces)
        return Trial(
            recipe,
            self._accuracy(logits),
            agreement=float((logits.argmax(axis=1) == self._logits.argmax(axis=1)).mean()),
            logit_error=float(np.abs(logits - self._logits).mean()),
        )


def _is_wide(low: float, high: float) -> bool:
    """Whether float32 has as many values between them as there are bins. Those of a dead layer are all alike."""
    return high - low > _BINS * float(np.spacing(np.float32(max(abs(low), abs(high)))))


def _percentile(counts: NDArray[np.int64], whole: tuple[float, float], outside: float) -> tuple[float, float]:
    """The range that holds all but a fraction ``outside`` of the values at each end."""
    if not counts.any():
        return whole
    below = np.cumsum(counts) / int(counts.sum())
    edges = np.linspace(*whole, len(counts) + 1)
    first = int(np.searchsorted(below, outside, side="right"))
    last = int(np.searchsorted(below, 1 - outside, side="left"))
    return (float(edges[min(first, len(counts) - 1)]), float(edges[min(last, len(counts) - 1) + 1]))


def _in_form(form: Mapping[str, Any], ranges: Mapping[str, tuple[float, float]]) -> Ranges:
    """As the quantiser wants them: arrays of as many dimensions as it gave; what was not measured as it has it."""
    made = {}
    for name, entry in form.items():
        if name in ranges and "min" in entry:
            shape = np.shape(entry["min"])
            low, high = (np.full(shape, end, np.float32) for end in ranges[name])
            entry = {**entry, "min": low, "max": high}
        made[name] = entry
    return made


def _quantiser(data: bytes, steps: Any) -> Any:
    from ai_edge_quantizer import quantizer

    return quantizer.Quantizer(bytearray(data), steps)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars and warnings."""
    with (
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
