"""Backends against the answers that they should give, in this process."""

from pathlib import Path

import numpy as np
import pytest

from fer_edge.backends import backend_named
from fer_edge.backends.onnxruntime import BoundOnnxRuntime
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.model_file import read_model
from fer_edge.runtime.providers import choose_provider
from fer_edge.runtime.session import open_session

FIXTURES = Path(__file__).parent.parent / "fixtures"
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1), dtype=np.uint8)


def expected(name: str) -> np.ndarray:
    return Classifier.load(FIXTURES / name, threads=1).probabilities(PIXELS)


@pytest.mark.parametrize("name", ["tiny.onnx", "tiny_raw.onnx"])
def test_bound_memory_gives_the_answers_of_an_ordinary_run(name):
    """IO binding to the CPU's own memory: the same calls as on CUDA, on a machine without it."""
    model = read_model(FIXTURES / name)
    session, _ = open_session(model, choose_provider("cpu"), threads=1)
    backend = BoundOnnxRuntime(session, model, device="cpu")
    assert backend.copies_apart
    for pixels in (PIXELS, PIXELS[::-1]):  # the second goes into the memory that the first has bound
        answer = backend.run(pixels).probabilities
        order = slice(None) if pixels is PIXELS else slice(None, None, -1)
        np.testing.assert_allclose(answer, expected(name)[order], atol=1e-5)
    np.testing.assert_allclose(backend.run(PIXELS[:1]).probabilities, expected(name)[:1], atol=1e-5)


@pytest.mark.parametrize("name", ["tiny.onnx", "tiny_raw.onnx"])
def test_openvino_answers_as_onnxruntime(name):
    pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    backend = backend_named("openvino").load(FIXTURES / name, threads=1, shape=PIXELS.shape)
    np.testing.assert_allclose(backend.run(PIXELS).probabilities, expected(name), atol=2e-3)
    # another shape than it was compiled for
    np.testing.assert_allclose(backend.run(PIXELS[:1]).probabilities, expected(name)[:1], atol=2e-3)


def test_an_answer_of_openvino_stays_when_it_runs_again():
    pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    backend = backend_named("openvino").load(FIXTURES / "tiny.onnx", threads=1, shape=PIXELS[:1].shape)
    answers = [backend.run(face[np.newaxis]).probabilities for face in PIXELS]
    np.testing.assert_allclose(np.concatenate(answers), expected("tiny.onnx"), atol=2e-3)
