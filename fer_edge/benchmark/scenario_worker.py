"""One scenario of one loaded model, inside its own process: its inputs, its clock, and its figures."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmark.audit import Sample, largest_difference, repeat_gain
from fer_edge.benchmark.photos import camera_photos, jpeg_bytes
from fer_edge.benchmark.scenarios import (
    MULTI_STREAM,
    MULTI_STREAM_IMAGES,
    OFFLINE,
    SERVER,
    STREAM_PERCENTILES,
    SUSTAINED,
    Heard,
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
_SEED = 0
_WARM_UP = 5


@dataclass(frozen=True)
class Inputs:
    """What queries ask, by their number: one after the other of ``count`` different ones."""

    count: int
    pixels: Callable[[int], list[NDArray[np.uint8]]]
    """What the model is given for the input of a number below ``count``: one batch (N, H, W, C), or a photo's faces."""


Probabilities = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Of a batch (N, H, W, C), as the accuracy run asks for them: (N, classes), checked."""


def measure_scenario(
    backend: "Backend", probabilities: Probabilities, pool: NDArray[np.uint8], batch: int, command: dict[str, Any]
) -> dict[str, Any]:
    """The figures of ``command["scenario"]`` for faces uint8 (N, S, S, 1), in an order of a seed, with replacement.

    Under ``audit`` is what ``audit.py`` found: of the answers of timed runs, and of repeating an input.
    """
    clock, inputs, sample = time.perf_counter, _inputs(pool, batch, command["input"]), Sample(batch)

    def answer(number: int) -> list[NDArray[np.float32]]:
        given = inputs.pixels(number % inputs.count)
        return [run_once(backend, one, clock)[1].probabilities for one in given]

    @cache
    def accuracy_run(number: int) -> NDArray[np.float32]:
        return _joined([probabilities(one) for one in inputs.pixels(number)])

    def latency_of(number: int) -> float:
        sent = clock()
        answer(number)
        return 1000 * (clock() - sent)

    for number in range(_WARM_UP):
        answer(number)
    figures = _figures(answer, lambda number, found: sample.hear(number, _joined(found)), batch, command)
    difference = largest_difference(sample.kept, lambda number: accuracy_run(number % inputs.count))
    gain = repeat_gain(latency_of, command["audit_budget_s"], clock)
    return {**figures, "audit": {"answers": len(sample.kept), "largest_difference": difference, **gain}}


def _figures(
    answer: Callable[[int], list[NDArray[np.float32]]], heard: Heard, batch: int, command: dict[str, Any]
) -> dict[str, Any]:
    scenario, clock = command["scenario"], time.perf_counter
    if scenario == SERVER:
        probe = run_stream(answer, clock, min_count=30, min_s=0.2, max_s=5.0)
        most = 1000 / float(np.median(probe.latency_ms))
        more = {"queries": command["queries"], "bound_ms": command["bound_ms"], "seed": _SEED}
        return server_figures(answer, clock, time.sleep, most=most, heard=heard, **more)
    if scenario == SUSTAINED:
        seconds = 60 * command["minutes"]
        return sustained_figures(run_stream(answer, clock, min_count=1, min_s=seconds, max_s=seconds, heard=heard))
    length = {"min_count": command["queries"], "min_s": command["min_s"], "max_s": command["max_s"]}
    stream = run_stream(answer, clock, heard=heard, **length)
    if scenario == OFFLINE:
        return {
            "batch": batch,
            "images": batch * len(stream.latency_ms),
            "images_per_s": batch * len(stream.latency_ms) / stream.seconds,
        }
    return stream_figures(stream, STREAM_PERCENTILES[scenario], MULTI_STREAM_IMAGES if scenario == MULTI_STREAM else 1)


def _joined(found: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The probabilities of all faces of a query; of none, where no face was found in a photo."""
    return found[0] if len(found) == 1 else np.concatenate(found) if found else np.zeros((0, 0), np.float32)


def _inputs(pool: NDArray[np.uint8], batch: int, kind: str) -> Inputs:
    """The inputs of a kind, in an order of a seed."""
    order = np.random.default_rng(_SEED).integers(len(pool), size=(256, batch))
    if kind == PIXELS:
        batches = [pool[chosen] for chosen in order[: max(2, min(256, 2048 // batch))]]
        return Inputs(len(batches), lambda number: [batches[number]])
    from fer_edge.runtime.images import decode_image

    if kind == JPEG:
        files = jpeg_bytes(pool)
        return Inputs(len(order), lambda number: [decode_image(files[order[number, 0]])[None]])
    from fer_edge.runtime.crops import crop_face
    from fer_edge.runtime.photos import DETECT, FaceSearch, within_threads

    search = within_threads(FaceSearch(mode=DETECT, looks_sideways=False), 1)
    photos = camera_photos()

    def faces_in(number: int) -> list[NDArray[np.uint8]]:
        pixels = decode_image(photos[number])
        places = search.find(pixels).places
        return [crop_face(pixels, face, search.framing)[None] for face in places if face is not None]

    return Inputs(len(photos), faces_in)
