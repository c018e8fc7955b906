"""Another maker's weights become a model as a checkpoint does: by way of a checkpoint that is made of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fer_edge.export.exporter import Exported, Note, export
from fer_edge.export.publish import default_name
from fer_edge.export.request import ExportRequest
from fer_edge.files import temporary_folder
from fer_edge.labels import LabelSet
from fer_edge.training.foreign_weights import checkpoint_of_weights


def export_weights(
    request: ExportRequest,
    *,
    labels: LabelSet,
    image_size: int,
    mean: float | Sequence[float],
    std: float | Sequence[float],
    note: Note = lambda _: None,
) -> Exported:
    """As ``export``, where ``request.checkpoint`` is a state dict as ``checkpoint_of_weights`` takes it.

    ``labels``, ``image_size``, ``mean`` and ``std`` (one number, or one for each of three channels): what a checkpoint
    would say itself. ``note`` hears what matched.
    """
    weights = request.checkpoint
    name = request.name or default_name(
        weights.with_suffix(".pt"), request.file_format, request.precision, request.raw, request.fixed_shape
    )
    with temporary_folder() as folder:
        made = Path(folder) / "weights.pt"
        note(checkpoint_of_weights(weights, made, labels=labels, image_size=image_size, mean=mean, std=std))
        told = str(weights)
        return export(replace(request, checkpoint=made, name=name), lambda text: note(text.replace(str(made), told)))
