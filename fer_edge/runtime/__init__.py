"""What other apps import: numpy, pillow, msgspec and onnxruntime, never torch. Names load when they are first used."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_edge.runtime.annotation import annotate, write_picture
    from fer_edge.runtime.classifier import Classifier
    from fer_edge.runtime.crops import Framing
    from fer_edge.runtime.description import ModelDescription, describe_model
    from fer_edge.runtime.detector import Box, Face, FaceDetector
    from fer_edge.runtime.folder import Outcome
    from fer_edge.runtime.model_file import ModelFile, read_model
    from fer_edge.runtime.photos import FacePrediction, FaceSearch, PhotoOutcome, PhotoPrediction
    from fer_edge.runtime.prediction import Prediction
    from fer_edge.runtime.shipped import default_model, shipped_models

_LAZY = {
    "Box": "fer_edge.runtime.detector",
    "Classifier": "fer_edge.runtime.classifier",
    "Face": "fer_edge.runtime.detector",
    "FaceDetector": "fer_edge.runtime.detector",
    "FacePrediction": "fer_edge.runtime.photos",
    "FaceSearch": "fer_edge.runtime.photos",
    "Framing": "fer_edge.runtime.crops",
    "ModelDescription": "fer_edge.runtime.description",
    "ModelFile": "fer_edge.runtime.model_file",
    "Outcome": "fer_edge.runtime.folder",
    "PhotoOutcome": "fer_edge.runtime.photos",
    "PhotoPrediction": "fer_edge.runtime.photos",
    "Prediction": "fer_edge.runtime.prediction",
    "annotate": "fer_edge.runtime.annotation",
    "default_model": "fer_edge.runtime.shipped",
    "describe_model": "fer_edge.runtime.description",
    "read_model": "fer_edge.runtime.model_file",
    "shipped_models": "fer_edge.runtime.shipped",
    "write_picture": "fer_edge.runtime.annotation",
}
__all__ = [
    "Box",
    "Classifier",
    "Face",
    "FaceDetector",
    "FacePrediction",
    "FaceSearch",
    "Framing",
    "ModelDescription",
    "ModelFile",
    "Outcome",
    "PhotoOutcome",
    "PhotoPrediction",
    "Prediction",
    "annotate",
    "default_model",
    "describe_model",
    "read_model",
    "shipped_models",
    "write_picture",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'fer_edge.runtime' has no attribute {name!r}")
