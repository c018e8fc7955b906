"""An uncertainty for models of these labels, as 'calibrate' would write one."""

from collections.abc import Sequence

from fer_edge.labels import FER2013
from fer_edge.uncertainty import PredictionSets, RiskThreshold, Uncertainty


def uncertainty(
    labels: Sequence[str] = FER2013.names, *, thresholds: Sequence[float | None] = (None, 0.6, 0.2), lac: float = 0.7
) -> Uncertainty:
    classes = dict.fromkeys(labels, (10, 9))
    faces = 10 * len(labels)
    return Uncertainty(
        temperature=2.0,
        confidence_level=0.95,
        risks=tuple(
            RiskThreshold(risk, threshold, 20, 1) for risk, threshold in zip((0.05, 0.1, 0.2), thresholds, strict=True)
        ),
        sets=(
            PredictionSets("lac", 0.9, lac, faces - 7, 2.0, classes),
            PredictionSets("aps", 0.9, 0.95, faces - 5, 2.5, classes),
        ),
        data_source="faces",
        data_fingerprint="ab" * 32,
        split="validation",
        seed=0,
        temperature_faces=10,
        threshold_faces=30,
        checked_faces=faces,
        calibration_error=0.05,
        calibration_error_at_temperature=0.02,
        created="2026-11-28T12:00:00Z",
    )
