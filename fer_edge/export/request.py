"""What to export, and under which name."""

from dataclasses import dataclass
from pathlib import Path

from fer_edge.data.class_map import ClassMap
from fer_edge.errors import UsageError
from fer_edge.export.formats.registry import format_named, refuse_combination
from fer_edge.export.graph.older_opsets import OLDEST_OPSET
from fer_edge.export.graph.versions import OPSET, RELEASES
from fer_edge.export.parity.tolerance import check_max_drop
from fer_edge.export.quantization.targets import PORTABLE
from fer_edge.metadata import NORMALISED


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and under which name."""

    checkpoint: Path
    """A run folder or a checkpoint file."""
    file_format: str = "onnx"
    """One of ``all_formats()``."""
    precision: str = "fp32"
    raw: bool = False
    """Take normalised faces instead of pixels."""
    fixed_shape: bool = False
    """One face a run, for engines that want every dimension to be a number; for raw models."""
    opset: int = OPSET
    """Of raw models from OLDEST_OPSET on, as far as the network's operators allow; of others from OPSET on."""
    name: str | None = None
    """File name without suffix; None takes the run's name and what sets this file apart."""
    folder: Path = Path("exported")
    data: str | None = None
    """Labelled faces for parity and calibration. None: synthetic ones for parity, those of the training for int8."""
    skip_bad: bool = False
    """Leave out files and rows of ``data`` that cannot be read."""
    class_map: ClassMap | None = None
    """Which classes the folders or values of ``data`` mean; None: as the checkpoint recorded."""
    target: str = PORTABLE.name
    """What processors int8 is for: a name from targets.TARGETS, or "auto" for this machine's."""
    max_drop_points: float | None = None
    """Percentage points of accuracy that may be lost; None takes the precision's own bound."""

    def __post_init__(self) -> None:
        """Refuse (UsageError) combinations that no file can hold, and a loss that nothing measures."""
        chosen = format_named(self.file_format)
        refuse_combination(chosen, self.precision, chosen.input_kinds[0])
        check_max_drop(self.max_drop_points, has_labels=self.needs_faces)
        refuse_combination(chosen, self.precision, NORMALISED if self.raw else chosen.input_kinds[0])
        if self.fixed_shape and not self.raw:
            raise UsageError(
                "expected --raw with --fixed-shape, found a model of pixels, which takes any size; "
                "its resizing is what engines with fixed shapes lack"
            )
        if chosen.from_graph and self.opset < (OLDEST_OPSET if self.raw else OPSET):
            older = (
                "" if self.raw else f", or --raw, which takes {OLDEST_OPSET} and later: Resize has no antialias before"
            )
            least = OLDEST_OPSET if self.raw else OPSET
            raise UsageError(f"expected --opset {least} or later{older}, found {self.opset}")
        if chosen.from_graph and self.opset > RELEASES[-1].opset:
            raise UsageError(
                f"expected --opset {RELEASES[-1].opset} or earlier, the newest that onnxruntime {RELEASES[-1].version} "
                f"reads, found {self.opset}"
            )

    @property
    def needs_faces(self) -> bool:
        """Whether labelled faces are read."""
        return self.data is not None or self.precision == "int8"
