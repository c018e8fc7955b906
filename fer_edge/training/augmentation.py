"""Augmentation of a whole batch at a time, on the device that trains, each face varied on its own.

Crop, flip, rotation, scale and shift are one affine map and one bilinear sampling, so that a face is interpolated once
(and once more where it is shrunk for an early epoch).
Own code rather than kornia's because it was measured clearly faster: benchmarks/augmentation.py and its results.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fer_edge.training.config import AugmentConfig

_SMALLEST_ERASED_PART = 0.1
_ERASED_ASPECT = 3.0
"""A rectangle's sides are at most this many times as long as each other (the paper's 0.3 to 3.3, rounded)."""


@dataclass(frozen=True)
class Variations:
    """One batch's draws: row ``i`` is for face ``i``."""

    affine: Tensor
    """float32 (N, 2, 3): from output to input coordinates, both from -1 to 1, as ``grid_sample`` takes them."""
    brightness: Tensor
    """float32 (N, 1, 1, 1): added to pixel values of 0 to 1."""
    contrast: Tensor
    """float32 (N, 1, 1, 1): factor around the face's mean."""
    erased: Tensor
    """float32 (N, 4): left, top, right, bottom as parts of the side; left equals right where nothing is erased."""

    def part(self, rows: slice, device: torch.device) -> "Variations":
        """The draws of some faces, on ``device``."""
        chosen = [getattr(self, name)[rows] for name in self.__dataclass_fields__]
        if device.type != "cuda":
            return Variations(*(values.to(device) for values in chosen))
        # One transfer from pinned memory, which the CPU does not wait for.
        together = torch.cat([values.flatten(1) for values in chosen], dim=1).pin_memory().to(device, non_blocking=True)
        parts = together.split([values[0].numel() for values in chosen], dim=1)
        return Variations(*(part.reshape(values.shape) for part, values in zip(parts, chosen, strict=True)))


def draw_variations(generator: np.random.Generator, num_faces: int, size: int, config: AugmentConfig) -> Variations:
    """Draw variations for ``num_faces`` faces of ``size`` pixels; the generator alone decides them, not the device."""

    def symmetric(largest: float, *shape: int) -> np.ndarray:
        return generator.uniform(-largest, largest, (num_faces, *shape))

    angle = np.radians(symmetric(config.rotation))
    zoom = 1.0 / (1.0 + symmetric(config.scale))  # output to input, so a larger face reads a smaller window
    mirror = np.where(generator.random(num_faces) < config.flip, -1.0, 1.0)
    whole_pixels = generator.integers(-config.crop, config.crop + 1, (num_faces, 2))
    move = 2.0 * (whole_pixels / size + symmetric(config.shift, 2))  # a face is 2 wide in these coordinates
    cosine, sine = np.cos(angle) * zoom, np.sin(angle) * zoom
    affine = np.empty((num_faces, 2, 3), np.float32)
    affine[:, 0, 0], affine[:, 0, 1], affine[:, 0, 2] = cosine * mirror, -sine, move[:, 0]
    affine[:, 1, 0], affine[:, 1, 1], affine[:, 1, 2] = sine * mirror, cosine, move[:, 1]

    brightness = symmetric(config.brightness, 1, 1, 1)
    contrast = 1.0 + symmetric(config.contrast, 1, 1, 1)

    area = generator.uniform(_SMALLEST_ERASED_PART, 1.0, num_faces) * config.erasing_area
    aspect = np.exp(symmetric(math.log(_ERASED_ASPECT)))
    width, height = np.minimum(np.sqrt(area * aspect), 1.0), np.minimum(np.sqrt(area / aspect), 1.0)
    left, top = generator.random(num_faces) * (1.0 - width), generator.random(num_faces) * (1.0 - height)
    erase = generator.random(num_faces) < config.erasing
    erased = np.stack([left, top, np.where(erase, left + width, left), top + height], axis=1)
    return Variations(*(torch.from_numpy(v.astype(np.float32)) for v in (affine, brightness, contrast, erased)))


def normalise(faces: Tensor, mean: float, std: float) -> Tensor:
    """uint8 (N, S, S) to float32 (N, 1, S, S): pixel / 255, less ``mean``, over ``std``."""
    return faces.unsqueeze(1).float().mul_(1.0 / (255.0 * std)).sub_(mean / std)


def augment(faces: Tensor, variations: Variations, mean: float, std: float, side: int | None = None) -> Tensor:
    """Varied and normalised faces: uint8 (N, S, S) to float32 (N, 1, side, side), on the faces' device. None is S.

    Outside the face the picture is reflected. An erased rectangle gets the mean grey, which is 0 after normalising.
    """
    varied = normalise(faces, mean, std)
    grid = _sampling_grid(variations.affine, faces.shape[-1])
    varied = F.grid_sample(varied, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    centre = varied.mean(dim=(2, 3), keepdim=True)
    varied = torch.addcmul(
        centre * (1.0 - variations.contrast) + variations.brightness / std, varied, variations.contrast
    )
    varied.mul_(_kept(variations.erased, faces.shape[-1]))
    if side in (None, faces.shape[-1]):
        return varied
    return F.interpolate(varied, size=(side, side), mode="bilinear", antialias=True, align_corners=False)


def _sampling_grid(affine: Tensor, size: int) -> Tensor:
    """Where each pixel of a varied face is read: float32 (N, size, size, 2), columns then rows, from -1 to 1.

    What ``affine_grid`` gives, from one row and one column of products instead of a product for each pixel: 10 times
    faster on the CPU.
    """
    centres = (torch.arange(size, device=affine.device) * 2 + 1) / size - 1  # (S,)
    along_columns = affine[:, :, :1] * centres  # (N, 2, S)
    along_rows = affine[:, :, 1:2] * centres + affine[:, :, 2:]  # (N, 2, S)
    return (along_rows.unsqueeze(3) + along_columns.unsqueeze(2)).permute(0, 2, 3, 1)


def _kept(erased: Tensor, size: int) -> Tensor:
    """float32 (N, 1, size, size): 0 inside each erased rectangle, 1 elsewhere."""
    centres = (torch.arange(size, device=erased.device) + 0.5) / size  # (S,)
    left, top, right, bottom = erased.unsqueeze(2).unbind(dim=1)  # each (N, 1)
    columns = (centres >= left) & (centres < right)  # (N, S)
    rows = (centres >= top) & (centres < bottom)
    return (~(rows.unsqueeze(2) & columns.unsqueeze(1))).unsqueeze(1).float()
