"""One scenario of one loaded model, inside its own process: its inputs, its clock, and its figures."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmark.scenarios import (
    MULTI_STREAM,
    MULTI_STREAM_IMAGES,
    OFFLINE,
    SERVER,
    STREAM_PERCENTILES,
    SUSTAINED,
    Answer,
    run_stream,
    server_figures,
    stream_figures,
    sustained_figures,
)
from fer_edge.benchmark.timed_run import run_once

if TYPE_CHECKING:
    from fer_edge.backends.contract import Backend

PIXELS, JPEG, PHOTO = "pixels", "jpeg", "photo"
INPUTS = (PIXELS, JPEG, PHOTO)
"""A face in memory; the bytes of its JPEG file; the bytes of a camera's photo, in which the face is found first."""
CAMERA_SIZE = (1920, 1080)
_SEED = 0
_WARM_UP = 5
_QUALITY = 90
_EXAMPLE = Path(__file__).parent.parent / "web" / "page" / "example.jpg"


def measure_scenario(
    backend: "Backend", pool: NDArray[np.uint8], batch: int, command: dict[str, Any]
) -> dict[str, Any]:
    """The figures of ``command["scenario"]`` for faces uint8 (N, S, S, 1), in an order of a seed, with replacement."""
    scenario, clock = command["scenario"], time.perf_counter
    answer = _answer(backend, pool, batch, command["input"])
    for number in range(_WARM_UP):
        answer(number)
    if scenario == SERVER:
        probe = run_stream(answer, clock, min_count=30, min_s=0.2, max_s=5.0)
        most = 1000 / float(np.median(probe.latency_ms))
        more = {"queries": command["queries"], "bound_ms": command["bound_ms"], "seed": _SEED}
        return server_figures(answer, clock, time.sleep, most=most, **more)
    if scenario == SUSTAINED:
        seconds = 60 * command["minutes"]
        return sustained_figures(run_stream(answer, clock, min_count=1, min_s=seconds, max_s=seconds))
    stream = run_stream(answer, clock, min_count=command["queries"], min_s=command["min_s"], max_s=command["max_s"])
    if scenario == OFFLINE:
        return {
            "images": batch * len(stream.latency_ms),
            "images_per_s": batch * len(stream.latency_ms) / stream.seconds,
        }
    return stream_figures(stream, STREAM_PERCENTILES[scenario], MULTI_STREAM_IMAGES if scenario == MULTI_STREAM else 1)


def _answer(backend: "Backend", pool: NDArray[np.uint8], batch: int, kind: str) -> Answer:
    """What answers the query of a number."""
    order = np.random.default_rng(_SEED).integers(len(pool), size=(256, batch))
    if kind == PIXELS:
        batches = [pool[chosen] for chosen in order[: max(2, min(256, 2048 // batch))]]
        return lambda number: void(run_once(backend, batches[number % len(batches)], time.perf_counter))
    from fer_edge.runtime.images import decode_image

    if kind == JPEG:
        from fer_edge.benchmark.worker import jpeg_bytes

        files = jpeg_bytes(pool)
        return lambda number: void(
            run_once(backend, decode_image(files[order[number % 256, 0]])[None], time.perf_counter)
        )
    from fer_edge.runtime.crops import crop_face
    from fer_edge.runtime.photos import DETECT, FaceSearch, within_threads

    search = within_threads(FaceSearch(mode=DETECT, looks_sideways=False), 1)
    photos = camera_photos()

    def from_photo(number: int) -> None:
        pixels = decode_image(photos[number % len(photos)])
        for face in search.find(pixels).places:
            if face is not None:
                run_once(backend, crop_face(pixels, face, search.framing)[None], time.perf_counter)

    return from_photo


def void(_: object) -> None:
    """Forget what was answered."""


def camera_photos() -> list[bytes]:
    """JPEG files of CAMERA_SIZE: the page's example photo, at several places on grey."""
    import io

    from PIL import Image

    found = []
    with Image.open(_EXAMPLE) as example:
        person = example.convert("RGB").resize((900, 900))
    for place in range(8):
        photo = Image.new("RGB", CAMERA_SIZE, (120, 120, 120))
        photo.paste(person, (140 * place, 20 * place))
        stream = io.BytesIO()
        photo.save(stream, format="JPEG", quality=_QUALITY)
        found.append(stream.getvalue())
    return found
