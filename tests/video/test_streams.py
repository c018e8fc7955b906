"""Live streams, from a server of the test's own."""

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numbered
import numpy as np
import pytest

from fer_edge.errors import VideoError
from fer_edge.video import live
from fer_edge.video import source as source_module
from fer_edge.video.live import LiveSource
from fer_edge.video.source import VideoSource

Answer = Callable[[BaseHTTPRequestHandler, int], None]


@pytest.fixture(scope="module")
def mpeg_ts() -> bytes:
    """A second of video, ten frames, as a network camera sends it."""
    av = pytest.importorskip("av", reason="PyAV is in the extra video")
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            picture = np.full((48, 64, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """Starts a server that answers by a function (the request, which one from 0 it is); its address."""
    servers = []

    def start(answer: Answer) -> str:
        count = iter(range(1000))

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "video/mp2t")
                self.end_headers()
                answer(self, next(count))

            def log_message(self, *_: object) -> None:
                """Be quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://user:hush@127.0.0.1:{server.server_address[1]}/live"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Be quiet."""


@contextmanager
def served(handler: Any) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_stream_is_read_with_its_own_times(serve: Callable[[Answer], str], mpeg_ts: bytes) -> None:
    address = serve(lambda request, _number: request.wfile.write(mpeg_ts) and None)
    with VideoSource(address) as source:
        frames = list(source)
        assert source.name == address.replace("user:hush", "***")
    assert [frame.time_s for frame in frames] == pytest.approx([number / 25 for number in range(10)], abs=0.001)
    assert source.is_lost
    assert source.problem == "the stream broke off after 10 frames"


def test_a_silent_stream_is_given_up_in_one_line(
    serve: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av")
    monkeypatch.setattr(source_module, "TIMEOUT_S", 1.0)
    address = serve(lambda _request, _number: time.sleep(5))
    start = time.perf_counter()
    with pytest.raises(VideoError, match="expected a stream that gives pictures, found silence for 1 s; ") as caught:
        VideoSource(address)
    assert time.perf_counter() - start < 4
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtmp"])
def test_where_nobody_listens_is_one_line_without_the_password(scheme: str) -> None:
    pytest.importorskip("av")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(VideoError, match=rf"^{scheme}://\*\*\*@127\.0\.0\.1:{port}/x: expected a stream") as caught:
        VideoSource(f"{scheme}://user:hush@127.0.0.1:{port}/x")
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_stream_that_breaks_off_is_opened_again(
    serve: Callable[[Answer], str], mpeg_ts: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RETRY_S", 0.4)
    monkeypatch.setattr(live, "MAX_WAITING", 100)  # no frame is dropped
    notes: list[str] = []
    # The second request is answered by nothing, the third by the stream; from then on there is nothing again.
    address = serve(lambda request, number: request.wfile.write(mpeg_ts if number in (0, 2) else b"") and None)
    with LiveSource(address, reconnect_s=1.0, note=notes.append) as source:
        frames = list(source)
        assert source.problem == "the stream broke off after 20 frames and did not come back in 1 s"
    assert [frame.number for frame in frames] == list(range(20))
    times_s = [frame.time_s for frame in frames]
    assert times_s == sorted(times_s)
    assert times_s[9] == pytest.approx(0.36, abs=0.001)
    assert times_s[10] > 0.8  # two tries after the loss: the clock went on
    assert times_s[19] - times_s[10] == pytest.approx(0.36, abs=0.001)
    name = address.replace("user:hush", "***")
    assert notes[0] == f"{name}: the stream broke off after 10 frames; trying again for 1 s"
    assert notes[1].startswith(f"{name}: is back after ")
    assert len(notes) == 3


def test_without_reconnection_a_lost_stream_is_the_end(serve: Callable[[Answer], str], mpeg_ts: bytes) -> None:
    requests = []

    def answer(request: BaseHTTPRequestHandler, number: int) -> None:
        requests.append(number)
        request.wfile.write(mpeg_ts)

    with LiveSource(serve(answer), reconnect_s=0) as source:
        assert len(list(source)) >= 1
        assert source.problem == "the stream broke off after 10 frames"
    assert requests == [0]


def test_a_slow_reader_gets_the_newest_frames(serve: Callable[[Answer], str], mpeg_ts: bytes) -> None:
    with LiveSource(serve(lambda request, _number: request.wfile.write(mpeg_ts) and None), reconnect_s=0) as source:
        time.sleep(1)  # all ten have come by now
        times_s = [frame.time_s for frame in source]
    assert times_s[1:] == pytest.approx([0.32, 0.36], abs=0.001)


def test_what_cannot_be_opened_is_not_tried_again() -> None:
    pytest.importorskip("av")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    start = time.perf_counter()
    with pytest.raises(VideoError, match="expected a stream that gives pictures, found none"):
        LiveSource(f"rtsp://user:hush@127.0.0.1:{port}/x")
    assert time.perf_counter() - start < 2


def test_a_stream_that_falls_silent_is_lost(
    serve: Callable[[Answer], str], mpeg_ts: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "TIMEOUT_S", 1.0)

    def answer(request: BaseHTTPRequestHandler, _number: int) -> None:
        request.wfile.write(mpeg_ts * 20)  # more than FFmpeg wants to see before it says what is in it
        time.sleep(6)

    start = time.perf_counter()
    with LiveSource(serve(answer), reconnect_s=0) as source:
        assert len(list(source)) >= 1
        assert source.problem is not None
        assert source.problem.startswith("the stream broke off after ")
    assert time.perf_counter() - start < 5


def test_a_recording_without_a_length_is_played_once(tmp_path: Path, mpeg_ts: bytes) -> None:
    """What is on a server as a file has an end, though nothing in it says when; it is not begun again, nor thinned."""
    (tmp_path / "clip.ts").write_bytes(mpeg_ts)
    handler = partial(QuietHandler, directory=str(tmp_path))
    with served(handler) as address, LiveSource(f"{address}/clip.ts") as source:
        time.sleep(0.3)
        assert len(list(source)) == 10
        assert source.problem is None
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:0.4,", "clip.ts", "#EXT-X-DISCONTINUITY", "#EXTINF:0.4,"]
    (tmp_path / "two.m3u8").write_text("\n".join([*lines, "clip.ts", "#EXT-X-ENDLIST", ""]))
    with served(handler) as address, VideoSource(f"{address}/two.m3u8") as source:
        assert [frame.time_s for frame in source] == pytest.approx([number / 25 for number in range(20)], abs=0.001)
        assert source.problem is None  # though the stamps of the second part begin anew


def test_a_recording_whose_pictures_do_not_all_come_is_no_whole_one(tmp_path: Path) -> None:
    """The index says how many there are, whatever is heard after them."""
    numbered.write(
        tmp_path / "clip.mp4", [place / 20 for place in range(40)], container_options={"movflags": "faststart"}
    )
    whole = (tmp_path / "clip.mp4").read_bytes()

    class Short(QuietHandler):
        def do_GET(self) -> None:
            """Without a length, so that an early end looks like any other."""
            self.send_response(200)
            self.end_headers()
            self.wfile.write(whole[: len(whole) * 7 // 8])

    with served(Short) as address, VideoSource(f"{address}/clip.mp4") as source:
        assert 20 < len(list(source)) < 40
        assert source.problem is not None
        assert source.problem.startswith("the stream broke off after ")
