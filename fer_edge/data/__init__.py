"""Labelled faces in every layout that users hold, as one array; label sets, splits, leaks, votes, synthetic faces.

Public names load when they are first used.
"""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.data.faces import NO_LABEL, FaceData, FaceSet
    from fer_edge.data.inspection import Inspection, inspect_faces
    from fer_edge.data.leaks import without_leaks
    from fer_edge.data.load import load_faces
    from fer_edge.data.problems import Problem
    from fer_edge.data.relabel import relabelled
    from fer_edge.data.sample import synthetic_face, synthetic_faces, write_sample

_MODULES = {
    "NO_LABEL": "faces",
    "FaceData": "faces",
    "FaceSet": "faces",
    "Inspection": "inspection",
    "Problem": "problems",
    "inspect_faces": "inspection",
    "load_faces": "load",
    "relabelled": "relabel",
    "synthetic_face": "sample",
    "synthetic_faces": "sample",
    "without_leaks": "leaks",
    "write_sample": "sample",
}
__all__ = [
    "NO_LABEL",
    "FaceData",
    "FaceSet",
    "Inspection",
    "Problem",
    "inspect_faces",
    "load_faces",
    "relabelled",
    "synthetic_face",
    "synthetic_faces",
    "without_leaks",
    "write_sample",
]

__getattr__ = lazy_names(__name__, _MODULES)
