from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fer_edge.errors import ImageError, ModelError, UsageError
from fer_edge.labels import FER2013
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.crops import Framing, crop_face
from fer_edge.runtime.detector import Box, Face, FaceDetector
from fer_edge.runtime.images import decode_image
from fer_edge.runtime.photos import FacePrediction, FaceSearch, PhotoPrediction, is_small_crop


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(48, 48, True), (30, 30, True), (48, 20, True), (1, 1, True), (49, 49, False), (48, 49, False), (200, 200, False)],
)
def test_only_images_as_small_as_fer_2013s_are_crops_without_a_search(width: int, height: int, expected: bool) -> None:
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    assert is_small_crop(pixels) is expected
    assert FaceSearch().searches(pixels) is not expected
    assert FaceSearch("detect").searches(pixels)
    assert not FaceSearch("crop").searches(pixels)


@pytest.mark.parametrize("side", [64, 100, 200, 400])
def test_a_square_of_nobody_has_no_face(classifier: Classifier, side: int) -> None:
    pixels = np.zeros((side, side, 3), dtype=np.uint8) + np.linspace(0, 255, side, dtype=np.uint8)[:, None]
    photo = classifier.predict_faces(pixels)
    assert (photo.was_searched, photo.is_crop, photo.crop_reason, photo.faces) == (True, False, None, ())


@pytest.mark.parametrize("side", [96, 160, 200])
def test_an_avatars_face_is_cut_out_of_it(classifier: Classifier, astronaut: Path, side: int) -> None:
    avatar = Image.open(astronaut).convert("RGB").crop((110, 10, 340, 240)).resize((side, side))
    photo = classifier.predict_faces(avatar)
    assert photo.crop_reason is None
    (one,) = photo.faces
    assert one.face is not None
    assert 0.3 * side < one.face.box.height < 0.65 * side
    assert one.probabilities != classifier.predict(avatar).probabilities


def test_names_of_before_are_still_answered() -> None:
    from fer_edge.runtime import photos

    with pytest.warns(DeprecationWarning, match=r"photos\.is_face_crop is now photos\.is_small_crop"):
        assert photos.is_face_crop is is_small_crop
    with pytest.warns(DeprecationWarning, match=r"is now whole_faces\.MAX_UNSEARCHED_SIDE"):
        assert photos.MAX_AUTO_CROP_SIDE == 48
    with pytest.raises(AttributeError, match="has no attribute 'is_crop'"):
        photos.is_crop  # noqa: B018  # asking is the test


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^expected faces to be one of auto, crop, detect, found 'all'$"):
        FaceSearch("all")


def test_a_photo_gives_the_prediction_of_its_crop(classifier: Classifier, astronaut: Path) -> None:
    photo = classifier.predict_faces(astronaut)
    assert (photo.width, photo.height, photo.was_searched) == (512, 512, True)
    assert photo.summary() == "searched as a photo: 1 face found"
    (one,) = photo.faces
    assert one.face is not None
    crop = crop_face(decode_image(astronaut), one.face, Framing())
    assert dict(one.probabilities) == pytest.approx(dict(classifier.predict(crop).probabilities), abs=1e-6)
    told = one.as_dict()
    assert told["label"] == one.label
    assert told["box"]["width"] == pytest.approx(90, abs=2)
    assert list(told["landmarks"]) == ["right_eye", "left_eye", "nose_tip", "mouth_right", "mouth_left"]


def test_margin_and_alignment_reach_the_model(classifier: Classifier, astronaut: Path) -> None:
    turned = Image.open(astronaut).convert("RGB").rotate(15)
    settings = (Framing(), Framing(margin=1.6), Framing(align=True))
    rows = [classifier.predict_faces(turned, search=FaceSearch(framing=one)).faces[0].probabilities for one in settings]
    assert rows[0] != rows[1]
    assert rows[0] != rows[2]


