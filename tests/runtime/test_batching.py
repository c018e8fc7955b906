from collections.abc import Iterator

import numpy as np
import pytest

from fer_edge.errors import ImageError, ModelError
from fer_edge.runtime import batching
from fer_edge.runtime.batching import WINDOW_BATCHES, Decoded, score_in_batches
from fer_edge.runtime.folder import decode_ahead


class Recorder:
    """Scores an image by its first pixel, and keeps the shape of every batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        self.batches.append(pixels.shape)
        return pixels[:, 0, 0, :1].astype(np.float32).repeat(7, axis=1)


def image(value: int, size: int = 4) -> Decoded[int]:
    return Decoded(value, np.full((size, size, 1), value, np.uint8))


def test_equal_sizes_fill_whole_batches() -> None:
    score = Recorder()
    scored = list(score_in_batches((image(value) for value in range(10)), score, 4))
    assert [one.key for one in scored] == list(range(10))
    assert [float(one.result[0]) for one in scored] == list(range(10))  # type: ignore[index]  # no error among them
    assert [batch[0] for batch in score.batches] == [4, 4, 2]


def test_mixed_sizes_share_batches_with_their_like_and_keep_their_order() -> None:
    score = Recorder()
    scored = list(score_in_batches((image(value, size=4 + value % 2) for value in range(16)), score, 4))
    assert [one.key for one in scored] == list(range(16))
    assert score.batches == [(4, 4, 4, 1), (4, 5, 5, 1)] * 2


def test_errors_keep_their_place() -> None:
    error = ImageError("bad")
    images = [image(0), Decoded(1, error), image(2)]
    assert [one.result is error for one in score_in_batches(images, Recorder(), 8)] == [False, True, False]


def test_an_image_that_the_model_cannot_take_stops_no_other() -> None:
    score = Recorder()

    def picky(pixels: np.ndarray) -> np.ndarray:
        if (pixels == 2).any():
            raise ModelError("m.onnx: onnxruntime cannot run it")
        return score(pixels)

    scored = list(score_in_batches((image(value) for value in range(6)), picky, 4))
    assert [one.key for one in scored] == list(range(6))
    assert [one.key for one in scored if isinstance(one.result, ImageError)] == [2]
    assert str(scored[2].result) == "2: the model cannot take it: m.onnx: onnxruntime cannot run it"
    assert [batch[0] for batch in score.batches] == [1, 1, 1, 2]  # the batch with the bad one singly, the rest together


def test_lonely_size_waits_no_longer_than_the_window() -> None:
    taken = 0

    def stream() -> Iterator[Decoded[int]]:
        nonlocal taken
        for value in range(200):
            taken += 1
            yield image(value, size=9 if value == 0 else 4)

    first = next(iter(score_in_batches(stream(), Recorder(), 4)))
    assert first.key == 0
    assert taken <= WINDOW_BATCHES * 4 + 1


def test_large_images_make_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MAX_BATCH_PIXELS", 200)
    score = Recorder()
    list(score_in_batches((image(value, size=10) for value in range(5)), score, 32))
    assert [batch[0] for batch in score.batches] == [2, 2, 1]
    score = Recorder()
    list(score_in_batches((image(value, size=20) for value in range(3)), score, 32))
    assert [batch[0] for batch in score.batches] == [1, 1, 1]


def test_waiting_pixels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MAX_HELD_PIXELS", 500)
    taken, most_ahead, given = 0, 0, 0

    def stream() -> Iterator[Decoded[int]]:
        nonlocal taken
        for value in range(40):  # forty sizes: nothing ever fills a batch
            taken += 1
            yield image(value, size=10 + value)

    for _ in score_in_batches(stream(), Recorder(), 32):
        most_ahead = max(most_ahead, taken - given)
        given += 1
    assert given == 40
    assert most_ahead <= 6


def test_latency_is_shared_by_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.4])
    monkeypatch.setattr(batching.time, "perf_counter", lambda: next(clock))
    scored = list(score_in_batches([image(value) for value in range(4)], Recorder(), 4))
    assert [one.latency_ms for one in scored] == pytest.approx([100.0] * 4)


def test_batch_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, found 0"):
        score_in_batches([], Recorder(), 0)


def test_decoding_ahead_is_bounded_ordered_and_keeps_errors() -> None:
    taken = 0

    def stream() -> Iterator[tuple[str, object]]:
        nonlocal taken
        for value in range(100):
            taken += 1
            yield str(value), b"bad" if value == 3 else np.full((4, 4), value, np.uint8)

    decoded = decode_ahead(stream(), threads=2, ahead=8)  # type: ignore[arg-type]  # arrays and bytes are both sources
    first = next(decoded)
    assert first.key == "0"
    assert taken <= 8
    rest = list(decoded)
    assert [one.key for one in rest] == [str(value) for value in range(1, 100)]
    assert [one.key for one in rest if isinstance(one.pixels, ImageError)] == ["3"]


def test_large_photos_are_opened_fewer_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from fer_edge.runtime import folder

    monkeypatch.setattr(folder, "MAX_AHEAD_BYTES", 300)
    taken = 0

    def stream() -> Iterator[tuple[str, np.ndarray]]:
        nonlocal taken
        for value in range(50):
            taken += 1
            yield str(value), np.zeros((10, 10), np.uint8)

    decoded = decode_ahead(stream(), threads=2, ahead=16)
    for given in range(50):
        next(decoded)
        if given > 16:
            assert taken - given <= 4
