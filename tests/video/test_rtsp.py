"""A network camera over RTSP: H.264 as GStreamer's server sends it, played by the command."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from rtsp import Camera, camera

from fer_edge.errors import VideoError
from fer_edge.video.live import LiveSource
from fer_edge.video.source import VideoSource

FRAMES_PER_S = 10
NUM_CLIP, NUM_LIVE = 60, 600
BRIGHTER = 4
"""Each frame than the one before."""


class _Pipe:
    """What cannot be sought in, so that the container states no duration."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        return self._stream.write(data)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An mp4 of six seconds and a Matroska stream of a minute, both H.264; each frame is brighter."""
    av = pytest.importorskip("av", reason="PyAV is in the extra video")
    folder = tmp_path_factory.mktemp("rtsp")
    clip, live = folder / "clip.mp4", folder / "live.mkv"
    for path, count in ((clip, NUM_CLIP), (live, NUM_LIVE)):
        with path.open("wb") as file:
            target, options = (file, {}) if path is clip else (_Pipe(file), {"live": "1"})
            container = av.open(target, "w", format="mp4" if path is clip else "matroska", options=options)
            with container:
                codec = {"tune": "zerolatency", "preset": "ultrafast", "g": "10"}  # as cameras: no frames out of order
                stream = container.add_stream("libx264", rate=FRAMES_PER_S, options=codec)
                stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
                for number in range(count):
                    picture = np.full((96, 128, 3), BRIGHTER * number % 256, np.uint8)
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                container.mux(stream.encode(None))
    return clip, live


@pytest.fixture
def server(tmp_path: Path, videos: tuple[Path, Path]) -> Iterator[Camera]:
    with camera(tmp_path, *videos) as running:
        yield running


@pytest.fixture
def command(repository: Path) -> list[str]:
    model = repository / "tests" / "fixtures" / "tiny.onnx"
    return [sys.executable, str(repository / "cli.py"), "webcam", "--model", str(model), "--threads", "1"]


def test_a_recording_is_played_to_its_end_with_its_own_times(
    server: Camera, command: list[str], tmp_path: Path
) -> None:
    words = [server.clip, "--csv", "faces.csv", "--out", "copy.mp4", "--json"]
    done = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["num_frames"], "problem" in found) == (NUM_CLIP, False)
    with (tmp_path / "faces.csv").open(newline="") as stream:
        times_s = [float(row["time_s"]) for row in csv.DictReader(stream)]
    assert times_s == pytest.approx([number / FRAMES_PER_S for number in range(NUM_CLIP)], abs=0.002)
    with VideoSource(tmp_path / "copy.mp4") as copy:
        frames = list(copy)
    assert [frame.time_s for frame in frames] == pytest.approx(times_s, abs=0.002)
    shades = [int(frame.pixels[-8:, -8:].mean()) for frame in frames]  # where nothing is drawn
    assert shades == pytest.approx([BRIGHTER * number for number in range(NUM_CLIP)], abs=6)
    assert "hush" not in done.stdout + done.stderr


def test_a_wrong_password_is_one_line_without_it(server: Camera) -> None:
    with pytest.raises(VideoError, match=r"^rtsp://\*\*\*@127\.0\.0\.1:\d+/clip: expected a stream") as caught:
        VideoSource(server.clip.replace("hush", "wrong"))
    assert "wrong" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_camera_that_hangs_is_left_within_a_second_of_ctrl_c(
    server: Camera, command: list[str], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [*command, server.live, "--no-window", "--csv", "faces.csv"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "; Ctrl-C ends it" in process.stderr.readline()
    time.sleep(1)  # the first frames are here
    server.process.send_signal(signal.SIGSTOP)  # the connection stays, and nothing comes
    time.sleep(1)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert time.monotonic() - start < 1
    assert process.returncode == 130
    assert "wrote faces.csv" in stderr.splitlines()
    num_frames = len((tmp_path / "faces.csv").read_text().splitlines()) - 1
    assert num_frames > 0
    assert f": {num_frames} frames, " in stdout
    assert "hush" not in stdout + stderr


def test_a_camera_that_starts_again_is_played_on(tmp_path: Path, videos: tuple[Path, Path]) -> None:
    notes: list[str] = []
    with camera(tmp_path, *videos) as first:
        source = LiveSource(first.live, reconnect_s=20, note=notes.append)
        with source:
            frames = iter(source)
            before = [next(frames) for _ in range(5)]
            first.process.kill()
            first.process.wait()
            with camera(tmp_path, *videos, port=first.port) as second:
                after = []
                while len(after) < 5 or len(notes) < 2:
                    after.append(next(frames))
                assert second.process.poll() is None
    name = first.live.replace("user:hush", "***")
    assert notes[0].startswith(f"{name}: the stream broke off after ")
    assert notes[1].startswith(f"{name}: is back after ")
    played = [*before, *after]
    assert [frame.number for frame in played] == list(range(len(played)))
    times_s = [frame.time_s for frame in played]
    assert times_s == sorted(times_s)


def test_a_recording_that_breaks_off_is_no_whole_one(server: Camera) -> None:
    with LiveSource(server.clip, reconnect_s=5) as source:
        frames = iter(source)
        next(frames)
        server.process.kill()
        count = 1 + sum(1 for _ in frames)
        assert 1 <= count < NUM_CLIP
        assert source.problem is not None
        said, _, found_s = source.problem.rpartition(" ")[0].rpartition(" ")
        assert said == f"the stream broke off after {count} frames: expected 6.0 s, found"
        assert float(found_s) == pytest.approx(count / FRAMES_PER_S, abs=0.2)  # a frame may be lost on its way


def _udp_sockets() -> int:
    """UDP sockets that this process has open."""
    inodes = {line.split()[9] for line in Path("/proc/self/net/udp").read_text().splitlines()[1:]}
    links = (str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    return sum(link.removeprefix("socket:[").removesuffix("]") in inodes for link in links)


@pytest.mark.parametrize("way", ["both", "udp", "tls"])
def test_a_camera_is_played_over_tcp_where_it_can_over_udp_alone_and_over_tls(
    way: str, tmp_path: Path, videos: tuple[Path, Path]
) -> None:
    ways: tuple[str, ...] = () if way == "both" else (way,)
    if way == "tls":
        if shutil.which("openssl") is None:
            pytest.skip("no openssl to make a certificate")
        made = [tmp_path / "key.pem", tmp_path / "certificate.pem"]
        words = ["-newkey", "rsa:2048", "-nodes", "-keyout", made[0], "-out", made[1], "-subj", "/CN=camera"]
        subprocess.run(["openssl", "req", "-x509", *words], check=True, capture_output=True)
        (tmp_path / "both.pem").write_bytes(b"".join(one.read_bytes() for one in made))
        ways = ("tls", str(tmp_path / "both.pem"))
    with camera(tmp_path, *videos, ways=ways) as running, VideoSource(running.clip) as source:
        assert running.clip.startswith("rtsps://" if way == "tls" else "rtsp://")
        assert bool(_udp_sockets()) == (way == "udp")
        shades = [int(frame.pixels.mean()) for frame in source]
    assert len(shades) >= NUM_CLIP - (way == "udp")  # a frame may be lost on its way
    assert shades == sorted(shades)
