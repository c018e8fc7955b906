"""A checkpoint in half precision and without what only training needs: a quarter of a run's, for keeping and sending.

``export --checkpoint`` and ``evaluate --checkpoint`` take it like any other checkpoint.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fer_edge.errors import CheckpointError, ModelError
from fer_edge.evaluation.metrics import softmax
from fer_edge.export.exporter import ExportRequest, judging_faces
from fer_edge.export.publish import default_name
from fer_edge.export.tolerance import TOLERANCES
from fer_edge.files import make_folder, write_bytes
from fer_edge.training.checkpoint import checkpoint_path, load_classifier, read_checkpoint, save_checkpoint
from fer_edge.training.inference import predict_logits

SUFFIX = ".pt"


@dataclass(frozen=True)
class HalfWeights:
    """What halving the weights cost, and where they went: nowhere when a check failed."""

    path: Path | None
    size_bytes: int
    max_probability_difference: float
    """Over all faces that were compared."""
    faces: int
    accuracy_full: float | None
    accuracy_half: float | None
    """On labelled faces, where some were given."""
    failures: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``."""
        return {**self.__dict__, "path": str(self.path) if self.path else None, "failures": list(self.failures)}

    def summary(self) -> str:
        """The figures in a line or two."""
        lines = [
            f"weights {'FAILED' if self.failures else 'passed'}: float16, {self.size_bytes / 1e6:.2f} MB; "
            f"on {self.faces} faces no probability differs by more than {self.max_probability_difference:.1e}"
        ]
        if self.accuracy_full is not None and self.accuracy_half is not None:
            lines.append(f"  accuracy: {self.accuracy_full:.2%} before, {self.accuracy_half:.2%} after")
        return "\n".join([*lines, *(f"  failed: {failure}" for failure in self.failures)])


def export_half_weights(request: ExportRequest) -> HalfWeights:
    """Write ``NAME.pt``: the checkpoint's weights as float16, if they answer like it within fp16's tolerance.

    Raises CheckpointError, DataError, ModelError (a weight beyond float16) or StorageError.
    """
    classifier, info = load_classifier(request.checkpoint)
    record = read_checkpoint(checkpoint_path(request.checkpoint))["record"]
    name = request.name or default_name(request.checkpoint, "onnx", "fp32", raw=False)
    _refuse_other_file(request.folder / f"{name}{SUFFIX}")
    source = Path(record["data_source"]).name  # the file travels: it must not tell this machine's folders
    weights = {name: _halved(name, value) for name, value in classifier.state_dict().items()}
    faces = judging_faces(info.image_size, request.data)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"weights{SUFFIX}"
        save_checkpoint(file, {"record": {**record, "data_source": source}, "model": weights})
        content = file.read_bytes()
        half, _ = load_classifier(file)
    judged = faces.labelled.faces if faces.labelled is not None else faces.probes
    before, after = (
        softmax(predict_logits(model, judged, mean=info.mean, std=info.std)) for model in (classifier, half)
    )
    difference = float(np.abs(before - after).max())
    tolerance = TOLERANCES["fp16"].max_probability_difference
    failures: tuple[str, ...] = ()
    path: Path | None = request.folder / f"{name}{SUFFIX}"
    if not difference <= tolerance:
        failures = (f"expected probabilities within {tolerance:g} of the checkpoint's, found {difference:.2g}",)
        path = None
    if path is not None:
        make_folder(path.parent)
        write_bytes(path, content)
    labels = faces.labelled.labels if faces.labelled is not None else None
    accuracies = [None if labels is None else float((p.argmax(axis=1) == labels).mean()) for p in (before, after)]
    return HalfWeights(path, len(content), difference, len(judged), accuracies[0], accuracies[1], failures)


def _halved(name: str, value: torch.Tensor) -> torch.Tensor:
    if not value.is_floating_point():
        return value
    half = value.half()
    if not torch.isfinite(half).all():
        raise ModelError(f"{name}: expected weights within float16's range, found {float(value.abs().max()):g}")
    return half.contiguous()


def _refuse_other_file(path: Path) -> None:
    """Replace weights that were exported before, and nothing else."""
    if not path.exists():
        return
    try:
        is_ours = "optimizer" not in read_checkpoint(path)  # a run's own checkpoint can be gone on with: not ours
    except CheckpointError:
        is_ours = False
    if not is_ours:
        raise ModelError(
            f"{path}: expected no file, or weights exported before, found another file; "
            "choose another --name or --folder"
        )
