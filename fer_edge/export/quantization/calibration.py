"""Calibration: the range of every value between layers, collected from real training faces."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray

from fer_edge.data.faces import FaceSet
from fer_edge.errors import DataError
from fer_edge.export.graph.network import FACES
from fer_edge.files import temporary_folder

_Kind = TypeVar("_Kind", bound=np.generic)

METHODS = ("MinMax", "Entropy", "Percentile")
"""The whole range; the range that loses least information (KL divergence); all but 0.001 % at each end."""

CALIBRATION_FACES = 512
HELD_BACK_FACES = 2048
_FEWEST_FACES = 20
_BATCH = 32
"""Faces at once: every value between layers of a batch is held in memory."""


@dataclass(frozen=True)
class TrainingFaces:
    """Two parts of the training faces without a face in common. The validation split takes no part: it judges."""

    calibration: FaceSet
    held_back: FaceSet
    """Chooses between calibrations."""


def split_training_faces(train: FaceSet, seed: int = 0) -> TrainingFaces:
    """At most CALIBRATION_FACES and HELD_BACK_FACES of ``train`` at random; from a small set a third calibrates.

    Raises DataError for fewer than 20 faces.
    """
    if len(train) < _FEWEST_FACES:
        raise DataError(f"expected at least {_FEWEST_FACES} training faces to calibrate int8, found {len(train)}")
    order = np.random.default_rng(seed).permutation(len(train))
    num_calibration = min(CALIBRATION_FACES, len(train) // 3)
    held_back = order[num_calibration : num_calibration + HELD_BACK_FACES]
    return TrainingFaces(train.take(order[:num_calibration]), train.take(held_back))


def network_input(faces: NDArray[np.uint8], mean: float, std: float) -> NDArray[np.float32]:
    """Normalised faces float32 (N, 1, S, S) of uint8 (N, S, S), as the graph's preprocessing makes them."""
    return ((faces[:, np.newaxis].astype(np.float32) / 255 - np.float32(mean)) / np.float32(std)).astype(np.float32)


def batches(inputs: NDArray[_Kind], size: int = _BATCH) -> Iterator[NDArray[_Kind]]:
    """``inputs`` in pieces of at most ``size``."""
    return (inputs[start : start + size] for start in range(0, len(inputs), size))


class OneBatch:
    """One batch in the form that onnxruntime's calibrators read."""

    def __init__(self, batch: NDArray[np.float32]) -> None:
        self._pending: list[dict[str, NDArray[np.float32]]] = [{FACES: batch}]

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The batch, then None."""
        return self._pending.pop() if self._pending else None

    def __iter__(self) -> "OneBatch":
        return self

    def __next__(self) -> dict[str, NDArray[np.float32]]:
        if (batch := self.get_next()) is None:
            raise StopIteration
        return batch


def calibrate(network: onnx.ModelProto, inputs: NDArray[np.float32], method: str) -> Any:
    """Ranges of every tensor in ``network`` on ``inputs`` (N, 1, S, S) by one of METHODS: onnxruntime's TensorsData."""
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    with temporary_folder() as folder, contextlib.redirect_stdout(io.StringIO()):  # its calibrators print
        path = Path(folder) / "network.onnx"
        onnx.save(network, path)
        calibrator = create_calibrator(
            path,
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod[method],
            extra_options={"symmetric": False},  # a symmetric range would waste half of it after each ReLU
        )
        for batch in batches(inputs):
            calibrator.collect_data(OneBatch(batch))
        return calibrator.compute_data()
