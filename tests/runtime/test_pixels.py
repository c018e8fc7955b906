"""What is handed over: one image or several, arrays of every shape, open files, generators that fail."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fer_edge import Classifier
from fer_edge.errors import ImageError, ProviderError
from fer_edge.runtime.detector import FaceDetector
from fer_edge.runtime.images import decode_image


def zeros(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.zeros(shape, dtype)


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "face.png"
    Image.fromarray(np.arange(48 * 48, dtype=np.uint16).astype(np.uint8).reshape(48, 48)).save(path)
    return path


@pytest.mark.parametrize("shape", [(60, 60, 3), (60, 60, 4), (60, 60, 1), (60, 60, 5), (60, 60, 2), (100, 80, 13)])
def test_one_array_is_not_taken_for_as_many_images_as_it_has_rows(
    classifier: Classifier, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ImageError, match=r"expected several images, found one array \(\d+, \d+, \d+\): use predict"):
        classifier.predict_many(zeros(*shape))


@pytest.mark.parametrize("shape", [(3, 60, 60, 5), (3, 60, 60, 2), (3, 3, 60, 60), (1, 3, 60, 60, 3)])
def test_stacks_of_other_channels_are_refused_at_once(classifier: Classifier, shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match=r"expected images \(N, H, W\) or \(N, H, W, 1 \| 3 \| 4\), found an array"):
        classifier.predict_many(zeros(*shape))


@pytest.mark.parametrize("shape", [(5, 48, 48), (5, 48, 48, 1), (5, 40, 30, 3), (5, 40, 30, 4), (0, 48, 48)])
def test_stacks_of_images_are_scored(classifier: Classifier, shape: tuple[int, ...]) -> None:
    assert len(list(classifier.predict_many(zeros(*shape)))) == shape[0]


def test_an_array_of_paths_is_several_images(classifier: Classifier, png: Path) -> None:
    for array in (np.array([str(png)] * 2), np.array([png, png], dtype=object)):
        assert len(list(classifier.predict_many(array))) == 2


@pytest.mark.parametrize("thing", [5, None, 1.5])
def test_what_holds_no_images_is_said(classifier: Classifier, thing: Any) -> None:
    with pytest.raises(ImageError, match=r"expected several images, as a list or generator, found \w+$"):
        classifier.predict_many(thing)


@pytest.mark.parametrize(
    "pixels", [zeros(1, 60, 60, 5), zeros(1, 60, 60, 2), zeros(60, 60, 3), zeros(1, 60, 60, 3, dtype=np.float32)]
)
def test_pixels_that_no_model_was_made_for_are_never_answered(
    classifier: Classifier, tiny_raw_model: Path, pixels: np.ndarray
) -> None:
    for one in (classifier, Classifier.load(tiny_raw_model, threads=1)):
        with pytest.raises(
            ImageError, match=r"expected a uint8 array \(N, H, W, 1 \| 3 \| 4\), found \w+ \("
        ) as raised:
            one.probabilities(pixels)
        assert str(pixels.shape) in str(raised.value)


@pytest.mark.parametrize(
    "pixels", [zeros(60, 60, 5), zeros(60, 60, 2), zeros(60, 60), zeros(60, 60, 3, dtype=np.float32), "photo.jpg"]
)
def test_detector_refuses_what_is_no_photo(pixels: Any) -> None:
    with pytest.raises(ImageError, match=r"expected a uint8 array \(H, W, 1 \| 3 \| 4\), found "):
        FaceDetector(threads=1).detect(pixels)


@pytest.mark.parametrize("threads", [-1, 257, 5000, 1.5, True])
def test_detector_has_the_classifiers_limit_of_threads(threads: Any) -> None:
    with pytest.raises(ProviderError, match=r"expected threads from 0 .* to 256, found"):
        FaceDetector(threads=threads)


def test_open_files_are_images(classifier: Classifier, png: Path) -> None:
    expected = classifier.predict(png)
    with png.open("rb") as stream, tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(png.read_bytes())
        spooled.seek(0)
        for source in (io.BytesIO(png.read_bytes()), stream, spooled):
            assert classifier.predict(source).confidence == expected.confidence
    with png.open("rb") as stream:
        assert classifier.predict(stream).source == str(png)
    assert classifier.predict(io.BytesIO(png.read_bytes())).source == "<BytesIO>"
    assert len(list(classifier.predict_many([io.BytesIO(png.read_bytes()), png]))) == 2
    assert classifier.predict_faces(io.BytesIO(png.read_bytes())).faces[0].confidence == expected.confidence


def test_one_open_file_is_one_image(classifier: Classifier, png: Path) -> None:
    with pytest.raises(ImageError, match=r"^expected several images, found one; use predict$"):
        classifier.predict_many(io.BytesIO(png.read_bytes()))  # type: ignore[arg-type]  # the wrong type is the point


class Upload:
    """As web frameworks have it: read() is a coroutine."""

    async def read(self, size: int) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (
            io.StringIO("face"),
            r"^<StringIO>: expected a file whose read\(\) gives bytes, found text; open it with 'rb'$",
        ),
        (Upload(), r"^<Upload>: expected a file whose .* found coroutine; pass the bytes instead$"),
        (io.BytesIO(), r"^<BytesIO>: expected a file at its start, found no bytes to read; call seek\(0\) first$"),
    ],
)
def test_open_files_that_give_no_bytes_say_so(stream: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode_image(stream)


class CameraLost(Exception):
    pass


def test_good_images_before_a_failing_generator_are_answered_first(classifier: Classifier, png: Path) -> None:
    def failing(pairs: bool) -> Iterator[Any]:
        for number in range(5):
            yield (f"{number}", png) if pairs else png
        raise CameraLost("unplugged")

    for stream in (
        classifier.predict_many(failing(False)),
        classifier.predict_many(failing(False), batch_size=2),
        classifier.predict_named(failing(True)),
        classifier.predict_photos(failing(True), batch_size=3),
    ):
        results = [next(stream) for _ in range(5)]  # type: ignore[call-overload]  # results of several types
        assert all(results)
        with pytest.raises(CameraLost, match="unplugged"):
            next(stream)  # type: ignore[call-overload]  # as above


@pytest.mark.parametrize("items", [["a.jpg"], ["ab"], [("a.jpg",)], [(1, "a.jpg")], [zeros(2, 48)]])
def test_images_without_names_are_refused_where_names_belong(classifier: Classifier, items: Any) -> None:
    for method in (classifier.predict_named, classifier.predict_photos):
        with pytest.raises(ImageError, match=r"expected pairs \(name, image\), found \w+; for example"):
            list(method(items))


def test_several_images_to_predict_faces_point_to_predict_photos(classifier: Classifier, png: Path) -> None:
    with pytest.raises(ImageError, match="expected one image, found a list; use predict_photos for several"):
        classifier.predict_faces([png])  # type: ignore[arg-type]  # the wrong type is the point
