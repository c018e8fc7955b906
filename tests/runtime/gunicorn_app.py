"""A web app whose model is loaded and used before gunicorn forks its workers (test_forks.py)."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from fer_edge import Classifier

PHOTO = os.environ["PROBE_PHOTO"]
CLASSIFIER = Classifier.load("fer-tiny", threads=2)
CLASSIFIER.predict_faces(PHOTO)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    faces = CLASSIFIER.predict_faces(PHOTO).faces
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {' '.join(one.label for one in faces)}\n".encode()]
