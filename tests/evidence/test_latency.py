"""The ratio of two models' times: measured in turns, planted slowness found, noise never called a failure."""

import types
from pathlib import Path

import numpy as np
import pytest
from bundles import TINY, with_claim

from fer_edge.benchmark.timed_run import RunLength
from fer_edge.evidence import AcceptRequest, BundleRequest, accept_bundle, latency, write_bundle
from fer_edge.evidence.latency import Value, time_in_turns

LENGTH = RunLength(warm_up_runs=1, budget_s=0.02, min_runs=3, max_runs=6)


class Slow:
    """A backend that takes so many milliseconds on a clock of the test's own."""

    copies_apart = False
    metadata = types.SimpleNamespace(image_size=48)

    def __init__(self, now: list[float], turns: list[str], name: str, ms: float) -> None:
        self.now, self.turns, self.name, self.ms = now, turns, name, ms

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        assert pixels.shape == (1, 48, 48, 1)
        if not self.turns or self.turns[-1] != self.name:
            self.turns.append(self.name)
        return pixels

    def execute(self, feed: np.ndarray) -> np.ndarray:
        self.now[0] += self.ms / 1000
        return feed

    upload = download = staticmethod(lambda feed: feed)


def test_the_two_take_turns_and_the_ratio_is_that_of_their_times() -> None:
    now, turns = [0.0], []
    pair = [Slow(now, turns, "new", 2.0), Slow(now, turns, "old", 5.0)]
    found = time_in_turns(pair, clock=lambda: now[0], rounds=4, length=LENGTH)
    assert turns == ["new", "old", "new", "old", "new"]  # who begins changes every round
    assert [len(rounds) for rounds in found] == [4, 4]
    value = latency._value(*found, "old.onnx")
    assert value.ratio == pytest.approx(0.4)
    assert value.low == pytest.approx(0.4)
    assert "0.400 of the time of old.onnx" in value.sentence


@pytest.fixture(scope="module")
def timed(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "time_in_turns", lambda pair: [[[1.0, 1.1, 1.2]] * 6, [[2.0, 2.1, 2.2]] * 6])
        path = tmp_path_factory.mktemp("timed") / "timed.zip"
        return write_bundle(BundleRequest(TINY, path, against=TINY)).path


def found_in(bundle: Path):
    return next(one for one in accept_bundle(AcceptRequest(bundle)).results if one.id == "latency")


@pytest.mark.parametrize(
    ("times", "outcome", "reason"),
    [
        ([[[1.0]] * 6, [[2.0]] * 6], "passed", ""),
        ([[[0.1]] * 6, [[2.0]] * 6], "passed", ""),  # faster is no failure
        ([[[4.0]] * 6, [[2.0]] * 6], "failed", "expected at most 1.05 of the time of tiny.onnx, found 2.00"),
        ([[[1.0], [9.0], [1.0], [9.0], [9.0], [1.0]], [[2.0]] * 6], "not checked", "too noisy to tell"),
    ],
)
def test_a_model_that_became_slower_fails(timed: Path, times, outcome: str, reason: str, monkeypatch) -> None:
    monkeypatch.setattr(latency, "time_in_turns", lambda pair: times)
    one = found_in(timed)
    assert one.outcome == outcome
    assert reason in one.reason


def forged(claim: dict) -> None:
    claim["value"]["ratio"] = 0.01
    claim["sentence"] = Value(**claim["value"]).sentence


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (forged, "of tiny.onnx, and its samples 0.52 [0.48, 0.57]"),
        (lambda claim: claim["allowed"].update(factor=50.0), "expected bounds of at most factor 2, found wider ones"),
        (lambda claim: claim.update(sentence="Very fast."), "its sentence is not what its figures say"),
    ],
)
def test_a_changed_claim_is_found_before_anything_is_timed(timed, tmp_path, edit, message, monkeypatch) -> None:
    monkeypatch.setattr(latency, "time_in_turns", lambda pair: pytest.fail("timed"))
    one = found_in(with_claim(timed, tmp_path / "one.zip", "latency", edit))
    assert one.outcome == "failed"
    assert message in one.reason


def test_real_models_are_timed_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(latency, "ROUNDS", 2)
    monkeypatch.setattr(time_in_turns, "__defaults__", (time_in_turns.__defaults__[0], 3, LENGTH))
    path = write_bundle(BundleRequest(TINY, tmp_path / "real.zip", against=TINY)).path
    one = found_in(path)
    assert one.outcome in ("passed", "not checked", "failed")
    assert 0 < one.figures["model_ms"] < 1000
    assert one.figures["low"] <= one.figures["ratio"] <= one.figures["high"]
