"""Metrics, calibration, uncertainty, votes and plots from probabilities and labels, with numpy and matplotlib.

Public names load when they are first used.
"""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.evaluation.calibration import CalibrationBins, calibration_bins
    from fer_edge.evaluation.conformal import SetMetrics, conformal_threshold, evaluate_sets
    from fer_edge.evaluation.evaluation import Evaluation, Subject, evaluate_split
    from fer_edge.evaluation.metrics import ClassMetrics, Metrics, evaluate_probabilities
    from fer_edge.evaluation.robustness import Robustness, evaluate_corruptions
    from fer_edge.evaluation.selective import RiskCoverage, choose_threshold, risk_coverage, threshold_grid
    from fer_edge.evaluation.temperature import fit_temperature
    from fer_edge.evaluation.uncertainty import fit_uncertainty
    from fer_edge.evaluation.votes import VoteMetrics, evaluate_votes

_MODULES = {
    "CalibrationBins": "calibration",
    "ClassMetrics": "metrics",
    "Evaluation": "evaluation",
    "Metrics": "metrics",
    "RiskCoverage": "selective",
    "Robustness": "robustness",
    "SetMetrics": "conformal",
    "Subject": "evaluation",
    "VoteMetrics": "votes",
    "calibration_bins": "calibration",
    "choose_threshold": "selective",
    "conformal_threshold": "conformal",
    "evaluate_corruptions": "robustness",
    "evaluate_probabilities": "metrics",
    "evaluate_sets": "conformal",
    "evaluate_split": "evaluation",
    "evaluate_votes": "votes",
    "fit_temperature": "temperature",
    "fit_uncertainty": "uncertainty",
    "risk_coverage": "selective",
    "threshold_grid": "selective",
}
__all__ = [
    "CalibrationBins",
    "ClassMetrics",
    "Evaluation",
    "Metrics",
    "RiskCoverage",
    "Robustness",
    "SetMetrics",
    "Subject",
    "VoteMetrics",
    "calibration_bins",
    "choose_threshold",
    "conformal_threshold",
    "evaluate_corruptions",
    "evaluate_probabilities",
    "evaluate_sets",
    "evaluate_split",
    "evaluate_votes",
    "fit_temperature",
    "fit_uncertainty",
    "risk_coverage",
    "threshold_grid",
]

__getattr__ = lazy_names(__name__, _MODULES)
