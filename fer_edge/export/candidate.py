"""An exported model under test: its file opened as an app would, behind one call from pixels to answers."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fer_edge.errors import ModelError
from fer_edge.evaluation.metrics import softmax
from fer_edge.export.formats.onnx import ONNXRUNTIME_FORMATS
from fer_edge.export.graph.network import LOGITS
from fer_edge.export.graph.preprocessing import PROBABILITIES
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.metadata import PIXELS, SUFFIXES, ModelMetadata
from fer_edge.runtime.checksum import file_sha256, verify_zip_checksum
from fer_edge.runtime.claims import check_format
from fer_edge.runtime.model_file import check_beside, read_model, read_model_bytes
from fer_edge.runtime.providers import choose_provider
from fer_edge.runtime.session import onnxruntime_errors, open_session

_Outputs = dict[str, NDArray[np.float32]]


class Answer(NamedTuple):
    """What a model says to N images."""

    probabilities: NDArray[np.float32]
    """(N, 7)"""
    logits: NDArray[np.float32]
    """(N, 7)"""


class Candidate:
    """A loaded model: ``answer`` takes uint8 pixels (N, H, W, C) whatever the file's own input is.

    A raw model is handed the faces that ``reference`` prepares, so its parity is that of the network alone.
    """

    def __init__(self, card: ModelMetadata, run: Callable[[NDArray[Any]], _Outputs], sha256: str) -> None:
        self.card = card
        self.sha256 = sha256
        """Of the whole file."""
        self._run = run

    def answer(self, image: NDArray[np.uint8], reference: PixelsToProbabilities) -> Answer:
        """Probabilities and logits of ``image``, uint8 (N, H, W, C). Raises ModelError when the model cannot run."""
        if self.card.input.kind == PIXELS:
            outputs = self._run(image)
            return Answer(outputs[PROBABILITIES], outputs[LOGITS])
        with torch.inference_mode():
            faces = reference.faces(torch.from_numpy(np.array(image))).numpy()
        logits = self._run(faces)[LOGITS]
        return Answer(softmax(logits).astype(np.float32), logits)


def open_candidate(path: Path, *, trust: bool = False, threads: int = 1) -> Candidate:
    """Load the model file ``path`` in any of the four formats, on the CPU; onnx and ort by the runtime's own loader.

    Raises ModelError for a file that is missing, damaged, without a card, of external data, at odds with the JSON
    beside it, or that would run code (torchscript, pt2) without ``trust``.
    """
    file_format = format_of(path)
    if file_format in ONNXRUNTIME_FORMATS:
        return _onnxruntime_candidate(path, threads)
    if not trust:
        raise ModelError(
            f"{path}: expected --trust with a {file_format} file, because loading one runs the code in it; "
            "add it if you trust where the file is from"
        )
    return _torch_candidate(path, file_format)


def format_of(path: Path) -> str:
    """The format that the name of a model file says. Raises ModelError for another name."""
    for file_format, suffix in SUFFIXES.items():
        if path.suffix == suffix:
            return file_format
    raise ModelError(f"{path}: expected a model file ({', '.join(SUFFIXES.values())}), found '{path.suffix}'")


def _onnxruntime_candidate(path: Path, threads: int) -> Candidate:
    model = read_model(path)
    session, _ = open_session(model, choose_provider("cpu"), threads=threads)
    names = [output.name for output in session.get_outputs()]

    def run(values: NDArray[Any]) -> _Outputs:
        with onnxruntime_errors(path):
            return dict(zip(names, session.run(None, {model.card.input.name: values}), strict=True))

    return Candidate(model.card, run, model.sha256)


def _torch_candidate(path: Path, file_format: str) -> Candidate:
    data = read_model_bytes(path)
    card = ModelMetadata.from_json(verify_zip_checksum(data, str(path)), where=str(path))
    check_format(path, card)
    sha256 = file_sha256(data)
    check_beside(path, card, sha256)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript is deprecated: 'export' says it in its own words
            module: Any = (
                torch.jit.load(io.BytesIO(data))
                if file_format == "torchscript"
                else torch.export.load(io.BytesIO(data)).module()
            )
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: torch cannot load it: {' '.join(str(error).split())[:300]}") from error

    def run(pixels: NDArray[Any]) -> _Outputs:
        with torch.inference_mode():
            probabilities, logits = module(torch.from_numpy(np.array(pixels)))  # a copy: torch wants it writable
        return {PROBABILITIES: probabilities.numpy(), LOGITS: logits.numpy()}

    return Candidate(card, run, sha256)
