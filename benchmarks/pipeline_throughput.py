"""How much of a model's speed is left when it is fed JPEG files: images/s from files to labels against the model alone.

    python benchmarks/pipeline_throughput.py --model exported/NAME.onnx [--folder PHOTOS] [--images 2000]

Both are measured in one process, in turns, with the same model, batch size and threads: (a) the model alone on pixels
that are in memory, (b) Classifier.predict_named from the files. Without --folder, drawn faces are written as JPEG to a
temporary folder. Prints the medians and writes benchmarks/results/pipeline_throughput.json.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import onnxruntime
from PIL import Image

from fer_edge.data.sample import synthetic_faces
from fer_edge.errors import FerEdgeError
from fer_edge.files import write_text
from fer_edge.runtime.classifier import DEFAULT_BATCH_SIZE, Classifier
from fer_edge.runtime.folder import images_in
from fer_edge.runtime.images import decode_image

RESULT = Path(__file__).parent / "results" / "pipeline_throughput.json"
AIM = 0.85


def main() -> None:
    options = parse()
    classifier = Classifier.load(options.model, provider=options.provider, threads=options.threads)
    with jpeg_files(options.folder, options.images) as files:
        batches = batches_of_equal_size([decode_image(path) for path in files], options.batch_size)
        # Warm up both: memory pools, file cache, threads.
        run_model(classifier, batches[:2])
        run_pipeline(classifier, files[: 2 * options.batch_size], options)
        model_s, pipeline_s = [], []
        for _ in range(options.repeats):  # in turns, so that a machine that slows down slows both
            model_s.append(run_model(classifier, batches))
            pipeline_s.append(run_pipeline(classifier, files, options))
    report(options, classifier, len(files), model_s, pipeline_s)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--folder", type=Path, help="a folder of images; default: drawn faces as 48x48 JPEG")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=DEFAULT_BATCH_SIZE)
    parser.add_argument("--provider", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--decoders", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULT)
    return parser.parse_args()


@contextmanager
def jpeg_files(folder: Path | None, count: int) -> Iterator[list[Path]]:
    """Up to ``count`` image files of ``folder``, or drawn faces as JPEG files that last as long as the block."""
    if folder is not None:
        yield list(islice(images_in(folder), count))
        return
    with tempfile.TemporaryDirectory() as temporary:
        for index, face in enumerate(synthetic_faces(range(count)).faces):
            Image.fromarray(face).save(Path(temporary) / f"{index:06d}.jpg", quality=90)
        yield list(images_in(temporary))


def batches_of_equal_size(images: list[np.ndarray], batch_size: int) -> list[np.ndarray]:
    """The batches that the model alone gets: images of one shape together, (up to batch_size, H, W, C)."""
    by_shape: dict[tuple[int, ...], list[np.ndarray]] = {}
    for image in images:
        by_shape.setdefault(image.shape, []).append(image)
    return [
        np.stack(group[start : start + batch_size])
        for group in by_shape.values()
        for start in range(0, len(group), batch_size)
    ]


def run_model(classifier: Classifier, batches: list[np.ndarray]) -> float:
    start = time.perf_counter()
    for batch in batches:
        classifier.probabilities(batch)
    return time.perf_counter() - start


def run_pipeline(classifier: Classifier, files: list[Path], options: argparse.Namespace) -> float:
    start = time.perf_counter()
    named = ((str(path), path) for path in files)
    outcomes = classifier.predict_named(named, batch_size=options.batch_size, decoders=options.decoders)
    failed = [outcome.error for outcome in outcomes if outcome.prediction is None]
    seconds = time.perf_counter() - start
    if failed:
        raise SystemExit(f"expected images that open, found {len(failed)} that do not, first: {failed[0]}")
    return seconds


def report(
    options: argparse.Namespace, classifier: Classifier, images: int, model_s: list[float], pipeline_s: list[float]
) -> None:
    model_rate, pipeline_rate = images / statistics.median(model_s), images / statistics.median(pipeline_s)
    share = pipeline_rate / model_rate
    result = {
        "what": "images/s from image files to labels, against the model alone on pixels in memory; medians",
        "model": options.model.name,
        "card": {"name": classifier.metadata.name, "precision": classifier.metadata.precision},
        "provider": classifier.provider,
        "images": images,
        "source": str(options.folder or "drawn faces, 48x48 JPEG"),
        "batch_size": options.batch_size,
        "threads": options.threads or "onnxruntime's choice",
        "decoders": options.decoders,
        "repeats": options.repeats,
        "model_images_per_s": round(model_rate, 1),
        "pipeline_images_per_s": round(pipeline_rate, 1),
        "pipeline_share_of_model": round(share, 4),
        "aim": AIM,
        "model_s": [round(seconds, 4) for seconds in model_s],
        "pipeline_s": [round(seconds, 4) for seconds in pipeline_s],
        "machine": machine(),
    }
    write_text(options.output, json.dumps(result, indent=2) + "\n")
    print(f"model alone     {model_rate:9.1f} images/s")
    print(f"files to labels {pipeline_rate:9.1f} images/s, {share:.1%} of it (aim: {AIM:.0%})")
    print(f"wrote {options.output}", file=sys.stderr)


def machine() -> dict[str, object]:
    """The hardware and software that the numbers belong to."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "pillow": Image.__version__,
    }


if __name__ == "__main__":
    try:
        main()
    except FerEdgeError as error:
        raise SystemExit(f"error: {error}") from None
