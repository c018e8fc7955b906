"""The name of before issue 17 for ``fer_edge.evaluation.plots``; goes when its last user has moved."""

from fer_edge.evaluation.plots import plot_learning_rate, plot_training_curves

learning_rate_curve, training_curves = plot_learning_rate, plot_training_curves
__all__ = ["learning_rate_curve", "training_curves"]
