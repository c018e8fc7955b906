"""The name of before issue 17 for ``fer_edge.evaluation.evaluation``; goes when its last user has moved."""

from fer_edge.evaluation.evaluation import CROP_FRACTION, Evaluation, Subject, Views, evaluate_split

CROP_PART, judge = CROP_FRACTION, evaluate_split
__all__ = ["CROP_PART", "Evaluation", "Subject", "Views", "judge"]
