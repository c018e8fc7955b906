"""The settings of this project's own models, by name. Standard library only, for the command line."""

from dataclasses import replace

from fer_edge.errors import TrainingError
from fer_edge.training.config import AugmentConfig, TrainConfig

_GENTLE = AugmentConfig(rotation=8, scale=0.08, shift=0, brightness=0.15, contrast=0.2, erasing_area=0.15)
"""Enough for a few dozen epochs: under the default variations so short a run still underfits."""

FER_RESNET18 = TrainConfig(
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
"""ResNet18 from scratch in about two and a half hours on one core."""

FER_TINY = replace(
    FER_RESNET18, architecture="resnet10_half", epochs=60, progression="32:20", teacher="runs/fer-resnet18"
)
"""A network of a ninth of the weights, which learns from fer-resnet18 beside the labels."""

PRESETS = {"fer-resnet18": FER_RESNET18, "fer-tiny": FER_TINY}


def preset_named(name: str) -> TrainConfig:
    """The settings called ``name``. Raises TrainingError that lists the names there are."""
    if name not in PRESETS:
        raise TrainingError(f"--preset: expected one of {', '.join(PRESETS)}, found {name!r}")
    return PRESETS[name]
