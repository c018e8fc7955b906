"""How far the same model file answers from Python's onnxruntime elsewhere, on a large kit of golden vectors.

    npm ci --ignore-scripts --prefix examples/node
    npm ci --ignore-scripts --prefix tests/golden/browser
    python benchmarks/golden_tolerance.py MODEL.onnx ... --output benchmarks/results/golden_tolerance.json

Each model answers the same drawn faces, photos and noise in Python (another number of threads, and without graph
optimisation), in Node (onnxruntime-node) and on WebAssembly (onnxruntime-web). The kits' own checkers compare. What the
checker says to an app that takes blue for red is kept beside these.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from fer_edge.data.sample import synthetic_faces
from fer_edge.files import write_text
from fer_edge.golden.kit import write_kit
from fer_edge.golden.manifest import MANIFEST
from fer_edge.golden.vectors import Vector
from fer_edge.runtime.classifier import Classifier

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECTS = {
    "onnxruntime-node": REPOSITORY / "examples" / "node",
    "onnxruntime-web": REPOSITORY / "tests" / "golden" / "browser",
}
FACES, PHOTOS, NOISE = 128, 32, 32
BATCH = 32
SEED = 7


def inputs() -> list[Vector]:
    rng = np.random.default_rng(SEED)
    faces = synthetic_faces(range(FACES), seed=SEED).faces
    grey = np.stack([np.asarray(Image.fromarray(face).resize((96, 112))) for face in faces[:PHOTOS]])
    photos = np.rint(grey[..., np.newaxis] * np.array((1.0, 0.82, 0.64), np.float32)).astype(np.uint8)
    noise = rng.integers(0, 256, (NOISE, 40, 60, 3), dtype=np.uint8)
    sets = {"faces": faces[..., np.newaxis], "photos": photos, "noise": noise}
    return [
        Vector(f"{name}-{start}", name, images[start : start + BATCH])
        for name, images in sets.items()
        for start in range(0, len(images), BATCH)
    ]


def in_python(model: Path, vectors: list[Vector], **settings: object) -> dict[str, dict[str, float]]:
    """Differences between the kit's session (one thread) and one with other ``settings``."""
    usual = Classifier.load(model, threads=1)
    options = onnxruntime.SessionOptions()
    for name, value in settings.items():
        setattr(options, name, value)
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    worst: dict[str, dict[str, float]] = {}
    for vector in vectors:
        probabilities, logits = usual.probabilities_and_logits(vector.pixels)
        feed = {usual.metadata.input.name: usual.feed(vector.pixels)}
        found = session.run(["probabilities", "logits"], feed)
        note_worst(worst, vector.about, np.abs(found[1] - logits).max(), np.abs(found[0] - probabilities).max())
    return worst


def in_javascript(package: str, kits: dict[str, Path], model: Path) -> dict[str, dict[str, float]]:
    worst: dict[str, dict[str, float]] = {}
    for name, kit in kits.items():
        done = subprocess.run(
            ["node", str(kit / "check.mjs"), str(model.resolve()), package],
            cwd=PROJECTS[package],
            capture_output=True,
            text=True,
            check=False,
        )
        found = re.search(r"logits within (\S+) .*probabilities within (\S+) ", done.stdout)
        if found is None:
            raise SystemExit(f"{model} in {package}: {done.stderr}")
        note_worst(worst, name, float(found[1]), float(found[2]))
    return worst


def note_worst(worst: dict[str, dict[str, float]], name: str, logits: float, probabilities: float) -> None:
    before = worst.setdefault(name, {"logits": 0.0, "probabilities": 0.0})
    before["logits"] = float(f"{max(before['logits'], logits):.3g}")
    before["probabilities"] = float(f"{max(before['probabilities'], probabilities):.3g}")


def write_kits(model: Path, vectors: list[Vector], folder: Path) -> dict[str, Path]:
    """A kit for each kind of input, with tolerances that no difference exceeds, so that the checkers give figures."""
    kits = {}
    for name in dict.fromkeys(vector.about for vector in vectors):
        kit = write_kit(model, folder / name, inputs=[vector for vector in vectors if vector.about == name])
        manifest = kit.manifest
        manifest["tolerance"] |= {"max_logit_difference": 1e9, "max_probability_difference": 1.0, "tie_margin": 1.0}
        write_text(kit.folder / MANIFEST, json.dumps(manifest))
        kits[name] = kit.folder
    return kits


def complaint_about_swapped_colours(model: Path, folder: Path) -> str:
    """What the checker of the usual kit says where red and blue are swapped in every vector."""
    kit = write_kit(model, folder / "swapped").folder
    for vector in json.loads((kit / MANIFEST).read_text())["vectors"]:
        if vector["shape"][3] == 3:
            file = kit / vector["file"]
            file.write_bytes(np.fromfile(file, np.uint8).reshape(vector["shape"])[..., ::-1].tobytes())
    done = subprocess.run(
        [sys.executable, str(kit / "check.py"), str(model.resolve())], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        raise SystemExit(f"{model}: expected the checker to find swapped colours, found: {done.stdout.strip()}")
    return done.stderr.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    for package, project in PROJECTS.items():
        if not (project / "node_modules" / package).exists():
            raise SystemExit(f"{project}: expected {package}, found none; run: npm ci --ignore-scripts in that folder")
    vectors = inputs()
    optimisation_off = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    results = {}
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            kits = write_kits(model, vectors, Path(folder))
            results[model.name] = {
                "precision": Classifier.load(model).metadata.precision,
                "python, 2 threads": in_python(model, vectors, intra_op_num_threads=2),
                "python, no graph optimisation": in_python(model, vectors, graph_optimization_level=optimisation_off),
                **{package: in_javascript(package, kits, model) for package in PROJECTS},
                "red and blue swapped": complaint_about_swapped_colours(model, Path(folder)),
            }
        print(json.dumps({model.name: results[model.name]}, indent=1))
    if arguments.output:
        machine = f"{platform.machine()}, {platform.system()}, onnxruntime {onnxruntime.__version__}"
        images = {"faces": FACES, "photos": PHOTOS, "noise": NOISE}
        report = {"machine": machine, "images": images, "largest_difference": results}
        write_text(arguments.output, json.dumps(report, indent=1) + "\n")
        print(f"wrote {arguments.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
