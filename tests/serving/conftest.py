"""Small models in the formats that Triton runs."""

from dataclasses import replace
from pathlib import Path

import pytest

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"


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
