"""What is cut off or damaged is told, and what was trimmed is not."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numbered
import numpy as np
import pytest

from fer_edge.errors import VideoError
from fer_edge.video.source import VideoSource

TIMES_S = [place / 20 for place in range(40)]
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
OPEN = [
    ("libx264", {"bf": "3", "x264-params": "open-gop=1:keyint=10:min-keyint=10:b-adapt=0:scenecut=0"}),
    ("libx264", {"bf": "0", "x264-params": "intra-refresh=1:keyint=10"}),  # as cameras: no picture is whole by itself
    (
        "libx265",
        {"x265-params": "log-level=none:open-gop=1:bframes=3:keyint=10:min-keyint=10:b-adapt=0:scenecut=0"},
    ),
]


def read(path: Path) -> tuple[list[int], str | None]:
    with VideoSource(path) as source:
        return [numbered.number_of(frame.pixels) for frame in source], source.problem


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("codec", "options"), OPEN, ids=["H.264", "intra refresh", "HEVC"])
def test_pictures_whose_references_were_trimmed_away_are_no_damage(
    tmp_path: Path, codec: str, options: dict[str, str], suffix: str
) -> None:
    """The first key picture that is left is followed by some that are shown before it and need the ones before."""
    numbered.write(tmp_path / "whole.mp4", TIMES_S, codec=codec, options=options)
    assert read(tmp_path / "whole.mp4") == (list(range(40)), None)
    (_, key, *_), packets = numbered.keys(tmp_path / "whole.mp4")
    for start in (key, key + 1):  # with the key picture, and with some that nothing is left for
        path = tmp_path / f"trimmed-{start}{suffix}"
        numbered.copy(tmp_path / "whole.mp4", path, start)
        numbers, problem = read(path)
        assert problem is None
        assert numbers == list(range(numbers[0], 40))
        assert len(numbers) < packets - start
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = np.random.default_rng(1).bytes(2000)
    path.write_bytes(data)
    with suppress(VideoError):  # it cannot even be opened
        assert read(path)[1] is not None


def test_what_an_edit_list_leaves_out_is_not_missed(tmp_path: Path) -> None:
    numbered.write(
        tmp_path / "edited.mp4",
        [time_s - 0.75 for time_s in TIMES_S],
        options={"bf": "2", "g": "40"},
        container_options={"avoid_negative_ts": "disabled"},
    )
    assert read(tmp_path / "edited.mp4") == (list(range(15, 40)), None)


def test_pictures_that_an_avi_does_not_repeat_are_not_missed(tmp_path: Path) -> None:
    """Its clock has a thousand slots in a second, of which all but twenty are empty."""
    numbered.write(tmp_path / "sparse.avi", TIMES_S, codec="mjpeg", pixel_format="yuvj420p")
    assert read(tmp_path / "sparse.avi") == (list(range(40)), None)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("whole.avi", "mpeg4", {}),
        ("whole.mp4", "libx264", FRAGMENTS),
        ("fast.mp4", "libx264", {"movflags": "faststart"}),
    ],
)
def test_every_cut_is_noticed(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    whole = tmp_path / name
    settings = {"g": "10"}
    numbered.write(
        whole, TIMES_S, codec=codec, options=settings, container_options=options, clock=Fraction(1, 20)
    )  # fmt: skip
    assert read(whole) == (list(range(40)), None)
    data = whole.read_bytes()
    cut = tmp_path / f"cut-{name}"
    for percent in range(50, 100, 3):
        cut.write_bytes(data[: len(data) * percent // 100])
        with suppress(VideoError):  # nothing is left
            assert read(cut)[1] is not None, percent
    if options != FRAGMENTS:
        whole.write_bytes(data + b"what a phone appends")
        assert read(whole)[1] is None
