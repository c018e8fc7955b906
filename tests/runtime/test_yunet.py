import numpy as np
import pytest

from fer_edge.runtime.yunet import MAX_CANDIDATES, OUTPUTS, STRIDES, Candidates, decode, overlaps, suppress

WIDTH, HEIGHT = 96, 64


@pytest.fixture
def silent() -> dict[str, np.ndarray]:
    """Outputs for an input of 96x64 in which no cell holds a face."""
    lengths = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    cells = {str(stride): (WIDTH // stride) * (HEIGHT // stride) for stride in STRIDES}
    shapes = {name: (1, cells[name.split("_")[1]], lengths[name.split("_")[0]]) for name in OUTPUTS}
    return {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("stride", STRIDES)
def test_a_cell_is_decoded_from_its_column_and_row(silent: dict[str, np.ndarray], stride: int) -> None:
    column, row = 2, 1
    cell = row * (WIDTH // stride) + column
    silent[f"cls_{stride}"][0, cell] = 0.9
    silent[f"obj_{stride}"][0, cell] = 0.4
    silent[f"bbox_{stride}"][0, cell] = (0.25, -0.5, np.log(2), np.log(3))
    silent[f"kps_{stride}"][0, cell] = np.arange(10) / 10
    found = decode(silent, WIDTH, 0.5)
    assert found.scores == pytest.approx([0.6])
    width, height = 2 * stride, 3 * stride
    left, top = (column + 0.25) * stride - width / 2, (row - 0.5) * stride - height / 2
    np.testing.assert_allclose(found.boxes, [[left, top, width, height]], rtol=1e-6)
    expected = (np.arange(10).reshape(5, 2) / 10 + (column, row)) * stride
    np.testing.assert_allclose(found.landmarks, expected[np.newaxis], rtol=1e-6)


def test_scores_are_clipped_before_their_root(silent: dict[str, np.ndarray]) -> None:
    silent["cls_8"][0, :2, 0] = (1.5, -0.5)
    silent["obj_8"][0, :2, 0] = (1.0, -0.5)
    assert decode(silent, WIDTH, 0.01).scores.tolist() == [1.0]


def test_cells_below_the_score_are_left_out(silent: dict[str, np.ndarray]) -> None:
    silent["cls_16"][0, :2, 0] = silent["obj_16"][0, :2, 0] = (0.75, 0.5)
    assert len(decode(silent, WIDTH, 0.5).scores) == 2
    assert len(decode(silent, WIDTH, 0.51).scores) == 1
    assert len(decode(silent, WIDTH, 0.76).scores) == 0


def candidates(boxes: list[tuple[float, ...]], scores: list[float]) -> Candidates:
    count = len(boxes)
    array = np.array(boxes, dtype=np.float32).reshape(count, 4)
    return Candidates(array, np.zeros((count, 5, 2), dtype=np.float32), np.array(scores, dtype=np.float32))


def test_the_best_of_overlapping_boxes_stays_best_first() -> None:
    found = suppress(candidates([(0, 0, 10, 10), (2, 0, 10, 10), (30, 0, 10, 10)], [0.8, 0.9, 0.95]), 0.3)
    assert found.scores.tolist() == pytest.approx([0.95, 0.9])
    assert found.boxes[1].tolist() == [2, 0, 10, 10]


def test_an_overlap_at_the_limit_is_let_through() -> None:
    boxes = [(0.0, 0, 10, 10), (5, 0, 10, 10)]  # 50 of 150 square pixels
    third = float(np.float32(50) / np.float32(150))
    assert len(suppress(candidates(boxes, [0.9, 0.8]), third).scores) == 2
    assert len(suppress(candidates(boxes, [0.9, 0.8]), third - 0.01).scores) == 1


def test_what_a_dropped_box_overlaps_is_not_dropped_for_it() -> None:
    row = [(0.0, 0, 10, 10), (6, 0, 10, 10), (12, 0, 10, 10)]
    assert suppress(candidates(row, [0.9, 0.8, 0.7]), 0.2).boxes[:, 0].tolist() == [0, 12]


def test_equal_scores_keep_their_order() -> None:
    row = [(20.0 * index, 0, 10, 10) for index in range(20)]
    assert suppress(candidates(row, [0.9] * 20), 0.3).boxes[:, 0].tolist() == [box[0] for box in row]


def test_nothing_gives_nothing_and_noise_is_bounded() -> None:
    assert len(suppress(candidates([], []), 0.3).scores) == 0
    many = [(20.0 * index, 0, 10, 10) for index in range(MAX_CANDIDATES + 7)]
    assert len(suppress(candidates(many, [0.9] * len(many)), 0.3).scores) == MAX_CANDIDATES


def test_boxes_without_area_overlap_nothing() -> None:
    boxes = np.array([[0, 0, 0, 0], [1, 1, 0, 5]], dtype=np.float32)
    assert overlaps(boxes[0], boxes).tolist() == [0, 0]
