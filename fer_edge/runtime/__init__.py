"""What other apps import: numpy, pillow, msgspec and onnxruntime, never torch. Names load when they are first used."""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.runtime.annotation import annotate, write_picture
    from fer_edge.runtime.classifier import Classifier
    from fer_edge.runtime.crops import Framing
    from fer_edge.runtime.description import ModelDescription, describe_model
    from fer_edge.runtime.detector import Box, Face, FaceDetector
    from fer_edge.runtime.folder import Outcome
    from fer_edge.runtime.left_out import LeftOut
    from fer_edge.runtime.model_file import ModelFile, read_model
    from fer_edge.runtime.photos import FacePrediction, FaceSearch, PhotoOutcome, PhotoPrediction
    from fer_edge.runtime.prediction import Prediction
    from fer_edge.runtime.shipped import ShippedModel, default_model, model_path, shipped_by_name, shipped_models

_MODULES = {
    "Box": "detector",
    "Classifier": "classifier",
    "Face": "detector",
    "FaceDetector": "detector",
    "FacePrediction": "photos",
    "FaceSearch": "photos",
    "Framing": "crops",
    "LeftOut": "left_out",
    "ModelDescription": "description",
    "ModelFile": "model_file",
    "Outcome": "folder",
    "PhotoOutcome": "photos",
    "PhotoPrediction": "photos",
    "Prediction": "prediction",
    "ShippedModel": "shipped",
    "annotate": "annotation",
    "default_model": "shipped",
    "describe_model": "description",
    "model_path": "shipped",
    "read_model": "model_file",
    "shipped_by_name": "shipped",
    "shipped_models": "shipped",
    "write_picture": "annotation",
}
__all__ = [
    "Box",
    "Classifier",
    "Face",
    "FaceDetector",
    "FacePrediction",
    "FaceSearch",
    "Framing",
    "LeftOut",
    "ModelDescription",
    "ModelFile",
    "Outcome",
    "PhotoOutcome",
    "PhotoPrediction",
    "Prediction",
    "ShippedModel",
    "annotate",
    "default_model",
    "describe_model",
    "model_path",
    "read_model",
    "shipped_by_name",
    "shipped_models",
    "write_picture",
]

__getattr__ = lazy_names(__name__, _MODULES)
