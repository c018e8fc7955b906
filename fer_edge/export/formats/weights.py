"""A checkpoint in half precision and without what only training needs: a quarter of a run's, for keeping and sending.

``export --checkpoint`` and ``evaluate --checkpoint`` take it like any other checkpoint. It is compared with the one it
was made from as every model is: both are answered by a backend, here PyTorch's.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.errors import CheckpointError, ModelError
from fer_edge.export.formats.registry import ModelFormat

if TYPE_CHECKING:
    import torch

    from fer_edge.export.request import ExportRequest

SUFFIX = ".pt"


@dataclass(frozen=True)
class HalfWeights:
    """What halving the weights cost, and where they went: nowhere when a check failed."""

    name: str
    path: Path | None
    size_bytes: int
    max_probability_difference: float
    """Over all faces that were compared."""
    faces: int
    accuracy_full: float | None
    accuracy_half: float | None
    """On labelled faces, where some were given."""
    failures: tuple[str, ...]
    left_out_files: Mapping[str, int] = field(default_factory=dict)
    """Files and rows of the data set that cannot be used, by kind (``fer_edge.data.left_out``)."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where they went, as of any export."""
        return () if self.path is None else (self.path,)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``."""
        difference = self.max_probability_difference
        return {
            **self.__dict__,
            "path": str(self.path) if self.path else None,
            "max_probability_difference": difference if math.isfinite(difference) else None,
            "failures": list(self.failures),
        }

    def summary(self) -> str:
        """The figures in a line or two."""
        lines = [
            f"weights {'FAILED' if self.failures else 'passed'}: float16, {self.size_bytes / 1e6:.2f} MB; "
            f"on {self.faces} faces no probability differs by more than {self.max_probability_difference:.1e}"
        ]
        if self.accuracy_full is not None and self.accuracy_half is not None:
            lines.append(f"  accuracy: {self.accuracy_full:.2%} before, {self.accuracy_half:.2%} after")
        return "\n".join([*lines, *(f"  failed: {failure}" for failure in self.failures)])


def export_half_weights(request: "ExportRequest", note: Callable[[str], None] = lambda _: None) -> HalfWeights:
    """Write ``NAME.pt``: the checkpoint's weights as float16, if they answer like it within fp16's tolerance.

    Raises CheckpointError, DataError, ModelError (a weight beyond float16) or StorageError.
    """
    import numpy as np

    from fer_edge.backends import torch_eager
    from fer_edge.export.faces import given_faces, judging_faces
    from fer_edge.export.parity.comparison import answers
    from fer_edge.export.parity.tolerance import TOLERANCES
    from fer_edge.export.publish import check_name, default_name
    from fer_edge.files import make_folder, require_writable, temporary_folder, write_bytes
    from fer_edge.training.checkpoint import checkpoint_path, load_classifier, read_checkpoint, save_checkpoint

    classifier, info = load_classifier(request.checkpoint)
    record = read_checkpoint(checkpoint_path(request.checkpoint))["record"]
    name = request.name or default_name(request.checkpoint, "onnx", "fp32", raw=False)
    check_name(name)
    require_writable(request.folder)
    _refuse_other_file(request.folder / f"{name}{SUFFIX}", checkpoint_path(request.checkpoint))
    weights = {name: _halved(name, value) for name, value in classifier.state_dict().items()}
    faces = judging_faces(
        info.image_size, given_faces(info, request.data, request.skip_bad, class_map=request.class_map)
    )
    with temporary_folder() as folder:
        file = Path(folder) / f"weights{SUFFIX}"
        save_checkpoint(file, {"record": _travelling(record), "model": weights})
        content = file.read_bytes()
        whole, half = torch_eager.load(request.checkpoint), torch_eager.load(file)
    judged = faces.labelled.faces if faces.labelled is not None else faces.probes
    before, after = (answers(backend, judged) for backend in (whole, half))
    difference = float(np.abs(before - after).max())
    tolerance = TOLERANCES["fp16"].max_probability_difference
    failures = []
    if not difference <= tolerance:
        failures.append(f"expected probabilities within {tolerance:g} of the checkpoint's, found {difference:.2g}")
    full, half_accuracy = None, None
    if faces.labelled is not None:
        labels = faces.labelled.labels
        full, half_accuracy = (float((p.argmax(axis=1) == labels).mean()) for p in (before, after))
        limit = request.max_drop_points
        if limit is not None and not 100 * (full - half_accuracy) <= limit:
            failures.append(
                f"expected to lose at most {limit:g} points of accuracy, found {100 * (full - half_accuracy):.2f}"
            )
    path = None if failures else request.folder / f"{name}{SUFFIX}"
    if path is not None:
        make_folder(path.parent)
        write_bytes(path, content)
    return HalfWeights(
        name, path, len(content), difference, len(judged), full, half_accuracy, tuple(failures), faces.left_out
    )


def _travelling(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record without this machine's folders: the names of the data, the teachers and the run it began from."""
    config = dict(record["config"])
    begun_from = config["weights"]
    names = {
        "weights": Path(begun_from).name,
        "teacher": ",".join(Path(path.strip()).name for path in config.get("teacher", "").split(",")),
    }
    return {
        **record,
        "config": config | names,
        "data_source": Path(record["data_source"]).name,
        "starting_weights": record["starting_weights"].replace(begun_from, names["weights"]),
    }


def _halved(name: str, value: "torch.Tensor") -> "torch.Tensor":
    import torch

    if not value.is_floating_point():
        return value
    half = value.half()
    if not torch.isfinite(half).all():
        raise ModelError(f"{name}: expected weights within float16's range, found {float(value.abs().max()):g}")
    return half.contiguous()


def _refuse_other_file(path: Path, source: Path) -> None:
    """Replace weights that were exported before, and nothing else: neither a run's checkpoint nor the source."""
    import torch

    from fer_edge.training.checkpoint import read_checkpoint

    if not path.exists():
        return
    try:
        values = read_checkpoint(path)["model"].values()
        is_ours = all(value.dtype == torch.float16 for value in values if value.is_floating_point())
    except (CheckpointError, KeyError, AttributeError):
        is_ours = False
    is_ours = is_ours and not path.samefile(source)
    if not is_ours:
        raise ModelError(
            f"{path}: expected no file, or weights exported before, found another file; "
            "choose another --name or --folder"
        )


FORMAT = ModelFormat(
    name="weights",
    summary="weights (a small checkpoint)",
    suffixes=(SUFFIX,),
    precisions=("fp16",),
    export=export_half_weights,
    refused_options=("raw", "fixed-shape", "precision", "target", "opset"),
    refused_because="keeps float16 weights, which every format is made from",
)
