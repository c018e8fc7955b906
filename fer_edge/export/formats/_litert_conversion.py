"""A checkpoint as a .tflite file in float32, by LiteRT's converter for torch."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from fer_edge.errors import ModelError
from fer_edge.export.formats._litert_names import with_names_of_modules
from fer_edge.export.graph.reference import MAX_VALUE, FacesToProbabilities

_QUIET = {"LITERT_TORCH_SHOW_PROGRESS": "n", "TF_CPP_MIN_LOG_LEVEL": "2", "JAX_PLATFORMS": "cpu"}
_LOGGERS = ("", "torch", "torchao")


class ScaledAndShifted(FacesToProbabilities):
    """The same, normalised by one product and one difference.

    The converter multiplies a product right before a convolution into its weights, which would then be no longer those
    of the checkpoint; a difference it leaves where it is.
    """

    def forward(self, face: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (N, C) and logits (N, C), float32, of uint8 (N, S, S, 1)."""
        grey = face.permute(0, 3, 1, 2).float()
        logits = self.classifier(grey * (1 / (MAX_VALUE * self.std)) - self.mean / self.std)
        return torch.softmax(logits, dim=1), logits


def converted(module: FacesToProbabilities, image_size: int) -> bytes:
    """``module`` as a .tflite file of one face, with plain names. Raises ModelError where the converter cannot."""
    scaled = ScaledAndShifted.__new__(ScaledAndShifted)
    scaled.__dict__.update(module.__dict__)
    face = torch.zeros((1, image_size, image_size, 1), dtype=torch.uint8)
    with _quiet():
        import litert_torch

        try:
            data = litert_torch.convert(scaled.eval(), sample_kwargs={"face": face}).model_content()
        except (RuntimeError, ValueError, NotImplementedError) as error:
            reason = " ".join(str(error).split())[-300:]
            raise ModelError(f"expected a network that litert-torch converts, found: {reason}") from error
    return with_names_of_modules(data, scaled, image_size)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converter's progress and deprecations to itself, none of which a user can act on."""
    before = {name: os.environ.get(name) for name in _QUIET}
    os.environ.update({name: value for name, value in _QUIET.items() if before[name] is None})
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
