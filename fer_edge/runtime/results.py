"""What to do with a prediction: a plot, a file, the faces themselves as pictures."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.errors import ImageError, MissingExtraError, UsageError
from fer_edge.files import file_identity, write_text
from fer_edge.runtime.annotation import PICTURE_FORMATS, annotate, colour, write_picture
from fer_edge.runtime.crops import DEFAULT_FRAMING, Framing, crop_face
from fer_edge.runtime.images import ImageSource, decode_image
from fer_edge.runtime.photos import FacePrediction
from fer_edge.runtime.prediction import Prediction
from fer_edge.text import shown_name, without_surrogates

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_probabilities(predictions: Sequence[Prediction], title: str = "") -> "Figure":
    """A bar for each label, one plot below the other for each of ``predictions``; show it or ``savefig`` it.

    The figure has no pyplot state: notebooks show it, and no display is needed. Raises MissingExtraError without
    matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plots") from error
    rows = max(1, len(predictions))
    most = max((len(one.probabilities) for one in predictions), default=1)
    figure = Figure(figsize=(6, (0.35 * most + 0.9) * rows), layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, parse_math=False)
    for axes, one in zip(np.ravel(figure.subplots(rows, squeeze=False)), predictions, strict=False):
        labels = list(one.probabilities)
        bars = axes.barh(labels, list(one.probabilities.values()), color=[colour(at) for at in range(len(labels))])
        axes.bar_label(bars, labels=[f"{value:.1%}" for value in one.probabilities.values()], padding=3)
        axes.set(xlim=(0, 1.15), xticks=[0, 0.5, 1], xticklabels=["0%", "50%", "100%"])
        axes.set_title(f"{one.label} {one.confidence:.1%}", loc="left", parse_math=False)
        axes.invert_yaxis()  # the first label on top
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def save_result(
    path: str | Path, values: dict[str, Any], faces: Sequence[FacePrediction], source: str, image: ImageSource | None
) -> Path:
    """Write ``values`` as JSON where ``path`` ends in ``.json``, else the annotated picture (.jpg, .png, .webp).

    ``image``: what was scored, where ``source`` is no path to it. Like any ``save``, it replaces a file of that name,
    but never the image that was scored. Raises UsageError for that one and for another suffix, ImageError where the
    image cannot be opened again, and StorageError.
    """
    path = Path(path)
    scored = [one for one in (source, image) if isinstance(one, str | Path)]
    if os.path.lexists(path) and file_identity(path) in map(file_identity, scored):
        raise UsageError(f"{shown_name(path)}: expected another file than the image itself; choose another name")
    if path.suffix.lower() == ".json":
        write_text(path, json.dumps(without_surrogates(values), indent=2, allow_nan=False) + "\n")
    elif path.suffix.lower() in PICTURE_FORMATS:
        write_picture(path, annotate(pixels_again(source, image), faces))
    else:
        endings = ", ".join((".json", *PICTURE_FORMATS))
        raise UsageError(f"{shown_name(path)}: expected a name that ends in {endings}, found {path.suffix!r}")
    return path


def face_crops(
    pixels: NDArray[np.uint8], faces: Sequence[FacePrediction], framing: Framing = DEFAULT_FRAMING
) -> list[NDArray[np.uint8]]:
    """What the model saw of each of ``faces``: uint8 (H, W, C), cut out of the photo, or the whole image."""
    return [pixels if one.face is None else crop_face(pixels, one.face, framing) for one in faces]


def pixels_again(source: str, image: ImageSource | None, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """The image behind a prediction. ``size``: width and height that it had. Raises ImageError where it is another."""
    if image is None and source.startswith("<") and not Path(source).exists():
        raise ImageError(f"{source}: expected image=..., because it came from no file, found none")
    pixels = decode_image(source if image is None else image)
    found = pixels.shape[1], pixels.shape[0]
    if size is not None and found != size:
        raise ImageError(
            f"{shown_name(source)}: expected the image of {size[0]}x{size[1]} pixels that was scored, "
            f"found one of {found[0]}x{found[1]}"
        )
    return pixels
