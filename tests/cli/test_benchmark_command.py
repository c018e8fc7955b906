"""``benchmark`` from its options to its files and exit codes, on the committed tiny model."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from test_cli_evaluate_reports import write_worse
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.metadata import METADATA_KEY, NO_CHECKSUM, ModelMetadata
from fer_edge.runtime import shipped
from fer_edge.runtime.checksum import add_checksum
from fer_edge.runtime.providers import missing_for_cuda

FIXTURES = Path(__file__).parent.parent / "fixtures"
SHORT = ("--quick", "--rounds", "2", "--batch-sizes", "1", "--runtimes", "onnxruntime", "--data", "sample:70")


def run(*arguments: object):
    return CliRunner().invoke(app, ["benchmark", *(str(argument) for argument in arguments)])


def slowed(path: Path) -> None:
    """The tiny model with a useless multiplication of large matrices before its net, under the same name."""
    model = onnx.load(FIXTURES / "tiny.onnx")
    wide = numpy_helper.from_array(np.full((48, 8192), 1e-9, np.float32), "wide")
    back = numpy_helper.from_array(np.full((8192, 48), 1e-9, np.float32), "back")
    model.graph.initializer.extend([wide, back])
    place = next(place for place, node in enumerate(model.graph.node) if "input" in node.output)
    model.graph.node[place].output[0] = "unslowed"
    added = [
        helper.make_node("MatMul", ["unslowed", "wide"], ["widened"]),
        helper.make_node("MatMul", ["widened", "back"], ["narrowed"]),
        helper.make_node("Add", ["unslowed", "narrowed"], ["input"]),
    ]
    for offset, node in enumerate(added, start=1):
        model.graph.node.insert(place + offset, node)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = replace(ModelMetadata.from_json(entry.value), content_sha256=NO_CHECKSUM).to_json()
    path.write_bytes(add_checksum(model.SerializeToString()))


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[object, Path]:
    folder = tmp_path_factory.mktemp("measured") / "out"
    return run(FIXTURES / "tiny.onnx", *SHORT, "--out", folder), folder


def test_a_table_with_accuracy_beside_speed_and_a_file_of_each_kind(measured):
    done, folder = measured
    assert done.exit_code == 0, done.output
    header, row = (
        next(line.split() for line in done.stdout.splitlines() if line.strip().startswith(start))
        for start in ("batch ", "1 ")
    )
    assert header[:4] == ["batch", "thr", "model", "runtime"]
    assert row[:5] == ["1", "1", "tiny", "onnxruntime", "fp32"]
    assert "acc %" in done.stdout
    assert "cold s" in done.stdout
    assert "latency: tiny onnxruntime fp32, batch 1, 1 thread: " in done.stdout
    assert {path.name for path in folder.iterdir()} >= {"benchmark.json", "benchmark.csv", "benchmark.md"}
    assert done.stderr.splitlines()[-1].startswith("wrote ")


def test_the_json_holds_every_measure_raw_samples_and_the_machine(measured):
    _, folder = measured
    found = json.loads((folder / "benchmark.json").read_text())
    row = found["rows"][0]
    assert set(row["latency"]) == {"p50_ms", "p90_ms", "p95_ms", "p99_ms", "p50_interval95_ms", "images_per_s", "runs"}
    assert len(row["samples"]["latency_ms"]) == 2
    assert set(row["cold_start_ms"]) == {"start", "import", "load", "first_answer", "total"}
    assert set(row["from_jpeg_ms"]) == {"decode", "preprocess", "run", "total"}
    assert (row["latency"]["p99_ms"] is None) == (row["latency"]["runs"] < 662)
    assert row["audit"]["answers"] > 0
    assert row["audit"]["largest_difference"] < 1e-4
    assert row["peak_memory_bytes"] > 0
    assert row["file_bytes"] == (FIXTURES / "tiny.onnx").stat().st_size
    assert 0 <= row["accuracy"] <= 1
    assert row["agreement"] == 1.0  # an fp32 model in onnxruntime is its own reference
    assert found["environment"]["cpu"]
    assert found["is_partial"] is False


def test_a_slowed_model_is_reported_as_a_regression(measured, tmp_path):
    _, folder = measured
    slowed(tmp_path / "tiny.onnx")
    done = run(tmp_path / "tiny.onnx", *SHORT, "--out", tmp_path, "--compare", folder / "benchmark.json")
    assert done.exit_code == 3, done.output
    assert "REGRESSION" in done.stdout
    assert "error: 1 rows are slower than in" in done.stderr
    assert "by more than 10%, worst: tiny onnxruntime fp32, batch 1, 1 thread: " in done.stderr
    assert "REGRESSION" in (tmp_path / "benchmark.md").read_text()


def test_a_bound_that_is_wide_enough_lets_the_slowed_model_pass(measured, tmp_path):
    _, folder = measured
    slowed(tmp_path / "tiny.onnx")
    compared = ("--compare", folder / "benchmark.json", "--max-regression", "1e9")
    done = run(tmp_path / "tiny.onnx", *SHORT, "--out", tmp_path, *compared)
    assert done.exit_code == 0, done.output
    assert "REGRESSION" not in done.stdout


def test_a_planted_loss_of_accuracy_is_exit_code_3_and_named_by_class_and_face(measured, tmp_path):
    _, folder = measured
    write_worse(tmp_path / "tiny.onnx", lifted=4)  # a class of one face: the model was right on more
    compared = ("--compare", folder / "benchmark.json", "--max-regression", "1e9", "--out", tmp_path)
    done = run(tmp_path / "tiny.onnx", *SHORT, *compared)
    assert done.exit_code == 3, done.output
    assert "tiny onnxruntime fp32, batch 1: expected at most 1 points of accuracy lost since" in done.stderr
    (change,) = json.loads((tmp_path / "benchmark-changes.json").read_text())["accuracy"]
    assert change["drop_points"] > 1
    assert sum(one["only_old_right"] for one in change["classes"]) == change["overall"]["only_old_right"] > 0
    assert change["changed_faces"][0]["source"].startswith("sample:")
    assert "only then right" in done.stdout
    done = run(tmp_path / "tiny.onnx", *SHORT, *compared, "--max-drop", "100")
    assert done.exit_code == 0, done.output


def test_a_bound_of_accuracy_needs_answers_of_before(measured, tmp_path):
    _, folder = measured
    values = json.loads((folder / "benchmark.json").read_text())
    for row in values["rows"]:
        del row["answers"], row["faces"]
    del values["faces"]
    (tmp_path / "old.json").write_text(json.dumps(values))
    compared = ("--compare", tmp_path / "old.json", "--max-regression", "1e9", "--out", tmp_path)
    done = run(FIXTURES / "tiny.onnx", *SHORT, *compared)
    assert (done.exit_code, "accuracy is not compared: the other benchmark, of an earlier" in done.stdout) == (0, True)
    done = run(FIXTURES / "tiny.onnx", *SHORT, *compared, "--max-drop", "1")
    assert done.exit_code == 1
    assert "--max-drop: expected answers to the same faces in" in done.stderr.splitlines()[-1]


def test_the_earlier_benchmark_is_never_replaced_by_the_one_that_is_compared_with_it(measured):
    _, folder = measured
    before = (folder / "benchmark.json").read_bytes()
    for where in (("--out", folder), ("--json-file", folder / "." / "benchmark.json")):
        done = run(FIXTURES / "tiny.onnx", *SHORT, *where, "--compare", folder / "benchmark.json")
        assert done.exit_code == 2
        assert "expected a file of its own, found" in done.stderr
    assert (folder / "benchmark.json").read_bytes() == before


def test_a_report_never_replaces_the_card_of_a_measured_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("exported").mkdir()
    for suffix in (".onnx", ".json"):
        shutil.copy(FIXTURES / f"tiny{suffix}", "exported")
    for models in ((), ("exported/tiny.onnx",)):
        done = run(*models, *SHORT, "--out", "exported", "--name", "tiny")
        assert done.exit_code == 2
        assert "--out, --name: expected a file of its own, found exported/tiny.json" in done.stderr
    assert Path("exported/tiny.json").read_bytes() == (FIXTURES / "tiny.json").read_bytes()


def test_what_was_measured_is_kept_where_there_is_nothing_to_compare_it_with(measured, tmp_path):
    _, folder = measured
    other = tmp_path / "other.json"
    other.write_text((folder / "benchmark.json").read_text().replace('"tiny"', '"another"'))
    done = run(FIXTURES / "tiny.onnx", *SHORT, "--out", tmp_path, "--compare", other)
    assert done.exit_code == 1
    assert "--compare: expected rows that both benchmarks have" in done.stderr.splitlines()[-1]
    assert json.loads((tmp_path / "benchmark.json").read_text())["rows"]


@pytest.mark.skipif(not list(missing_for_cuda()), reason="CUDA is here")
def test_cuda_on_a_machine_without_it_is_exit_1_its_reason_and_no_number(tmp_path):
    done = run(FIXTURES / "tiny.onnx", *SHORT, "--provider", "cuda", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: expected the provider cuda, found missing: onnxruntime with CUDA")
    assert not (tmp_path / "out").exists()


def test_json_dash_prints_json_and_nothing_else_on_stdout(tmp_path):
    done = run(FIXTURES / "tiny.onnx", *SHORT, "--out", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"][0]["runtime"] == "onnxruntime"


def test_torch_rows_are_left_out_with_a_note_where_torch_is_absent(tmp_path, monkeypatch):
    from fer_edge.backends import registry

    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    arguments = ("--quick", "--rounds", "1", "--batch-sizes", "1", "--data", "sample:70", "--out", tmp_path)
    done = run(FIXTURES / "tiny.onnx", *arguments, "--checkpoint", "runs/none")
    assert done.exit_code == 0, done.output
    no_rows = "no pt2, torch-compile, torch-eager or torchscript rows"
    assert f"torch is not installed: {no_rows}; run: pip install 'fer-edge[train]'" in done.stderr
    assert "openvino is not installed: no openvino rows; run: pip install 'fer-edge[openvino]'" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send itself SIGINT")
def test_ctrl_c_keeps_what_is_measured_and_marks_it_as_partial(tmp_path, repository):
    command = [sys.executable, "cli.py", "benchmark", FIXTURES / "tiny.onnx", *SHORT, "--out", tmp_path]
    command[command.index("--rounds") + 1] = "1000"
    process = subprocess.Popen([str(part) for part in command], cwd=repository, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(8)  # well into a thousand rounds, which take minutes
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert "interrupted; 1 rows are kept, marked as partial" in stderr
    found = json.loads((tmp_path / "benchmark.json").read_text())
    assert found["is_partial"] is True
    assert 0 < len(found["rows"][0]["samples"]["latency_ms"]) < 1000
    assert "partial" in (tmp_path / "benchmark.md").read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--batch-sizes", "1,x"), 2, "--batch-sizes: expected whole numbers with commas between them, found '1,x'"),
        (("--threads", "0"), 2, "--threads: expected different numbers from 1 to 256"),
        (("--runtimes", "tflite"), 2, "--runtimes: expected some of "),
        (("--name", "a/b"), 2, "--name: expected a file name without folder, found 'a/b'"),
        (("--compare", "none.json"), 1, "none.json: cannot be read"),
        (("--max-regression", "nan"), 2, "--max-regression: expected a number, found nan"),
        (("--max-drop", "nan"), 2, "--max-drop: expected a number, found nan"),
        (("--max-drop", "inf"), 2, "--max-drop: expected a number, found inf"),
        (("--scenario", "server", "--compare", "none.json"), 2, "--compare: expected no --scenario with it"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_measured(arguments, code, message):
    done = run(FIXTURES / "tiny.onnx", *arguments)
    assert done.exit_code == code
    assert done.stderr.startswith("error: ")
    assert message in done.stderr.splitlines()[-1]


def test_a_model_that_is_not_there_is_the_only_line(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = run("mine.onnx", "--data", "none")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: mine.onnx: no such model; make one with")
    assert len(done.stderr.splitlines()) == 1


def test_a_data_set_that_is_not_there_is_said_before_anything_is_measured(tmp_path):
    done = run(FIXTURES / "tiny.onnx", *SHORT, "--data", "none", "--out", tmp_path)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("error: none: expected a folder of faces or a CSV file, found none")
    assert "round 1" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
def test_a_full_folder_for_temporary_files_is_one_line_before_anything_is_measured(tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # less than one face
    try:
        done = run(FIXTURES / "tiny.onnx", *SHORT, "--out", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.exit_code == 1, done.output
    assert done.stderr.splitlines()[-1].startswith(f"error: {tempfile.gettempdir()}")
    assert "cannot be written: the file would be larger than" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_no_folder_for_temporary_files_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    done = run(FIXTURES / "tiny.onnx", *SHORT, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == f"error: {tmp_path / 'gone'}: cannot be written: No such file or directory"


@pytest.mark.parametrize(
    ("former", "instead"), [("out.json", "to write it to a file: --json-file out.json"), ("-", "leave out the -")]
)
def test_the_former_use_of_json_is_answered_with_the_new_one(former, instead):
    done = run(FIXTURES / "tiny.onnx", *SHORT, "--json", former)
    assert done.exit_code == 2
    assert (
        done.stderr
        == f"error: --json: expected no file after it, because it prints the JSON, found {former}; {instead}\n"
    )


def test_no_models_is_an_error_that_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exported").mkdir()
    monkeypatch.setattr(shipped, "FOLDERS", (tmp_path,))  # an installation that lost its own
    done = run("--data", "sample:70")
    assert done.exit_code == 1
    assert "exported: expected exported models (*.onnx), found none" in done.stderr.splitlines()[-1]


def test_files_that_run_code_need_trust(tmp_path):
    shutil.make_archive(str(tmp_path / "model"), "zip", FIXTURES)
    path = (tmp_path / "model.zip").rename(tmp_path / "model.torchscript")
    done = run(path, *SHORT)
    assert done.exit_code == 1
    assert "expected --trust with a torchscript file" in done.stderr.splitlines()[-1]


def test_a_row_whose_audit_fails_is_exit_code_3_after_its_figures_are_written(tmp_path, monkeypatch):
    from fer_edge.benchmark.client import WorkerClient

    ask = WorkerClient.ask

    def stale(self, do, **arguments):
        return {**ask(self, do, **arguments), **({"largest_difference": 0.25} if do == "audit" else {})}

    monkeypatch.setattr(WorkerClient, "ask", stale)
    done = run(FIXTURES / "tiny.onnx", *SHORT, "--out", tmp_path)
    assert done.exit_code == 3, done.output
    assert "error: 1 audits failed, first: tiny onnxruntime fp32, batch 1, 1 thread: answers of timed" in done.stderr
    assert "## Audits that failed" in (tmp_path / "benchmark.md").read_text()


def test_help_shows_an_example():
    assert "fer-edge benchmark " in run("--help").stdout
