import pytest

from fer_edge.runtime.detector import Box, Face
from fer_edge.runtime.whole_faces import is_filled


def face(x: float, y: float, width: float, height: float) -> Face:
    return Face(Box(x, y, width, height), ((0.0, 0.0),) * 5, 0.9)


CENTRAL = face(10, 5, 80, 90)


@pytest.mark.parametrize(
    ("size", "faces", "expected"),
    [
        ((100, 100), [CENTRAL], True),
        ((100, 100), [], False),
        ((100, 100), [face(30, 25, 40, 50)], False),
        ((100, 100), [face(10, 10.5, 70, 79)], False),
        ((100, 100), [face(10, 10, 70, 80)], True),
        ((100, 100), [face(-5, -5, 110, 115)], True),
        ((100, 100), [face(-20, 5, 80, 90)], False),
        ((100, 100), [face(10, 25, 80, 90)], False),
        ((100, 100), [CENTRAL, face(0, 0, 10, 12)], False),
        ((91, 100), [face(5, 5, 80, 90)], True),
        ((100, 120), [face(10, 10, 80, 100)], False),
    ],
)
def test_one_central_face_as_long_as_a_square_image_fills_it(
    size: tuple[int, int], faces: list[Face], expected: bool
) -> None:
    assert is_filled(*size, faces) is expected
