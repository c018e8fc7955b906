"""The settings of this project's own models, by name. Standard library only, for the command line."""

from dataclasses import replace
from pathlib import Path

from fer_edge.errors import TrainingError
from fer_edge.training.config import AugmentConfig, TrainConfig

RUNS = Path("runs")
"""Where the presets look for the runs that they build on."""

_GENTLE = AugmentConfig(rotation=8, scale=0.08, shift=0, brightness=0.15, contrast=0.2, erasing_area=0.15)
"""Enough for a few dozen epochs: under the default variations so short a run still underfits."""

_WEAK = replace(_GENTLE, rotation=0, scale=0)
"""No face is interpolated. Found better than _GENTLE in short runs, after fer-resnet18-first had been trained: 58.3
against 57.0 % on validation for resnet10_half after 12 epochs (benchmarks/results/short-runs)."""

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
"""ResNet18 from scratch in about two and a half hours on one core: the first teacher."""

FER_TINY_FIRST = replace(
    FER_RESNET18_FIRST,
    architecture="resnet10_half",
    teacher=f"{RUNS}/fer-resnet18-first",
    epochs=60,
    progression="32:20",
    augment=_WEAK,
)
"""A network of a ninth of the weights, which learns from the large one beside the labels, and ends above it."""

FER_RESNET18_SECOND = replace(
    FER_RESNET18_FIRST,
    weights=f"{RUNS}/fer-resnet18-first",
    teacher=f"{RUNS}/fer-resnet18-first",
    distillation=0.5,
    epochs=18,
    progression="40:13",
    max_lr=0.04,
    warmup=0.1,
    augment=_WEAK,
)
"""A second cycle from the weights of the first, which also softens the labels."""

FER_RESNET18_THIRD = replace(
    FER_RESNET18_SECOND,
    weights=f"{RUNS}/fer-resnet18-second",
    teacher=f"{RUNS}/fer-resnet18-second,{RUNS}/fer-tiny-first",
    distillation=0.7,
    epochs=16,
    progression="",
    max_lr=0.05,
    augment=_GENTLE,
)
"""The third cycle, at the full size, taught by the second and by the small network."""

FER_TINY_SECOND = replace(
    FER_TINY_FIRST,
    weights=f"{RUNS}/fer-tiny-first",
    teacher=f"{RUNS}/fer-resnet18-third,{RUNS}/fer-tiny-first",
    epochs=22,
    progression="",
    max_lr=0.05,
    warmup=0.1,
    augment=_GENTLE,
)
"""A cycle that brought nothing by itself: faces that are interpolated are not what the network is judged on."""

FER_TINY_THIRD = replace(
    FER_TINY_SECOND,
    weights=f"{RUNS}/fer-tiny-second",
    epochs=14,
    max_lr=0.06,
    seed=2,
    augment=_WEAK,
)
"""The same cycle, without interpolated faces."""

FER_TINY_FOURTH = replace(
    FER_TINY_THIRD,
    weights=f"{RUNS}/fer-tiny-third",
    teacher=f"{RUNS}/fer-resnet18-third,{RUNS}/fer-tiny-third",
    epochs=16,
    seed=3,
)

FER_RESNET18_FOURTH = replace(
    FER_RESNET18_THIRD,
    weights=f"{RUNS}/fer-resnet18-third",
    teacher=f"{RUNS}/fer-resnet18-third,{RUNS}/fer-tiny-third",
    epochs=10,
    max_lr=0.06,
    seed=1,
    augment=_WEAK,
)
"""The fourth cycle, without interpolated faces, as they had served the small network."""

FER_RESNET18_FIFTH = replace(
    FER_RESNET18_FOURTH,
    teacher=f"{RUNS}/fer-resnet18-third,{RUNS}/fer-tiny-fourth",
    epochs=8,
    seed=2,
)
"""Another branch from the third cycle, for the mean of weights."""

_CYCLES = ("second", "third", "fourth", "fifth")

FER_RESNET18_SIXTH = replace(
    FER_RESNET18_FOURTH,
    weights=",".join(f"{RUNS}/fer-resnet18-{cycle}" for cycle in _CYCLES),
    teacher=f"{RUNS}/fer-resnet18-fourth,{RUNS}/fer-tiny-fourth",
    epochs=2,
    max_lr=0.01,
    seed=3,
    threads=2,
)
"""The mean of the cycles' weights, settled at a low learning rate (Izmailov et al. 2018, Wortsman et al. 2022)."""

FER_RESNET18_SEVENTH = replace(
    FER_RESNET18_FOURTH,
    weights=f"{RUNS}/fer-resnet18-sixth",
    teacher=f"{RUNS}/fer-resnet18-sixth,{RUNS}/fer-tiny-fourth",
    epochs=9,
    seed=4,
)
"""Another cycle like the fourth."""

FER_RESNET18 = replace(
    FER_RESNET18_SIXTH,
    weights=f"{RUNS}/fer-resnet18-sixth,{RUNS}/fer-resnet18-seventh",
    teacher=f"{RUNS}/fer-resnet18-seventh,{RUNS}/fer-tiny-fourth",
    seed=5,
)
"""The mean of the last two, settled in the same way."""

PRESETS = {
    "fer-resnet18-first": FER_RESNET18_FIRST,
    "fer-tiny-first": FER_TINY_FIRST,
    "fer-resnet18-second": FER_RESNET18_SECOND,
    "fer-resnet18-third": FER_RESNET18_THIRD,
    "fer-tiny-second": FER_TINY_SECOND,
    "fer-tiny-third": FER_TINY_THIRD,
    "fer-tiny-fourth": FER_TINY_FOURTH,
    "fer-resnet18-fourth": FER_RESNET18_FOURTH,
    "fer-resnet18-fifth": FER_RESNET18_FIFTH,
    "fer-resnet18-sixth": FER_RESNET18_SIXTH,
    "fer-resnet18-seventh": FER_RESNET18_SEVENTH,
    "fer-resnet18": FER_RESNET18,
}
"""In an order in which they can be trained."""


def preset_named(name: str, runs: Path = RUNS) -> TrainConfig:
    """The settings called ``name``, with the runs that they build on in the folder ``runs``.

    Raises TrainingError that lists the names there are.
    """
    if name not in PRESETS:
        raise TrainingError(f"--preset: expected one of {', '.join(PRESETS)}, found {name!r}")
    preset = PRESETS[name]
    moved = {kind: getattr(preset, kind).replace(f"{RUNS}/", f"{runs}/") for kind in ("weights", "teacher")}
    return replace(preset, **moved)


def refuse_missing_presets(config: TrainConfig) -> None:
    """Raises TrainingError where ``config`` builds on the run of a preset that is not there yet."""
    for option, paths in (("--weights", config.weights), ("--teacher", config.teacher)):
        for path in map(Path, paths.split(",")):
            if path.name in PRESETS and not path.exists():
                raise TrainingError(
                    f"{option}: expected the run {path}, found none; "
                    f"train it first: python cli.py train --preset {path.name}"
                )
