"""``info``: what a model says about itself, and what its file holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_edge.cli import output
from fer_edge.cli.named import MODEL_HELP, complete_model, model_named
from fer_edge.cli.program import as_called
from fer_edge.cli.typed import Describe, Trust

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fer_edge.runtime.description import ModelDescription
    from fer_edge.uncertainty import Uncertainty


def info(
    model: Annotated[
        Path | None,
        typer.Argument(
            help=f"An exported model (.onnx, .ort, .torchscript, .pt2); {MODEL_HELP}",
            show_default=False,
            autocompletion=complete_model,
        ),
    ] = None,
    describe: Describe = None,
    trust: Trust = False,
    layers: Annotated[
        bool,
        typer.Option("--layers", help="Print what each layer computes and moves instead; a checkpoint's, too."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Print a model's metadata, inputs and outputs, operators, size and hashes, after checking that it is intact.

    Example: `fer-edge info fer-tiny`, `fer-edge info exported/NAME.onnx`, `fer-edge info fer-tiny --layers`
    """
    if layers:
        from fer_edge.cli.info_layers import print_layers

        print_layers(model, trust=trust, description=describe, as_json=as_json)
        return
    from fer_edge.runtime.description import describe_model

    description = describe_model(model_named(model), trust=trust, description=describe)
    if as_json:
        output.result_json(description.as_dict())
    else:
        output.result("\n".join(_lines(description)))


_STATED = (
    *(
        "architecture",
        "face",
        "trained on",
        "metrics",
        "certain",
        "quantised",
        "made with",
        "created",
        "limits",
        "license",
    ),
    *("stated only", "inner hash"),
)
"""What only a model of this project says of itself."""


def _lines(description: "ModelDescription") -> list[str]:
    from fer_edge.runtime.foreign import ForeignMetadata
    from fer_edge.text import printable

    metadata, ours = description.metadata, description.is_verified
    described = metadata.description.source if isinstance(metadata, ForeignMetadata) else ""
    rows: list[tuple[str, object]] = [
        ("file", f"{description.path} ({description.size_bytes:,} bytes)" + (", intact" if ours else "")),
        ("", "" if ours else "NOT VERIFIED: another maker's model, fed as it was described"),
        ("name", metadata.name),
        ("format", f"{metadata.format}, {metadata.precision}"),
        ("described by", described),
        ("architecture", f"{metadata.architecture} {_pairs(metadata.settings)}".rstrip()),
        ("labels", ", ".join(metadata.labels)),
        *(("input", one) for one in description.inputs),
        ("", f"channels {', '.join(map(str, metadata.input.channels))}: {metadata.input.colour}"),
        *([("", f"at most {metadata.input.max_side} pixels high and wide")] if metadata.input.max_side else []),
        *(("output", one) for one in description.outputs),
        ("face", f"{metadata.image_size}x{metadata.image_size}, (pixel/255 - {metadata.mean:g}) / {metadata.std:g}"),
        ("trained on", f"{metadata.training_data.source} (fingerprint {metadata.training_data.fingerprint[:16]})"),
        *(("metrics", f"{split}: {_pairs(values)}") for split, values in metadata.metrics.items()),
        ("certain", _certain(metadata.uncertainty)),
        ("quantised", _pairs(_in_short(metadata.quantisation or {}))),
        ("operators", ", ".join(f"{name} {count}" for name, count in description.operators.items())),
        (
            "opset",
            f"{metadata.opset}, IR {metadata.ir_version}, onnxruntime {metadata.minimum_onnxruntime} or later"
            if ours
            else f"{metadata.opset}, IR {metadata.ir_version}",
        ),
        *(("provider", f"{name}: {state}") for name, state in description.providers.items()),
        ("made with", _pairs(metadata.versions)),
        ("created", metadata.created),
        ("limits", metadata.limits),
        ("license", metadata.license),
        (
            "stated only",
            "trained on, metrics, certain, quantised, made with, created: the maker's word, not checked",
        ),
        ("file hash", description.file_sha256),
        ("inner hash", metadata.content_sha256),
    ]
    if not ours:
        rows = [row for row in rows if row[0] not in _STATED]
    if metadata.opset is None:
        rows = [row for row in rows if row[0] != "opset"]
    return [f"{title:<13}{printable(str(value))}" for title, value in rows if value]


def _certain(uncertainty: "Uncertainty | None") -> str:
    if uncertainty is None:
        return as_called("nobody knows when its answers are: not calibrated, see 'fer-edge calibrate'")
    thresholds = (
        f"{one.max_risk:.0%} {'never' if one.threshold is None else f'{one.threshold:.3f}'}"
        for one in uncertainty.risks
    )
    return (
        f"at most wrong, confidence above: {', '.join(thresholds)}; temperature {uncertainty.temperature:.3f}; "
        f"{uncertainty.checked_faces} faces of {uncertainty.data_source} ({uncertainty.split}) checked it"
    )


def _in_short(quantisation: "Mapping[str, Any]") -> dict[str, Any]:
    """What a model says of its quantisation: of its layers' noise the range, of the candidates their number. --json has
    all of it."""
    from fer_edge.metadata import LAYER_NOISE

    layers = quantisation.get(LAYER_NOISE)
    short = {name: f"{len(one)}" if _is_table(one) else one for name, one in quantisation.items()}
    if not isinstance(layers, dict) or not layers:
        return short
    noise = [float(value) for value in layers.values() if isinstance(value, int | float)]
    return {**short, LAYER_NOISE: f"{min(noise, default=0):g} to {max(noise, default=0):g}"}


def _is_table(value: object) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(one, dict) for one in value)


def _pairs(values: object) -> str:
    """``a 1, b 2`` for a mapping, in its order, ``1 2`` for a list; floats short, nothing as ``none``."""
    if isinstance(values, dict):
        return ", ".join(f"{key} {_inner(value)}" for key, value in values.items())
    if isinstance(values, list | tuple):
        return " ".join(map(_inner, values)) or "none"
    if isinstance(values, bool):
        return "yes" if values else "no"
    if values is None:
        return "none"
    return f"{values:.4g}" if isinstance(values, float) else str(values)


def _inner(value: object) -> str:
    """As ``_pairs``, in brackets where it has several parts of its own."""
    return f"({_pairs(value)})" if isinstance(value, dict) and value else _pairs(value)
