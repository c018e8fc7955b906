"""Which onnxruntime releases answer like the newest: logits of the shipped models, golden kits, saturation, sizes.

    python benchmarks/onnxruntime_versions.py --folder /tmp/onnxruntime

Each release is installed by pip into a folder of its own, alone, and imported from there by a process that has all else
from this environment, once with its numpy and once with numpy 1.26. Faces are made once and handed to all as bytes:
drawn with another numpy, a pixel in some ten thousand differs by a grey level. Writes
benchmarks/results/onnxruntime_versions.json.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

RELEASES = (
    *("1.15.0", "1.15.1", "1.16.0", "1.16.3", "1.17.0", "1.17.3", "1.18.0", "1.18.1", "1.19.0", "1.19.2"),
    *("1.20.0", "1.20.1", "1.21.0", "1.21.1", "1.22.0", "1.22.1", "1.23.0", "1.23.2", "1.24.1", "1.24.4"),
    *("1.25.0", "1.25.1", "1.26.0", "1.27.0", "1.28.0", "1.29.0", "1.30.0", "1.31.0", "1.31.1", "1.32.0"),
)
"""First and last of each minor release: the range from what the models' metadata claim to the newest."""
NUMPY_1 = "1.26.4"
MODELS = ("fer-tiny-int8", "fer-resnet18-int8")
NUM_FACES = 50
ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "onnxruntime_versions.json"


def installed(folder: Path, package: str, version: str) -> Path:
    """The folder that holds ``package`` alone, installed there where it is not yet."""
    target = folder / f"{package}-{version}"
    if not target.exists():
        made = target.with_suffix(".part")
        words = ["install", "--quiet", "--no-deps", "--no-compile", "--target", str(made), f"{package}=={version}"]
        subprocess.run([sys.executable, "-m", "pip", *words], check=True)
        made.rename(target)
    return target


def size_bytes(folder: Path) -> int:
    """Of all files but bytecode."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def ask(folder: Path, onnxruntime: Path, numpy: Path | None) -> dict[str, Any]:
    """What a release answers, in a process of its own; ``crashed`` with its last line where it ends badly."""
    paths = [str(path) for path in (onnxruntime, numpy, ROOT) if path is not None]
    done = subprocess.run(
        [sys.executable, __file__, "--answer", "--folder", str(folder)],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    if done.returncode != 0:
        return {"crashed": done.returncode, "last_line": (done.stderr.strip().splitlines() or [""])[-1][:200]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def answer(folder: Path) -> dict[str, Any]:
    """In the release's own process: logits, the kits' own words, and whether 8-bit sums saturate."""
    import numpy as np
    import onnxruntime

    from fer_edge import Classifier
    from fer_edge.runtime.saturation import saturates

    faces = np.load(folder / "faces.npy")
    logits = {}
    for name in MODELS:
        model = Classifier.load(ROOT / "exported" / f"{name}.onnx", threads=1)
        logits[name] = model.probabilities_and_logits(faces)[1].tolist()
    kits = {
        name: subprocess.run(
            [sys.executable, str(folder / f"{name}-golden" / "check.py"), str(ROOT / "exported" / f"{name}.onnx")],
            capture_output=True,
            encoding="utf-8",
        )
        for name in MODELS
    }
    return {
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "logits": logits,
        "golden": {name: (done.stdout + done.stderr).strip() for name, done in kits.items()},
        "saturates": saturates(),
        "saturates_at_full_precision": saturates(full_precision=True),
    }


def compare(rows: list[dict[str, Any]], reference: str) -> None:
    """Put in place of each row's logits how far they are from those of ``reference``, and how many labels differ."""
    import numpy as np

    expected = next(row["logits"] for row in rows if row.get("onnxruntime") == reference and "logits" in row)
    expected = {name: np.array(values) for name, values in expected.items()}
    for row in rows:
        for name, values in row.pop("logits", {}).items():
            found = np.array(values)
            row.setdefault("max_logit_difference", {})[name] = float(np.abs(found - expected[name]).max())
            changed = int((found.argmax(axis=1) != expected[name].argmax(axis=1)).sum())
            row.setdefault("labels_changed", {})[name] = changed


def main() -> None:
    """Ask every release and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where releases are installed, 1.5 GB")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--answer", action="store_true", help="in the process of one release")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    if arguments.answer:
        print(json.dumps(answer(folder)))
        return
    import numpy as np

    from fer_edge.data.sample import synthetic_faces
    from fer_edge.golden import write_kit

    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "faces.npy", synthetic_faces(range(NUM_FACES)).faces[..., np.newaxis])
    for name in MODELS:
        write_kit(ROOT / "exported" / f"{name}.onnx", folder / f"{name}-golden")
    numpy_1 = installed(folder, "numpy", NUMPY_1)
    rows: list[dict[str, Any]] = []
    for version in RELEASES:
        release = installed(folder, "onnxruntime", version)
        facts = {"release": version, "megabytes": round(size_bytes(release) / 1e6, 1)}
        for numpy in (None, numpy_1):
            rows.append(facts | {"numpy": NUMPY_1 if numpy else np.__version__} | ask(folder, release, numpy))
            print(version, rows[-1]["numpy"], rows[-1].get("last_line", "answers"), flush=True)
    compare(rows, RELEASES[-1])
    text = json.dumps(
        {"reference": RELEASES[-1], "machine": platform.machine(), "python": platform.python_version(), "rows": rows},
        indent=1,
    )
    arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
