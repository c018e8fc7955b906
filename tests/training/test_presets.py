import json
from dataclasses import asdict
from pathlib import Path

import pytest

from fer_edge.errors import TrainingError
from fer_edge.training.config import TrainConfig
from fer_edge.training.presets import PRESETS, RECIPES, TEACHERS, preset_named, refuse_missing_presets


def test_every_recipe_in_the_package_is_a_preset_with_the_settings_it_states():
    assert {path.stem for path in RECIPES.glob("*.json")} == set(PRESETS)
    for name, preset in PRESETS.items():
        written = json.loads((RECIPES / f"{name}.json").read_text())
        assert written.pop("augment").items() <= asdict(preset.augment).items()
        assert written.items() <= asdict(preset).items()


def test_the_shipped_models_learn_from_every_teacher_wherever_the_runs_are():
    for name in ("fer-resnet18", "fer-tiny", "ferplus-resnet18"):
        preset = preset_named(name, Path("elsewhere"))
        assert preset.teacher.split(",") == [f"elsewhere/{teacher}" for teacher in TEACHERS]
    assert PRESETS["fer-tiny"].heads == "labels,votes"
    assert PRESETS["ferplus-resnet18"].heads == "votes,labels"


def test_a_missing_teacher_is_refused_with_the_command_that_trains_it(tmp_path):
    (tmp_path / "teacher-0").mkdir()
    expected = (
        r"--teacher: expected the run .*teacher-1, found none; .*train --preset teacher --name teacher-1 --seed 1"
    )
    with pytest.raises(TrainingError, match=expected):
        refuse_missing_presets(preset_named("fer-tiny", tmp_path))
    refuse_missing_presets(TrainConfig())


def test_an_unknown_preset_is_refused_with_the_names_there_are():
    with pytest.raises(TrainingError, match=r"--preset: expected one of teacher, fer-resnet18, .* found 'best'"):
        preset_named("best")
