"""``--class-map`` from the first look to evaluation: the run keeps the map."""

import json
import shlex
import signal
from dataclasses import replace

import numpy as np
import torch
from forked_cli import ForkedCli, run_cli
from PIL import Image

from fer_edge.benchmark.faces import judging_faces
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.data.class_map import ClassMap
from fer_edge.data.sample import synthetic_faces
from fer_edge.labels import FER2013

CODES = {"surprise": "1", "fear": "2", "disgust": "3", "happy": "4", "sad": "5", "angry": "6", "neutral": "7"}
QUICK = ["--architecture", "tiny", "--weights", "none", "--epochs", "1", "--batch-size", "32", "--threads", "1"]
QUICK += ["--precision", "fp32", "--device", "cpu", "--name", "raf"]


def _raf_db(tmp_path):
    """70 drawn faces in RAF-DB's folders, 42 of them train."""
    drawn = synthetic_faces(range(70))
    for at, (face, label) in enumerate(zip(drawn.faces, drawn.labels, strict=True)):
        folder = tmp_path / "raf" / ("train" if at < 42 else "test") / CODES[FER2013.names[label]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).save(folder / f"{at}.png")
    return tmp_path / "raf"


def test_a_run_on_raf_dbs_numbers_keeps_the_map(tmp_path):
    _raf_db(tmp_path)
    (tmp_path / "map.csv").write_text("".join(f"{code},{name}\n" for name, code in CODES.items()))

    looked = run_cli(["data", "inspect", "--data", "raf", "--class-map", "map.csv", "--json"], cwd=tmp_path)
    assert looked.returncode == 0, looked.stderr
    assert json.loads(looked.stdout)["labels"] == list(FER2013.names)

    trained = run_cli(["train", "--data", "raf", "--class-map", "map.csv", *QUICK], cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    settings = json.loads((tmp_path / "runs" / "raf" / "config.json").read_text())
    assert settings["data"]["class_map"] == {code: name for name, code in CODES.items()}

    (tmp_path / "runs").rename(tmp_path / "kept")
    to = ["--data", "raf", "--class-map", "map.csv", "--json"]
    exported = run_cli(["export", "--checkpoint", "kept/raf", *to], cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    model = next((tmp_path / "exported").glob("*.onnx"))
    verified = run_cli(["verify", str(model), "--checkpoint", "kept/raf", *to], cwd=tmp_path)
    assert verified.returncode == 0, verified.stderr
    by_model = run_cli(["evaluate", "--model", str(model), "--split", "test", *to], cwd=tmp_path)
    assert json.loads(by_model.stdout)["num_faces"] == 28, by_model.stderr
    alone = run_cli(["verify", str(model), "--checkpoint", "kept/raf", *to[2:]], cwd=tmp_path)
    assert alone.returncode == 2
    assert "expected --data with --class-map" in alone.stderr
    (tmp_path / "kept").rename(tmp_path / "runs")

    (tmp_path / "map.csv").unlink()  # the checkpoint has it
    judged = run_cli(["evaluate", "--checkpoint", "runs/raf", "--split", "test", "--json"], cwd=tmp_path)
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["num_faces"] == 28
    resumed = run_cli(["train", "--resume", "runs/raf"], cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr

    absent = run_cli(["evaluate", "--checkpoint", "runs/raf", "--class-map", "map.csv"], cwd=tmp_path)
    assert absent.returncode == 1
    assert "map.csv: expected two columns" in absent.stderr
    assert len(absent.stderr.strip().splitlines()) == 1


def test_a_search_by_the_map_ends_in_a_command_that_has_it(tmp_path):
    _raf_db(tmp_path)
    (tmp_path / "map.csv").write_text("".join(f"{code},{name}\n" for name, code in CODES.items()))
    quick = ["--architecture", "tiny", "--weights", "none", "--epochs", "1", "--threads", "1", "--device", "cpu"]
    words = ["tune", "--data", "raf", "--class-map", "map.csv", "--trials", "1", "--json", *quick]
    searched = run_cli(words, cwd=tmp_path)
    assert searched.returncode == 0, searched.stderr
    command = shlex.split(json.loads(searched.stdout)["train_command"])
    assert command[command.index("--class-map") + 1] == "map.csv"
    trained = run_cli([*command[command.index("train") :], "--epochs", "1", "--name", "best"], cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    settings = json.loads((tmp_path / "runs" / "best" / "config.json").read_text())
    assert settings["data"]["class_map"] == {code: name for name, code in CODES.items()}


def test_devices_judge_by_the_map(tmp_path, repository):
    _raf_db(tmp_path)
    (tmp_path / "map.csv").write_text("".join(f"{code},{name}\n" for name, code in CODES.items()))
    model = repository / "tests" / "fixtures" / "tiny.onnx"
    words = ["verify", str(model), "--devices", "--targets", "native", "--json"]
    done = run_cli([*words, "--data", "raf", "--class-map", "map.csv"], cwd=tmp_path)
    matrix = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (matrix["faces"], matrix["faces_source"]) == (7, "raf")  # the validation faces: one of each class
    unmapped = run_cli([*words, "--data", "raf"], cwd=tmp_path)
    assert unmapped.returncode == 1
    alone = run_cli([*words, "--class-map", "map.csv"], cwd=tmp_path)
    assert alone.returncode == 2
    assert "expected --data with --class-map" in alone.stderr


def test_benchmark_judges_by_the_map(tmp_path):
    request = BenchmarkRequest(data=str(_raf_db(tmp_path)), class_map=ClassMap(dict(map(reversed, CODES.items()))))
    judged = judging_faces(replace(request, split="test"), 48, 0)
    assert judged.labels is not None
    np.testing.assert_array_equal(np.bincount(judged.labels), 4)


def test_a_run_that_was_interrupted_goes_on_by_its_map_to_the_same_weights(tmp_path):
    """The map's file is gone and another lies in its place: the run has its own."""
    _raf_db(tmp_path)
    (tmp_path / "map.csv").write_text("".join(f"{code},{name}\n" for name, code in CODES.items()))
    words = ["train", "--data", "raf", "--class-map", "map.csv", *QUICK[:-2], "--epochs", "20", "--name"]
    whole = run_cli([*words, "whole"], cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    process = ForkedCli([*words, "cut"], cwd=tmp_path)
    while "epoch " not in (line := process.stderr.readline()) or "/20" not in line:
        assert line, "the run ended by itself"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    (tmp_path / "map.csv").write_text("".join(f"{code},happy\n" for code in CODES.values()))
    resumed = run_cli(["train", "--resume", "runs/cut"], cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    last = [torch.load(tmp_path / "runs" / name / "checkpoints" / "last.pt")["model"] for name in ("whole", "cut")]
    assert all(torch.equal(tensor, last[1][name]) for name, tensor in last[0].items())
    refused = run_cli(["train", "--resume", "runs/cut", "--class-map", "map.csv"], cwd=tmp_path)
    assert refused.returncode == 2
    assert "leave out --class-map" in refused.stderr


def test_two_models_are_compared_by_the_map_and_not_without_data(tmp_path, repository):
    _raf_db(tmp_path)
    (tmp_path / "map.csv").write_text("".join(f"{code},{name}\n" for name, code in CODES.items()))
    model = str(repository / "tests" / "fixtures" / "tiny.onnx")
    words = ["verify", model, "--against", model, "--class-map"]
    for named in ("map.csv", "raf-db"):
        done = run_cli([*words, named, "--data", "raf", "--json"], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["parity"]["accuracy"]["faces"] == 7
    alone = run_cli([*words, "map.csv"], cwd=tmp_path)
    assert alone.returncode == 2
    assert "expected --data with --class-map" in alone.stderr
    unmapped = run_cli([*words[:-1], "--data", "raf"], cwd=tmp_path)
    assert unmapped.returncode == 1
