"""Peak memory and time of the largest images that are accepted, one process each: what SECURITY.md says of bounds.

Each image is written first (89 megapixels, the most that is accepted, of random blocks, or of noise, which takes the
longest), then a fresh process opens it and names its faces as `predict` does. "Peak" is the process's VmHWM, "after"
what stays resident in the end, "seconds" the processor time of the image.

python benchmarks/memory.py --output benchmarks/results/memory
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL
from PIL import Image, features

from fer_edge.runtime.images import MAX_JPEG_SCANS, MAX_PIXELS
from fer_edge.runtime.jpeg_scans import has_more_scans
from fer_edge.runtime.machine import describe_machine

HEIGHT = 8192
WIDTH = MAX_PIXELS // HEIGHT
IMAGES_IN_FOLDER = 8

PROBE = """
import gc, sys, time
from pathlib import Path
from fer_edge.runtime.classifier import Classifier
def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)))
classifier = Classifier.load(sys.argv[1], threads=1)
named = [(path, path) for path in sys.argv[3:]]
keep = sys.argv[2] == "keep"
outcomes = 0
began = time.process_time()
for outcome in classifier.predict_photos(named, batch_size=1 if keep else 32, keep_pixels=keep):
    assert outcome.error is None, outcome.error
    outcomes += 1
