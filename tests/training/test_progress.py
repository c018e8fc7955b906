import io
from dataclasses import replace

import pytest
from rich.console import Console

from fer_edge.errors import MissingExtraError
from fer_edge.training import progress as module
from fer_edge.training.preparation import DataRequest
from fer_edge.training.progress import Reporter
from fer_edge.training.runs import train


def report(console):
    with Reporter(console=console) as reporter:
        reporter.start_epoch(1, 3, 0, 10)
        for position in range(1, 11):
            reporter.step(position, 10, images=position * 32, loss=1.5, lr=0.01)
        reporter.line("epoch 1/3  done")


def test_piped_output_is_plain_lines_now_and_then(monkeypatch):
    clock = iter(range(0, 10_000, 7))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    report(Console(file=stream, width=200))
    lines = stream.getvalue().splitlines()
    assert lines[-1] == "epoch 1/3  done"
    assert lines[0].startswith("epoch 1/3  5/10  loss 1.500  lr 1.0e-02  5 images/s")
    assert lines[0].endswith("s left")
    assert len(lines) == 3
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_a_live_bar_and_keeps_one_line_an_epoch():
    stream = io.StringIO()
    report(Console(file=stream, width=120, force_terminal=True))
    text = stream.getvalue()
    assert "\x1b" in text
    assert "images/s" in text
    assert text.rstrip().endswith("epoch 1/3  done")


def test_quiet_says_nothing(capsys):
    with Reporter(quiet=True) as reporter:
        reporter.line("hello")
    assert capsys.readouterr() == ("", "")


def test_a_tensorboard_log_is_written_when_asked_for(tmp_path, tiny_config):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(tiny_config, tensorboard=True)
    done = train(config, DataRequest("sample:140"), tmp_path / "run", quiet=True)
    log = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    log.Reload()
    events = log.Scalars("validation_accuracy")
    assert [event.step for event in events] == [1, 2]
    expected = [row["validation_accuracy"] for row in done.history.rows]
    assert [event.value for event in events] == pytest.approx(expected)


def test_a_missing_tensorboard_names_its_extra(tmp_path, tiny_config, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"expected the package 'tensorboard'.*fer-edge\[tensorboard\]"):
        train(replace(tiny_config, tensorboard=True), DataRequest("sample:140"), tmp_path / "run", quiet=True)
