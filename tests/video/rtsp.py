"""GStreamer's RTSP server for tests, where it is installed or tools/rtsp_server.sh unpacked it."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("rtsp_server.py")
ROOT = Path(__file__).parents[2]
ELEMENTS = ("filesrc", "fdsrc", "qtdemux", "matroskademux", "rtph264pay", "rtpbin", "udpsink", "appsink")


def environment(work: Path) -> dict[str, str]:
    """Variables with which the system's Python finds the server; GStreamer keeps its notes in ``work``."""
    folder = Path(os.environ.get("FER_EDGE_GSTREAMER", ROOT / ".gstreamer")).resolve()
    libraries = folder / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
    found = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    found["GST_REGISTRY"] = str(work / "registry.bin")
    if libraries.is_dir():
        found["LD_LIBRARY_PATH"] = str(libraries)
        found["GI_TYPELIB_PATH"] = str(libraries / "girepository-1.0")
        found["GST_PLUGIN_PATH"] = str(libraries / "gstreamer-1.0")
    return found


@cache
def missing(work: Path) -> str:
    """What is not there; empty where the server can be run."""
    if sys.platform != "linux" or not Path(PYTHON).exists():
        return "no Linux with a system's Python"
    code = (
        "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0')\n"
        "from gi.repository import Gst, GstRtspServer; Gst.init(None)\n"
        f"print([name for name in {ELEMENTS} if Gst.ElementFactory.find(name) is None])"
    )
    done = subprocess.run([PYTHON, "-c", code], env=environment(work), capture_output=True, text=True)
    if done.returncode:
        return done.stderr.strip().rpartition("\n")[2]
    return "" if done.stdout.strip() == "[]" else f"no {done.stdout.strip()}"


class Camera:
    """A server that runs: two addresses, and its process."""

    def __init__(self, process: "subprocess.Popen[str]", port: int, scheme: str = "rtsp") -> None:
        self.process, self.port = process, port
        self.clip, self.live = (f"{scheme}://user:hush@127.0.0.1:{port}/{name}" for name in ("clip", "live"))


@contextmanager
def camera(work: Path, clip: Path, live: Path, port: int = 0, ways: tuple[str, ...] = ()) -> Iterator[Camera]:
    """Serves the mp4 ``clip`` and the Matroska ``live`` on ``port`` (0: a free one); skips where that cannot be.

    ``ways``: "udp" alone, or "tls" and a file with certificate and key.
    """
    if reason := missing(work):
        pytest.skip(
            f"no RTSP server ({reason}): tools/rtsp_server.sh, or apt-get install gir1.2-gst-rtsp-server-1.0 "
            "python3-gi gstreamer1.0-plugins-good"
        )
    # Through a pipe: of a file the server would know how long it is, and a camera has no end.
    with (
        subprocess.Popen(["cat", str(live)], stdout=subprocess.PIPE) as feed,
        subprocess.Popen(
            [PYTHON, str(SERVER), str(clip), str(port), *ways],
            stdin=feed.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(work),
        ) as server,
    ):  # fmt: skip
        assert feed.stdout is not None
        assert server.stdout is not None
        feed.stdout.close()  # the server's end alone is left
        try:
            yield Camera(server, int(server.stdout.readline()), "rtsps" if "tls" in ways else "rtsp")
        finally:
            server.kill()
            feed.kill()
