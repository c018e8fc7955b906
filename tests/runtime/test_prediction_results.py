import builtins
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fer_edge import Classifier
from fer_edge.cli import app
from fer_edge.errors import ImageError, MissingExtraError, UsageError
from fer_edge.runtime.images import decode_image


@pytest.fixture(scope="module")
def tiny(repository: Path) -> Classifier:
    return Classifier.load(repository / "tests" / "fixtures" / "tiny.onnx")


def test_a_plot_has_a_bar_for_each_label_as_long_as_its_probability(tiny: Classifier, astronaut: Path) -> None:
    pytest.importorskip("matplotlib")
    prediction = tiny.predict(astronaut)
    (axes,) = prediction.plot().axes
    assert [bar.get_width() for bar in axes.patches] == list(prediction.probabilities.values())
    assert [label.get_text() for label in axes.get_yticklabels()] == list(prediction.probabilities)
    assert len(tiny.predict_faces(astronaut).plot().axes) == 1


def test_without_matplotlib_the_extra_is_named(tiny: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: object, **options: object) -> object:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **options)  # type: ignore[arg-type]

    prediction = tiny.predict(np.zeros((48, 48), np.uint8))
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'fer-edge\[plots\]'"):
        prediction.plot()


def test_saved_as_json_or_as_the_annotated_picture(tiny: Classifier, astronaut: Path, tmp_path: Path) -> None:
    photo = tiny.predict_faces(astronaut)
    told = json.loads(photo.save(tmp_path / "photo.json").read_text())
    assert told["faces"] == [face.as_dict() for face in photo.faces]
    plain = decode_image(astronaut)
    with Image.open(photo.save(tmp_path / "photo.png")) as picture:
        marked = np.asarray(picture.resize((512, 512), Image.Resampling.NEAREST))
    x, y = (int(value) for value in photo.faces[0].face.box.centre)  # type: ignore[union-attr]
    assert (marked != plain).any()
    assert np.abs(marked[y, x].astype(int) - plain[y, x].astype(int)).max() < 40  # the face itself is not painted over
    one = tiny.predict(astronaut)
    assert json.loads(one.save(tmp_path / "one.json").read_text()) == one.as_dict()
    with pytest.raises(UsageError, match=r"one\.gif: expected a name that ends in \.json, \.jpg"):
        one.save(tmp_path / "one.gif")
    mine = tmp_path / "mine.png"
    mine.write_bytes(astronaut.read_bytes())
    (tmp_path / "linked.png").symlink_to(mine)
    for place in (mine, tmp_path / "linked.png"):
        with pytest.raises(UsageError, match="expected another file than the image itself"):
            tiny.predict(mine).save(place)
        with pytest.raises(UsageError, match="expected another file than the image itself"):
            tiny.predict_faces(mine.read_bytes()).save(place, image=mine)
    assert mine.read_bytes() == astronaut.read_bytes()


def test_crops_are_what_the_model_saw(tiny: Classifier, astronaut: Path, tmp_path: Path) -> None:
    photo = tiny.predict_faces(astronaut)
    (crop,) = photo.crops()
    again = tiny.predict(crop)
    assert again.probabilities == pytest.approx(dict(photo.faces[0].probabilities), abs=1e-5)
    pixels = decode_image(astronaut)
    from_memory = tiny.predict_faces(pixels)
    with pytest.raises(ImageError, match=r"<ndarray>: expected image=\.\.\."):
        from_memory.crops()
    np.testing.assert_array_equal(from_memory.crops(pixels)[0], crop)
    with pytest.raises(ImageError, match="expected the image of 512x512 pixels that was scored, found one of 512x511"):
        from_memory.crops(pixels[1:])


def test_crops_of_a_folder_are_told_apart_and_replace_nothing(
    tiny: Classifier, astronaut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos/more").mkdir(parents=True)
    for name in ("photos/a.png", "photos/more/a.png"):
        Image.open(astronaut).save(name)
    Image.new("RGB", (300, 200), (90, 120, 150)).save("photos/sky.png")
    Path("crops").mkdir()
    Path("crops/a-face.png").write_bytes(b"mine")
    words = ["predict", "photos", "--model", str(tiny.path), "--save-crops", "crops"]
    for _ in range(2):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        assert done.stderr.splitlines()[-2:] == ["wrote crops/a-face-2.png", "wrote crops/a-face-3.png"]
        assert Path("crops/a-face.png").read_bytes() == b"mine"
    (crop,) = tiny.predict_faces(astronaut).crops()
    np.testing.assert_array_equal(decode_image("crops/a-face-3.png"), crop)
