import csv
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import StorageError, UsageError
from fer_edge.labels import FER2013
from fer_edge.video.recording import BT709, FIXED_COLUMNS, LAST_COLUMNS, LIMITED_RANGE, TableFile, VideoFile
from fer_edge.video.source import Frame, VideoSource

PICTURE = np.full((65, 97, 3), (200, 60, 30), dtype=np.uint8)


def test_a_video_plays_as_fast_as_what_it_shows(tmp_path: Path) -> None:
    pytest.importorskip("av")
    video = VideoFile(tmp_path / "slow.mp4", 10.0)
    for time_s in (0.0, 0.1, 0.52, 0.55, 0.6):  # a stall after the second
        video.write(PICTURE, time_s)
    assert list(tmp_path.glob("slow.mp4")) == []  # not before it is finished
    video.finish()
    with VideoSource(tmp_path / "slow.mp4") as source:
        frames = list(source)
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.1, 0.52, 0.55, 0.6], abs=0.001)
    assert frames[0].pixels.shape == (64, 96, 3)
    np.testing.assert_allclose(frames[3].pixels.mean(axis=(0, 1)), (200, 60, 30), atol=6)
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["slow.mp4"]


def test_the_last_picture_of_a_slow_video_lasts_as_long_as_the_others(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    video = VideoFile(tmp_path / "lapse.mp4", 0.2)  # a picture every five seconds
    for number in range(3):
        video.write(PICTURE, 5.0 * number)
    video.finish()
    with av.open(str(tmp_path / "lapse.mp4")) as container:
        assert container.duration / av.time_base == pytest.approx(15)


def test_a_copy_says_which_colours_it_has(tmp_path: Path) -> None:
    """Players guess those of one that does not by its size: skin came out redder from HD."""
    av = pytest.importorskip("av")
    video = VideoFile(tmp_path / "hd.mp4", 10.0)
    video.write(np.full((720, 1280, 3), PICTURE[0, 0], np.uint8), 0.0)
    video.write(np.full((240, 320, 3), PICTURE[0, 0], np.uint8), 0.1)  # the stream came back with another size
    video.finish()
    with av.open(str(tmp_path / "hd.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [(frame.width, frame.height) for frame in frames] == [(1280, 720)] * 2
    for frame in frames:
        assert (frame.colorspace, frame.color_range, frame.color_primaries) == (BT709, LIMITED_RANGE, BT709)
        pixels = frame.to_ndarray(format="rgb24", src_colorspace="ITU709")
        np.testing.assert_allclose(pixels.mean(axis=(0, 1)), PICTURE[0, 0], atol=3)


def test_the_sound_of_the_source_goes_along(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "tone.mkv"), "w") as container:
        picture_stream = container.add_stream("mpeg4", rate=10)
        picture_stream.width, picture_stream.height, picture_stream.pix_fmt = 64, 48, "yuv420p"
        sound_stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for number in range(20):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
            container.mux(picture_stream.encode(picture))
            # Silent in the first second, a tone in the second one.
            tone = 9000 * np.sin(np.arange(1600) * 2 * np.pi * 440 / 16_000) * (number >= 10)
            sound = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], format="s16", layout="mono")
            sound.sample_rate, sound.pts = 16_000, 1600 * number
            container.mux(sound_stream.encode(sound))
        for stream in (picture_stream, sound_stream):
            container.mux(stream.encode(None))
    with VideoSource(tmp_path / "tone.mkv") as source:
        video = VideoFile(tmp_path / "copy.mp4", source.frames_per_s, sound=(tmp_path / "tone.mkv", source.start_s))
        for frame in source:
            video.write(frame.pixels, frame.time_s)
        video.finish()
    data = (tmp_path / "copy.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # a browser can begin before it has all
    with av.open(str(tmp_path / "copy.mp4")) as copy:
        assert copy.streams.video[0].codec_context.name == "h264"
        assert copy.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert copy.streams.audio[0].codec_context.name == "aac"
        loud = {round(frame.time, 1): np.abs(frame.to_ndarray()).max() for frame in copy.decode(audio=0)}
    assert max(loud) == pytest.approx(2.0, abs=0.15)
    assert max(value for time_s, value in loud.items() if time_s < 0.9) < 0.02
    assert min(value for time_s, value in loud.items() if 1.1 < time_s < 1.9) > 0.1


def test_what_is_discarded_leaves_nothing_and_the_old_file(tmp_path: Path) -> None:
    table = TableFile(tmp_path / "old.csv", FER2013.names)
    table.finish()
    old = (tmp_path / "old.csv").read_bytes()
    table = TableFile(tmp_path / "old.csv", FER2013.names)
    table.write(Frame(0, 0.0, PICTURE), ())
    table.discard()
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["old.csv"]
    assert (tmp_path / "old.csv").read_bytes() == old
    pytest.importorskip("av")
    video = VideoFile(tmp_path / "new.mp4", 10.0)
    video.write(PICTURE, 0.0)
    video.discard()
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["old.csv"]


def test_a_file_that_was_not_written_here_is_kept(tmp_path: Path) -> None:
    for name in ("mine.csv", "mine.mp4"):
        (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(StorageError, match=r"mine\.csv: expected no file, or one that was written here before"):
        TableFile(tmp_path / "mine.csv", FER2013.names)
    pytest.importorskip("av")
    with pytest.raises(StorageError, match=r"mine\.mp4: expected no file, or one that was written here before"):
        VideoFile(tmp_path / "mine.mp4", 10.0)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"mine"}


def test_files_that_cannot_be_written_are_said_at_once(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with pytest.raises(UsageError, match=r"x\.avi: expected a video that ends in \.mp4, found '\.avi'"):
        VideoFile(tmp_path / "x.avi", 10.0)
    (tmp_path / "file").write_text("")
    for make in (lambda path: VideoFile(path, 10.0), lambda path: TableFile(path, FER2013.names)):
        with pytest.raises(StorageError, match=r"cannot be written: .*"):
            make(tmp_path / "file" / "x.mp4")


def test_a_frame_without_a_face_has_a_row(tmp_path: Path) -> None:
    table = TableFile(tmp_path / "new" / "faces.csv", FER2013.names)
    table.write(Frame(0, 0.0, PICTURE), ())
    table.finish()
    with (tmp_path / "new" / "faces.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert list(row) == [*FIXED_COLUMNS, *FER2013.names, *LAST_COLUMNS]
    assert [name for name, value in row.items() if value] == ["frame", "time_s"]
