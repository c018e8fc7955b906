"""The kit's model in ncnn: pip install ncnn."""

from importlib.metadata import version
from pathlib import Path

import ncnn
import numpy as np


class Runtime:
    """What check.py asks of a runtime."""

    provider = None

    def __init__(self, model: Path) -> None:
        self.net = ncnn.Net()
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_vulkan_compute"):
            setattr(self.net.opt, option, False)  # ncnn would halve values where the processor can
        self.net.opt.num_threads = 1
        if self.net.load_param(str(model)) != 0 or self.net.load_model(str(model.with_suffix(".bin"))) != 0:
            raise ValueError("ncnn refuses it")
        self.labels = model.with_suffix(".labels.txt").read_text(encoding="utf-8").splitlines()
        self.name = f"ncnn {version('ncnn')}"

    def run(self, name: str, feed: np.ndarray, outputs: list) -> list:  # type: ignore[type-arg]
        """The outputs, in that order, for grey faces uint8 (N, S, S, 1), one after the other."""
        answers = []
        for face in feed[..., 0]:
            extractor = self.net.create_extractor()
            height, width = face.shape
            grey = ncnn.Mat.from_pixels(np.ascontiguousarray(face), ncnn.Mat.PixelType.PIXEL_GRAY, width, height)
            extractor.input(name, grey)
            answers.append([np.array(extractor.extract(output)[1]) for output in outputs])
        return [np.stack(values) for values in zip(*answers)]  # noqa: B905  # Python 3.9 has no strict=
