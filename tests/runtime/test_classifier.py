import io
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from fer_edge import FER2013, Classifier, Prediction
from fer_edge.errors import ImageError, ModelError
from fer_edge.runtime.images import MAX_SIDE, decode_image
from fer_edge.runtime.photos import FaceSearch

RNG = np.random.default_rng(11)
CROPS = FaceSearch("crop")


def photo(height: int = 40, width: int = 30, channels: int = 3) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)


def as_png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(stream, "PNG")
    return stream.getvalue()


def rows(predictions: list[Prediction]) -> np.ndarray:
    return np.array([list(one.probabilities.values()) for one in predictions])


def test_prediction_names_the_most_probable_expression(classifier: Classifier) -> None:
    prediction = classifier.predict(photo())
    assert tuple(prediction.probabilities) == FER2013.names
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert prediction.label == max(prediction.probabilities, key=prediction.probabilities.__getitem__)
    assert prediction.confidence == prediction.probabilities[prediction.label]
    assert prediction.latency_ms > 0
    assert prediction.source == "<ndarray>"


def test_prediction_is_plain_data(classifier: Classifier) -> None:
    prediction = classifier.predict(photo())
    assert json.loads(json.dumps(prediction.as_dict()))["label"] == prediction.label
    assert pickle.loads(pickle.dumps(prediction)) == prediction


def test_path_bytes_image_and_array_give_the_same_answer(classifier: Classifier, tmp_path: Path) -> None:
    pixels = photo()
    path = tmp_path / "face.png"
    path.write_bytes(as_png(pixels))
    answers = [classifier.predict(source) for source in (path, str(path), path.read_bytes(), Image.open(path), pixels)]
    assert len({one.confidence for one in answers}) == 1
    assert [one.source for one in answers[:3]] == [str(path), str(path), "<bytes>"]


def test_grey_and_its_rgb_copy_give_the_same_answer(classifier: Classifier) -> None:
    grey = photo(channels=1)
    alike = [classifier.predict(source) for source in (grey, grey[:, :, 0], np.repeat(grey, 3, axis=2))]
    assert np.allclose(rows(alike), rows(alike[:1]), atol=1e-5)


def test_graph_agrees_with_the_reference_preprocessing(classifier: Classifier, tiny_raw_model: Path) -> None:
    raw = Classifier.load(tiny_raw_model)
    for shape in ((48, 48, 1), (120, 90, 3), (30, 60, 3), (48, 48, 4)):
        pixels = photo(*shape)[np.newaxis]
        # Pillow rounds to whole grey levels twice, the graph does not: about a grey level, 0.016 after normalising.
        assert np.allclose(raw.probabilities(pixels), classifier.probabilities(pixels), atol=0.02), shape


def test_raw_model_normalises_and_takes_the_softmax(tiny_raw_model: Path) -> None:
    raw = Classifier.load(tiny_raw_model)
    probabilities, logits = raw.probabilities_and_logits(photo(48, 48, 1)[np.newaxis])
    expected = np.exp(logits) / np.exp(logits).sum()
    assert np.allclose(probabilities, expected, atol=1e-6)
    assert probabilities.dtype == np.float32


def logits_times(factor: float) -> Callable[[onnx.ModelProto], None]:
    """A change that puts a factor between the network's logits and the output of that name."""

    def change(model: onnx.ModelProto) -> None:
        last = next(node for node in model.graph.node if "logits" in node.output)
        last.output[list(last.output).index("logits")] = "unscaled"
        for node in model.graph.node:
            node.input[:] = ["unscaled" if name == "logits" else name for name in node.input]
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(factor, np.float32), "factor"))
        model.graph.node.append(onnx.helper.make_node("Mul", ["unscaled", "factor"], ["logits"]))

    return change


def test_answers_that_are_no_numbers_are_refused(changed_model: Callable[..., Path]) -> None:
    broken = Classifier.load(changed_model(logits_times(np.inf)))
    with pytest.raises(ModelError, match=r"changed.onnx: expected finite logits, found infinite ones or NaN"):
        broken.predict(photo())


def test_probabilities_that_are_none_are_refused(changed_model: Callable[..., Path]) -> None:
    def swap(model: onnx.ModelProto) -> None:
        logits_times(1)(model)
        softmax = next(node for node in model.graph.node if "probabilities" in node.output)
        softmax.output[0] = "unused"
        model.graph.node.append(onnx.helper.make_node("Identity", ["logits"], ["probabilities"]))

    broken = Classifier.load(changed_model(swap))
    with pytest.raises(ModelError, match=r"changed.onnx: expected probabilities that add up to 1"):
        broken.predict(photo())