assert outcomes == len(named)
seconds = time.process_time() - began
outcome = None
gc.collect()
print(status("VmHWM"), status("VmRSS"), seconds)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fer-resnet18")
    parser.add_argument("--output", type=Path, help="name without suffix of a .json and a .md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder, "small.jpg")
        Image.new("RGB", (640, 480), 128).save(small)
        base_peak, base_after, _ = measured(arguments.model, [small])
        rows = []
        for name, write in WRITERS.items():
            path = write(Path(folder))
            rows.append(row(name, path, measured(arguments.model, [path])))
            print(rows[-1], file=sys.stderr, flush=True)
            if name != "PNG, RGB":
                path.unlink()
        several = [Path(folder, "large.png")] * IMAGES_IN_FOLDER
        rows.append(row(f"{IMAGES_IN_FOLDER} of PNG, RGB, two threads", None, measured(arguments.model, several)))
        path = WRITERS["JPEG"](Path(folder))
        rows.append(row("JPEG, pixels kept (--out)", path, measured(arguments.model, [path], keep=True)))
    report = {
        "machine": describe_machine(),
        "versions": {"pillow": PIL.__version__, "libwebp": features.version("webp")},
        "model": arguments.model,
        "size": [WIDTH, HEIGHT],
        "small_image_peak_mb": base_peak,
        "small_image_after_mb": base_after,
        "rows": rows,
    }
    text = as_markdown(report)
    print(text)
    if arguments.output:
        arguments.output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
        arguments.output.with_suffix(".md").write_text(text)


def megabytes(path: Path) -> int:
    return round(path.stat().st_size / 1e6)


def row(name: str, path: Path | None, found: tuple[int, int, float]) -> dict[str, Any]:
    peak, after, seconds = found
    size = megabytes(path) if path else 0
    return {"image": name, "file_mb": size, "peak_mb": peak, "after_mb": after, "seconds": round(seconds, 1)}


def measured(model: str, paths: list[Path], *, keep: bool = False) -> tuple[int, int, float]:
    """Peak and final resident memory in MB of a process that names the faces of these images, and the seconds of its
    processor; with ``keep`` it hands out their pixels too, as `predict --out` needs them."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, model, "keep" if keep else "drop", *map(str, paths)],
        check=True,
        capture_output=True,
        text=True,
    )
    peak, after, seconds = done.stdout.split()
    return round(int(peak) * 1024 / 1e6), round(int(after) * 1024 / 1e6), float(seconds)


def blocks(channels: int, dtype: type = np.uint8) -> np.ndarray:
    """Random blocks of 16 by 16: (HEIGHT, WIDTH, channels), or (HEIGHT, WIDTH) for one channel."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, np.iinfo(dtype).max, (HEIGHT // 16 + 1, WIDTH // 16 + 1, channels), dtype=dtype)
    large = coarse.repeat(16, axis=0)[:HEIGHT].repeat(16, axis=1)[:, :WIDTH]
    return np.ascontiguousarray(large[:, :, 0] if channels == 1 else large)


def noise(over: np.ndarray | None = None) -> np.ndarray:
    """Random pixels; half of them and half of ``over``, since WebP has no room for the modes of so many others."""
    values = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return values if over is None else values // 2 + over // 2


def jpeg_of_most_scans(folder: Path) -> Path:
    """A progressive JPEG that repeats its first scan: each costs the decoder a pass over the whole image."""
    path = saved(folder, "-scans.jpg", blocks(3), progressive=True, subsampling=0)
    data = path.read_bytes()
    start = data.index(b"\xff\xda")
    ends = [data.index(marker, start + 2) for marker in (b"\xff\xc4", b"\xff\xda")]
    scan = data[start : min(ends)]
    missing = MAX_JPEG_SCANS - data.count(b"\xff\xda")
    path.write_bytes(data[:start] + scan * missing + data[start:])
    assert not has_more_scans(path.read_bytes(), MAX_JPEG_SCANS)
    assert has_more_scans(path.read_bytes(), MAX_JPEG_SCANS - 1)
    return path


def saved(folder: Path, suffix: str, pixels: np.ndarray, **options: Any) -> Path:
    path = folder / f"large{suffix}"
    Image.fromarray(pixels).save(path, **options)
    return path


def deep_rgb_png(folder: Path) -> Path:
    """Written chunk by chunk: Pillow holds no RGB of 16 bits."""
    path, packer = folder / "large-rgb16.png", zlib.compressobj(1)
    row = np.repeat(np.random.default_rng(0).integers(0, 65535, (WIDTH // 16 + 1, 3), np.uint16), 16, axis=0)[:WIDTH]
    with path.open("wb") as stream:
        stream.write(b"\x89PNG\r\n\x1a\n")
        write_chunk(stream, b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0))
        for number in range(HEIGHT):
            if packed := packer.compress(b"\0" + np.roll(row, number // 16, axis=0).astype(">u2").tobytes()):
                write_chunk(stream, b"IDAT", packed)
        write_chunk(stream, b"IDAT", packer.flush())
        write_chunk(stream, b"IEND", b"")
    return path


def write_chunk(stream: BinaryIO, kind: bytes, data: bytes) -> None:
    stream.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


WRITERS = {
    "JPEG": lambda folder: saved(folder, ".jpg", blocks(3)),
    "JPEG, progressive": lambda folder: saved(folder, ".jpg", blocks(3), progressive=True, subsampling=0),
    "JPEG, 64 scans": jpeg_of_most_scans,
    "PNG, RGB": lambda folder: saved(folder, ".png", blocks(3), compress_level=1),
    "PNG, RGBA": lambda folder: saved(folder, "-a.png", blocks(4), compress_level=1),
    "PNG, 16-bit grey": lambda folder: saved(folder, "-16.png", blocks(1, np.uint16), compress_level=1),
    "PNG, 16-bit RGB": deep_rgb_png,
    "GIF": lambda folder: saved(folder, ".gif", blocks(1)),
    "WebP, lossless": lambda folder: saved(folder, "-l.webp", blocks(3), lossless=True, quality=0, method=0),
    "WebP": lambda folder: saved(folder, ".webp", blocks(3), quality=50, method=0),
    "WebP, lossless, noise": lambda folder: saved(folder, "-ln.webp", noise(), lossless=True, quality=0, method=0),
    "WebP, noise": lambda folder: saved(folder, "-n.webp", noise(over=blocks(3)), quality=80, method=0),
    "TIFF": lambda folder: saved(folder, ".tif", blocks(3)),
    "TIFF, 16-bit grey": lambda folder: saved(folder, "-16.tif", blocks(1, np.uint16)),
}


def as_markdown(report: dict[str, Any]) -> str:
    width, height = report["size"]
    lines = [
        "# Memory and time of the largest images",
        "",
        f"`benchmarks/memory.py` with {report['model']}, one thread: {width} x {height} pixels, the most that "
        "is accepted. MB of the whole process; at its peak one that reads a small photo has "
        f"{report['small_image_peak_mb']}. Seconds of the processor, from the file to the answer. "
        f"{report['machine']}; Pillow {report['versions']['pillow']}, libwebp {report['versions']['libwebp']}.",
        "",
        "| image | file | peak | after | seconds |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {one['image']} | {one['file_mb'] or ''} | {one['peak_mb']} | {one['after_mb']} | {one['seconds']} |"
            for one in report["rows"]
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
