"""The settings of this project's own models: ``recipes/*.json`` beside this file. Standard library only."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from fer_edge.errors import SettingError, TrainingError
from fer_edge.runtime.shipped import shipped_checkpoint
from fer_edge.training.config import TrainConfig

RUNS = Path("runs")
"""Where the recipes look for the runs that they build on."""
RECIPES = Path(__file__).parent / "recipes"
TEACHERS = ("teacher-0", "teacher-1", "teacher-2")
"""The runs of the recipe ``teacher``, by seed, that the others learn from."""


def _read(path: Path) -> TrainConfig:
    return TrainConfig.from_dict(json.loads(path.read_text(encoding="utf-8")))


PRESETS: Mapping[str, TrainConfig] = MappingProxyType(
    {name: _read(RECIPES / f"{name}.json") for name in ("teacher", "fer-resnet18", "fer-tiny", "ferplus-resnet18")}
)
"""In an order in which they can be trained."""


def preset_named(name: str, runs: Path = RUNS) -> TrainConfig:
    """The settings called ``name``, with the runs that they build on in the folder ``runs``.

    Raises SettingError that lists the names there are.
    """
    if name not in PRESETS:
        raise SettingError(f"--preset: expected one of {', '.join(PRESETS)}, found {name!r}")
    preset = PRESETS[name]
    moved = {kind: getattr(preset, kind).replace(f"{RUNS}/", f"{runs}/") for kind in ("weights", "teacher")}
    return replace(preset, **moved)


def refuse_missing_presets(config: TrainConfig) -> None:
    """Raises TrainingError where ``config`` builds on the run of a preset that is not there yet."""
    for option, paths in (("--weights", config.weights), ("--teacher", config.teacher)):
        for path in map(Path, paths.split(",")):
            if path.name not in (*PRESETS, *TEACHERS) or path.exists() or shipped_checkpoint(path) is not None:
                continue
            command = f"--preset {path.name}"
            if path.name in TEACHERS:
                command = f"--preset teacher --name {path.name} --seed {TEACHERS.index(path.name)}"
            raise TrainingError(
                f"{option}: expected the run {path}, found none; train it first: fer-edge train {command}"
            )
