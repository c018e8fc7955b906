import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_edge.errors import MissingExtraError, VideoError
from fer_edge.video.source import VideoSource, load_opencv


def test_frames_come_in_order_as_rgb_with_their_time(clip: Path) -> None:
    with VideoSource(clip) as source:
        frames = list(source)
        assert (source.is_camera, source.frames_per_s) == (False, 10.0)
    assert [frame.number for frame in frames] == list(range(12))
    assert [frame.time_s for frame in frames] == pytest.approx([number / 10 for number in range(12)])
    assert frames[0].pixels.shape == (256, 318, 3)
    skin = frames[0].pixels[100:150, 140:190].mean(axis=(0, 1))  # of her face: more red than blue
    assert skin[0] > skin[2] + 20
    np.testing.assert_allclose(frames[-1].pixels.mean(), 120, atol=3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere.mp4", None, r"nowhere\.mp4: cannot be opened: No such file or directory"),
        ("text.mp4", b"no video", r"text\.mp4: expected a video that FFmpeg can decode, found other or damaged bytes"),
        ("empty.mp4", b"", r"empty\.mp4: expected a video that FFmpeg can decode"),
        ("image_%03d.png", b"\x89PNG", r"image_%03d\.png: expected a video that FFmpeg can decode"),
    ],
)
def test_what_is_no_video_is_one_line(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    pytest.importorskip("cv2")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError, match=message) as caught:
        VideoSource(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_folders_devices_and_addresses_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(VideoError, match="expected a video file, found a folder"):
        VideoSource(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VideoError, match="expected a video file, found a device, pipe or socket"):
        VideoSource(tmp_path / "pipe")
    with pytest.raises(VideoError, match=r"^rtsp:/127\.0\.0\.1/x: cannot be opened: No such file"):
        VideoSource(Path("rtsp://127.0.0.1/x"))


def test_a_cut_file_gives_the_frames_before_the_cut(clip: Path, tmp_path: Path) -> None:
    data = clip.read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    with VideoSource(tmp_path / "cut.avi") as source:
        assert 1 <= len(list(source)) < 12


@pytest.mark.skipif(Path("/dev/video99").exists(), reason="there is a camera 99")
def test_no_camera_is_one_line() -> None:
    pytest.importorskip("cv2")
    with pytest.raises(VideoError, match=r"^camera 99: expected a camera that gives pictures, found none; plug one in"):
        VideoSource(99)


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(
        MissingExtraError, match=r"'opencv-python-headless', found none; run: pip install 'fer-edge\[video"
    ):
        load_opencv()


def test_an_image_and_a_model_are_no_videos(tmp_path: Path) -> None:
    image = tmp_path / "face.png"
    Image.new("L", (9, 9)).save(image)
    with pytest.raises(VideoError, match=r"expected a video file, found an image; .*: fer-edge predict /"):
        VideoSource(image)
    with pytest.raises(VideoError, match=r"expected a video file, found a folder of images; .*: fer-edge predict /"):
        VideoSource(tmp_path)
    model = Path(__file__).parents[1] / "fixtures" / "tiny.onnx"
    with pytest.raises(VideoError, match="expected a video file, found an exported model; name a video, and the model"):
        VideoSource(model)
