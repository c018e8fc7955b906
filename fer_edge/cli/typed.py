"""Options that several commands have, what they mean, and which of them somebody typed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from fer_edge.cli.named import MODEL_HELP, complete_model
from fer_edge.errors import UsageError

if TYPE_CHECKING:
    from fer_edge.data.class_map import ClassMap


def _complete_class_map() -> list[str]:
    from fer_edge.data.class_map import SHIPPED

    return list(SHIPPED)


ModelArgument: TypeAlias = Annotated[
    Path | None,
    typer.Argument(
        help=f"An exported model; {MODEL_HELP}", metavar="[MODEL]", show_default=False, autocompletion=complete_model
    ),
]
"""The one model of a command; its default, None, is the shipped default model."""

Labels: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="auto|fer2013|ferplus|A,B,C",
        help="The classes: those of FER-2013 or FER+ where all folders are called so, else the folders' names (auto); "
        "one of the two; or names with commas between them, in the order of the outputs.",
    ),
]
"""``--labels``; its default is ``fer_edge.labels.AUTO``."""

LabelsOfFaces: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="auto|fer2013|ferplus|A,B,C",
        help="The classes of the faces, as in 'data inspect'. [default: the model's, where the folders are called so]",
    ),
]
"""``--labels`` of commands that have a model; its default is None."""

Votes: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="FER+'s fer2013new.csv ('data fetch --votes'): votes for the popular folder of FER-2013 "
        "(Training_3908.jpg, ...) or fer2013.csv.",
    ),
]
"""``--votes``: FER+'s table for faces that lack votes; its default is None."""

ClassMapFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--class-map",
        metavar="FILE|NAME",
        help="Which class a folder, or a number in a CSV, means: two columns (1,surprise) or a JSON object; or by "
        "name: raf-db (1 to 7), affectnet (0 to 7), affectnet-7 (0 to 6).",
        autocompletion=_complete_class_map,
    ),
]
"""``--class-map`` of commands that read labelled faces; its default is None."""

Trust: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Open a model whose graph no image classifier has: other operators, functions, very many nodes. Only for "
        "files whose origin you trust.",
    ),
]
"""``--trust`` of commands that open no file that runs code; its default is False."""


Describe: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE|FILE",
        help="How to feed another maker's .onnx, several times or with ; between: labels=A,B,C size=224 channels=3 "
        "layout=NCHW order=RGB range=0-1 mean=... std=... outputs=logits; or a JSON file of these. [default: the JSON "
        "beside it, Hugging Face's or timm's too]",
    ),
]
"""``--describe`` of commands that take models without metadata; its default is None."""

CertainOnly: TypeAlias = Annotated[
    bool, typer.Option("--certain-only", help="Leave out answers that are not certain; needs a calibrated model.")
]
MaxRisk: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        max=0.999,
        help="Fraction of the certain answers that may be wrong. [default: 0.1, of a calibrated model]",
    ),
]


def is_typed(context: typer.Context, name: str) -> bool:
    """Whether a parameter was typed, rather than left at its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def class_map_in(file: Path | None) -> "ClassMap | None":
    """What ``--class-map`` says; None without it. Raises DataError."""
    from fer_edge.data.class_map import class_map_named

    return None if file is None else class_map_named(file)


def class_map_for(data: str | None, file: Path | None) -> "ClassMap | None":
    """As ``class_map_in``, of a command that reads faces with ``--data`` alone. Raises UsageError without it."""
    if file is not None and data is None:
        raise UsageError("expected --data with --class-map: it says which classes its folders mean")
    return class_map_in(file)
