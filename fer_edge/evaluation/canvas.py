"""The name of before issue 17 for ``fer_edge.evaluation.plot_style``; goes when its last user has moved."""

from fer_edge.evaluation.plot_style import *  # noqa: F403
