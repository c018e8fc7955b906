"""``verify``: does a model file still answer like its checkpoint?"""

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.output import note, result, result_json, wrote
from fer_edge.errors import CheckFailed


def verify(
    model: Annotated[Path, typer.Argument(help="The exported model.", metavar="MODEL")],
    checkpoint: Annotated[Path, typer.Option(help="Run folder or checkpoint file that the model was made from.")],
    data: Annotated[
        str | None,
        typer.Option(help="Labelled faces, to compare accuracy on their validation split. [default: drawn faces]"),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Load torchscript and pt2 files, which can run any code.")
    ] = False,
    max_drop: Annotated[
        float | None, typer.Option(help="Percentage points of accuracy that may be lost. [default: by precision]")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the whole comparison to this Markdown file.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the differences into this PNG file.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print every figure as JSON.")] = False,
) -> None:
    """Compare a model with its checkpoint, from image files on: exit code 0 if it answers the same, 3 if not.

    Example:

        python cli.py verify exported/NAME.onnx --checkpoint runs/NAME --data fer2013 --picture parity.png
    """
    from fer_edge.export.candidate import open_candidate
    from fer_edge.export.exporter import judging_faces, load_reference
    from fer_edge.export.parity import measure_parity
    from fer_edge.export.report import draw_parity, parity_markdown, summary
    from fer_edge.files import write_text

    candidate = open_candidate(model, trust=trust)
    reference, info = load_reference(checkpoint)
    faces = judging_faces(info.image_size, data)
    note(f"comparing {model} with {info.path}")
    parity = measure_parity(
        reference,
        candidate,
        faces.probes,
        labelled=faces.labelled,
        source=faces.source,
        max_drop_points=max_drop,
    )
    if json_output:
        result_json(parity.to_dict())
    else:
        result(summary(parity))
    if markdown is not None:
        write_text(markdown, parity_markdown(parity))
        wrote(markdown)
    if picture is not None:
        draw_parity(parity, picture)
        wrote(picture)
    if not parity:
        raise CheckFailed(f"{model}: differs from its checkpoint: {parity.failures[0]}")
