"""Corruptions of training faces: contrast, resolution and JPEG, a batch at a time, on the device.

They stand for what other cameras, programs and networks do to a photo before a model sees it. Which faces get which is
drawn on the CPU, so that nothing waits for the device.
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from fer_edge.training.config import AugmentConfig

BEST_JPEG_QUALITY = 95
LARGEST_SIDE = 5 / 6
"""Of the face's side: the finest that the resolution loss shrinks a face to."""
BLOCK = 8

LUMINANCE_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""ITU-T T.81, table K.1: steps of the quantisation at quality 50, by vertical and horizontal frequency."""


@dataclass(frozen=True)
class Corruptions:
    """One batch's draws, on the CPU: entry ``i`` is for face ``i``."""

    equalise: np.ndarray
    """bool (N,)."""
    gamma: np.ndarray
    """float32 (N,): exponent of pixel values of 0 to 1; 1 leaves them."""
    side: np.ndarray
    """int64 (N,): pixels that the face is shrunk to and enlarged from; 0 leaves it."""
    quality: np.ndarray
    """int64 (N,): of the JPEG; 0 leaves the face."""

    def part(self, rows: slice) -> "Corruptions":
        """The draws of some faces."""
        return Corruptions(self.equalise[rows], self.gamma[rows], self.side[rows], self.quality[rows])


def corrupts(config: "AugmentConfig") -> bool:
    """Whether ``config`` asks for any corruption."""
    return max(config.equalise, config.gamma, config.jpeg, config.resolution) > 0


def draw_corruptions(generator: np.random.Generator, num_faces: int, size: int, config: "AugmentConfig") -> Corruptions:
    """Draw corruptions for ``num_faces`` faces of ``size`` pixels; every draw is made whatever is on."""
    chances = generator.random((3, num_faces))
    gamma = np.exp(generator.uniform(-1, 1, num_faces) * np.log1p(config.gamma))
    finest = max(int(size * LARGEST_SIDE), config.resolution_side)
    side = generator.integers(min(config.resolution_side, size), min(finest, size) + 1, num_faces)
    quality = generator.integers(config.jpeg_quality, BEST_JPEG_QUALITY + 1, num_faces)
    return Corruptions(
        chances[0] < config.equalise,
        gamma.astype(np.float32),
        np.where(chances[1] < config.resolution, side, 0),
        np.where(chances[2] < config.jpeg, quality, 0),
    )


def corrupt(faces: Tensor, draws: Corruptions) -> Tensor:
    """Corrupted faces uint8 (N, S, S) of faces uint8 (N, S, S), on their device; ``faces`` stay as they are."""
    device = faces.device
    equalised = np.flatnonzero(draws.equalise)
    if len(equalised) or not (draws.gamma == 1).all():
        levels = torch.arange(256, device=device, dtype=torch.float32).expand(len(faces), 256)
        if len(equalised):
            rows = _to(equalised, device)
            levels = levels.index_copy(0, rows, equalisation(faces[rows]))
        table = (levels / 255).pow(_to(draws.gamma, device).unsqueeze(1)).mul(255).round().to(torch.uint8)  # (N, 256)
        faces = table.gather(1, faces.flatten(1).long()).view_as(faces)
    for values, change in ((draws.side, lose_resolution), (draws.quality, jpeg)):
        chosen = np.flatnonzero(values)
        if len(chosen):
            rows = _to(chosen, device)
            changed = change(faces[rows].float(), _to(values[chosen], device))
            faces = faces.index_copy(0, rows, changed.round().clamp(0, 255).to(torch.uint8))
    return faces


def equalisation(faces: Tensor) -> Tensor:
    """What each grey level becomes under histogram equalisation: float32 (N, 256) of uint8 (N, S, S).

    The rule of ``PIL.ImageOps.equalize``: the levels in order of brightness, spread evenly from 0 to 255.
    """
    flat = faces.flatten(1).long()
    counts = torch.zeros(len(faces), 256, dtype=torch.int64, device=faces.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    brightest = flat.amax(dim=1, keepdim=True)
    step = (flat.shape[1] - counts.gather(1, brightest)) // 255  # (N, 1)
    before = counts.cumsum(dim=1) - counts
    spread = ((step // 2 + before) // step.clamp_min(1)).clamp_max(255)
    unchanged = torch.arange(256, device=faces.device).expand_as(spread)
    return torch.where(step > 0, spread, unchanged).float()


def lose_resolution(faces: Tensor, sides: Tensor) -> Tensor:
    """Float (N, S, S) shrunk to each face's side, with antialiasing, and enlarged again, both bilinear."""
    matrices = _resolution_matrices(faces.shape[-1], faces.device)[sides]  # (N, S, S)
    return matrices @ faces @ matrices.mT


def jpeg(faces: Tensor, quality: Tensor) -> Tensor:
    """Float (N, S, S), 0 to 255, as a grey JPEG of each face's quality (1 to 100) gives them back.

    The lossy part of ITU-T T.81 alone: cosine transform of 8 x 8 blocks and quantisation, with libjpeg's scaling of
    the table by quality. Entropy coding loses nothing.
    """
    size = faces.shape[-1]
    pad = -size % BLOCK
    padded = F.pad(faces.unsqueeze(1), (0, pad, 0, pad), mode="replicate").squeeze(1) if pad else faces
    number = padded.shape[-1] // BLOCK
    blocks = padded.view(-1, number, BLOCK, number, BLOCK).transpose(2, 3)  # (N, rows, columns, 8, 8)
    cosines, base = _jpeg_tables(faces.device)
    percent = torch.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    steps = ((base * percent.view(-1, 1, 1) + 50) // 100).clamp(1, 255).float().view(-1, 1, 1, BLOCK, BLOCK)
    frequencies = cosines @ (blocks.round() - 128) @ cosines.T
    levels = frequencies / steps
    # Halves go away from zero, as in libjpeg; of whole pixels they are frequent.
    kept = levels.sign() * (levels.abs() + (0.5 + 1e-4)).floor() * steps
    restored = cosines.T @ kept @ cosines + 128
    whole = restored.transpose(2, 3).reshape(-1, number * BLOCK, number * BLOCK)
    return whole[:, :size, :size].round().clamp(0, 255)


def _to(values: np.ndarray, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


@functools.cache
def _jpeg_tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """The orthonormal cosine transform float32 (8, 8), and LUMINANCE_TABLE int64."""
    place = torch.arange(BLOCK, dtype=torch.float64)
    cosines = torch.cos(torch.pi * (2 * place + 1) * place.unsqueeze(1) / (2 * BLOCK)) * (2 / BLOCK) ** 0.5
    cosines[0] /= 2**0.5
    return cosines.float().to(device), torch.tensor(LUMINANCE_TABLE, device=device)


@functools.cache
def _resolution_matrices(size: int, device: torch.device) -> Tensor:
    """float32 (size + 1, size, size): what each side does to a column; the first entry is of no use."""
    columns = torch.eye(size).view(1, 1, size, size)
    matrices = [torch.zeros(size, size)]
    options = {"mode": "bilinear", "align_corners": False}
    for side in range(1, size + 1):
        small = F.interpolate(columns, size=(side, size), antialias=True, **options)  # type: ignore[arg-type]  # rows alone
        matrices.append(F.interpolate(small, size=(size, size), **options)[0, 0])  # type: ignore[arg-type]
    return torch.stack(matrices).to(device)
