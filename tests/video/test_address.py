from pathlib import Path

import pytest

from fer_edge.video.address import is_address, source_named


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("/dev/video0", 0),
        ("/dev/video12", 12),
        ("/dev/videos", Path("/dev/videos")),
        ("rtsp://10.0.0.2/live", "rtsp://10.0.0.2/live"),
        ("HTTP://host/a.mjpg", "HTTP://host/a.mjpg"),
        ("udp://@:1234", "udp://@:1234"),
        ("file:///etc/passwd", Path("file:///etc/passwd")),
        ("rtsp:party.mp4", Path("rtsp:party.mp4")),
        ("party.mp4", Path("party.mp4")),
    ],
)
def test_a_name_is_a_file_a_camera_or_a_stream(name: str, meant: object) -> None:
    found = source_named(name)
    assert (type(found) is str, found) == (is_address(name), meant)
