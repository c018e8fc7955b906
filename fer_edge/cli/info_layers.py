"""``info --layers``: multiply-adds, bytes and intensity of each layer, from the graph alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.cli.named import model_named
from fer_edge.cli.output import note, result, result_json
from fer_edge.cli.tables import result_table
from fer_edge.text import printable

if TYPE_CHECKING:
    from fer_edge.export.graph.model_layers import ModelLayers
    from fer_edge.runtime.foreign_files import Description

_CHECKPOINT_SUFFIXES = (".pt", ".pth")


def print_layers(model: Path | None, *, trust: bool, description: "Description | None", as_json: bool) -> None:
    """Print the layers of a model, or of a checkpoint (a ``.pt`` file or a run folder)."""
    from fer_edge.export.graph.model_layers import layers_of_checkpoint, layers_of_model, require_onnx

    is_checkpoint = model is not None and (model.suffix in _CHECKPOINT_SUFFIXES or (model / "checkpoints").is_dir())
    require_onnx("train" if is_checkpoint else "onnx")  # before what imports it, which can name no smaller extra
    from fer_edge.export.graph.layer_costs import uncounted

    if model is not None and is_checkpoint:
        found = layers_of_checkpoint(model)
    else:
        found = layers_of_model(model_named(model), trust=trust, description=description)
    if as_json:
        result_json({"file": str(found.path), **found.to_dict()})
    else:
        _print_table(found)
    if operators := uncounted(found.layers):
        note(f"multiply-adds of {', '.join(operators)} are not counted")


def _print_table(found: "ModelLayers") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for title in ("layer", "operator", "precision"):
        table.add_column(title, no_wrap=True)
    for title in ("multiply-adds", "share", "weight bytes", "activation bytes", "multiply-adds/byte"):
        table.add_column(title, justify="right", no_wrap=True)
    whole = found.multiply_adds or 1
    shown = [one for one in found.layers if one.bytes_moved]
    for one in shown:
        cells = (
            f"{one.multiply_adds:,}",
            f"{one.multiply_adds / whole:.1%}",
            f"{one.weight_bytes:,}",
            f"{one.activation_bytes:,}",
            f"{one.intensity:.1f}",
        )
        names = (printable(one.name), printable(one.operator), one.precision)
        table.add_row(*map(Text, (*names, *(cell if one.multiply_adds else _no_product(cell) for cell in cells))))
    shape = " x ".join(map(str, found.input_shape))
    result(f"{printable(found.path)}: input {shape}\n")
    result_table(table)
    hidden = len(found.layers) - len(shown)
    result(
        f"\ntotal: {found.multiply_adds:,} multiply-adds, {found.weight_bytes:,} bytes of weights, "
        f"{sum(one.activation_bytes for one in found.layers):,} of activations, read and written"
        + (f"; not shown: {hidden} that move nothing" if hidden else "")
    )


def _no_product(cell: str) -> str:
    """``cell``, or a dash for a share or an intensity of nothing."""
    return "–" if cell in ("0", "0.0", "0.0%") else cell
