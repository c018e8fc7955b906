import csv
import inspect
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fer_edge.cli.webcam import webcam
from fer_edge.video.live import RECONNECT_S
from fer_edge.video.tracks import DEFAULT_SMOOTHING


@pytest.fixture
def command(repository: Path) -> list[str]:
    pytest.importorskip("av", reason="PyAV is in the extra video")
    model = repository / "tests" / "fixtures" / "tiny.onnx"
    return [sys.executable, str(repository / "cli.py"), "webcam", "--model", str(model), "--threads", "1"]


@pytest.fixture
def headless() -> dict[str, str]:
    """The environment without a display."""
    return {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}


def run(command: list[str], cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, **options)  # type: ignore[call-overload, no-any-return]


def test_a_video_file_becomes_a_video_and_a_table(command: list[str], clip: Path, tmp_path: Path) -> None:
    done = run([*command, str(clip), "--out", "result.mp4", "--csv", "faces.csv"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{clip}: 12 frames, ")
    assert "1 face in 10 frames: " in done.stdout
    assert done.stderr.splitlines()[-2:] == ["wrote result.mp4", "wrote faces.csv"]
    with (tmp_path / "faces.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["frame"] for row in rows] == [str(number) for number in range(12)]
    assert [row["face"] for row in rows] == ["1"] * 10 + [""] * 2
    assert float(rows[5]["time_s"]) == 0.5
    import cv2

    capture = cv2.VideoCapture(str(tmp_path / "result.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 12
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["faces.csv", "result.mp4"]


def test_a_cut_video_is_scored_and_told(command: list[str], clip: Path, tmp_path: Path) -> None:
    data = clip.read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    done = run([*command, "cut.avi", "--csv", "faces.csv", "--json"], tmp_path)
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert 1 <= found["num_frames"] < 12
    assert "it is cut off" in found["problem"]
    assert done.stderr.splitlines()[-1] == f"error: cut.avi: {found['problem']}; what could be read is scored"
    assert len((tmp_path / "faces.csv").read_text().splitlines()) == found["num_frames"] + 1
    done = run([*command, str(clip), "--csv", "faces.csv", "--json"], tmp_path)
    assert (done.returncode, "problem" in json.loads(done.stdout)) == (0, False)


def test_one_name_for_two_files_is_usage(command: list[str], clip: Path, tmp_path: Path) -> None:
    done = run([*command, str(clip), "--out", "a.mp4", "--csv", "./a.mp4"], tmp_path)
    assert done.returncode == 2
    assert "error: --out a.mp4: expected another file than that of --csv" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_json_sums_the_video_up(command: list[str], clip: Path, tmp_path: Path) -> None:
    done = run([*command, str(clip), "--csv", "faces.csv", "--json", "--frames", "4"], tmp_path)
    found = json.loads(done.stdout)
    assert (found["num_frames"], found["num_frames_with_face"], found["num_faces"]) == (4, 4, 1)
    assert sum(found["labels"].values()) == 4
    assert found["frames_per_s"] > 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_files(command: list[str], clip: Path, tmp_path: Path, number: int, code: int) -> None:
    import cv2

    capture = cv2.VideoCapture(str(clip))
    frame = capture.read()[1]
    writer = cv2.VideoWriter(str(tmp_path / "long.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, frame.shape[1::-1])
    for _ in range(3000):
        writer.write(frame)
    writer.release()
    process = subprocess.Popen(
        [*command, "long.avi", "--out", "result.mp4", "--csv", "faces.csv"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 5000 for path in tmp_path.glob(".fer-edge-*.csv")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert stdout.startswith("long.avi: ")
    *_, wrote_video, wrote_table, last = stderr.splitlines()
    assert (wrote_video, wrote_table) == ("wrote result.mp4", "wrote faces.csv")
    assert last.startswith("interrupted after ")
    num_frames = len((tmp_path / "faces.csv").read_text().splitlines()) - 1
    assert 0 < num_frames < 3000
    found = cv2.VideoCapture(str(tmp_path / "result.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)
    assert found == pytest.approx(num_frames, abs=1)
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["faces.csv", "long.avi", "result.mp4"]


@pytest.mark.skipif(Path("/dev/video99").exists(), reason="there is a camera 99")
def test_no_camera_is_one_line_with_exit_code_1(command: list[str], tmp_path: Path) -> None:
    done = run([*command, "--camera", "99"], tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: camera 99: expected a camera that gives pictures, found none; plug one in")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems show windows without DISPLAY")
def test_no_display_is_one_line_that_says_what_else(
    command: list[str], clip: Path, tmp_path: Path, headless: dict[str, str]
) -> None:
    pytest.importorskip("tkinter")
    done = run([*command, str(clip)], tmp_path, env=headless)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: expected a display to show the video on, found none (")
    assert "--out result.mp4" in done.stderr
    assert done.stderr.count("\n") == 1
    done = run([*command, str(clip), "--out", "result.mp4", "--window"], tmp_path, env=headless)
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_errors_leave_nothing_behind(command: list[str], clip: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    done = run([*command, "text.mp4", "--out", "result.mp4"], tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: text.mp4: expected a video that FFmpeg can decode, found other or damaged bytes\n"
    done = run([*command, "text.mp4", "--out", "text.mp4"], tmp_path)
    assert done.returncode == 2
    assert "error: --out text.mp4: expected another file than the video itself" in done.stderr
    done = run([*command, str(clip), "--csv", "faces.csv", "--out", "result.avi"], tmp_path)
    assert done.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]


def test_without_pyav_the_extra_is_named(repository: Path) -> None:
    model = repository / "tests" / "fixtures" / "tiny.onnx"
    code = "import sys; sys.modules['av'] = None; from fer_edge.cli import main; main()"
    done = run([sys.executable, "-c", code, "webcam", "--model", str(model)], repository)
    assert done.returncode == 1
    assert done.stderr == ("error: expected the package 'av', found none; run: pip install 'fer-edge[video]'\n")


def test_the_default_smoothing_is_the_librarys() -> None:
    assert inspect.signature(webcam).parameters["smoothing"].default == DEFAULT_SMOOTHING
    assert inspect.signature(webcam).parameters["reconnect"].default == RECONNECT_S


def test_a_stream_nobody_sends_is_one_line_without_the_password(command: list[str], tmp_path: Path) -> None:
    done = run([*command, "rtsp://user:hush@127.0.0.1:9/x", "--no-window"], tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "rtsp://***@127.0.0.1:9/x: expected a stream that gives pictures, found none" in done.stderr
    assert "hush" not in done.stdout + done.stderr


@pytest.mark.parametrize("sends", [False, True], ids=["from the start", "after some frames"])
def test_ctrl_c_ends_a_stream_that_hangs(command: list[str], tmp_path: Path, sends: bool) -> None:
    av = pytest.importorskip("av")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n"
    if sends:
        file = io.BytesIO()
        with av.open(file, "w", format="mpegts") as container:
            stream = container.add_stream("mpeg2video", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(300):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
            container.mux(stream.encode(None))
        head += file.getvalue()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://user:hush@127.0.0.1:{listener.getsockname()[1]}/live"
        process = subprocess.Popen(
            [*command, address, "--no-window", "--csv", "faces.csv"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        listener.settimeout(60)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(head)
            time.sleep(2)  # what came is analysed by now
            start = time.perf_counter()
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
            took_s = time.perf_counter() - start
            print(f"ended after {took_s:.2f} s")
            assert took_s < 3  # 0.3 s on an idle machine; a read of the stream waits for 10 s
    assert process.returncode == 130
    assert "hush" not in stderr
    assert stderr.splitlines()[-1].startswith("interrupted after " if sends else "interrupted"), stderr
    assert (tmp_path / "faces.csv").exists() == sends
