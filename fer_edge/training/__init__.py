"""The PyTorch side: architectures, the trainer, checkpoints.

Public names load when they are first used: most need torch, the settings do not.
"""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.training.architectures import build_classifier, register
    from fer_edge.training.checkpoint import CheckpointInfo, load_classifier
    from fer_edge.training.classifier import FacialExpressionClassifier
    from fer_edge.training.config import AugmentConfig, TrainConfig
    from fer_edge.training.preparation import DataRequest, build_for_training
    from fer_edge.training.presets import preset_named
    from fer_edge.training.runs import TrainResult, resume, train
    from fer_edge.training.trainer import Trainer

_MODULES = {
    "AugmentConfig": "config",
    "CheckpointInfo": "checkpoint",
    "DataRequest": "preparation",
    "FacialExpressionClassifier": "classifier",
    "TrainConfig": "config",
    "TrainResult": "runs",
    "Trainer": "trainer",
    "build_classifier": "architectures",
    "build_for_training": "preparation",
    "load_classifier": "checkpoint",
    "preset_named": "presets",
    "register": "architectures",
    "resume": "runs",
    "train": "runs",
}
__all__ = [
    "AugmentConfig",
    "CheckpointInfo",
    "DataRequest",
    "FacialExpressionClassifier",
    "TrainConfig",
    "TrainResult",
    "Trainer",
    "build_classifier",
    "build_for_training",
    "load_classifier",
    "preset_named",
    "register",
    "resume",
    "train",
]

__getattr__ = lazy_names(__name__, _MODULES)
