"""How fast the browser page is: ms to find faces, ms for a face's expression, frames/s, in headless Chromium.

    make browser
    python benchmarks/browser.py [--model exported/NAME.onnx] [--rounds 5]

A camera of 640x480 and 30 frames/s that shows one face (the page's own example, on the move) is played to the page.
Each round is a fresh browser; its first frames warm up and do not count. Prints the medians over all rounds and writes
benchmarks/results/browser.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "web"))

import browser
import scenes

from fer_edge.benchmark.machine import describe_environment
from fer_edge.errors import FerEdgeError
from fer_edge.files import write_text
from fer_edge.runtime.model_file import read_model
from fer_edge.runtime.shipped import default_model
from fer_edge.web import onnxruntime_web
from fer_edge.web.server import open_server
from fer_edge.web.site import CAMERA_SIDE, write_site

REPOSITORY = Path(__file__).resolve().parent.parent
RESULT = REPOSITORY / "benchmarks" / "results" / "browser.json"
AIM_FRAMES_PER_S = 15
WARM_UP_FRAMES = 60
"""Two seconds: Chromium compiles WebAssembly anew, and faster, while it runs."""


def main() -> None:
    options = parse()
    if reason := browser.missing():
        raise SystemExit(f"error: {reason}")
    model = options.model or default_model()
    environment = describe_environment()
    with tempfile.TemporaryDirectory() as temporary:
        site, video = Path(temporary) / "site", Path(temporary) / "camera.mjpeg"
        write_site(site, model)
        scenes.write_camera(video)
        with open_server(site, 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            rounds = [measure(server.url, video, options.frames) for _ in range(options.rounds)]
            server.shutdown()
    report(options.output, model, rounds, environment)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="default: the shipped one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--output", type=Path, default=RESULT)
    return parser.parse_args()


def measure(url: str, video: Path, frames: int) -> dict[str, float]:
    """One visit: medians of its frames in ms, and frames a second."""
    facts = browser.drive("camera", url=url, video=str(video), warmUpFrames=WARM_UP_FRAMES, frames=frames)
    analyses = facts["analyses"]
    if any(len(frame["faces"]) != 1 for frame in analyses):
        raise SystemExit(
            "expected one face in every frame, found another number: the figures would mean something else"
        )
    return {
        "detection_ms": statistics.median(frame["detectMs"] for frame in analyses),
        "expression_ms_per_face": statistics.median(frame["expressionMs"] for frame in analyses),
        "frames_per_s": len(analyses) / facts["seconds"],
    }


def report(output: Path, model: Path, rounds: list[dict[str, float]], environment: dict[str, Any]) -> None:
    card = read_model(model).metadata
    medians = {name: round(statistics.median(each[name] for each in rounds), 2) for name in rounds[0]}
    chromium = subprocess.run([browser.chromium(), "--version"], capture_output=True, text=True).stdout.strip()
    result = {
        "what": "the page with a camera of 640x480, 30 frames/s, one face; medians over the rounds of a round's median",
        "card": {"name": card.name, "precision": card.precision, "architecture": card.architecture},
        **medians,
        "aim_frames_per_s": AIM_FRAMES_PER_S,
        "detection_side_px": CAMERA_SIDE,
        "threads": 1,
        "rounds": [{name: round(value, 2) for name, value in each.items()} for each in rounds],
        "browser": f"{chromium}, headless",
        "onnxruntime_web": onnxruntime_web.VERSION,
        "environment": environment,
    }
    write_text(output, json.dumps(result, indent=2) + "\n")
    print(f"finding faces       {medians['detection_ms']:7.1f} ms")
    print(f"expression, a face  {medians['expression_ms_per_face']:7.1f} ms")
    print(f"frames              {medians['frames_per_s']:7.1f} /s (aim: {AIM_FRAMES_PER_S})")
    print(f"wrote {output}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except FerEdgeError as error:
        raise SystemExit(f"error: {error}") from None
