"""Photos for timing: JPEG files of a face each, and of a camera's size."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CAMERA_SIZE = (1920, 1080)
"""Width and height in pixels."""
_QUALITY = 90
_EXAMPLE = Path(__file__).parent.parent / "web" / "page" / "example.jpg"
_PERSON = (900, 900)
_NUM_PLACES = 8


def jpeg_bytes(faces: NDArray[np.uint8]) -> list[bytes]:
    """JPEG files of faces uint8 (N, S, S, 1)."""
    return [_jpeg(Image.fromarray(face)) for face in faces[..., 0]]


def camera_photos() -> list[bytes]:
    """JPEG files of CAMERA_SIZE: the page's example photo, at several places on grey."""
    with Image.open(_EXAMPLE) as example:
        person = example.convert("RGB").resize(_PERSON)
    found = []
    for place in range(_NUM_PLACES):
        photo = Image.new("RGB", CAMERA_SIZE, (120, 120, 120))
        photo.paste(person, (140 * place, 20 * place))
        found.append(_jpeg(photo))
    return found


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=_QUALITY)
    return stream.getvalue()
