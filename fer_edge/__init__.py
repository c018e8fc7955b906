"""fer_edge: facial-expression recognition from labelled faces to a verified model in other people's apps.

Importing the package pulls neither torch nor onnxruntime; names load when they are first used.
"""

import os
from typing import TYPE_CHECKING, Any

from fer_edge.errors import FerEdgeError
from fer_edge.labels import FER2013, FERPLUS, LabelSet

if TYPE_CHECKING:
    from fer_edge.metadata import ModelMetadata
    from fer_edge.runtime.classifier import Classifier
    from fer_edge.runtime.prediction import Prediction

__version__ = "0.1.0"
__all__ = [
    "FER2013",
    "FERPLUS",
    "Classifier",
    "FerEdgeError",
    "LabelSet",
    "ModelMetadata",
    "Prediction",
    "__version__",
]

# onnxruntime from 1.29 on sends usage data to its makers, also on Linux and macOS, from a thread that starts when it is
# imported. Faces are nobody's business, and a forked child waits for that thread for ever when it exits. Here because
# it must come before the first import of onnxruntime; who wants it sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_LAZY = {
    "Classifier": "fer_edge.runtime.classifier",
    "ModelMetadata": "fer_edge.metadata",
    "Prediction": "fer_edge.runtime.prediction",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    if name == "EXPRESSIONS":
        raise AttributeError("fer_edge.EXPRESSIONS is now fer_edge.FER2013.names; a model's own are Classifier.labels")
    raise AttributeError(f"module 'fer_edge' has no attribute {name!r}")
