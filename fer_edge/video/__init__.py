"""Cameras and video files: faces followed from frame to frame, shown and written."""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.video.analysis import AnalysedFrame, VideoSummary, analyse
    from fer_edge.video.live import LiveSource
    from fer_edge.video.recording import TableFile, VideoFile
    from fer_edge.video.source import Frame, VideoSource
    from fer_edge.video.tracks import Track, Tracker

_MODULES = {
    "AnalysedFrame": "analysis",
    "Frame": "source",
    "LiveSource": "live",
    "TableFile": "recording",
    "Track": "tracks",
    "Tracker": "tracks",
    "VideoFile": "recording",
    "VideoSource": "source",
    "VideoSummary": "analysis",
    "analyse": "analysis",
}
__all__ = [
    "AnalysedFrame",
    "Frame",
    "LiveSource",
    "TableFile",
    "Track",
    "Tracker",
    "VideoFile",
    "VideoSource",
    "VideoSummary",
    "analyse",
]

__getattr__ = lazy_names(__name__, _MODULES)
