"""PT2E's static quantisation for XNNPACK: int8 weights with a scale for each channel, int8 values between layers.

The ranges of the values between layers are all that calibration adds to the checkpoint. They are stated in the
metadata, from which the file is written, so that it can be written again and compared byte by byte.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fer_edge.backends._quiet import quietly
from fer_edge.errors import ModelError
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.quantization.calibration import TrainingFaces, batches, network_input
from fer_edge.export.quantization.search import QuantisedFile, Recipe, Trial, choose
from fer_edge.export.quantization.targets import INT8, Target

RANGES = "ranges"
"""Key of ``quantisation``: scale and zero point of each value between layers, in the order of the network."""
Ranges = tuple[tuple[float, int], ...]

EVERY_PROCESSOR = Target("portable", "every processor", (INT8,), reduce_range=False, devices=())
"""XNNPACK adds 8-bit products in 32 bits on x86 and ARM alike."""

_LEAST, _MOST = -128, 127


@dataclass(frozen=True, kw_only=True)
class QuantisedProgram(QuantisedFile):
    """As ``QuantisedFile``, with what the file is written from."""

    ranges: Ranges

    def to_dict(self) -> dict[str, Any]:
        """What the metadata state."""
        return {**super().to_dict(), RANGES: [list(one) for one in self.ranges]}


def find_best_program(
    reference: PixelsToProbabilities,
    faces: TrainingFaces,
    lowered: Callable[[PixelsToProbabilities], bytes],
    logits_of: Callable[[bytes, NDArray[np.uint8]], NDArray[np.float32]],
    note: Callable[[str], None],
) -> QuantisedProgram:
    """Try each way to find ranges on the calibration faces; the best on the held-back ones wins (see ``choose``).

    ``lowered`` gives the program of a module from pixels on, and ``logits_of`` what a program answers. Every layer is
    quantised; normalisation, logits and probabilities are not.
    """
    note(f"calibrating int8 on {len(faces.calibration)} training faces")
    found = calibrate(reference, faces.calibration.faces)
    labels = faces.held_back.labels
    float_program = lowered(reference)
    expected = logits_of(float_program, faces.held_back.faces)
    trials, programs = [], {}
    for method, ranges in found.items():
        note(f"trying int8 on {len(faces.held_back)} training faces: {method}")
        programs[method] = lowered(quantised(reference, ranges))
        logits = logits_of(programs[method], faces.held_back.faces)
        trials.append(
            Trial(
                Recipe(method, INT8, reduce_range=False),
                accuracy=float((logits.argmax(axis=1) == labels).mean()),
                agreement=float((logits.argmax(axis=1) == expected.argmax(axis=1)).mean()),
                logit_error=float(np.abs(logits - expected).mean()),
            )
        )
    best = choose(trials, len(faces.held_back))
    return QuantisedProgram(
        best=best,
        float_accuracy=float((expected.argmax(axis=1) == labels).mean()),
        trials=tuple(trials),
        target=EVERY_PROCESSOR,
        calibration_faces=len(faces.calibration),
        held_back_faces=len(faces.held_back),
        data=programs[best.recipe.method],
        float_data=float_program,
        float_parts=("resizing", "normalisation", "probabilities"),
        saturates=False,
        ranges=found[best.recipe.method],
    )


def calibrate(reference: PixelsToProbabilities, faces: NDArray[np.uint8]) -> dict[str, Ranges]:
    """Ranges of values between layers on ``faces`` (N, S, S), by the method that found them: those that lose least of
    a histogram (torchao's own choice), and the whole ones."""
    prepared = _prepared(reference)
    with quietly(), torch.no_grad():
        for part in batches(network_input(faces, reference.mean, reference.std)):
            prepared(torch.from_numpy(part))
        observers = _observers(prepared)
        least_lost = [one.calculate_qparams() for one in observers]
        whole = [one._calculate_qparams(one.min_val, one.max_val) for one in observers]
    return {"Histogram": _plain(least_lost), "MinMax": _plain(whole)}


def quantised(reference: PixelsToProbabilities, ranges: Ranges) -> PixelsToProbabilities:
    """The reference with an int8 network, of these ranges. Raises ModelError where they are too few or too many."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

    prepared = _prepared(reference)
    with quietly(), torch.no_grad():
        size = reference.image_size
        prepared(torch.zeros((1, 1, size, size)))  # the weights are observed as they pass
        observers = _observers(prepared)
        if len(observers) != len(ranges):
            raise ModelError(
                f"expected {len(observers)} {RANGES} in the metadata, one for each value between layers, found "
                f"{len(ranges)}; export it again"
            )
        for observer, (scale, zero) in zip(observers, ranges, strict=True):
            given = torch.tensor([scale], dtype=torch.float32), torch.tensor([zero], dtype=torch.int32)
            observer.calculate_qparams = lambda given=given: given
        network = convert_pt2e(prepared)
    return PixelsToProbabilities(_Frozen(network), size, reference.mean, reference.std)


def ranges_in(quantisation: Mapping[str, Any] | None, where: str) -> Ranges:
    """The ranges that metadata state. Raises ModelError where they state none, or other things."""
    stated = (quantisation or {}).get(RANGES)
    try:
        ranges = tuple((float(scale), int(zero)) for scale, zero in stated or ())
    except (TypeError, ValueError):
        ranges = ()
    if not ranges or not all(0 < scale < np.inf and _LEAST <= zero <= _MOST for scale, zero in ranges):
        raise ModelError(f"{where}: expected scales and zero points as {RANGES} in the metadata; export it again")
    return ranges


class _Frozen(nn.Module):
    """An exported network, which is always one for inference and refuses to be told so."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> "_Frozen":
        self.training = mode
        return self

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(faces)
        return logits


def _prepared(reference: PixelsToProbabilities) -> nn.Module:
    """The network with an observer at each value between layers."""
    with quietly(), torch.no_grad():
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
        from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

        size = reference.image_size
        batch = torch.export.Dim("batch", min=1, max=1024)
        exported = torch.export.export(
            reference.classifier.eval(), (torch.zeros((2, 1, size, size)),), dynamic_shapes=({0: batch},)
        )
        quantiser = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
        prepared: nn.Module = prepare_pt2e(exported.module(), quantiser)
        return prepared


def _observers(prepared: nn.Module) -> list[Any]:
    """Those of values between layers, each once, in the order of the network; weights have a scale a channel."""
    found = [one for one in prepared.modules() if hasattr(one, "calculate_qparams")]
    return [one for one in found if one.qscheme == torch.per_tensor_affine]


def _plain(parameters: list[tuple[torch.Tensor, torch.Tensor]]) -> Ranges:
    return tuple((float(scale), int(zero)) for scale, zero in parameters)
