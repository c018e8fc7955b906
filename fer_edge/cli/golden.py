"""``golden``: a kit with which an app in any language proves that it gives a model's own answers."""

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli import output
from fer_edge.cli.named import model_named
from fer_edge.cli.typed import Describe, ModelArgument, Trust
from fer_edge.errors import UsageError


def golden(
    model: ModelArgument = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the kit; default: NAME-golden beside the model, of a shipped one here.", show_default=False
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(help="Instead: compare --answers with this kit.", metavar="KIT", show_default=False),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(help="With --check: what an app answered, as JSON (docs/golden.md).", show_default=False),
    ] = None,
    describe: Describe = None,
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the kit's manifest as JSON.")] = False,
) -> None:
    """Write golden vectors: inputs, the model's answers to them, and checkers in Python, JavaScript and C++.

    Example: `fer-edge golden exported/NAME.onnx`, then `python exported/NAME-golden/check.py` wherever it must
    answer the same. For an app in another language: `fer-edge golden --check KIT --answers answers.json`
    """
    if check is not None or answers is not None:
        if check is None or answers is None or model is not None or out is not None:
            raise UsageError("expected --check KIT with --answers FILE, and neither MODEL nor --out")
        from fer_edge.golden.answers import check_answers

        line = check_answers(check, answers)
        if as_json:
            output.result_json({"passed": True, "reason": line})
        else:
            output.result(line)
        return
    from fer_edge.golden.kit import write_kit

    model_named(model)  # says which file a name means
    kit = write_kit(model, out, trust=trust, description=describe)
    output.note(f"model {kit.model}")
    if "answer" in kit.manifest["model"]:
        output.note("not verified: another maker's model; the kit shows whether others answer as it does here")
    tolerance = kit.manifest["tolerance"]
    if as_json:
        output.result_json(kit.manifest)
    else:
        output.result(
            f"{len(kit.manifest['vectors'])} vectors, {kit.num_images} images, {kit.size_bytes / 1e3:.0f} kB; "
            f"allowed elsewhere: logits {tolerance['max_logit_difference']:g}, "
            f"probabilities {tolerance['max_probability_difference']:g}"
        )
    output.wrote(kit.folder)
