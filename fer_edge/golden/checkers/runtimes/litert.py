"""The kit's model in LiteRT: pip install ai-edge-litert."""

import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


class Runtime:
    """What check.py asks of a runtime."""

    provider = None

    def __init__(self, model: Path) -> None:
        self.runner = Interpreter(str(model), num_threads=1).get_signature_runner()
        with zipfile.ZipFile(model) as archive:  # at the end of the file
            self.labels = archive.read("labels.txt").decode().splitlines()
        self.name = f"ai-edge-litert {version('ai-edge-litert')}"

    def run(self, name: str, feed: np.ndarray, outputs: list) -> list:  # type: ignore[type-arg]
        """The outputs, in that order, for the input called ``name``."""
        answer = self.runner(**{name: feed})
        return [answer[output] for output in outputs]
