"""Damaged images and tables, by the thousand: each is answered, or refused in one line, in time, and Ctrl-C is heard.

A worker process makes each input from its seed (bit flips, truncations, runs of one byte, numbers in headers, blocks
repeated or exchanged, of small files of every format) and gives it to ``Classifier.predict``, ``predict_faces`` or a
reader of data sets. The parent waits: an input that takes longer than --seconds gets a SIGINT and then a SIGKILL; the
slowest is told in seconds of processor time, which other processes do not lengthen. What
went wrong is printed with its seed, which makes the same bytes again: --only SEED.

python benchmarks/fuzz_images.py --minutes 10 --output benchmarks/results/fuzz
"""

import argparse
import io
import json
import os
import random
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fer_edge.data.load import load_faces
from fer_edge.errors import FerEdgeError
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.machine import describe_machine

MAX_INPUT_BYTES = 1_000_000
MEMORY_BYTES = 8 * 2**30
"""Of address space: more than the documented bounds, so that an error of memory is one."""
LARGE_SIDES = (0, 1, 255, 256, 4096, 9459, 16384, 32767, 65535)
READ = 3
"""Of so many inputs, one goes to a reader of data sets."""


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_of(width: int, height: int, data: bytes, *, depth: int = 8, colour: int = 0, interlaced: int = 0) -> bytes:
    """A PNG that claims a size, whatever its data are."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))]
    chunks += [(b"IDAT", zlib.compress(data, 9)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(one)) + kind + one + struct.pack(">I", zlib.crc32(kind + one)) for kind, one in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def originals() -> list[bytes]:
    """Small files of every format that is read, some of many frames, some that claim to be large."""
    generator = np.random.default_rng(7)
    photo = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((64, 48))
    deep = Image.fromarray(generator.integers(0, 65536, (48, 64), dtype=np.uint16))
    frames = [photo.rotate(turn) for turn in range(0, 360, 20)]
    several: dict[str, Any] = {"save_all": True, "append_images": frames}
    return [
        encoded(photo, "JPEG"),
        encoded(photo, "JPEG", progressive=True),
        encoded(photo.convert("L"), "JPEG", progressive=True, restart_marker_blocks=1),
        encoded(photo.convert("CMYK"), "JPEG"),
        encoded(photo, "PNG"),
        encoded(photo.convert("RGBA"), "PNG"),
        encoded(deep, "PNG"),
        encoded(photo.quantize(8), "PNG", transparency=1),
        encoded(photo, "PNG", **several),
        png_of(9000, 9000, b"\0" * 90_010, interlaced=1),
        png_of(30000, 3000, b"\0" * 1_000_000, depth=1),
        png_of(9000, 9000, bytes(9001 * 9000)),
        encoded(photo, "GIF"),
        encoded(photo.quantize(16), "GIF", **several),
        encoded(photo, "BMP"),
        encoded(photo.quantize(8), "BMP"),
        encoded(photo.convert("1"), "BMP"),
        encoded(photo, "WEBP"),
        encoded(photo.convert("RGBA"), "WEBP", lossless=True),
        encoded(photo, "WEBP", **several),
        *(
            encoded(photo, "TIFF", compression=one)
            for one in ("raw", "tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits")
        ),
        encoded(photo.convert("1"), "TIFF", compression="group4"),
        encoded(deep, "TIFF", compression="tiff_lzw"),
        encoded(photo, "TIFF", **several),
        encoded(Image.new("L", (9000, 9000)), "TIFF", compression="tiff_lzw"),
        encoded(Image.new("L", (9000, 9000)), "JPEG"),
        encoded(photo, "PPM"),
        b"P3 2 2 255 " + b"1 2 3 " * 4,
    ]


def table() -> bytes:
    """A small fer2013.csv."""
    generator = np.random.default_rng(5)
    rows = [
        f"{code},{' '.join(map(str, generator.integers(0, 256, 2304)))},{usage}"
        for code in range(7)
        for usage in ("Training", "PublicTest")
    ]
    return "\n".join(["emotion,pixels,Usage", *rows]).encode()


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(2 ** chance.randrange(7)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def fill(data: bytearray, chance: random.Random) -> None:
    """A run of one byte, of which quadratic searches are made."""
    start = chance.randrange(len(data))
    room = MAX_INPUT_BYTES - len(data)
    run = bytes([chance.choice((0, 0xFF, 0xD8, 0x2C, 0x21, chance.randrange(256)))]) * chance.choice(
        (8, 500, max(room, 8))
    )
    data[start:start] = run


def number(data: bytearray, chance: random.Random) -> None:
    """A number in the first bytes or anywhere, as a size, a count or an offset."""
    start = chance.randrange(min(len(data), chance.choice((40, 200, len(data)))))
    size = chance.choice(("<H", ">H", "<I", ">I"))
    value = chance.choice((*LARGE_SIDES, chance.getrandbits(16), 2**31 - 1, 2**32 - 1))
    packed = struct.pack(size, value % 2 ** (8 * struct.calcsize(size)))
    data[start : start + len(packed)] = packed


def repeat(data: bytearray, chance: random.Random) -> None:
    """A part, up to a thousand times: frames, scans, chunks, directories."""
    start = chance.randrange(len(data))
    part = bytes(data[start : start + chance.choice((3, 20, 200, 2000))])
    times = min(chance.choice((2, 50, 20_000)), (MAX_INPUT_BYTES - len(data)) // len(part))
    data[start:start] = part * max(times, 1)


def exchange(data: bytearray, chance: random.Random) -> None:
    start, other = sorted((chance.randrange(len(data)), chance.randrange(len(data))))
    data[start:other] = data[other:] + data[start:other]
    del data[MAX_INPUT_BYTES:]


CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (flip, cut, fill, number, number, repeat, exchange)


def made(seed: int, files: list[bytes], rows: bytes) -> tuple[bytes, bool]:
    """The bytes of ``seed``, and whether they are a table."""
    chance = random.Random(seed)
    is_table = chance.randrange(20) == 0
    data = bytearray(rows if is_table else chance.choice(files))
    for _ in range(chance.choice((1, 1, 2, 3))):
        if data:
            chance.choice(CHANGES)(data, chance)
    return bytes(data[:MAX_INPUT_BYTES]), is_table


def work(first: int, last: int, model: str) -> None:
    """One line for each input: its seed before, and what came of it after."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes are begun deaf to it
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    classifier = Classifier.load(model, threads=1)
    files, rows = originals(), table()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label in ("happy", "sad"):
            (folder / "faces" / label).mkdir(parents=True)
            Image.new("L", (48, 48), 9).save(folder / "faces" / label / "0.png")
        for seed in range(first, last):
            data, is_table = made(seed, files, rows)
            print(f"begin {seed}", flush=True)
            start = time.process_time()
            try:
                answered = answer(classifier, folder, data, is_table, seed)
            except FerEdgeError as error:
                text = str(error)
                answered = "refused" if is_table or "\n" not in text.split("nothing was changed")[0] else "lines"
                if is_table:
                    answered = "table refused"
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                answered = f"FAILED {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            print(f"end {seed} {time.process_time() - start:.3f} {answered}", flush=True)


