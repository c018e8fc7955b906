"""Options whose values cannot be, or do not go together, are usage: exit code 2, whatever command they are given to."""

import pytest
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.errors import ProviderError, ProviderNameError, SettingError, SourceError, TrainingError, UsageError


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("predict x.jpg --faces bogus", "expected faces to be one of auto, crop, detect, found 'bogus'"),
        ("predict x.jpg --provider foo", "expected a provider of cpu, cuda, auto, found 'foo'"),
        ("predict x.jpg --min-score nan", "--min-score: expected a number, found nan"),
        ("predict x.jpg --json --csv", "expected one of --json and --csv, found both"),
        ("predict x.jpg --out x.txt", "--out x.txt: expected a folder or a name that ends in"),
        ("train --data sample:70 --architecture foo", "'architecture': expected one of"),
        ("train --data sample:70 --epochs 0", "'epochs': expected 1 to 100000, found 0"),
        ("train --data sample:70 --crop 48", "'crop': expected less than the image size"),
        ("train --data sample:70 --preset foo", "--preset: expected one of"),
        ("train --data sample:70 --device foo", "--device: expected auto, cpu, cuda or cuda:N, found 'foo'"),
        ("train --data sample:70 --progression 3", "'progression': expected SIDE:EPOCHS pairs"),
        ("train --data sample:5", "sample:5: expected sample or sample:N with N from 42"),
        ("train --data sample:70 --weights ,", "--weights: expected auto, imagenet, none, a name, or paths"),
        ("train --data sample:70 --labels x", "--labels: expected auto, fer2013, ferplus, or two or more names"),
        ("tune --data sample:70 --epochs 0", "'epochs': expected 1 to 100000, found 0"),
        (
            "evaluate --model fer-tiny --device foo --data sample:70",
            "expected a provider of cpu, cuda, auto, found 'foo'",
        ),
        ("evaluate --model fer-tiny --data sample:7", "sample:7: expected sample or sample:N with N from 42"),
        ("verify fer-tiny --skew", "expected --data with --skew"),
        ("verify fer-tiny --devices --targets foo", ", found foo"),
        (
            "export --checkpoint fer-tiny --precision int8 --format pt2",
            "with --precision int8, found pt2",
        ),
        ("export --checkpoint fer-tiny --name a/b", "--name: expected up to 200 letters"),
        ("export --checkpoint fer-tiny --opset 99", "earlier, the newest that onnxruntime"),
        ("benchmark fer-tiny --runtimes foo", "--runtimes: expected some of "),
        ("benchmark fer-tiny --name a/b", "--name: expected a file name without folder, found 'a/b'"),
        ("data sample --count 3", "sample:3: expected sample or sample:N with N from 42"),
        ("webcam x.mp4 --frames -1", "'--frames': -1 is not in the range"),
        ("web --port 99999", "'--port': 99999 is not in the range"),
        ("golden --foo", "No such option: --foo"),
        ("nocommand", "No such command 'nocommand'"),
    ],
)
def test_exit_code_2(line, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, line.split())
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert said in " ".join(done.stderr.replace("│", "").split())  # unwrapped
    assert list(tmp_path.iterdir()) == []


def test_callers_who_expect_the_error_of_the_subject_get_it():
    assert issubclass(SettingError, TrainingError)
    assert issubclass(ProviderNameError, ProviderError)
    for kind in (SettingError, ProviderNameError, SourceError):
        assert issubclass(kind, UsageError)
        assert kind("x").exit_code == 2
