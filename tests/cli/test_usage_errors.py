"""Options whose values cannot be, or do not go together, are usage: exit code 2, whatever command they are given to."""

import pytest
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.errors import ProviderError, ProviderNameError, SettingError, SourceError, TrainingError, UsageError


@pytest.mark.parametrize(
    "line",
    [
        "predict x.jpg --faces bogus",
        "predict x.jpg --provider foo",
        "predict x.jpg --min-score nan",
        "predict x.jpg --json --csv",
        "predict x.jpg --out x.txt",
        "train --data sample:70 --architecture foo",
        "train --data sample:70 --epochs 0",
        "train --data sample:70 --crop 48",
        "train --data sample:70 --preset foo",
        "train --data sample:70 --device foo",
        "train --data sample:70 --progression 3",
        "train --data sample:5",
        "train --data sample:70 --weights ,",
        "train --data sample:70 --labels x",
        "tune --data sample:70 --epochs 0",
        "evaluate --model fer-tiny --device foo --data sample:70",
        "evaluate --model fer-tiny --data sample:7",
        "verify fer-tiny --skew",
        "verify fer-tiny --devices --targets foo",
        "export --checkpoint fer-tiny --precision int8 --format pt2",
        "export --checkpoint fer-tiny --name a/b",
        "export --checkpoint fer-tiny --opset 99",
        "benchmark fer-tiny --runtimes foo",
        "benchmark fer-tiny --name a/b",
        "data sample --count 3",
        "webcam x.mp4 --frames -1",
        "web --port 99999",
        "golden --foo",
        "nocommand",
    ],
)
def test_exit_code_2(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, line.split())
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert done.stderr
    assert list(tmp_path.iterdir()) == []


def test_callers_who_expect_the_error_of_the_subject_get_it():
    assert issubclass(SettingError, TrainingError)
    assert issubclass(ProviderNameError, ProviderError)
    for kind in (SettingError, ProviderNameError, SourceError):
        assert issubclass(kind, UsageError)
        assert kind("x").exit_code == 2
