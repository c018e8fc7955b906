"""What the tests of several packages share."""

import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

# Tests run side by side: one thread each keeps them from slowing each other tenfold. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests started by a script with "&" inherit an ignored SIGINT; the commands they start must hear Ctrl-C nevertheless.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent

sys.path[:0] = [str(REPOSITORY / "tools"), str(REPOSITORY / "benchmarks" / "attacks")]
import photos  # noqa: E402  # a script of this repository, found through the lines above

ASTRONAUT_SHA256 = "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"

NUM_FRAMES, FRAMES_PER_S = 12, 10.0
"""Of the video that tests make."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: at the end one would keep a single worker busy."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True, scope="session")
def each_network_is_traced_once() -> Iterator[None]:
    """Tests export the same few networks hundreds of times, and torch.onnx.export takes seconds of each.

    Its result is kept for networks of the same code, attributes and weights; a model is made of it anew each time.
    """
    torch = sys.modules.get("torch")  # a session that imports it later traces everything
    if torch is None:
        yield
        return
    programs: dict[str, Any] = {}
    real = torch.onnx.export

    def export(network: Any, args: Any, **options: Any) -> Any:
        facts = [
            repr(network),
            [list(one.shape) for one in args],
            sorted(options["input_names"]),
            options["opset_version"],
        ]
        for module in network.modules():
            facts += [id(type(module)), sorted((k, repr(v)) for k, v in vars(module).items() if not k.startswith("_"))]
        digest = hashlib.sha256(repr(facts).encode())
        for name, tensor in network.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().contiguous().cpu().numpy().tobytes())
        key = digest.hexdigest()
        if key not in programs:
            programs[key] = real(network, args, **options)
        return programs[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", export)
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def astronaut() -> Path:
    """A public-domain portrait, 512x512, one smiling face (tools/photos.py); skips where it cannot be downloaded."""
    try:
        photo = photos.astronaut()
    except photos.PhotosMissing as error:
        pytest.skip(f"real photos cannot be downloaded: {error}")
    assert hashlib.sha256(photo.read_bytes()).hexdigest() == ASTRONAUT_SHA256
    return photo


@pytest.fixture(scope="session")
def party_photos() -> dict[Path, int]:
    """Six photos of 1920 pixels, each with its number of faces (tools/photos.py); skips likewise."""
    try:
        return photos.party()
    except photos.PhotosMissing as error:
        pytest.skip(f"real photos cannot be downloaded: {error}")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory, astronaut: Path) -> Path:
    """A video of the portrait, slowly panned: 12 frames of 318x256 at 10 a second, the last two without a face."""
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is in the extra dev")
    photo = np.asarray(Image.open(astronaut).convert("RGB"))
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), FRAMES_PER_S, (318, 256))
    assert writer.isOpened()
    for number in range(NUM_FRAMES):
        left = 60 + 3 * number
        frame = photo[:256, left : left + 318, ::-1]
        writer.write(np.ascontiguousarray(frame) if number < NUM_FRAMES - 2 else np.full_like(frame, 120))
    writer.release()
    return path