def test_a_face_that_fills_its_image_is_not_cut_again(classifier: Classifier, astronaut: Path) -> None:
    face = Image.open(astronaut).convert("L").crop((165, 62, 281, 178)).resize((96, 96))
    photo = classifier.predict_faces(face)
    assert (photo.was_searched, photo.is_crop, photo.crop_reason) == (True, True, "filled")
    assert photo.summary() == "taken as a face crop (a face fills it)"
    assert photo.as_dict()["crop_reason"] == "filled"
    assert photo.faces[0].face is None
    assert photo.faces[0].probabilities == classifier.predict(face).probabilities
    assert photo.faces[0].as_dict()["box"] is None
    found = classifier.predict_faces(face, search=FaceSearch("detect"))
    assert found.crop_reason is None
    assert found.faces[0].face is not None
    asked = classifier.predict_faces(astronaut, search=FaceSearch("crop"))
    assert (asked.was_searched, asked.crop_reason, asked.detection_ms) == (False, "asked", 0)
    assert asked.summary() == "taken as a face crop (as asked)"
    small = classifier.predict_faces(face.resize((48, 48)))
    assert (small.was_searched, small.summary()) == (False, "taken as a face crop (at most 48 pixels)")


def test_no_face_is_an_answer(classifier: Classifier) -> None:
    photo = classifier.predict_faces(np.full((300, 400, 3), 128, dtype=np.uint8))
    assert (photo.was_searched, photo.faces) == (True, ())
    assert photo.summary() == "searched as a photo: no face found"
    assert photo.as_dict()["num_faces"] == 0


@pytest.mark.parametrize(
    ("turn", "words"), [(90, "lie on its side"), (270, "lie on its side"), (180, "stand on its head")]
)
def test_a_photo_on_its_side_is_hinted_at(classifier: Classifier, astronaut: Path, turn: int, words: str) -> None:
    lying = Image.open(astronaut).convert("RGB").rotate(turn)  # counterclockwise
    search = FaceSearch(detector=FaceDetector(min_score=0.9))  # lower, some are found as they lie
    photo = classifier.predict_faces(lying, search=search)
    assert (photo.faces, photo.clockwise_turn) == ((), turn)
    assert photo.hint() == f"the photo seems to {words}; turn it clockwise by {turn} degrees"
    assert photo.as_dict()["clockwise_turn"] == turn
    upright = classifier.predict_faces(lying.rotate(-turn), search=search)
    assert (len(upright.faces), upright.clockwise_turn, upright.hint()) == (1, None, "")
    quick = classifier.predict_faces(lying, search=FaceSearch(detector=search.detector, looks_sideways=False))
    assert quick.hint() == ""


