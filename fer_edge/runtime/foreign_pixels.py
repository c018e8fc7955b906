"""From pixels to the input of a model that was described."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_edge.runtime.foreign import RANGES, ForeignDescription


def foreign_feed(pixels: NDArray[np.uint8], description: ForeignDescription, dtype: str) -> NDArray[np.generic]:
    """What a described model takes for images uint8 (N, H, W, 1 | 3 | 4): (N, C, height, width), or channels last.

    Resized by Pillow, as timm and Hugging Face's processors do it. Alpha is dropped.
    """
    fitted = np.stack([_fitted(image, description) for image in pixels]).astype(np.float32)  # (N, height, width, C)
    if description.order == "BGR" and description.channels == 3:
        fitted = fitted[..., ::-1]
    factor, added = RANGES[description.range]
    mean, std = np.asarray(description.mean, np.float32), np.asarray(description.std, np.float32)
    values = (fitted * np.float32(factor) + np.float32(added) - mean) / std
    if description.layout == "NCHW":
        values = values.transpose(0, 3, 1, 2)
    if dtype == "uint8":
        values = np.clip(np.rint(values), 0, 255)
    return np.ascontiguousarray(values).astype(dtype)


def _fitted(pixels: NDArray[np.uint8], description: ForeignDescription) -> NDArray[np.uint8]:
    """uint8 (H, W, 1 | 3 | 4) to (height, width, channels)."""
    assert description.size is not None
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, :3]))
    image = image.convert("L" if description.channels == 1 else "RGB")
    height, width = description.size
    resample = Image.Resampling[description.interpolation.upper()]
    if description.shortest:
        scale = description.shortest / min(image.size)
        larger = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
        image = image.resize(larger, resample)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
    else:
        image = image.resize((width, height), resample)
    array = np.asarray(image, np.uint8)
    return array[:, :, np.newaxis] if array.ndim == 2 else array
