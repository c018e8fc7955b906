"""Memory that one large photo takes, and gives back; in a process of its own, which no other test has filled."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_KEPT_MB = 60
"""Beside what was there before the photo; without giving back the model keeps 290 MB, the detector more."""

PROGRAM = """
import json, os, sys
import numpy as np
from fer_edge import Classifier
from fer_edge.backends import open_model
from fer_edge.runtime import FaceDetector

def resident_mb():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6

small, large = (np.zeros((height, width, 3), np.uint8) for height, width in ((48, 48), (3000, 4000)))
if sys.argv[1] == "classifier":
    run = Classifier.load("fer-tiny", threads=1).predict
elif sys.argv[1] == "backend":
    backend = open_model(sys.argv[2], threads=1)
    run = lambda image: backend.run(image[None])
else:
    run = FaceDetector(max_side=3000, threads=1).detect
run(small)
large[:] = 0  # its own pages are there before and after
before = resident_mb()
run(large)
print(json.dumps(resident_mb() - before))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says so how much is resident")
@pytest.mark.parametrize("what", ["classifier", "backend", "detector"])
def test_a_large_photo_leaves_little_behind(what: str) -> None:
    model = ROOT / "exported" / "fer-tiny-int8.onnx"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, what, str(model)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) < MAX_KEPT_MB
