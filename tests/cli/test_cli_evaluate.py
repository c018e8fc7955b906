"""``evaluate --model`` on faces whose classes are the model's, or others."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.data.sample import synthetic_faces
from fer_edge.labels import FER2013, FERPLUS

FIXTURES = Path(__file__).parent.parent / "fixtures"
sys.path.insert(0, str(FIXTURES))
from make_tiny_model import PIXELS_IN, write_model  # noqa: E402  # the script beside the fixtures

ODD = ("<b>bold", "a, b", "うれしい", "غاضب", "[red]")
SETS = {
    "2": ("calm", "not calm"),
    "5": ODD,
    "8": FERPLUS.names,
    "20": tuple(f"class {number:02d}" for number in range(20)),
}


def write_faces(root: Path, names: tuple[str, ...], per_class: int = 2) -> Path:
    faces = synthetic_faces(range(2 * per_class * len(names)), seed=1).faces
    for number, face in enumerate(faces):
        folder = root / ("train", "validation")[number // len(names) % 2] / names[number % len(names)]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).save(folder / f"{number}.png")
    return root


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[..., Result]:
    """Runs the command with a model of these names."""

    def run(names: tuple[str, ...], *options: object) -> Result:
        model = FIXTURES / "tiny.onnx" if names == FER2013.names else write_model("tiny", PIXELS_IN, names, tmp_path)
        return CliRunner().invoke(app, ["evaluate", "--model", str(model), *map(str, options)])

    return run


@pytest.mark.parametrize("name", SETS)
def test_figures_tables_and_plots_have_the_models_classes(tmp_path: Path, evaluate, name: str) -> None:
    names = SETS[name]
    root = write_faces(tmp_path / "faces", names)
    done = evaluate(names, "--data", root, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    rows = [line.strip() for line in done.stdout.splitlines()]
    assert all(any(row.startswith(one) for row in rows) for one in names)
    assert f"({2 * len(names)} faces)" in done.stdout
    assert ("confused most" in done.stdout) == (len(names) > 12)
    assert "left out" not in done.stderr
    kept = json.loads((tmp_path / "out" / "evaluation-validation.json").read_text())
    assert kept["labels"] == list(kept["expressions"]) == list(names)
    assert np.sum(kept["confusion"]) == 2 * len(names)
    for plot in ("confusion", "mistakes", "reliability"):
        with Image.open(tmp_path / "out" / f"{plot}-validation.png") as picture:
            assert picture.format == "PNG"


def test_a_model_of_some_expressions_finds_its_own_folders(tmp_path: Path, evaluate) -> None:
    root = write_faces(tmp_path / "faces", ("happy", "sad"))  # auto would ask: FER-2013 without five of its classes
    done = evaluate(("sad", "happy"), "--data", root, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["labels"] == ["sad", "happy"]
    asked = evaluate(("sad", "happy"), "--data", root, "--labels", "auto")
    assert asked.exit_code == 1
    assert (
        "missing angry, disgust, fear, neutral, surprise; mend the folders, or add --labels happy,sad" in asked.stderr
    )


def test_faces_of_contempt_are_left_out_and_counted_for_a_model_without(tmp_path: Path, evaluate) -> None:
    root = write_faces(tmp_path / "faces", FERPLUS.names)
    done = evaluate(FER2013.names, "--data", root, "--json")
    assert done.exit_code == 0, done.output
    assert "left out, because the model has no such class: 2 contempt" in done.stderr
    found = json.loads(done.stdout)
    assert (found["left_out"], found["num_faces"]) == ({"contempt": 2}, 14)
    assert found["expressions"]["angry"]["support"] == 2


def test_faces_without_a_class_of_the_model_are_refused_in_one_line(tmp_path: Path, evaluate) -> None:
    for names, source in ((FERPLUS.names, "sample:42"), (SETS["2"], write_faces(tmp_path / "faces", ODD))):
        done = evaluate(names, "--data", source)
        assert done.exit_code == 1
        assert len(done.stderr.splitlines()) == 1
        assert "expected faces of the model's classes" in done.stderr
    wrong = evaluate(SETS["2"], "--data", "sample:42", "--labels", "calm")
    assert (wrong.exit_code, len(wrong.stderr.splitlines())) == (2, 1)
    assert "--labels: expected auto, fer2013, ferplus, or two or more names" in wrong.stderr


def write_ferplus(root: Path, count: int = 16) -> Path:
    """FER+'s layout: votes of ten for each face, FER-2013's labels in rows.csv."""
    votes, rows = ["Usage,Image name," + ",".join((*FERPLUS.names, "unknown", "NF"))], ["image,fer2013_label"]
    for number, face in enumerate(synthetic_faces(range(count), seed=2).faces):
        usage, folder = (("Training", "FER2013Train"), ("PublicTest", "FER2013Valid"))[number // (count // 2)]
        (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).save(root / folder / f"fer{number:07d}.png")
        counts = [0] * 10
        counts[number % 8] += 7
        counts[(number + 1) % 8] += 3
        votes.append(",".join(map(str, (usage, f"fer{number:07d}.png", *counts))))
        rows.append(f"fer{number:07d}.png,{FER2013.names[number % 7]}")
    (root / "fer2013new.csv").write_text("\n".join(votes) + "\n")
    (root / "rows.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.mark.parametrize("names", [FER2013.names, FERPLUS.names], ids=["fer2013", "ferplus"])
def test_votes_are_compared_with_the_human_level(tmp_path: Path, evaluate, names: tuple[str, ...]) -> None:
    root = write_ferplus(tmp_path / "ferplus")
    done = evaluate(names, "--data", root)
    assert done.exit_code == 0, done.output
    assert "votes of 8 faces" in done.stdout
    assert "(8 faces with a majority; FER+)" in done.stdout
    assert "(to the distribution of the votes of 8 faces; their entropy: 0." in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["agreement", "with", "model", "one", "annotator"] in rows
    human = 0.7 * 6 / 9 + 0.3 * 2 / 9  # one of seven who agree with six of nine, one of three with two
    assert any(row[:3] == ["a", "random", "annotator"] and row[-1] == f"{human:.4f}" for row in rows)
    found = json.loads(evaluate(names, "--data", root, "--json").stdout)
    assert found["votes"]["num_faces"] == found["num_faces"] == 8
    assert found["votes"]["annotator"]["rest"] == pytest.approx(0.7)
    if names == FERPLUS.names:
        assert found["accuracy"] == found["votes"]["majority_accuracy"]


def test_labels_by_votes_can_be_inspected(tmp_path: Path) -> None:
    root, picture = write_ferplus(tmp_path / "ferplus"), tmp_path / "p.png"
    options = ["data", "inspect", "--data", str(root), "--picture", str(picture)]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    assert "votes: 16 faces with 10.0 annotators each; on average 70.0% of them agree" in done.stdout
    assert "an emotion that more than half chose: 16; two or more equally often the most chosen: 0;" in done.stdout
    found = json.loads(CliRunner().invoke(app, [*options, "--labels", "ferplus", "--json"]).stdout)
    assert found["label_set"] == "ferplus"
    assert found["counts"]["train"] == dict.fromkeys(FERPLUS.names, 1)
    assert found["votes"]["num_not_a_face"] == 0


def test_corruptions_are_a_table_json_and_a_markdown_file(tmp_path: Path, evaluate) -> None:
    root, out = write_ferplus(tmp_path / "ferplus"), tmp_path / "out"
    done = evaluate(FER2013.names, "--data", root, "--corruptions", "--out", out)
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[-1] == f"wrote {out / 'corruptions-validation.md'}"
    rows = [line.split() for line in done.stdout.splitlines()]
    shown = {" ".join(row[:-3]): row[-3:] for row in rows if len(row) > 3}
    kept = json.loads((out / "evaluation-validation.json").read_text())
    table = kept["corruptions"]
    assert len(table["corrupted"]) == 20
    for name, scores in {"original": table["original"], **table["corrupted"]}.items():
        assert shown[name] == [f"{scores[key]:.4f}" for key in ("accuracy", "votes_accuracy", "agreement")]
    assert table["original"]["accuracy"] == kept["accuracy"]
    assert table["original"]["votes_accuracy"] == kept["votes"]["majority_accuracy"]
    assert table["original"]["agreement"] == 1
    text = (out / "corruptions-validation.md").read_text()
    assert kept["machine"] in text
    assert f"Pillow {table['versions']['Pillow']}" in text
    assert "| size, 96 pixels |" in text
    plain = evaluate(FER2013.names, "--data", root, "--json")
    assert json.loads(plain.stdout)["corruptions"] is None


def test_a_checkpoint_meets_faces_of_other_sizes_as_its_model_would(make_run) -> None:
    pytest.importorskip("torch")
    done = CliRunner().invoke(
        app, ["evaluate", "--checkpoint", str(make_run(0)), "--device", "cpu", "--corruptions", "--json"]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["corruptions"]
    assert found["original"]["votes_accuracy"] is None
    assert found["corrupted"]["size, 16 pixels"]["agreement"] <= 1
    assert found["mean"]["accuracy"] >= 0


def test_votes_of_other_names_are_refused_in_one_line(tmp_path: Path, evaluate) -> None:
    root = write_faces(tmp_path / "faces", FER2013.names)
    done = evaluate(FER2013.names, "--data", root, "--votes", tmp_path / "nothing.csv")
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert "get it with 'fer-edge data fetch --votes'" in done.stderr
