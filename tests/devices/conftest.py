"""What several tests of devices need: a model whose sums may saturate, and reports as other machines send them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fer_edge.metadata import METADATA_KEY, NO_CHECKSUM, ModelMetadata
from fer_edge.runtime.checksum import add_checksum

SHIPPED = Path(__file__).resolve().parents[2] / "exported" / "fer-tiny-int8.onnx"
LIMITS = {"int8": (-127, 127), "int32": (-(2**31), 2**31 - 1)}
SHA256 = "ab" * 32

Writer = Callable[..., Path]
"""From a path, what to write, and what to change of it; the path."""


@pytest.fixture(scope="session")
def restated() -> Writer:
    """Write a model with other metadata and a right checksum."""

    def write(path: Path, model: onnx.ModelProto, **changes: object) -> Path:
        (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
        metadata = replace(ModelMetadata.from_json(entry.value), content_sha256=NO_CHECKSUM, **changes)
        entry.value = metadata.to_json()
        path.write_bytes(add_checksum(model.SerializeToString()))
        return path

    return write


@pytest.fixture
def eight_bits() -> onnx.ModelProto:
    """The small shipped model with weights of all 8 bits: twice the weights, half their scales, the same network.

    Its metadata still promise 7.
    """
    model = onnx.load(SHIPPED)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in tensors:
            continue
        values, scale = (numpy_helper.to_array(tensors[name]) for name in node.input[:2])
        if values.dtype in (np.int8, np.int32) and values.size > 1:  # weights and biases
            doubled = np.clip(values.astype(np.int64) * 2, *LIMITS[values.dtype.name]).astype(values.dtype)
            tensors[node.input[0]].CopyFrom(numpy_helper.from_array(doubled, node.input[0]))
            tensors[node.input[1]].CopyFrom(numpy_helper.from_array((scale / 2).astype(np.float32), node.input[1]))
    return model


@pytest.fixture
def for_vnni(tmp_path: Path, eight_bits: onnx.ModelProto, restated: Writer) -> Path:
    """``eight_bits`` as a file whose metadata say what it is."""
    (entry,) = (entry for entry in eight_bits.metadata_props if entry.key == METADATA_KEY)
    stated = ModelMetadata.from_json(entry.value).quantisation or {}
    return restated(tmp_path / "vnni.onnx", eight_bits, quantisation=stated | {"weights": "int8", "target": "x86-vnni"})


@pytest.fixture(scope="session")
def write_report() -> Writer:
    """Write what ``check.py --report`` writes on another machine."""

    def write(path: Path, **changes: object) -> Path:
        path.parent.mkdir(exist_ok=True)
        report = {
            "report": "fer_edge device report 1",
            "passed": True,
            "reason": "ok: 13 vectors",
            "machine": "aarch64",
            "processor": "Cortex-A76",
            "system": "Linux",
            "onnxruntime": "1.26.0",
            "model": {"file": "tiny.onnx", "sha256": SHA256},
            "images": 25,
            "labels_changed": 0,
            "max_logit_difference": 0.01,
            "answers": {"grey-faces": [1, 2]},
        }
        path.write_text(json.dumps(report | changes))
        return path

    return write
