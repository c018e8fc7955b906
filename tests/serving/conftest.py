"""Small models in the formats that Triton runs, and a running server around one, on a free port of this machine."""

import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
sys.path.append(str(FIXTURES))  # make_tiny_model
Start = Callable[..., Any]

NEEDED = ("fastapi", "uvicorn", "httptools", "prometheus_client")
WITH_A_SERVER = ("test_client.py", "test_connections.py", "test_hostile.py", "test_limits.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if all(importlib.util.find_spec(one) for one in NEEDED):
        return
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name in WITH_A_SERVER:
            item.add_marker(pytest.mark.skip(reason="the extra serve is not installed"))


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """``start(path, name=..., **settings)``: a server that runs in a thread until the module's tests are done.

    ``score`` is given the model's ``run``, and gives another one.
    """
    from fer_edge.backends import open_model
    from fer_edge.serving import ServedModel, ServerSettings, open_server

    running = []

    def run(path: Path = FIXTURES / "tiny.onnx", *, name: str = "tiny", score: Any = None, **settings: Any) -> Any:
        limits = ServerSettings(**settings)
        model = ServedModel(open_model(path, threads=1, trust=True), name, max_pixels=limits.max_pixels)
        if score is not None:
            model.run = score(model.run)  # type: ignore[method-assign]
        server = open_server(model, limits, 0)
        thread = threading.Thread(target=server.run)
        thread.start()
        running.append((server, thread))
        return server

    yield run
    for server, thread in running:
        deadline = time.monotonic() + 20
        while thread.is_alive() and time.monotonic() < deadline:
            server.stop()  # may come before it has begun
            thread.join(0.1)
        assert not thread.is_alive(), "the server does not end"


@pytest.fixture(scope="session")
def tiny() -> Path:
    """A model of pixels, any size and batch."""
    return FIXTURES / "tiny.onnx"


@pytest.fixture(scope="session")
def tiny_raw() -> Path:
    """A model of normalised faces (N, 1, 48, 48)."""
    return FIXTURES / "tiny_raw.onnx"


@pytest.fixture(scope="session")
def openvino_model(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    pytest.importorskip("openvino")
    import onnx

    from fer_edge.export.formats.openvino import openvino_files
    from fer_edge.export.publish import sidecar
    from fer_edge.runtime.checksum import file_sha256
    from fer_edge.runtime.model_file import read_any

    metadata = replace(
        read_any(tiny).metadata, format="openvino", opset=None, ir_version=None, minimum_onnxruntime=None
    )
    folder = tmp_path_factory.mktemp("openvino")
    files = openvino_files(onnx.load(tiny), metadata)
    for suffix, data in files.items():
        (folder / f"{metadata.name}{suffix}").write_bytes(data)
    main = folder / f"{metadata.name}.xml"
    main.with_suffix(".json").write_text(sidecar(metadata, file_sha256(files[".xml"]), files))
    return main


@pytest.fixture(scope="session")
def torchscript_model(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    torch = pytest.importorskip("torch")
    from fer_edge.export.formats.torchscript import torchscript_bytes
    from fer_edge.runtime.model_file import read_any

    class Means(torch.nn.Module):
        """Seven logits from the mean of the pixels."""

        def forward(self, image: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
            logits = image.float().mean(dim=(1, 2, 3)).unsqueeze(1) * torch.arange(7) / 255
            return logits.softmax(dim=1), logits

    metadata = replace(
        read_any(tiny).metadata, format="torchscript", opset=None, ir_version=None, minimum_onnxruntime=None
    )
    path = tmp_path_factory.mktemp("torchscript") / "tiny.torchscript"
    path.write_bytes(torchscript_bytes(Means(), metadata))
    return path
