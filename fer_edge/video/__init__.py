"""Cameras and video files: faces followed from frame to frame, shown and written."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_edge.video.analysis import AnalysedFrame, VideoSummary, analyse
    from fer_edge.video.recording import TableFile, VideoFile
    from fer_edge.video.source import Frame, VideoSource
    from fer_edge.video.tracks import Track, Tracker

_LAZY = {
    "AnalysedFrame": "fer_edge.video.analysis",
    "Frame": "fer_edge.video.source",
    "TableFile": "fer_edge.video.recording",
    "Track": "fer_edge.video.tracks",
    "Tracker": "fer_edge.video.tracks",
    "VideoFile": "fer_edge.video.recording",
    "VideoSource": "fer_edge.video.source",
    "VideoSummary": "fer_edge.video.analysis",
    "analyse": "fer_edge.video.analysis",
}
__all__ = [
    "AnalysedFrame",
    "Frame",
    "TableFile",
    "Track",
    "Tracker",
    "VideoFile",
    "VideoSource",
    "VideoSummary",
    "analyse",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'fer_edge.video' has no attribute {name!r}")
