"""Milliseconds to augment one batch: this project's code, kornia and torchvision v2, alternating in one process.

    python benchmarks/augmentation.py --output benchmarks/results/augmentation.json

All three do flip, rotation, scale, shift, brightness, contrast and erasing on (128, 1, 48, 48). kornia and fer_edge
draw for each face; torchvision v2 draws once for a whole batch, so it is run face by face, which is the same job.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import kornia.augmentation as K
import numpy as np
import torch

from fer_edge.training import torchvision_ops  # noqa: F401  # must come before torchvision; see its docstring
from fer_edge.training.augmentation import augment, draw_variations, normalise
from fer_edge.training.config import AugmentConfig
from fer_edge.training.hardware import choose_device, describe_machine

from torchvision.transforms import v2  # isort: skip  # after torchvision_ops

CONFIG = AugmentConfig(crop=0)
MEAN, STD = 0.5, 0.25


def rivals(device: torch.device, batch_size: int) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Each way to go from uint8 faces (N, 48, 48) to augmented, normalised float32 (N, 1, 48, 48)."""
    generator = np.random.default_rng(0)
    scale = (1 - CONFIG.scale, 1 + CONFIG.scale)
    shift = (CONFIG.shift, CONFIG.shift)
    kornia_steps = K.AugmentationSequential(
        K.RandomHorizontalFlip(p=CONFIG.flip),
        K.RandomAffine(CONFIG.rotation, translate=shift, scale=scale, p=1.0),
        K.RandomBrightness((1 - CONFIG.brightness, 1 + CONFIG.brightness), p=1.0),
        K.RandomContrast((1 - CONFIG.contrast, 1 + CONFIG.contrast), p=1.0),
        K.RandomErasing(scale=(0.02, CONFIG.erasing_area), p=CONFIG.erasing),
    ).to(device)
    v2_steps = v2.Compose(
        [
            v2.RandomHorizontalFlip(CONFIG.flip),
            v2.RandomAffine(CONFIG.rotation, translate=shift, scale=scale, interpolation=v2.InterpolationMode.BILINEAR),
            v2.ColorJitter(CONFIG.brightness, CONFIG.contrast),
            v2.RandomErasing(CONFIG.erasing, scale=(0.02, CONFIG.erasing_area)),
        ]
    )

    def ours(faces: torch.Tensor) -> torch.Tensor:
        variations = draw_variations(generator, batch_size, faces.shape[-1], CONFIG)
        return augment(faces, variations.part(slice(None), device), MEAN, STD)

    def kornia_batch(faces: torch.Tensor) -> torch.Tensor:
        return (kornia_steps(faces.unsqueeze(1).float() / 255) - MEAN) / STD

    def v2_face_by_face(faces: torch.Tensor) -> torch.Tensor:
        images = faces.unsqueeze(1).float() / 255
        return (torch.stack([v2_steps(image) for image in images]) - MEAN) / STD

    return {
        "fer_edge": ours,
        "kornia": kornia_batch,
        "torchvision v2, face by face": v2_face_by_face,
        "normalise only": lambda faces: normalise(faces, MEAN, STD),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    faces = torch.randint(0, 256, (arguments.batch_size, 48, 48), dtype=torch.uint8, device=device)
    ways = rivals(device, arguments.batch_size)
    times_ms: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(arguments.rounds + 3):
        for name, way in ways.items():
            started = time.perf_counter()
            way(faces)
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number >= 3:  # the first rounds warm up
                times_ms[name].append(1000 * (time.perf_counter() - started))
    medians = {name: statistics.median(times) for name, times in times_ms.items()}
    for name, median in medians.items():
        print(f"{name:30} {median:8.2f} ms a batch, {median / medians['fer_edge']:6.1f} x fer_edge")
    report = {"machine": describe_machine(device), "batch_size": arguments.batch_size, "median_ms": medians}
    print(report["machine"])
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")
        print(f"wrote {arguments.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
