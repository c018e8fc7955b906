import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

SHOWN = """
import sys
import numpy as np
from fer_edge.video.window import Window
window = Window("party.mp4")
picture = np.zeros((120, 160, 3), dtype=np.uint8)
picture[:, :80] = (250, 100, 20)
for _ in range(5):
    window.show(picture)
shown = window._image
print(window.is_open, shown.width(), shown.height(), shown.get(10, 10), shown.get(100, 10), window._root.title())
window._root.focus_force()  # there is no window manager to do it
window._root.update()
window._root.event_generate("<Escape>") if sys.argv[1] == "key" else window._note_close()
window.show(picture)
print(window.is_open)
window.close()
"""


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """An X display without a screen."""
    pytest.importorskip("tkinter")
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (Debian: apt-get install xvfb)")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as numbers:
        number = numbers.readline().strip()  # written when the server takes clients; empty when it died
    try:
        if not number:
            pytest.skip("Xvfb does not start here")
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()


@pytest.mark.parametrize("closing", ["key", "button"])
def test_a_window_shows_pictures_until_it_is_closed(display: str, closing: str) -> None:
    environment = {**os.environ, "DISPLAY": display}
    command = [sys.executable, "-c", SHOWN, closing]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["True 160 120 (250, 100, 20) (0, 0, 0) party.mp4", "False"]