def answer(classifier: Classifier, folder: Path, data: bytes, is_table: bool, seed: int) -> str:
    if is_table:
        (folder / "fer2013.csv").write_bytes(data)
        load_faces(folder / "fer2013.csv", skip_bad=True)
        return "table read"
    if seed % READ == 0:
        (folder / "faces" / "sad" / "1.png").write_bytes(data)
        data_set = load_faces(folder / "faces", labels="happy,sad", skip_bad=True)
        return "left out by a reader" if data_set.problems else "read by a reader"
    if seed % READ == 1:
        classifier.predict_faces(data)
        return "searched"
    classifier.predict(data)
    return "named"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seconds", type=float, default=8, help="for one input, then it is slow")
    parser.add_argument("--model", default="fer-tiny")
    parser.add_argument("--only", type=int, help="write the input of this seed to seed-N.bin")
    parser.add_argument("--output", type=Path, help="name without suffix of a .json")
    parser.add_argument("--work", nargs=2, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work, arguments.model)
        return
    if arguments.only is not None:
        Path(f"seed-{arguments.only}.bin").write_bytes(made(arguments.only, originals(), table())[0])
        return
    counts: Counter[str] = Counter()
    faults: list[dict[str, Any]] = []
    seed, slowest, slowest_seed, end = arguments.first, 0.0, -1, time.monotonic() + 60 * arguments.minutes
    while time.monotonic() < end:
        command = [sys.executable, __file__, "--model", arguments.model, "--work", str(seed), str(seed + 10**6)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as process:
            begun = seed
            for line in lines_of(process, end, arguments.seconds):
                kind, number_of, *rest = line.split(maxsplit=3)
                begun = int(number_of)
                if kind == "end":
                    slowest, slowest_seed = max((slowest, slowest_seed), (float(rest[0]), begun))
                    counts[rest[1].split(":")[0] if rest[1].startswith("FAILED") else rest[1]] += 1
                    if rest[1].startswith("FAILED") or rest[1] == "lines":
                        faults.append({"seed": begun, "fault": rest[1]})
                        print(faults[-1], flush=True)
            if time.monotonic() < end and process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(2)
                    heard = True
                except subprocess.TimeoutExpired:
                    heard = False
                faults.append({"seed": begun, "fault": f"slow: over {arguments.seconds:g} s; SIGINT heard: {heard}"})
                print(faults[-1], flush=True)
            elif time.monotonic() < end:
                faults.append({"seed": begun, "fault": f"the process ended: {process.returncode}"})
                print(faults[-1], flush=True)
            process.kill()
            seed = begun + 1
    total = counts.total()
    report = {
        "machine": describe_machine(),
        "first_seed": arguments.first,
        "inputs": total,
        "minutes": arguments.minutes,
        "slowest_processor_s": round(slowest, 2),
        "slowest_seed": slowest_seed,
        "outcomes": dict(counts.most_common()),
        "faults": faults,
    }
    print(json.dumps(report, indent=2))
    if arguments.output is not None:
        arguments.output.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    sys.exit(3 if faults else 0)


def lines_of(process: "subprocess.Popen[bytes]", end: float, seconds: float) -> Any:
    """The lines of the worker, until one takes longer than ``seconds`` (its start: a minute), or the end."""
    assert process.stdout is not None
    rest, patience = b"", 60.0
    while time.monotonic() < end:
        if not select.select([process.stdout], [], [], patience)[0]:
            return
        got = os.read(process.stdout.fileno(), 65536)
        if not got:
            process.wait()
            return
        patience = seconds
        *whole, rest = (rest + got).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")


if __name__ == "__main__":
    main()
