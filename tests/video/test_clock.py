from fractions import Fraction
from pathlib import Path

import numbered
import pytest

from fer_edge.video.clock import Clock
from fer_edge.video.source import VideoSource

STEP_S = 0.1


def times_s(stamps_s: list[float | None], *, may_leap: bool) -> list[float]:
    clock = Clock(5.0, may_leap=may_leap)
    return [round(clock.time_s(stamp_s, STEP_S), 3) for stamp_s in stamps_s]


@pytest.mark.parametrize(
    ("stamps_s", "expected", "leaping"),
    [
        ([5.0, 5.1, 5.2], [0.0, 0.1, 0.2], [0.0, 0.1, 0.2]),
        ([5.0, 5.3, 5.1, 5.4], [0.0, 0.3, 0.3, 0.4], [0.0, 0.3, 0.3, 0.4]),  # out of order
        ([5.0, 6.5, 5.0, 5.2, 3.0], [0.0, 1.5, 1.6, 1.8, 1.9], [0.0, 1.5, 1.6, 1.8, 1.9]),
        ([None, None, 5.5], [0.0, 0.1, 0.5], [0.0, 0.1, 0.5]),
        ([5.0, 90.0, 90.5], [0.0, 85.0, 85.5], [0.0, 0.1, 0.6]),
    ],
)
def test_time_goes_on_over_a_seam(stamps_s: list[float | None], expected: list[float], leaping: list[float]) -> None:
    assert times_s(stamps_s, may_leap=False) == expected
    assert times_s(stamps_s, may_leap=True) == leaping


def test_recordings_put_one_behind_the_other_play_on(tmp_path: Path) -> None:
    numbered.write(tmp_path / "one.ts", [place / 20 for place in range(30)], clock=Fraction(1, 90000))
    (tmp_path / "joined.ts").write_bytes((tmp_path / "one.ts").read_bytes() * 2)
    with VideoSource(tmp_path / "joined.ts") as source:
        frames = list(source)
    assert [numbered.number_of(frame.pixels) for frame in frames] == list(range(30)) * 2
    assert [frame.time_s for frame in frames] == pytest.approx([place / 20 for place in range(60)], abs=0.002)


def test_an_avi_with_pictures_out_of_order_has_the_right_times(tmp_path: Path) -> None:
    path = tmp_path / "order.avi"
    numbered.write(path, [place / 20 for place in range(30)], options={"bf": "3"}, clock=Fraction(1, 20))
    with VideoSource(path) as source:
        frames = list(source)
    assert [numbered.number_of(frame.pixels) for frame in frames] == list(range(30))
    assert [frame.time_s for frame in frames] == pytest.approx([place / 20 for place in range(30)])
