import csv
import inspect
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fer_edge.cli.predict import predict
from fer_edge.runtime.crops import Framing
from fer_edge.runtime.detector import FaceDetector
from fer_edge.runtime.photos import FaceSearch


@pytest.fixture
def model(repository: Path) -> str:
    return str(repository / "tests" / "fixtures" / "tiny.onnx")


@pytest.fixture
def desk(tmp_path: Path, astronaut: Path) -> Path:
    """A folder with a photo, a photo of nobody and a small crop."""
    shutil.copy(astronaut, tmp_path / "astronaut.png")
    Image.new("RGB", (400, 300), (90, 120, 150)).save(tmp_path / "sky.jpg")
    Image.open(astronaut).crop((170, 50, 280, 180)).resize((96, 96)).save(tmp_path / "crop.png")
    return tmp_path


def run(repository: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, repository / "cli.py", "predict", *arguments]
    return subprocess.run(command, capture_output=True, cwd=cwd, text=True)


def test_the_faces_of_a_photo_are_named_with_their_place(repository: Path, model: str, desk: Path) -> None:
    done = run(repository, "astronaut.png", "sky.jpg", "crop.png", "--model", model, cwd=desk)
    assert done.returncode == 0, done.stderr
    titles = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert titles[0].startswith("astronaut.png face 1 of 1 (90x113 at 178, 63): ")
    assert titles[1] == "sky.jpg: no face found"
    assert titles[2].startswith("crop.png: ")
    assert (
        done.stderr.splitlines()[-1] == "1 image taken as face crop (a face fills it), 2 images searched: 1 face found"
    )


def test_no_face_is_an_answer_with_exit_code_0(repository: Path, model: str, desk: Path) -> None:
    done = run(repository, "sky.jpg", "--model", model, cwd=desk)
    assert (done.returncode, done.stdout) == (0, "sky.jpg: no face found\n")
    assert done.stderr.splitlines()[-1] == "1 image searched: no face found"


def test_json_has_box_landmarks_and_probabilities(repository: Path, model: str, desk: Path) -> None:
    done = run(repository, ".", "--model", model, "--json", cwd=desk)
    found: dict[str, Any] = json.loads(done.stdout)
    photo, crop = found["results"]
    assert photo["source"] == "astronaut.png"
    assert photo["box"]["x"] == pytest.approx(178, abs=2)
    assert len(photo["landmarks"]) == 5
    assert photo["detection_score"] > 0.9
    assert sum(photo["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert (crop["source"], crop["box"], crop["landmarks"]) == ("crop.png", None, None)
    told = {one["source"]: (one["was_searched"], one["crop_reason"], one["num_faces"]) for one in found["images"]}
    assert told == {"astronaut.png": (True, None, 1), "crop.png": (True, "filled", 1), "sky.jpg": (True, None, 0)}
    assert (found["images"][0]["width"], found["images"][0]["height"]) == (512, 512)


def test_csv_has_a_row_for_each_face_and_one_for_none(repository: Path, model: str, desk: Path) -> None:
    done = run(repository, ".", "--model", model, "--csv", cwd=desk)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["source"] for row in rows] == ["astronaut.png", "crop.png", "sky.jpg"]
    assert [row["face"] for row in rows] == ["1", "", ""]
    assert float(rows[0]["width"]) == pytest.approx(90, abs=2)
    assert (rows[1]["x"], bool(rows[1]["label"])) == ("", True)
    assert set(rows[2].values()) == {"sky.jpg", ""}


def test_faces_may_be_searched_for_in_a_crop_and_not_in_a_photo(repository: Path, model: str, desk: Path) -> None:
    done = run(repository, "crop.png", "--faces", "detect", "--model", model, cwd=desk)
    assert done.stderr.splitlines()[-1] == "1 image searched: 1 face found"
    done = run(repository, "astronaut.png", "--faces", "crop", "--model", model, cwd=desk)
    assert done.stderr.splitlines()[-1] == "1 image taken as face crop (as asked)"
    done = run(repository, "astronaut.png", "--faces", "all", "--model", model, cwd=desk)
    assert done.returncode == 2
    assert done.stderr == "error: expected faces to be one of auto, crop, detect, found 'all'\n"


def test_an_annotated_picture_is_written_and_named(repository: Path, model: str, desk: Path) -> None:
    done = run(repository, "astronaut.png", "--out", "new/annotated.jpg", "--model", model, cwd=desk)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "wrote new/annotated.jpg"
    with Image.open(desk / "new" / "annotated.jpg") as picture:
        assert picture.size == (1024, 1024)  # twice the photo's side
        assert picture.format == "JPEG"


def test_several_images_are_annotated_in_a_folder(repository: Path, model: str, desk: Path) -> None:
    (desk / "more").mkdir()
    shutil.copy(desk / "sky.jpg", desk / "more" / "sky.jpg")
    (desk / "broken.jpg").write_bytes(b"no image")
    done = run(repository, "sky.jpg", "more", "broken.jpg", "--out", "pictures", "--model", model, cwd=desk)
    assert done.returncode == 1
    assert sorted(path.name for path in (desk / "pictures").glob("[!.]*")) == ["sky-faces-2.jpg", "sky-faces.jpg"]
    assert done.stderr.splitlines()[-3:-1] == ["wrote pictures/sky-faces.jpg", "wrote pictures/sky-faces-2.jpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "b.png", "--out", "x.jpg"], "--out x.jpg: expected a folder, because there may be several images"),
        ([".", "--out", "x.jpg"], "--out x.jpg: expected a folder, because there may be several images"),
        (["*.png", "--out", "x.jpg"], "--out x.jpg: expected a folder, because there may be several images"),
        (["sky.jpg", "--out", "x.gif"], "--out x.gif: expected a folder or a name that ends in .jpg, .jpeg, .png"),
        (["sky.jpg", "--out", "sky.jpg"], "--out sky.jpg: expected another file than the image itself"),
    ],
)
def test_a_picture_that_cannot_be_written_is_a_usage_error(
    repository: Path, model: str, desk: Path, arguments: list[str], message: str
) -> None:
    before = (desk / "sky.jpg").read_bytes()
    done = run(repository, *arguments, "--model", model, cwd=desk)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"error: {message}")
    assert (desk / "sky.jpg").read_bytes() == before


def test_defaults_are_those_of_the_library() -> None:
    defaults = {name: parameter.default for name, parameter in inspect.signature(predict).parameters.items()}
    assert defaults["margin"] == Framing().margin
    assert defaults["align"] == Framing().align
    assert defaults["max_side"] == FaceDetector().max_side
    assert defaults["min_score"] == FaceDetector().min_score
    assert defaults["faces"] == FaceSearch().mode
