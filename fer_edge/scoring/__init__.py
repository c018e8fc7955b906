"""Any number of images, scored into Parquet files: on one machine by a pool of processes, on a cluster by Ray Data.

Needs ``pip install 'fer-edge[score]'``; for a cluster ``'fer-edge[ray]'``. Public names load when they are first used.
"""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.scoring.columns import read_settings
    from fer_edge.scoring.report import ScoreProgress, ScoreReport
    from fer_edge.scoring.request import ScoreRequest
    from fer_edge.scoring.run import score

_MODULES = {
    "ScoreProgress": "report",
    "ScoreReport": "report",
    "ScoreRequest": "request",
    "read_settings": "columns",
    "score": "run",
}
__all__ = ["ScoreProgress", "ScoreReport", "ScoreRequest", "read_settings", "score"]

__getattr__ = lazy_names(__name__, _MODULES)
