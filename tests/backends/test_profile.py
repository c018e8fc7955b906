from pathlib import Path

import numpy as np
import pytest

from fer_edge.backends._profile import preprocessing_share, share_before_network

FIXTURES = Path(__file__).parent.parent / "fixtures"


def events(*nodes: tuple[str, float]) -> list[dict]:
    return [
        {"cat": "Node", "name": f"{name}_kernel_time", "dur": duration, "ts": place}
        for place, (name, duration) in enumerate(nodes)
    ] + [{"cat": "Session", "name": "model_run", "dur": 1000, "ts": 0}]


def test_nodes_that_the_optimiser_put_between_count_by_their_place():
    found = share_before_network(
        events(("preprocessing.a", 2), ("Gather", 1), ("faces", 1), ("conv", 4), ("Gather_9", 8))
    )
    assert found == pytest.approx(4 / 16)


def test_the_median_over_runs_counts_not_one_slow_run():
    runs = [*events(("preprocessing.a", 1), ("conv", 1)) * 2, *events(("preprocessing.a", 100), ("conv", 1))]
    assert share_before_network(runs) == pytest.approx(0.5)


def test_a_graph_without_preprocessing_has_no_share():
    assert share_before_network(events(("conv", 4))) is None
    assert preprocessing_share(FIXTURES / "tiny_raw.onnx", np.zeros((1, 48, 48, 1), np.uint8), 1) is None
