"""``explain``: what a checkpoint has learned to see."""

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.named import complete_checkpoint, given_checkpoint
from fer_edge.cli.output import result, result_json, wrote
from fer_edge.cli.runs import only_run, run_of
from fer_edge.own_files import OwnFiles
from fer_edge.text import shown_name

DEFAULT_FOLDER = Path("explanation")
"""For the pictures of a checkpoint that is in no run."""


def explain(
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[IMAGE]...", help="Photos or faces to explain. [default: seven synthetic ones]"),
    ] = None,
    faces: Annotated[
        str, typer.Option(help="crop, detect or auto: whether images are searched, as in predict.")
    ] = "auto",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Run folder or checkpoint file. [default: the only run in runs/]",
            callback=given_checkpoint,
            autocompletion=complete_checkpoint,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the plots. [default: the run's; outside a run, explanation/ here]")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Draw the filters of the first layer, and where in a face the answer comes from (class activation maps).

    The maps need the extra 'explain' (captum). Example: `fer-edge explain --checkpoint runs/NAME me.jpg you.png`
    """
    checkpoint = checkpoint or only_run(Path("runs"))

    from fer_edge.runtime.photos import FaceSearch
    from fer_edge.training.checkpoint import load_classifier
    from fer_edge.training.explain import (
        ACTIVATION_MAPS,
        FILTERS,
        OTHER_FOLDER,
        drawn_examples,
        explain_faces,
        read_images,
        write_filters,
    )

    search = FaceSearch(faces)
    folder = out or run_of(checkpoint) or DEFAULT_FOLDER
    OwnFiles(OTHER_FOLDER).refuse_foreign([folder / FILTERS, folder / ACTIVATION_MAPS])
    classifier, info = load_classifier(checkpoint)
    names, crops = read_images(images, info.image_size, search=search) if images else drawn_examples(info.image_size)
    filters = write_filters(classifier, info, folder)
    wrote(filters)  # now, because the maps may want an extra that is not installed
    explanation = explain_faces(classifier, info, names, crops)
    maps = explanation.write(folder)
    faces_told = explanation.to_dict()["faces"]
    if json_output:
        result_json({**explanation.to_dict(), "checkpoint": str(info.path), "files": [str(filters), str(maps)]})
    else:
        for face in faces_told:
            result(f"{shown_name(face['name'])}  {face['label']}  {face['confidence']:.3f}")
    wrote(maps)
