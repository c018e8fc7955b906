"""Scenarios of the committed tiny model in real worker processes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_edge.benchmark.client import Stopped, WorkerClient, WorkerError
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.benchmark.scenario_run import ScenarioSettings, figure_of, run_scenarios
from fer_edge.benchmark.scenarios import OFFLINE, SINGLE_STREAM, SUSTAINED
from fer_edge.cli import app
from fer_edge.errors import UsageError

TINY = Path(__file__).parent.parent / "fixtures" / "tiny.onnx"


class Quiet:
    def note(self, text: str) -> None: ...
    def begin(self, expected_s: float) -> None: ...
    def step(self, what: str, expected_s: float) -> None: ...


def test_single_stream_has_a_row_from_pixels_from_jpeg_and_from_a_photo():
    settings = ScenarioSettings((SINGLE_STREAM, OFFLINE, SUSTAINED), minutes=0.005, queries=64, min_s=0.0, max_s=5.0)
    request = BenchmarkRequest(models=(TINY,))
    found = run_scenarios(request, settings, ("onnxruntime",), Quiet(), lambda: False)["rows"]
    kinds = [(one["scenario"], one["input"]) for one in found]
    assert kinds[:3] == [("single-stream", "pixels"), ("single-stream", "jpeg"), ("single-stream", "photo")]
    assert kinds[3:] == [("offline", "pixels"), ("sustained", "pixels")]
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

    for error, partial, failures in ((Stopped(), True, 0), (WorkerError("it died"), False, 1)):
        answered.clear()
        monkeypatch.setattr(WorkerClient, "ask", ask_then(error))
        found = run_scenarios(request, settings, ("onnxruntime",), Quiet(), lambda: False)
        assert [one["input"] for one in found["rows"]] == ["pixels"]
        assert (found["is_partial"], len(found["failures"])) == (partial, failures)
    answered.append("none is left")
    with pytest.raises(WorkerError, match="it died"):
        run_scenarios(request, settings, ("onnxruntime",), Quiet(), lambda: False)


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


def test_the_command_prints_the_table_and_writes_it(tmp_path):
    options = ("--scenario", "server", "--quick", "--runtimes", "onnxruntime", "--out", str(tmp_path))
    done = CliRunner().invoke(app, ["benchmark", str(TINY), *options])
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "scenarios.json").read_text())["rows"]
    assert row["probes"]
    assert row["rate_per_s"] == max((one["rate"] for one in row["probes"] if one["is_valid"]), default=None)
    assert "| server" in done.stdout
    assert (tmp_path / "scenarios.md").read_text().startswith("# Scenarios")
