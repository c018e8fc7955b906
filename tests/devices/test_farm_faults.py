"""What goes wrong around a device: metadata that are not true, reports that are not whole, versions, interruption."""

import _thread
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.devices.farm import run_devices
from fer_edge.devices.targets import DEVICES, Command, Device
from fer_edge.runtime.saturation import saturates

TESTS = Path(__file__).resolve().parents[1]
SHIPPED, FIXTURE = TESTS.parent / "exported" / "fer-tiny-int8.onnx", TESTS / "fixtures" / "tiny.onnx"
GARBAGE = "import sys; open(sys.argv[sys.argv.index('--report') + 1], 'w').write('{\"report')"


def device(name: str, code: str, factor: float = 1.0) -> Device:
    return Device(name, "made up", lambda folder, kit: Command((sys.executable, "-c", code), {}), factor)


def test_metadata_that_promise_seven_bits_and_lie_do_not_make_a_saturating_machine_the_yardstick(
    tmp_path: Path, restated: Callable[..., Path], eight_bits: onnx.ModelProto
) -> None:
    path = restated(tmp_path / "model.onnx", eight_bits)
    (row,) = run_devices(path, [DEVICES["native"]], None, tmp_path).rows
    assert row.outcome == ("failed" if saturates() else "passed"), row.reason


def test_a_report_that_is_not_whole_fails_its_device_and_no_other(tmp_path: Path) -> None:
    native, odd = run_devices(FIXTURE, [DEVICES["native"], device("odd", GARBAGE)], None, tmp_path).rows
    assert (native.outcome, odd.outcome) == ("passed", "failed")
    assert odd.reason == "it wrote no whole report; exit code 0: no message"


def test_a_kept_result_that_is_damaged_is_measured_again(tmp_path: Path) -> None:
    run_devices(FIXTURE, [DEVICES["native"]], None, tmp_path)
    (kept,) = tmp_path.glob("native-*.json")
    kept.write_text(kept.read_text()[:100])
    assert run_devices(FIXTURE, [DEVICES["native"]], None, tmp_path)


def test_what_another_processor_answered_is_not_this_ones_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_devices(FIXTURE, [DEVICES["native"]], None, tmp_path)
    monkeypatch.setattr("fer_edge.devices.farm.processor_name", lambda: "another")
    run_devices(FIXTURE, [DEVICES["native"]], None, tmp_path)
    assert len(list(tmp_path.glob("native-*.json"))) == 2


def test_a_version_that_the_model_does_not_claim_is_not_run(tmp_path: Path, restated: Callable[..., Path]) -> None:
    path = restated(tmp_path / "model.onnx", onnx.load(FIXTURE), minimum_onnxruntime="1.18")
    (row,) = run_devices(path, [DEVICES["onnxruntime-1.15.1"]], None, tmp_path).rows
    assert row.outcome == "not run"
    assert row.reason == "the model asks for onnxruntime 1.18 or later"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_an_interrupted_run_ends_its_devices_at_once_and_keeps_what_had_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = [device("slow", "import time; time.sleep(600)", 100), DEVICES["native"]]

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("native-*.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        _thread.interrupt_main()  # as Ctrl-C on Windows: it does not break a wait without an end

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        run_devices(FIXTURE, devices, None, tmp_path, cores=2)
    interrupter.join()
    own = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True, check=False)
    assert "time.sleep(600)" not in own.stdout
    assert len(list(tmp_path.glob("native-*.json"))) == 1


@pytest.mark.parametrize("option", [["--divergence"], ["--skew"], ["--picture", "p.png"], ["--max-drop", "1"]])
def test_options_of_the_other_comparison_are_refused(option: list[str]) -> None:
    done = CliRunner().invoke(app, ["verify", str(FIXTURE), "--devices", *option])
    assert done.exit_code == 2
    assert f"expected none of the options with --checkpoint, found {option[0]}" in done.output
