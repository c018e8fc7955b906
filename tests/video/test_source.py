import os
import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_edge.errors import MissingExtraError, VideoError
from fer_edge.video.matroska import ends_early
from fer_edge.video.source import VideoSource, load_av


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
        ("empty.mp4", b"", r"empty\.mp4: expected a video file, found an empty file"),
        ("image_%03d.png", b"\x89PNG", r"image_%03d\.png: expected a video that FFmpeg can decode"),
    ],
)
def test_what_is_no_video_is_one_line(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    pytest.importorskip("av")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError, match=message) as caught:
        VideoSource(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_folders_devices_and_addresses_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("av")
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
        assert source.problem is not None
        assert "it is cut off" in source.problem


def written(path: Path, times_s: list[float], options: dict[str, str]) -> None:
    av = pytest.importorskip("av")
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=20, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for place, time_s in enumerate(times_s):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, place, axis=1), format="rgb24")
            frame.pts, frame.time_base = round(1000 * time_s), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_a_packet_that_a_thread_could_not_decode_is_noticed(tmp_path: Path) -> None:
    """A recording in fragments states its length nowhere else, and decoders in threads drop their errors at the end."""
    whole = tmp_path / "whole.mp4"
    written(whole, [place / 20 for place in range(40)], {"movflags": "frag_keyframe+empty_moov+default_base_moof"})
    with VideoSource(whole) as source:
        assert (len(list(source)), source.problem) == (40, None)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 9 // 10])
    with VideoSource(cut) as source:
        assert 20 <= len(list(source)) < 40
        assert source.problem is not None


def test_a_clock_that_begins_late_is_no_cut(tmp_path: Path) -> None:
    written(tmp_path / "late.mkv", [100 + place / 10 for place in range(10)], {})
    with VideoSource(tmp_path / "late.mkv") as source:
        assert [frame.time_s for frame in source] == pytest.approx([place / 10 for place in range(10)])
        assert source.problem is None


@pytest.mark.parametrize("options", [{"live": "1"}, {}], ids=["as a browser writes it", "with sizes"])
def test_a_recording_without_a_length_that_breaks_off_is_noticed(tmp_path: Path, options: dict[str, str]) -> None:
    whole = tmp_path / "whole.mkv"
    written(whole, [place / 20 for place in range(40)], options)
    data = whole.read_bytes()
    assert not ends_early(whole)
    cut = tmp_path / "cut.mkv"
    places = range(len(data) // 2, len(data), 997)
    found = []
    for place in places:
        cut.write_bytes(data[:place])
        found.append(ends_early(cut))
    assert sum(found) >= len(places) - 2  # a cut between two elements cannot be told where nothing states a size
    with VideoSource(cut) as source:
        assert len(list(source)) >= 20
        assert source.problem is not None
    cut.write_bytes(bytes(1000))
    assert not ends_early(cut)


def test_time_stamps_are_the_files_own(tmp_path: Path) -> None:
    """As a browser's MediaRecorder writes them: uneven, later than zero, and without a duration."""
    av = pytest.importorskip("av")
    times_ms = [500, 533, 700, 1900, 1933, 5400]
    with av.open(str(tmp_path / "uneven.webm"), "w", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx", rate=60)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time_ms in times_ms:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), time_ms // 30, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with VideoSource(tmp_path / "uneven.webm") as source:
        assert [frame.time_s for frame in source] == pytest.approx([(one - 500) / 1000 for one in times_ms], abs=0.002)
        assert source.problem is None


def test_a_phones_video_stands_upright(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32] = 255  # white on the left: above, once it is turned clockwise
    with av.open(str(tmp_path / "phone.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    data = bytearray((tmp_path / "phone.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # ISO/IEC 14496-12, track header, version 0
    clockwise = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    data[matrix : matrix + 36] = struct.pack(">9i", *clockwise)
    (tmp_path / "phone.mp4").write_bytes(data)
    with VideoSource(tmp_path / "phone.mp4") as source:
        frame = next(iter(source))
    assert frame.pixels.shape == (64, 48, 3)
    assert frame.pixels[:28].mean() > 240
    assert frame.pixels[36:].mean() < 15


@pytest.mark.skipif(Path("/dev/video99").exists(), reason="there is a camera 99")
def test_no_camera_is_one_line() -> None:
    pytest.importorskip("av")
    with pytest.raises(VideoError, match=r"^camera 99: expected a camera that gives pictures, found none; plug one in"):
        VideoSource(99)


def test_without_pyav_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"'av', found none; run: pip install 'fer-edge\[video"):
        load_av()


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


def test_the_pictures_are_those_of_the_video_and_not_its_cover(tmp_path: Path) -> None:
    """A song has a picture and no video; a video may have its cover first."""
    av = pytest.importorskip("av")
    for name, has_video in (("song.m4a", False), ("covered.mp4", True)):
        with av.open(str(tmp_path / name), "w", format="mp4") as container:
            cover = container.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 640, 480, "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic
            streams = [cover, container.add_stream("aac", rate=16_000, layout="mono")]
            packets = cover.encode(av.VideoFrame(640, 480, "yuvj420p")) + cover.encode(None)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.sample_rate = 16_000
            packets += streams[1].encode(sound) + streams[1].encode(None)
            if has_video:
                video = container.add_stream("libx264", rate=10)
                video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
                for _ in range(3):
                    packets += video.encode(av.VideoFrame(64, 48, "yuv420p"))
                packets += video.encode(None)
            container.mux(packets)
    with VideoSource(tmp_path / "covered.mp4") as source:
        assert [frame.pixels.shape for frame in source] == [(48, 64, 3)] * 3
    with pytest.raises(VideoError, match=r"song\.m4a: expected a video, found sound with a cover picture"):
        VideoSource(tmp_path / "song.m4a")
    with av.open(str(tmp_path / "sound.ogg"), "w") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        sound.sample_rate = 48_000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match=r"sound\.ogg: expected a video, found sound without pictures"):
        VideoSource(tmp_path / "sound.ogg")
