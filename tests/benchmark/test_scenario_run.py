"""Scenarios of the committed tiny model in real worker processes."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from fer_edge.benchmark.audit import failures
from fer_edge.benchmark.client import Stopped, WorkerClient, WorkerError
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.benchmark.scenario_report import figure_of
from fer_edge.benchmark.scenario_run import ScenarioSettings, run_scenarios
from fer_edge.benchmark.scenario_worker import measure_scenario
from fer_edge.benchmark.scenarios import MULTI_STREAM, OFFLINE, SCENARIOS, SINGLE_STREAM, SUSTAINED
from fer_edge.cli import app
from fer_edge.errors import UsageError

TINY = Path(__file__).parent.parent / "fixtures" / "tiny.onnx"


class Quiet:
    def __init__(self) -> None:
        self.expected: list[float] = []

    def note(self, text: str) -> None: ...

    def begin(self, expected_s: float) -> None:
        self.expected = [expected_s]

    def step(self, what: str, expected_s: float) -> None:
        self.expected.append(expected_s)


def test_single_stream_has_a_row_from_pixels_from_jpeg_and_from_a_photo():
    settings = ScenarioSettings((SINGLE_STREAM, OFFLINE, SUSTAINED), minutes=0.005, queries=64, min_s=0.0, max_s=5.0)
    request = BenchmarkRequest(models=(TINY,))
    progress = Quiet()
    found = run_scenarios(request, settings, ("onnxruntime",), progress, lambda: False)["rows"]
    whole, *steps = progress.expected
    assert len(steps) == 2  # batches of 1 and of 32
    assert whole == pytest.approx(sum(steps))
    assert min(steps) > 0
    kinds = [(one["scenario"], one["input"]) for one in found]
    assert kinds[:3] == [("single-stream", "pixels"), ("single-stream", "jpeg"), ("single-stream", "photo")]
    assert kinds[3:] == [("offline", "pixels"), ("sustained", "pixels")]
    for one in found:
        assert one["audit"]["answers"] >= 1
        assert one["audit"]["largest_difference"] < 1e-4
        assert one["audit"]["repeat_gain"] > 0
    pixels, jpeg, photo = (one["p50_ms"] for one in found[:3])
    assert pixels < jpeg < photo  # each does all that the one before does, and more
    assert figure_of(found[3]).endswith("images/s")
    assert "drift: n too small" in figure_of(found[4])


def test_what_is_measured_is_kept_where_a_row_fails_or_somebody_stops(monkeypatch):
    settings = ScenarioSettings((SINGLE_STREAM,), queries=64, min_s=0.0, max_s=5.0)
    request = BenchmarkRequest(models=(TINY,))
    ask, answered = WorkerClient.ask, []

    def ask_then(error):
        def asked(client, do, **arguments):
            if do == "scenario" and answered:
                raise error
            answered.append(do) if do == "scenario" else None
            return ask(client, do, **arguments)

        return asked

    for error, partial, num_failures in ((Stopped(), True, 0), (WorkerError("it died"), False, 1)):
        answered.clear()
        monkeypatch.setattr(WorkerClient, "ask", ask_then(error))
        found = run_scenarios(request, settings, ("onnxruntime",), Quiet(), lambda: False)
        assert [one["input"] for one in found["rows"]] == ["pixels"]
        assert (found["is_partial"], len(found["failures"])) == (partial, num_failures)
    answered.append("none is left")
    with pytest.raises(WorkerError, match="it died"):
        run_scenarios(request, settings, ("onnxruntime",), Quiet(), lambda: False)


class Mean:
    """Answers with the mean grey level of a face; from the ``wrong_at``-th call on with another."""

    copies_apart = False

    def __init__(self, wrong_at: int | None = None) -> None:
        self.wrong_at, self.asked = wrong_at, 0

    def prepare(self, pixels):
        return pixels

    def upload(self, feed):
        return feed

    def execute(self, feed):
        self.asked += 1
        mean = feed.reshape(len(feed), -1).mean(axis=1, keepdims=True) / 255
        if self.wrong_at is not None and self.asked >= self.wrong_at:
            mean = np.roll(mean, 1, axis=0) if len(mean) > 1 else 1 - mean
        return mean

    def download(self, answer):
        return SimpleNamespace(probabilities=answer)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_answers_of_every_scenario_are_compared_with_those_of_the_accuracy_run(scenario):
    pool = np.random.default_rng(0).integers(0, 256, (64, 48, 48, 1), dtype=np.uint8)
    batch = {MULTI_STREAM: 8, OFFLINE: 32}.get(scenario, 1)
    command = {
        **{"scenario": scenario, "input": "pixels", "queries": 64, "min_s": 0.0, "max_s": 5.0, "bound_ms": 20.0},
        **{"minutes": 0.002, "audit_budget_s": 0.0},
    }
    right = Mean()

    def probabilities(pixels):
        return right.execute(pixels)

    honest = measure_scenario(Mean(), probabilities, pool, batch, command)["audit"]
    assert honest["largest_difference"] == 0.0
    assert 1 <= honest["answers"] <= 256 // batch
    late = measure_scenario(Mean(wrong_at=40), probabilities, pool, batch, command)["audit"]
    assert late["largest_difference"] > 0.001
    assert failures(scenario, late)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenarios": ("singel-stream",)}, "--scenario: expected some of single-stream, .*, found singel-stream"),
        ({"minutes": 0.0}, "--minutes: expected more than 0 and at most 10, found 0"),
        ({"minutes": float("nan")}, "--minutes: expected more than 0 and at most 10, found nan"),
        ({"bound_ms": 0.0}, "--latency-bound: expected milliseconds above 0, found 0"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        ScenarioSettings(**settings)


def test_an_audit_that_fails_is_exit_code_3_after_the_figures_are_written(tmp_path, monkeypatch):
    ask = WorkerClient.ask

    def stale(client, do, **arguments):
        found = ask(client, do, **arguments)
        return {**found, "audit": {**found["audit"], "largest_difference": 0.25}} if do == "scenario" else found

    monkeypatch.setattr(WorkerClient, "ask", stale)
    options = ("--scenario", "sustained", "--minutes", "0.01", "--runtimes", "onnxruntime", "--threads", "1")
    done = CliRunner().invoke(app, ["benchmark", str(TINY), *options, "--out", str(tmp_path)])
    assert done.exit_code == 3, done.output
    line = "tiny onnxruntime fp32, 1 thread, sustained from pixels: answers of timed runs differ from those of the"
    assert f"error: 1 audits failed, first: {line}" in done.stderr
    assert f"* {line}" in (tmp_path / "scenarios.md").read_text()
    assert json.loads((tmp_path / "scenarios.json").read_text())["settings"]["minutes"] == 0.01
    assert (tmp_path / "scenarios-sustained.png").stat().st_size > 5000


def test_the_command_prints_the_table_and_writes_it(tmp_path):
    options = ("--scenario", "server", "--quick", "--runtimes", "onnxruntime", "--out", str(tmp_path))
    done = CliRunner().invoke(app, ["benchmark", str(TINY), *options])
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "scenarios.json").read_text())["rows"]
    assert row["probes"]
    assert row["rate_per_s"] == max((one["rate"] for one in row["probes"] if one["is_valid"]), default=None)
    assert "| server" in done.stdout
    assert "MLPerf's runs last 600 s or more" in done.stdout
    assert "answers of timed runs, sampled by a seed, are those of the accuracy run" in done.stdout
    assert (tmp_path / "scenarios.md").read_text().startswith("# Scenarios")
