from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from fer_edge.errors import ImageError, StorageError, UsageError
from fer_edge.labels import FER2013, MAX_CLASSES
from fer_edge.runtime.annotation import INK, MIN_PICTURE_SIDE, annotate, colour, write_picture
from fer_edge.runtime.detector import Box, Face
from fer_edge.runtime.photos import FacePrediction


def prediction(label: str, box: tuple[float, float, float, float] | None) -> FacePrediction:
    face = None if box is None else Face(Box(*box), ((0.0, 0.0),) * 5, 0.9)
    probabilities = {name: 0.7 if name == label else 0.05 for name in FER2013.names}
    return FacePrediction(label, 0.7, probabilities, 1.0, "photo.jpg", face)


def coloured(picture: np.ndarray, label: str) -> np.ndarray:
    """Where (H, W) the picture has the expression's colour."""
    return (picture == ImageColor.getrgb(colour(FER2013.index(label)))).all(axis=2)


@pytest.mark.parametrize("size", [(640, 480), (1500, 2000), (6000, 4000)])
def test_box_and_tag_are_drawn_around_the_face_at_any_size(size: tuple[int, int]) -> None:
    width, height = size
    box = (width * 0.4, height * 0.4, width * 0.1, height * 0.15)
    photo = np.full((height, width, 3), 40, dtype=np.uint8)
    picture = annotate(photo, [prediction("happy", box)])
    assert picture.shape == photo.shape
    rows, columns = np.nonzero(coloured(picture, "happy"))
    assert columns.min() == pytest.approx(box[0], abs=width / 100)
    assert columns[rows > box[1] + box[3] / 2].max() == pytest.approx(box[0] + box[2], abs=width / 100)
    assert rows.max() == pytest.approx(box[1] + box[3], abs=height / 100)
    tag_height = box[1] - rows.min()  # it stands above the box
    assert tag_height / max(size) > 1 / 60
    middle = picture[round(box[1] + box[3] / 2), round(box[0] + box[2] / 2)]
    assert middle.tolist() == [40, 40, 40]  # the face itself stays free
    assert (photo == 40).all()


def test_a_small_photo_is_enlarged_by_a_whole_factor() -> None:
    picture = annotate(np.zeros((90, 120, 1), dtype=np.uint8), [prediction("sad", (30, 30, 40, 40))])
    assert picture.shape == (90 * 6, 120 * 6, 3)
    assert max(picture.shape) >= MIN_PICTURE_SIDE
    columns = np.nonzero(coloured(picture, "sad"))[1]
    assert columns.min() == pytest.approx(180, abs=8)


def test_tags_hide_no_other_tag_and_stay_inside() -> None:
    boxes = [(5.0, 2, 90, 110), (90, 10, 90, 110), (100, 100, 80, 100), (560, -20, 100, 120), (590, 440, 90, 90)]
    labels = ("angry", "disgust", "fear", "happy", "sad")
    faces = [prediction(*pair) for pair in zip(labels, boxes, strict=True)]
    alone = [coloured(annotate(np.zeros((480, 640, 3), dtype=np.uint8), [face]), face.label).sum() for face in faces]
    picture = annotate(np.zeros((480, 640, 3), dtype=np.uint8), faces)
    for face, area in zip(faces, alone, strict=True):
        assert coloured(picture, face.label).sum() > 0.75 * area  # of box and tag; frames may cross


def test_a_crop_and_a_photo_without_a_face_say_so_without_a_box() -> None:
    photo = np.full((700, 700, 3), 90, dtype=np.uint8)
    tagged = annotate(photo, [prediction("surprise", None)])
    assert coloured(tagged, "surprise")[650:].any()
    assert not coloured(tagged, "surprise")[:600].any()
    empty = annotate(photo, [])
    assert (empty[650:, :200] != 90).any()
    assert (empty[:600] == 90).all()
    noted = annotate(photo, [prediction("surprise", None)], note="12.5 frames/s")
    assert (noted[:40, :200] != 90).any()


def test_letters_stand_out_from_the_tag_of_every_class_and_colours_differ() -> None:
    def luminance(one: str) -> float:  # WCAG 2
        channels = np.array(ImageColor.getrgb(one)) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    colours = [colour(index) for index in range(MAX_CLASSES)]
    for one in colours:
        assert (luminance(one) + 0.05) / (luminance(INK) + 0.05) >= 7
    assert len(set(colours[:50])) == 50


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.png", "a.webp"])
def test_pictures_are_written_in_the_format_of_their_name(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / name, np.full((60, 80, 3), 200, dtype=np.uint8))
    with Image.open(tmp_path / name) as picture:
        assert picture.size == (80, 60)
        assert picture.format == {"a.jpg": "JPEG", "a.JPEG": "JPEG", "a.png": "PNG", "a.webp": "WEBP"}[name]


def test_pictures_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    picture = np.zeros((10, 10, 3), dtype=np.uint8)
    with pytest.raises(UsageError, match=r"a\.gif: expected a picture that ends in \.jpg, .*, found '\.gif'"):
        write_picture(tmp_path / "a.gif", picture)
    with pytest.raises(ImageError, match=r"a\.webp: a picture of 17000x1 pixels cannot be WEBP; write \.png"):
        write_picture(tmp_path / "a.webp", np.zeros((1, 17000, 3), dtype=np.uint8))
    with pytest.raises(StorageError, match=r"nowhere/a\.jpg: cannot be written"):
        write_picture(tmp_path / "nowhere" / "a.jpg", picture)
    assert list(tmp_path.iterdir()) == []
