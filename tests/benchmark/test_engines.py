"""Engines against the answers that they should give, in this process."""

from pathlib import Path

import numpy as np
import pytest

from fer_edge.benchmark.cuda_engine import BoundEngine
from fer_edge.benchmark.engine import EngineSpec
from fer_edge.benchmark.engines import import_runtime
from fer_edge.benchmark.turn import run_once
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.model_file import read_model
from fer_edge.runtime.providers import choose_provider
from fer_edge.runtime.session import open_session

FIXTURES = Path(__file__).parent.parent / "fixtures"
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1), dtype=np.uint8)


def expected(name: str) -> np.ndarray:
    return Classifier.load(FIXTURES / name, threads=1).probabilities(PIXELS)


def no_clock() -> float:
    return 0.0


@pytest.mark.parametrize("name", ["tiny.onnx", "tiny_raw.onnx"])
def test_bound_memory_gives_the_answers_of_an_ordinary_run(name):
    """IO binding to the CPU's own memory: the same calls as on CUDA, on a machine without it."""
    model = read_model(FIXTURES / name)
    session, _ = open_session(model, choose_provider("cpu"), threads=1)
    engine = BoundEngine(session, model.card, None, device="cpu")
    assert engine.copies_apart
    for pixels in (PIXELS, PIXELS[::-1]):  # the second goes into the memory that the first has bound
        _, answer = run_once(engine, pixels, no_clock)
        order = slice(None) if pixels is PIXELS else slice(None, None, -1)
        np.testing.assert_allclose(answer, expected(name)[order], atol=1e-5)
    np.testing.assert_allclose(run_once(engine, PIXELS[:1], no_clock)[1], expected(name)[:1], atol=1e-5)


@pytest.mark.parametrize("name", ["tiny.onnx", "tiny_raw.onnx"])
def test_openvino_answers_as_onnxruntime(name):
    pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    spec = EngineSpec("openvino", "fp32", "cpu", 2, 1, str(FIXTURES / name), 48)
    engine = import_runtime(spec)(spec)
    np.testing.assert_allclose(run_once(engine, PIXELS, no_clock)[1], expected(name), atol=2e-3)