def test_several_images_to_predict_point_to_predict_many(classifier: Classifier) -> None:
    for several in ([photo()], (photo(),), iter([photo()])):
        with pytest.raises(ImageError, match=r"expected one image, found a \w+; use predict_many"):
            classifier.predict(several)  # type: ignore[arg-type]  # the wrong type is the point


def test_bad_image_is_named(classifier: Classifier) -> None:
    with pytest.raises(ImageError, match=r"^nowhere\.jpg: cannot be opened"):
        classifier.predict("nowhere.jpg")


def test_mixed_sizes_come_back_in_order_with_the_answers_of_one_by_one(classifier: Classifier) -> None:
    shapes = [(40, 30, 3), (48, 48, 1), (64, 64, 3)]
    images = [photo(*shapes[index % 3]) for index in RNG.permutation(50)]
    for batch_size in (1, 4, 32, 100):
        many = list(classifier.predict_many(images, batch_size=batch_size))
        assert np.allclose(rows(many), rows([classifier.predict(image) for image in images]), atol=1e-5)


def test_lists_generators_and_kinds_may_be_mixed(classifier: Classifier, tmp_path: Path) -> None:
    pixels = photo()
    path = tmp_path / "face.png"
    path.write_bytes(as_png(pixels))
    found = list(classifier.predict_many(iter([path, path.read_bytes(), pixels, Image.fromarray(pixels)])))
    assert [one.source for one in found] == [str(path), "<bytes>", "<ndarray>", "<Image>"]
    assert len({one.label for one in found}) == 1


def test_nothing_gives_nothing(classifier: Classifier) -> None:
    assert list(classifier.predict_many([])) == []


def test_generator_is_read_only_a_few_batches_ahead(classifier: Classifier) -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield photo(48, 48, 1)

    stream = classifier.predict_many(endless(), batch_size=4)
    for _ in range(3):
        next(stream)
    assert taken <= 4 * 4


def test_batch_size_one_answers_at_once(classifier: Classifier) -> None:
    taken = []
    stream = classifier.predict_many((taken.append(1) or photo() for _ in range(5)), batch_size=1)
    next(stream)
    assert len(taken) == 1


def test_unreadable_image_raises_when_it_is_its_turn(classifier: Classifier) -> None:
    stream = classifier.predict_many([photo(), b"no image", photo()], batch_size=2)
    assert next(stream).label in FER2013.names
    with pytest.raises(ImageError, match=r"^<bytes>: expected a JPEG"):
        next(stream)


