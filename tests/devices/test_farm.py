"""Devices are really run: natively, under emulation where it can be had, and by commands made up for these tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_edge import own_files
from fer_edge.cli import app
from fer_edge.data.load import load_faces
from fer_edge.devices.farm import LabelledFaces, chosen_faces, run_devices
from fer_edge.devices.targets import DEVICES, FOLDER_VARIABLE, Command, Device, NotRun, devices_named, emulators
from fer_edge.errors import UsageError
from fer_edge.runtime.saturation import saturates

SHIPPED = Path(__file__).resolve().parents[2] / "exported" / "fer-tiny-int8.onnx"
FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "tiny.onnx"


@pytest.fixture(scope="module")
def faces() -> LabelledFaces:
    return chosen_faces(load_faces("sample:210").split("validation"), 20, "sample:210")


def device(name: str, code: str, factor: float = 1.0) -> Device:
    return Device(name, "made up", lambda folder, kit: Command((sys.executable, "-c", code), {}), factor)


def test_the_portable_file_passes_on_this_machine_whatever_it_is(tmp_path: Path, faces: LabelledFaces) -> None:
    matrix = run_devices(SHIPPED, [DEVICES["native"]], faces, tmp_path)
    (row,) = matrix.rows
    assert matrix, row.reason
    assert row.labels_changed == 0
    assert row.images == 46  # 26 of the kit, 20 labelled faces
    assert row.accuracy == matrix.reference_accuracy
    assert matrix.faces == 20


def test_a_file_for_vnni_alone_is_caught_where_sums_saturate(
    tmp_path: Path, faces: LabelledFaces, for_vnni: Path
) -> None:
    (row,) = run_devices(for_vnni, [DEVICES["native"]], faces, tmp_path).rows
    assert row.outcome == ("failed" if saturates() else "passed")
    if saturates():
        assert "differ by" in row.reason
        assert row.max_logit_difference is not None
        assert row.max_logit_difference > 0.1


@pytest.mark.slow
def test_emulated_processors_catch_it_too(tmp_path: Path, faces: LabelledFaces, for_vnni: Path) -> None:
    haswell = DEVICES["x86-haswell"]
    try:
        haswell.command(emulators(), tmp_path)
    except NotRun as reason:
        pytest.skip(str(reason))
    (right,) = run_devices(SHIPPED, [haswell], None, tmp_path).rows
    assert right.outcome == "passed", right.reason
    (wrong,) = run_devices(for_vnni, [haswell], None, tmp_path).rows
    assert wrong.outcome == "failed"
    assert "differ by" in wrong.reason


def test_what_ran_is_not_run_again_for_the_same_model_and_faces(tmp_path: Path, faces: LabelledFaces) -> None:
    first = run_devices(FIXTURE, [DEVICES["native"]], faces, tmp_path)
    (kept,) = tmp_path.glob("native-*.json")
    kept.write_text(kept.read_text().replace('"labels_changed": 0', '"labels_changed": 7'))
    again = run_devices(FIXTURE, [DEVICES["native"]], faces, tmp_path)
    assert (first.rows[0].labels_changed, again.rows[0].labels_changed) == (0, 7)
    other = LabelledFaces(faces.faces[::-1], faces.labels[::-1], faces.source)
    assert run_devices(FIXTURE, [DEVICES["native"]], other, tmp_path).rows[0].labels_changed == 0


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import sys; sys.exit('Illegal instruction')", "exit code 1: Illegal instruction"),
        ("import os; os.abort()", "exit code -6: no message"),
        ("import time; time.sleep(60)", "no answer within 1 seconds"),
    ],
)
def test_a_device_that_crashes_or_hangs_has_failed(tmp_path: Path, code: str, expected: str) -> None:
    (row,) = run_devices(FIXTURE, [device("odd", code, 1 / 30)], None, tmp_path).rows
    assert row.outcome == "failed"
    assert row.reason == expected
    assert not list(tmp_path.glob("odd-*.json"))  # it may have been the machine: the next time it is tried again


def test_what_is_missing_is_not_run_and_never_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "nothing"))
    wanted = devices_named(["x86-haswell", "arm-max", "onnxruntime-1.15.1", "x86-skylake-server"])
    matrix = run_devices(FIXTURE, wanted, None, tmp_path)
    assert [row.outcome for row in matrix.rows] == ["not run"] * 4
    assert "get it with tools/devices.sh" in matrix.rows[1].reason
    assert not matrix


def test_webassembly_is_found_beside_the_emulators_by_an_installed_package_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "fer_edge.devices.targets.__file__", str(tmp_path / "site-packages/fer_edge/devices/targets.py")
    )
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(NotRun, match=r"no onnxruntime-web in .*; get it with tools/devices\.sh"):
        DEVICES["wasm"].command(tmp_path / ".devices", tmp_path / "kit")
    package = tmp_path / ".devices/wasm/node_modules/onnxruntime-web/package.json"
    package.parent.mkdir(parents=True)
    package.touch()
    monkeypatch.chdir(tmp_path)
    assert DEVICES["wasm"].command(Path(".devices"), tmp_path / "kit").cwd == tmp_path / ".devices/wasm"


@pytest.mark.skipif(sys.platform == "win32", reason="a bash script")
def test_the_script_that_gets_them_needs_a_python_and_says_so_first(tmp_path: Path, repository: Path) -> None:
    environment = {**os.environ, "PYTHON": str(tmp_path / "python")}
    words = ["bash", str(repository / "tools/devices.sh"), str(tmp_path / "devices")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"expected a Python with onnxruntime, found none at {tmp_path / 'python'}; run" in done.stderr
    assert list((tmp_path / "devices").iterdir()) == []


def test_devices_that_are_none_are_named() -> None:
    with pytest.raises(UsageError, match=r"--targets: expected some of native, x86-nehalem, .* found toaster"):
        devices_named(["native", "toaster"])


def test_the_command_writes_table_json_and_picture(tmp_path: Path) -> None:
    words = ["verify", str(FIXTURE), "--devices", "--targets", "native", "--faces", "20", "--out", str(tmp_path / "d")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "d").iterdir()} == {
        own_files.LIST,
        "runs",
        "tiny-devices.json",
        "tiny-devices.md",
        "tiny-devices.png",
    }
    done = CliRunner().invoke(app, ["verify", str(FIXTURE)])
    assert done.exit_code == 2
    assert "expected --checkpoint with the run that the model was made from, --against or --devices" in done.output
    done = CliRunner().invoke(app, [*words, "--checkpoint", "runs/x"])
    assert done.exit_code == 2