@pytest.mark.parametrize("side", [180, 512, 1500])
def test_a_photo_is_resized_once_for_both_looks(astronaut: Path, monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    pixels = np.asarray(Image.open(astronaut).convert("RGB").resize((side, side - 7)).rotate(90))
    detector = FaceDetector(threads=1)
    expected = detector.detect(pixels), detector.clockwise_turn(pixels)
    resizes: list[object] = []
    resize = Image.Image.resize

    def counted(self: Image.Image, *arguments: Any) -> Image.Image:
        resizes.append(arguments)
        return resize(self, *arguments)

    monkeypatch.setattr(Image.Image, "resize", counted)
    found = FaceSearch("detect", detector=detector).find(pixels)
    assert (found.places, found.clockwise_turn) == expected
    assert found.clockwise_turn == 90  # PIL turned it counterclockwise
    assert len(resizes) == (0 if side == 512 else 1)


def test_a_face_that_is_found_lying_is_hinted_at(classifier: Classifier, repository: Path) -> None:
    with Image.open(repository / "fer_edge" / "web" / "page" / "example.jpg") as opened:
        upright = opened.convert("RGB")
    assert classifier.predict_faces(upright).hint() == ""
    for turn in (90, 180, 270):
        photo = classifier.predict_faces(upright.rotate(turn, expand=True))
        assert (len(photo.faces), photo.clockwise_turn) == (1, turn)


def test_the_main_face_is_large_and_central() -> None:
    def one(x: float, y: float, side: float, score: float) -> FacePrediction:
        place = Face(Box(x, y, 0.8 * side, side), ((0.0, 0.0),) * 5, score)
        return FacePrediction("happy", 1.0, {"happy": 1.0}, 0.0, "group.jpg", face=place)

    def main(*faces: FacePrediction) -> FacePrediction | None:
        return PhotoPrediction("group.jpg", 400, 300, True, faces, 1.0).main

    central, corner, small = one(160, 100, 100, 0.8), one(0, 0, 130, 0.99), one(190, 140, 20, 0.95)
    assert main(corner, small, central) is central
    huge = one(0, 0, 200, 0.7)
    assert main(corner, small, central, huge) is huge
    assert main() is None
    twins = one(100, 100, 60, 0.9), one(252, 100, 60, 0.8)
    assert main(*twins) is twins[0]  # as far from the middle: the surer


def test_exif_orientation_counts_before_the_search(classifier: Classifier, astronaut: Path, tmp_path: Path) -> None:
    upright = Image.open(astronaut).convert("RGB").crop((0, 0, 512, 400))
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it clockwise by 90 degrees to see it upright
    lying.save(tmp_path / "phone.png", exif=exif)
    photo = classifier.predict_faces(tmp_path / "phone.png")
    assert (photo.width, photo.height) == (512, 400)
    (found,), (expected,) = photo.faces, classifier.predict_faces(upright).faces
    assert found.face == expected.face


def test_photos_crops_blanks_and_broken_files_come_in_order(
    classifier: Classifier, astronaut: Path, party_photos: dict[Path, int]
) -> None:
    blank = np.zeros((300, 400, 3), dtype=np.uint8)
    crop = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    party = next(iter(party_photos))
    named = [
        ("blank", blank),
        ("party", party),
        ("broken", b"no image"),
        ("crop", crop),
        ("astronaut", astronaut),
        ("nowhere", Path("nowhere.jpg")),
        ("blank 2", blank),
    ]
    for batch_size in (1, 32):
        outcomes = list(classifier.predict_photos(named, batch_size=batch_size))
        assert [outcome.source for outcome in outcomes] == [name for name, _ in named]
        counts = [None if one.photo is None else len(one.photo.faces) for one in outcomes]
        assert counts == [0, party_photos[party], None, 1, 1, None, 0]
        assert [one.photo.was_searched for one in outcomes if one.photo] == [True, True, False, True, True]
        assert str(outcomes[2].error).startswith("broken: expected a JPEG")
        assert str(outcomes[5].error).startswith("nowhere: cannot be opened")
        assert all(one.pixels is None for one in outcomes)


def test_with_batches_of_one_a_photo_comes_before_the_next_is_asked_for(classifier: Classifier) -> None:
    from fer_edge.runtime.batching import Decoded
    from fer_edge.runtime.photos import score_photos

    asked = []

    def stream() -> object:
        for number in range(3):
            asked.append(number)
            yield Decoded(str(number), np.zeros((300, 400, 3), dtype=np.uint8))

    outcomes = score_photos(
        stream(), FaceSearch(), classifier.probabilities, 1, labels=classifier.labels, keep_pixels=True
    )  # type: ignore[arg-type]
    first = next(outcomes)
    assert (first.source, asked) == ("0", [0])
    assert first.pixels is not None
    assert first.pixels.shape == (300, 400, 3)


def test_faces_that_the_model_cannot_take_end_as_their_photos_error(astronaut: Path, classifier: Classifier) -> None:
    from fer_edge.runtime.batching import Decoded
    from fer_edge.runtime.photos import score_photos

    def score(pixels: np.ndarray) -> np.ndarray:
        if pixels.shape[1] > 48:
            raise ModelError("too large today")
        return classifier.probabilities(pixels)

    images = [Decoded("big", decode_image(astronaut)), Decoded("small", np.zeros((48, 48, 1), dtype=np.uint8))]
    big, small = score_photos(images, FaceSearch(), score, 32, labels=FER2013.names)
    assert isinstance(big.error, ImageError)
    assert str(big.error) == "big: the model cannot take it: too large today"
    assert big.photo is None
    assert small.photo is not None


def test_a_photo_that_cannot_be_opened_is_one_line(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    with pytest.raises(ImageError, match=r"^[^\n]*cut\.jpg: expected [^\n]*$"):
        classifier.predict_faces(tmp_path / "cut.jpg")


def test_the_classifiers_threads_are_the_detectors_too(
    classifier: Classifier, astronaut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[FaceDetector] = []
    detect = FaceDetector.detect

    def recorded(self: FaceDetector, pixels: np.ndarray) -> tuple[Face, ...]:
        used.append(self)
        return detect(self, pixels)

    monkeypatch.setattr(FaceDetector, "detect", recorded)
    for _ in range(2):
        classifier.predict_faces(astronaut)  # loaded with threads=1
    list(classifier.predict_photos([("a", astronaut)]))
    assert {one.threads for one in used} == {1}
    assert used[0]._session.get().get_session_options().intra_op_num_threads == 1
    assert len({id(one) for one in used}) == 1  # so that its session is opened once
    own = FaceSearch(detector=FaceDetector(threads=2))
    classifier.predict_faces(astronaut, search=own)
    assert used[-1] is own.detector  # a number of its own stays