def test_one_classifier_serves_many_threads(classifier: Classifier) -> None:
    images = [photo(50 + index, 40) for index in range(8)]
    expected = [classifier.predict(image).confidence for image in images]
    found: list[float] = [0.0] * len(images)

    def work(index: int) -> None:
        for _ in range(5):
            found[index] = classifier.predict(images[index]).confidence

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images in two folders and a few files that are none, one of which claims to be."""
    (tmp_path / "b").mkdir()
    (tmp_path / ".ipynb_checkpoints").mkdir()
    for index in range(12):
        path = tmp_path / ("b" if index % 2 else ".") / f"{index:02d}.png"
        path.write_bytes(as_png(photo(40 + index % 3, 30)))
    (tmp_path / "b" / "bad.JPG").write_bytes(b"not an image")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(as_png(photo()))
    (tmp_path / ".ipynb_checkpoints" / "copy.png").write_bytes(as_png(photo()))
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    return tmp_path


def test_folder_is_streamed_by_name_and_one_bad_file_stops_nothing(classifier: Classifier, folder: Path) -> None:
    progress: list[tuple[int, int]] = []
    outcomes = list(
        classifier.predict_folder(folder, search=CROPS, batch_size=4, progress=lambda *done: progress.append(done))
    )
    names = [Path(outcome.source).name for outcome in outcomes]
    assert names == [f"{n:02d}.png" for n in (*range(0, 12, 2), *range(1, 12, 2))] + ["bad.JPG"]
    assert progress == [(done, 13) for done in range(1, 14)]
    *good, bad = outcomes
    assert bad.photo is None
    assert str(bad.error).startswith(f"{folder / 'b' / 'bad.JPG'}: expected a JPEG")
    for outcome in good:
        assert outcome.error is None
        assert outcome.photo is not None
        (face,) = outcome.photo.faces
        assert face.source == outcome.source
        alone = classifier.predict(outcome.source)
        assert face.confidence == pytest.approx(alone.confidence, abs=1e-5)


@pytest.mark.parametrize(
    "one",
    ["face.jpg", Path("face.jpg"), as_png(photo()), Image.new("L", (9, 9)), photo()[:, :, 0]],
    ids=["str", "Path", "bytes", "PIL", "array"],
)
def test_one_image_where_several_belong_is_refused_at_once(classifier: Classifier, one: Any) -> None:
    with pytest.raises(ImageError, match=r"^expected several images, found one; use predict$"):
        classifier.predict_many(one)


EXTREMES = [(1, MAX_SIDE), (MAX_SIDE, 1), (2, MAX_SIDE), (MAX_SIDE, 3), (1, 1), (7, 20_000), (20_000, 7), (3000, 3000)]


def test_images_of_any_allowed_shape_are_scored(classifier: Classifier) -> None:
    for height, width in EXTREMES:
        for channels in (1, 3, 4):
            found = classifier.probabilities(np.zeros((1, height, width, channels), np.uint8))
            assert found.sum() == pytest.approx(1, abs=1e-5)


def test_an_enormous_side_among_good_images_is_one_error(classifier: Classifier, folder: Path) -> None:
    Image.new("L", (80_000_000, 1)).save(folder / "a-long.png")
    outcomes = list(classifier.predict_folder(folder, search=CROPS))
    assert len(outcomes) == 14
    assert next(str(one.error) for one in outcomes if one.error).endswith(
        "a-long.png: expected sides of at most 65535 pixels, found 80000000x1; make the image smaller"
    )
    assert sum(one.photo is not None for one in outcomes) == 12


def test_what_onnxruntime_raises_is_not_also_written_to_stderr(
    classifier: Classifier, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=r"cannot run it: .*Resize node"):
        classifier.probabilities(np.zeros((1, 1, 80_000_000, 1), np.uint8))
    assert capfd.readouterr().err == ""


def test_folder_may_be_left_early(classifier: Classifier, folder: Path) -> None:
    stream = classifier.predict_folder(folder, batch_size=2)
    assert next(stream).photo is not None
    stream.close()  # type: ignore[attr-defined]  # it is a generator, which the interface need not promise
    decoding = [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
    for thread in decoding:  # nobody waits for the image that each is opening, and then they end
        thread.join(timeout=10)
    assert not [thread for thread in decoding if thread.is_alive()]


def test_a_folder_is_searched_as_the_command_line_searches_it(
    classifier: Classifier, astronaut: Path, tmp_path: Path, repository: Path
) -> None:
    with Image.open(astronaut) as portrait:
        portrait.save(tmp_path / "portrait.png")
        portrait.crop((170, 50, 280, 180)).resize((48, 48)).save(tmp_path / "small.png")
    Image.new("RGB", (300, 200), (90, 120, 150)).save(tmp_path / "sky.png")
    command = [sys.executable, repository / "cli.py", "predict", tmp_path, "--model", classifier.path, "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    photos = [outcome.photo for outcome in classifier.predict_folder(tmp_path)]
    assert [photo.as_dict() | {"detection_ms": 0} for photo in photos if photo] == [
        one | {"detection_ms": 0} for one in told["images"]
    ]
    ours = [face.as_dict() for photo in photos if photo for face in photo.faces]
    assert [(one["source"], one["label"], one["box"]) for one in ours] == [
        (one["source"], one["label"], one["box"]) for one in told["results"]
    ]
    assert [len(photo.faces) for photo in photos if photo] == [1, 0, 1]


def test_missing_or_empty_folder_is_refused_at_once(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="nowhere: expected a folder, found none"):
        classifier.predict_folder(tmp_path / "nowhere")
    with pytest.raises(ImageError, match=r"expected image files \(.*\.bmp, .*\), found none"):
        classifier.predict_folder(tmp_path)


def test_probabilities_take_a_batch_of_any_allowed_channels(classifier: Classifier) -> None:
    for channels in (1, 3, 4):
        assert classifier.probabilities(photo(48, 48, channels)[np.newaxis].repeat(5, axis=0)).shape == (5, 7)


def test_file_name_that_would_break_a_line_does_not(tmp_path: Path) -> None:
    path = tmp_path / "two\nlines\x1b[31m.jpg"
    path.write_bytes(b"bad")
    with pytest.raises(ImageError) as raised:
        decode_image(path)
    assert r"two\nlines\x1b[31m.jpg: expected" in str(raised.value)
