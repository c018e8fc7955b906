"""Everything that can be said about a model file without torch, without onnx, and without running unknown code."""

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer_edge.metadata import ModelMetadata
from fer_edge.runtime.foreign import ForeignMetadata
from fer_edge.runtime.foreign_files import Description
from fer_edge.runtime.model_file import CheckedFile, is_archive, read_any
from fer_edge.runtime.providers import ProviderChoice, missing_for_cuda
from fer_edge.runtime.session import executed_nodes, open_session
from fer_edge.runtime.shipped import model_path


@dataclass(frozen=True)
class ModelDescription:
    """What ``info`` prints."""

    path: Path
    size_bytes: int
    file_sha256: str
    metadata: ModelMetadata
    inputs: tuple[str, ...]
    """``name type [shape]``, as the graph has them; as the metadata have them for files that need torch."""
    outputs: tuple[str, ...]
    operators: Mapping[str, int]
    """Operator to number of nodes, most frequent first: those in an ONNX file, those that run of an ort file; none for
    TorchScript and pt2."""
    providers: Mapping[str, str]
    """``cpu`` and ``cuda`` to ``ready`` or to what is missing here."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = {**asdict(self), "path": str(self.path)}
        card = values["metadata"]  # under the key of earlier versions, too
        return {**values, "verified": self.is_verified, "card": card}

    @property
    def is_verified(self) -> bool:
        """Whether the model was compared with its checkpoint when it was made: not so for another maker's."""
        return not isinstance(self.metadata, ForeignMetadata)

    @property
    def card(self) -> ModelMetadata:
        """Deprecated name of ``metadata``."""
        warnings.warn("ModelDescription.card is now ModelDescription.metadata", DeprecationWarning, stacklevel=2)
        return self.metadata


def describe_model(
    path: str | Path | None = None, *, trust: bool = False, description: Description | None = None
) -> ModelDescription:
    """Read, check and describe a model of any format. TorchScript and pt2 files are read, never run.

    ``path`` may be the name of a shipped model; without it, it is the default one.

    Raises ModelError as read_model does, by the same ``trust`` and ``description``.
    """
    checked = read_any(model_path(path), trust=trust, description=description)
    model = checked.model
    if model is None:
        return _describe_by_metadata(checked)
    session, _ = open_session(model, ProviderChoice("cpu", ""))
    operators = Counter(node.operator for node in executed_nodes(model)) if model.onnx is None else model.onnx.operators
    missing = "; ".join(missing_for_cuda())
    return ModelDescription(
        path=model.path,
        size_bytes=len(model.data),
        file_sha256=model.sha256,
        metadata=model.metadata,
        inputs=tuple(f"{one.name} {one.type} {_shape(one.shape)}" for one in session.get_inputs()),
        outputs=tuple(f"{one.name} {one.type} {_shape(one.shape)}" for one in session.get_outputs()),
        operators=dict(operators.most_common()),
        providers={"cpu": "ready", "cuda": f"missing here: {missing}" if missing else "ready"},
    )


def _describe_by_metadata(model: CheckedFile) -> ModelDescription:
    metadata = model.metadata
    runs_code = {"torch": "needed to run it; loading it runs code, so trust its origin"}
    return ModelDescription(
        path=model.path,
        size_bytes=model.num_bytes,
        file_sha256=model.sha256,
        metadata=metadata,
        inputs=(f"{metadata.input.name} {metadata.input.dtype} {_shape(metadata.input.shape)}",),
        outputs=tuple(f"{one.name} {one.dtype} {_shape(one.shape)}" for one in metadata.outputs),
        operators={},
        providers=runs_code if is_archive(model.data) else {},
    )


def _shape(shape: Any) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
