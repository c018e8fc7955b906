import json
from dataclasses import replace
from pathlib import Path

import pytest

from fer_edge.errors import TrainingError
from fer_edge.training.config import TrainConfig
from fer_edge.training.presets import PRESETS, preset_named

RECIPES = Path(__file__).parents[2] / "recipes"


KEPT = sorted(path.parent.name for path in RECIPES.glob("*/config.json"))


@pytest.mark.parametrize("name", KEPT)
def test_a_preset_holds_the_settings_that_its_kept_run_had(name):
    kept = json.loads((RECIPES / name / "config.json").read_text())["config"]
    assert replace(TrainConfig.from_dict(kept), device="auto") == PRESETS[name]


def test_an_unknown_preset_is_refused_with_the_names_there_are():
    with pytest.raises(TrainingError, match=r"--preset: expected one of fer-resnet18-first, .* found 'best'"):
        preset_named("best")
