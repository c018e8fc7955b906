"""``calibrate``, and ``predict`` with a model that was calibrated."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner
from uncertainties import uncertainty

from fer_edge.cli import app
from fer_edge.export.uncertainty import write_uncertainty
from fer_edge.runtime.model_file import read_model

FIXTURES = Path(__file__).parent.parent / "fixtures"
RUNNER = CliRunner()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for suffix in (".onnx", ".json"):
        shutil.copy(FIXTURES / f"tiny{suffix}", tmp_path)
    return tmp_path / "tiny.onnx"


@pytest.fixture
def halfway(model: Path, faces: list[str]) -> Path:
    """The model, calibrated so that the surer of the two faces alone is certain at 10 %, both at 20 %."""
    write_uncertainty(model, uncertainty(thresholds=(None, 0.0, 0.0)))
    done = RUNNER.invoke(app, ["predict", *faces, "--model", str(model), "--json"])
    surest = sorted(one["calibrated_confidence"] for one in json.loads(done.stdout)["results"])
    write_uncertainty(model, uncertainty(thresholds=(None, sum(surest) / 2, 0.0), lac=0.95))
    return model


@pytest.fixture
def faces(tmp_path: Path) -> list[str]:
    generator = np.random.default_rng(1)
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    for path, darkest in zip(paths, (0, 200), strict=True):
        Image.fromarray(generator.integers(darkest, 256, (40, 40), dtype=np.uint8)).save(path)
    return [str(path) for path in paths]


def test_calibrate_writes_what_it_prints(model: Path) -> None:
    done = RUNNER.invoke(app, ["calibrate", str(model), "--data", "sample:240", "--split", "all", "--json"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    written = read_model(model).metadata.uncertainty
    assert written is not None
    assert printed.pop("model") == str(model)
    assert printed["temperature"] == written.temperature
    assert [one["threshold"] for one in printed["risks"]] == [one.threshold for one in written.risks]
    assert f"wrote {model}" in done.stderr
    told = RUNNER.invoke(app, ["info", str(model)])
    assert "at most wrong, confidence above: 2% never" in told.stdout


def test_a_dry_run_and_a_failed_check_write_nothing(model: Path) -> None:
    before = model.read_bytes()
    done = RUNNER.invoke(app, ["calibrate", str(model), "--data", "sample:240", "--split", "all", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "none found" in done.stdout
    assert "mean candidates" in done.stdout
    assert model.read_bytes() == before
    few = RUNNER.invoke(app, ["calibrate", str(model), "--data", "sample:70", "--split", "all"])
    assert few.exit_code == 1
    assert "expected at least 200 labelled faces to calibrate on, found 70; name more with --data" in few.stderr
    assert model.read_bytes() == before


def test_a_shipped_model_is_not_written_to(model: Path) -> None:
    done = RUNNER.invoke(app, ["calibrate", "fer-tiny", "--data", "sample:240"])
    assert done.exit_code == 2
    assert "found the name of a shipped model" in done.stderr


def test_predict_says_what_is_not_certain(halfway: Path, faces: list[str]) -> None:
    done = RUNNER.invoke(app, ["predict", *faces, "--model", str(halfway), "--compact"])
    assert done.exit_code == 0, done.output
    assert sum("(not certain: or " in line for line in done.stdout.splitlines()) == 1
    sure = RUNNER.invoke(app, ["predict", *faces, "--model", str(halfway), "--compact", "--max-risk", "0.2"])
    assert "not certain" not in sure.output


def test_certain_only_leaves_the_others_out(halfway: Path, faces: list[str]) -> None:
    command = ["predict", *faces, "--model", str(halfway), "--certain-only"]
    done = RUNNER.invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [one["is_certain"] for one in found["results"]] == [True]
    assert found["num_uncertain_left_out"] == 1
    assert [one["num_faces"] for one in found["images"]] == [1, 1]
    text = RUNNER.invoke(app, command)
    assert "no certain answer (1 face)" in text.stdout
    assert "left out: 1 answer not certain" in text.stderr
    rows = list(csv.DictReader(RUNNER.invoke(app, [*command, "--csv"]).stdout.splitlines()))
    assert sorted((row["label"] != "", row["is_certain"]) for row in rows) == [(False, "false"), (True, "true")]
    (certain,) = [row for row in rows if row["label"]]
    assert certain["candidates"].split(";")[0] == certain["label"]
    assert float(certain["calibrated_confidence"]) > 0


def test_without_calibration_nothing_is_made_up(model: Path, faces: list[str]) -> None:
    done = RUNNER.invoke(app, ["predict", *faces, "--model", str(model), "--certain-only"])
    assert done.exit_code == 1
    assert "expected a calibrated model for a chosen risk, found one that was not" in done.stderr
    plain = RUNNER.invoke(app, ["predict", *faces, "--model", str(model), "--json"])
    assert {one["is_certain"] for one in json.loads(plain.stdout)["results"]} == {None}
    rows = list(
        csv.DictReader(RUNNER.invoke(app, ["predict", *faces, "--model", str(model), "--csv"]).stdout.splitlines())
    )
    assert {(row["is_certain"], row["candidates"], row["calibrated_confidence"]) for row in rows} == {("", "", "")}
    assert "nobody knows when its answers are: not calibrated" in RUNNER.invoke(app, ["info", str(model)]).stdout


def test_a_risk_that_no_threshold_keeps_is_said(halfway: Path, faces: list[str]) -> None:
    done = RUNNER.invoke(app, ["predict", *faces, "--model", str(halfway), "--certain-only", "--max-risk", "0.05"])
    assert done.exit_code == 0, done.output
    assert "no answer of this model is certain: no threshold was found for a risk of 0.05" in done.stderr
    stricter = RUNNER.invoke(app, ["predict", *faces, "--model", str(halfway), "--max-risk", "0.01"])
    assert stricter.exit_code == 2
    assert "max-risk: expected one of 0.05, 0.1, 0.2" in stricter.stderr


def test_metadata_of_another_calibration_are_refused(halfway: Path, faces: list[str]) -> None:
    metadata = read_model(halfway).metadata
    assert metadata.uncertainty is not None
    beside = halfway.with_suffix(".json")
    stated = json.loads(beside.read_text())
    stated["uncertainty"]["temperature"] = replace(metadata.uncertainty, temperature=9.0).temperature
    beside.write_text(json.dumps(stated))
    done = RUNNER.invoke(app, ["predict", *faces, "--model", str(halfway)])
    assert done.exit_code == 1
    assert "expected the metadata in tiny.json to be those in the model, found others" in done.stderr
