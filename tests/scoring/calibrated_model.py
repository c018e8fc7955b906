"""A calibrated copy of a model, for tests."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from uncertainties import uncertainty

from fer_edge import Classifier
from fer_edge.export.uncertainty import write_uncertainty
from fer_edge.runtime.certainty import Certainty


def calibrated_copy(model: Path, images: Sequence[Path], folder: Path) -> str:
    """``model`` in ``folder``, of whose answers to ``images`` half are certain at the default risk."""
    said = list(Classifier.load(model, threads=1).predict_many(images))
    rows = [list(one.probabilities.values()) for one in said]
    labels = tuple(said[0].probabilities)
    judged = Certainty.of(uncertainty(labels), 0.1).judge_all(np.array(rows), labels)
    middle = median(one.calibrated_confidence for one in judged)
    for suffix in (".onnx", ".json"):
        shutil.copy(model.with_suffix(suffix), folder)
    copy = folder / model.name
    write_uncertainty(copy, uncertainty(labels, thresholds=(None, middle, 0.0), lac=1 - middle / 2), sidecar_only=True)
    return str(copy)
