"""Core ML's 8-bit weights: each with a scale for its channel, values between layers float16. Nothing is calibrated."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fer_edge.backends._mil_program import MilProgram, read_package
from fer_edge.export.formats._coreml_package import package_of
from fer_edge.export.graph.network import LOGITS
from fer_edge.export.graph.preprocessing import IMAGE
from fer_edge.export.graph.reference import PlanesToProbabilities
from fer_edge.export.quantization.calibration import TrainingFaces
from fer_edge.export.quantization.search import QuantisedFile, Recipe, Trial
from fer_edge.export.quantization.targets import Activations, Target

FLOAT16 = Activations("float16", signed=True, symmetric=True)
APPLE = Target("apple", "Apple's devices", (FLOAT16,), reduce_range=False, devices=())


def weights_only(
    module: PlanesToProbabilities, size: int, faces: TrainingFaces, note: Callable[[str], None]
) -> QuantisedFile:
    """The one way to do it, and what it costs on held-back faces: there is nothing to choose."""
    note(f"trying int8 weights on {len(faces.held_back)} training faces")
    num_classes = module(torch.zeros(1, 1, size, size))[1].shape[1]
    places = tuple(map(str, range(num_classes)))  # for labels, which the published file has from the metadata
    float_package, package = (package_of(module, size, precision, places) for precision in ("fp32", "int8"))
    expected, logits = (logits_of(data, faces.held_back.faces) for data in (float_package, package))
    named, of_float = logits.argmax(axis=1), expected.argmax(axis=1)
    best = Trial(
        Recipe("weights only", FLOAT16, reduce_range=False),
        accuracy=float((named == faces.held_back.labels).mean()),
        agreement=float((named == of_float).mean()),
        logit_error=float(np.abs(logits - expected).mean()),
    )
    return QuantisedFile(
        best=best,
        float_accuracy=float((of_float == faces.held_back.labels).mean()),
        trials=(best,),
        target=APPLE,
        calibration_faces=0,
        held_back_faces=len(faces.held_back),
        data=package,
        float_data=float_package,
        float_parts=("values between layers", "weights of fewer than 2048 values"),
        saturates=False,
    )


def logits_of(data: bytes, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits (N, C) of a package for ``faces`` (N, S, S), by torch."""
    _, operations = read_package(data, Path("the package"))
    program = MilProgram(operations, IMAGE)
    with torch.inference_mode():
        rows = [program.run(torch.from_numpy(face).float()[None, None])[LOGITS][0].float() for face in faces]
    return np.stack([row.numpy() for row in rows])
