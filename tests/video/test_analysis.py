import itertools
from pathlib import Path

import pytest

from fer_edge.labels import FER2013
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.detector import FaceDetector
from fer_edge.runtime.photos import FaceSearch
from fer_edge.video.analysis import VideoSummary, analyse
from fer_edge.video.source import VideoSource
from fer_edge.video.tracks import Tracker


@pytest.fixture(scope="module")
def classifier(repository: Path) -> Classifier:
    return Classifier.load(repository / "tests" / "fixtures" / "tiny.onnx", threads=1)


def test_one_face_is_followed_through_a_video(clip: Path, classifier: Classifier) -> None:
    ticks = itertools.count(0, 0.05)
    search = FaceSearch(detector=FaceDetector(max_side=320, threads=1))
    summary = VideoSummary(FER2013.names)
    with VideoSource(clip) as source:
        analysed = list(analyse(source, classifier, search, Tracker(0), clock=lambda: next(ticks)))
    for one in analysed:
        summary.add(one)
    assert [len(one.tracks) for one in analysed] == [1] * 12  # in the last two it is waited for
    assert {track.number for one in analysed for track in one.tracks} == {1}
    assert [one.tracks[0].num_missed for one in analysed] == [0] * 10 + [1, 2]
    lefts = [one.tracks[0].face.face.box.x for one in analysed[:10]]  # type: ignore[union-attr]
    assert lefts[0] - lefts[9] == pytest.approx(27, abs=4)  # 3 pixels a frame
    assert [one.frames_per_s for one in analysed] == pytest.approx([0.0] + [20.0] * 11)
    assert (summary.num_frames, summary.num_frames_with_face, summary.num_faces) == (12, 10, 1)
    assert summary.label_counts.total() == 10


def test_a_picture_of_a_frame_carries_face_and_frame_rate(clip: Path, classifier: Classifier) -> None:
    ticks = itertools.count(0, 0.05)
    with VideoSource(clip) as source:
        first, second = itertools.islice(
            analyse(source, classifier, FaceSearch(), Tracker(), clock=lambda: next(ticks)), 2
        )
    assert first.picture().shape == second.picture().shape == (256 * 3, 318 * 3, 3)
    corner = (slice(0, 20), slice(0, 60))
    assert (second.picture()[corner] == 255).all(axis=2).mean() > 0.3  # the tag with the frame rate is white
    assert (first.picture()[corner] == 255).all(axis=2).mean() < 0.3
