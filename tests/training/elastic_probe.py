"""One process of a run of a network without batch norm, under torchrun: elastic_probe.py FOLDER EPOCHS."""

import sys
from pathlib import Path

from torch import nn

from fer_edge.errors import FerEdgeError
from fer_edge.training.architectures import register
from fer_edge.training.classifier import FacialExpressionClassifier
from fer_edge.training.config import TrainConfig
from fer_edge.training.distributed import end_process, has_joined
from fer_edge.training.preparation import DataRequest
from fer_edge.training.runs import train


@register("plain")
def plain(settings, weights, head_sizes):
    """Without batch norm, every face's gradient is its own."""
    layers = [nn.Conv2d(1, 8, 5, stride=4), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.Flatten()]
    return FacialExpressionClassifier(nn.Sequential(*layers, nn.Linear(16 * 5 * 5, sum(head_sizes))), head_sizes)


def main(folder: Path, epochs: int) -> int:
    config = TrainConfig(
        architecture="plain", weights="none", epochs=epochs, batch_size=64, precision="fp32", device="cpu", threads=1
    )
    try:
        train(config, DataRequest("sample:420"), folder)
    except FerEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), int(sys.argv[2]))
    if has_joined():
        end_process(code)
    sys.exit(code)
