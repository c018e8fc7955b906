"""Which images are scored together, when, and that each request gets its own answers."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fer_edge.backends.contract import Outputs
from fer_edge.serving.batcher import Batcher
from fer_edge.serving.model import Feed
from fer_edge.serving.tensors import RequestError


class Model:
    """Answers with the mean of each image, once ``free`` is set; an image of 13 fails."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = threading.Event()

    def run(self, feed: Feed) -> Outputs:
        assert self.free.wait(20)
        means = feed.array.reshape(len(feed.array), -1).mean(axis=1, dtype=np.float32)
        self.batches.append([int(one) for one in means])
        if 13 in self.batches[-1]:
            raise RequestError("thirteen")
        return Outputs(means[:, np.newaxis], -means[:, np.newaxis])


def feed(*values: int, side: int = 4) -> Feed:
    return Feed.of(np.repeat(np.array(values, np.uint8), side * side).reshape(len(values), side, side, 1), is_raw=False)


def answers(found: Outputs) -> list[int]:
    assert (found.logits == -found.probabilities).all()
    return [int(one) for one in found.probabilities[:, 0]]


def during(model: Model, work: Callable[[Batcher], Awaitable[Any]], **options: Any) -> Any:
    """What ``work`` gives in an event loop with a batcher."""

    async def run() -> Any:
        batcher = Batcher(model.run, **{"size": 4, "deadline_s": 0, **options})
        try:
            return await asyncio.wait_for(work(batcher), 20)
        finally:
            model.free.set()
            batcher.close()

    return asyncio.run(run())


async def submit(batcher: Batcher, *feeds: Feed) -> "list[asyncio.Task[Outputs]]":
    tasks = [asyncio.create_task(batcher.score([one])) for one in feeds]
    await asyncio.sleep(0)  # each is in the queue
    return tasks


def test_images_gather_while_the_model_is_busy() -> None:
    model = Model()

    async def work(batcher: Batcher) -> list[list[int]]:
        tasks = await submit(batcher, *[feed(value) for value in range(1, 7)])
        model.free.set()
        return [answers(found) for found in await asyncio.gather(*tasks)]

    assert during(model, work) == [[1], [2], [3], [4], [5], [6]]
    assert model.batches == [[1], [2, 3, 4, 5], [6]]


def test_sizes_are_apart_and_the_one_that_waited_longest_goes_first() -> None:
    model = Model()

    async def work(batcher: Batcher) -> list[list[int]]:
        tasks = await submit(batcher, feed(1), feed(2, side=5), feed(3), feed(4, side=5), feed(5, side=6))
        model.free.set()
        return [answers(found) for found in await asyncio.gather(*tasks)]

    assert during(model, work) == [[1], [2], [3], [4], [5]]
    assert model.batches == [[1], [2, 4], [3], [5]]


def test_the_deadline_waits_for_others_but_not_when_the_batch_is_full() -> None:
    model = Model()
    model.free.set()

    async def together(batcher: Batcher) -> list[list[int]]:
        first = await submit(batcher, feed(1))
        await asyncio.sleep(0.02)
        second = await submit(batcher, feed(2))
        return [answers(found) for found in await asyncio.gather(*first, *second)]

    assert during(model, together, deadline_s=0.5) == [[1], [2]]
    assert model.batches == [[1, 2]]
    model.batches.clear()

    async def full(batcher: Batcher) -> list[list[int]]:
        tasks = await submit(batcher, feed(1), feed(2, side=9), feed(3, 4, side=9), feed(5, side=9))
        return [answers(one.result()) for one in (await asyncio.wait(tasks[1:], timeout=5))[0]]

    assert sorted(during(model, full, deadline_s=60)) == [[2], [3, 4], [5]]
    assert model.batches == [[2, 3, 4, 5]]


def test_a_request_above_the_batch_is_cut_and_put_together_again() -> None:
    model = Model()
    model.free.set()
    values = list(range(20, 31))

    async def work(batcher: Batcher) -> list[int]:
        return answers(await batcher.score([feed(*values), feed(7, side=8)]))

    assert during(model, work) == [*values, 7]
    assert [len(batch) for batch in model.batches if batch != [7]] == [4, 4, 3]


def test_large_images_are_scored_in_smaller_batches() -> None:
    model = Model()
    model.free.set()

    async def work(batcher: Batcher) -> list[int]:
        return answers(await batcher.score([feed(1, 2, 3, side=3000)]))

    assert during(model, work) == [1, 2, 3]
    assert [len(batch) for batch in model.batches] == [2, 1]


def test_one_that_fails_does_not_fail_the_others() -> None:
    model = Model()

    async def work(batcher: Batcher) -> list[Any]:
        tasks = await submit(batcher, feed(1), feed(2), feed(13), feed(3))
        model.free.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third, fourth = during(model, work)
    assert [answers(one) for one in (first, second, fourth)] == [[1], [2], [3]]
    assert isinstance(third, RequestError)


def test_what_nobody_waits_for_is_not_scored() -> None:
    model = Model()

    async def work(batcher: Batcher) -> list[int]:
        tasks = await submit(batcher, feed(1), feed(2), feed(3))
        tasks[1].cancel()
        await asyncio.sleep(0)
        model.free.set()
        await tasks[0]
        return answers(await tasks[2])

    assert during(model, work) == [3]
    assert model.batches == [[1], [3]]


def test_a_bug_in_the_model_reaches_each_request() -> None:
    def run(_: Feed) -> Outputs:
        raise ZeroDivisionError

    model = Model()
    model.run = run  # type: ignore[method-assign]

    async def work(batcher: Batcher) -> list[Any]:
        return await asyncio.gather(*(await submit(batcher, feed(1), feed(2))), return_exceptions=True)

    assert [type(one) for one in during(model, work)] == [ZeroDivisionError] * 2


@pytest.mark.parametrize("images", [1, 5])
def test_batches_are_observed(images: int) -> None:
    model = Model()
    model.free.set()
    seen: list[int] = []

    async def work(batcher: Batcher) -> None:
        await batcher.score([feed(*range(images))])

    during(model, work, size=8, observe=lambda count, _: seen.append(count))
    assert seen == [images]


def test_a_batch_of_a_slow_model_is_no_larger_than_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request of a batch waits for its end: 20 images of 2 ms each go in batches of 8, of 0.1 ms together."""
    now = [0.0]
    clock = SimpleNamespace(perf_counter=lambda: now[0], monotonic=time.monotonic)
    monkeypatch.setattr("fer_edge.serving.batcher.time", clock)

    async def sizes(image_s: float) -> list[int]:
        found: list[int] = []

        def run(given: Feed) -> Outputs:
            now[0] += image_s * len(given.array)
            found.append(len(given.array))
            return Outputs(np.zeros((len(given.array), 1), np.float32), np.zeros((len(given.array), 1), np.float32))

        batcher = Batcher(run, size=32, deadline_s=0)
        await batcher.score([feed(0)])
        await asyncio.gather(*(batcher.score([feed(value)]) for value in range(21)))
        batcher.close()
        return found[1:]

    assert asyncio.run(sizes(0.002)) == [1, 8, 8, 4]
    assert asyncio.run(sizes(0.0001)) == [1, 20]
