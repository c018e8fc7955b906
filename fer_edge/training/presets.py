"""The settings of this project's own models, by name. Standard library only, for the command line."""

from dataclasses import replace

from fer_edge.errors import TrainingError
from fer_edge.training.config import AugmentConfig, TrainConfig

_GENTLE = AugmentConfig(rotation=8, scale=0.08, shift=0, brightness=0.15, contrast=0.2, erasing_area=0.15)
"""Enough for a few dozen epochs: under the default variations so short a run still underfits."""

_WEAK = replace(_GENTLE, rotation=0, scale=0)
"""No face is interpolated. Found better than _GENTLE in short runs, after fer-resnet18-first had been trained: 58.3
against 57.0 % on validation for resnet10_half after 12 epochs."""

FER_RESNET18_FIRST = TrainConfig(
    architecture="resnet18",
    stem="no_pool",
    weights="none",
    epochs=34,
    progression="32:14,40:14",
    max_lr=0.08,
    warmup=0.2,
    precision="bf16",
    threads=1,
    save_interval=300,
    augment=_GENTLE,
)
"""ResNet18 from scratch in about two and a half hours on one core: where fer-resnet18 begins, and its teacher."""

FER_RESNET18 = replace(
    FER_RESNET18_FIRST,
    weights="runs/fer-resnet18-first",
    teacher="runs/fer-resnet18-first",
    distillation=0.5,
    epochs=18,
    progression="40:13",
    max_lr=0.04,
    warmup=0.1,
    augment=_WEAK,
)
"""A second cycle from the weights of the first, which also softens the labels."""

FER_TINY = replace(
    FER_RESNET18_FIRST,
    architecture="resnet10_half",
    teacher="runs/fer-resnet18-first",
    epochs=60,
    progression="32:20",
    augment=_WEAK,
)
"""A network of a ninth of the weights, which learns from the large one beside the labels."""

PRESETS = {"fer-resnet18-first": FER_RESNET18_FIRST, "fer-resnet18": FER_RESNET18, "fer-tiny": FER_TINY}


def preset_named(name: str) -> TrainConfig:
    """The settings called ``name``. Raises TrainingError that lists the names there are."""
    if name not in PRESETS:
        raise TrainingError(f"--preset: expected one of {', '.join(PRESETS)}, found {name!r}")
    return PRESETS[name]
