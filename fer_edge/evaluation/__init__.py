"""Metrics, confusion matrices and figures from probabilities and labels, with numpy and matplotlib."""
