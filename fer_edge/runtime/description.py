"""Everything that can be said about a model file without torch, without onnx, and without running unknown code."""

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer_edge.metadata import ModelMetadata
from fer_edge.runtime.checksum import file_sha256, verify_zip_checksum
from fer_edge.runtime.claims import check_format
from fer_edge.runtime.model_file import check_beside, is_archive, read_model, read_model_bytes
from fer_edge.runtime.providers import ProviderChoice, missing_for_cuda
from fer_edge.runtime.session import executed_nodes, open_session


@dataclass(frozen=True)
class ModelDescription:
    """What ``info`` prints."""

    path: Path
    size_bytes: int
    file_sha256: str
    metadata: ModelMetadata
    inputs: tuple[str, ...]
    """``name type [shape]``, as the graph has them; as the card has them for files that need torch."""
    outputs: tuple[str, ...]
    operators: Mapping[str, int]
    """Operator to number of nodes, most frequent first: those in an ONNX file, those that run of an ort file; none for
    TorchScript and pt2."""
    providers: Mapping[str, str]
    """``cpu`` and ``cuda`` to ``ready`` or to what is missing here."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = {**asdict(self), "path": str(self.path)}
        return {**values, "card": values["metadata"]}  # "card": the key of earlier versions

    @property
    def card(self) -> ModelMetadata:
        """Deprecated name of ``metadata``."""
        warnings.warn("ModelDescription.card is now ModelDescription.metadata", DeprecationWarning, stacklevel=2)
        return self.metadata


def describe_model(path: str | Path) -> ModelDescription:
    """Read, check and describe a model of any format. TorchScript and pt2 files are read, never run.

    Raises ModelError as read_model does.
    """
    path = Path(path)
    data = read_model_bytes(path)
    if is_archive(data):
        return _describe_archive(path, data)
    model = read_model(path)
    session, _ = open_session(model, ProviderChoice("cpu", ""))
    operators = Counter(node.operator for node in executed_nodes(model)) if model.onnx is None else model.onnx.operators
    missing = "; ".join(missing_for_cuda())
    return ModelDescription(
        path=path,
        size_bytes=len(data),
        file_sha256=model.sha256,
        metadata=model.metadata,
        inputs=tuple(f"{one.name} {one.type} {_shape(one.shape)}" for one in session.get_inputs()),
        outputs=tuple(f"{one.name} {one.type} {_shape(one.shape)}" for one in session.get_outputs()),
        operators=dict(operators.most_common()),
        providers={"cpu": "ready", "cuda": f"missing here: {missing}" if missing else "ready"},
    )


def _describe_archive(path: Path, data: bytes) -> ModelDescription:
    metadata = ModelMetadata.from_json(verify_zip_checksum(data, str(path)), where=str(path))
    check_format(path, metadata)
    sha256 = file_sha256(data)
    check_beside(path, metadata, sha256)
    return ModelDescription(
        path=path,
        size_bytes=len(data),
        file_sha256=sha256,
        metadata=metadata,
        inputs=(f"{metadata.input.name} {metadata.input.dtype} {_shape(metadata.input.shape)}",),
        outputs=tuple(f"{one.name} {one.dtype} {_shape(one.shape)}" for one in metadata.outputs),
        operators={},
        providers={"torch": "needed to run it; loading it runs code, so trust its origin"},
    )


def _shape(shape: Any) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
