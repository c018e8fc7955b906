"""The kit's model in ExecuTorch: pip install executorch. The .bpte beside it is for ExecuTorch on a device."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
from executorch.runtime import Runtime as ExecuTorch

OUTPUTS = ("probabilities", "logits")


class Runtime:
    """What check.py asks of a runtime."""

    provider = None

    def __init__(self, model: Path) -> None:
        self.program = ExecuTorch.get().load_program(model)  # it owns what the method runs
        self.method = self.program.load_method("forward")
        self.labels = self.program.load_method("labels").execute(())
        self.name = f"executorch {version('executorch')}"

    def run(self, name: str, feed: np.ndarray, outputs: list) -> list:  # type: ignore[type-arg]
        """The outputs, in that order, for the only input."""
        import torch  # whose tensors it takes

        answer = dict(zip(OUTPUTS, self.method.execute((torch.from_numpy(feed),))))  # noqa: B905
        return [answer[output].numpy() for output in outputs]
