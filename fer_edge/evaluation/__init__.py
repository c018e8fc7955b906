"""Metrics, calibration, votes and plots from probabilities and labels, with numpy and matplotlib.

Public names load when they are first used.
"""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.evaluation.calibration import CalibrationBins, calibration_bins
    from fer_edge.evaluation.evaluation import Evaluation, Subject, evaluate_split
    from fer_edge.evaluation.metrics import ClassMetrics, Metrics, evaluate_probabilities
    from fer_edge.evaluation.robustness import Robustness, evaluate_corruptions
    from fer_edge.evaluation.votes import VoteMetrics, evaluate_votes

_MODULES = {
    "CalibrationBins": "calibration",
    "ClassMetrics": "metrics",
    "Evaluation": "evaluation",
    "Metrics": "metrics",
    "Robustness": "robustness",
    "Subject": "evaluation",
    "VoteMetrics": "votes",
    "calibration_bins": "calibration",
    "evaluate_corruptions": "robustness",
    "evaluate_probabilities": "metrics",
    "evaluate_split": "evaluation",
    "evaluate_votes": "votes",
}
__all__ = [
    "CalibrationBins",
    "ClassMetrics",
    "Evaluation",
    "Metrics",
    "Robustness",
    "Subject",
    "VoteMetrics",
    "calibration_bins",
    "evaluate_corruptions",
    "evaluate_probabilities",
    "evaluate_split",
    "evaluate_votes",
]

__getattr__ = lazy_names(__name__, _MODULES)
