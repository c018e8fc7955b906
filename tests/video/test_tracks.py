from dataclasses import replace

import numpy as np
import pytest
from uncertainties import uncertainty

from fer_edge.errors import UsageError
from fer_edge.labels import FER2013
from fer_edge.runtime.certainty import Certainty
from fer_edge.runtime.detector import Box, Face
from fer_edge.runtime.photos import FacePrediction
from fer_edge.video.tracks import PATIENCE, Tracker


def found(x: float, label: str = "happy", *, y: float = 0) -> FacePrediction:
    place = Face(Box(x, y, 100, 100), ((x + 30, y + 30),) * 5, 0.9)
    probabilities = {name: float(name == label) for name in FER2013.names}
    return FacePrediction(label, 1.0, probabilities, 1.0, "<frame>", place)


def box_x(track: object) -> float:
    return track.face.face.box.x  # type: ignore[attr-defined, no-any-return]


def test_a_face_keeps_its_number_while_it_moves_and_another_gets_its_own() -> None:
    tracker = Tracker(smoothing=0)
    numbers = []
    for step in range(5):
        tracks = tracker.update([found(400 - 20 * step), found(20 * step)][:: 1 if step % 2 else -1])
        numbers.append({round(box_x(track)): track.number for track in tracks})
    assert numbers[0] == {0: 1, 400: 2}
    assert numbers[4] == {80: 1, 320: 2}


def test_the_pairs_that_overlap_most_are_matched_first() -> None:
    tracker = Tracker(smoothing=0)
    tracker.update([found(0), found(60)])
    tracks = tracker.update([found(50), found(115)])  # 50 overlaps both, 60 the most
    assert {track.number: box_x(track) for track in tracks if not track.num_missed} == {2: 50, 3: 115}


def test_smoothing_steadies_a_trembling_box() -> None:
    generator = np.random.default_rng(0)
    places = 100 + generator.normal(0, 4, 100)
    spreads = []
    for smoothing in (0.0, 0.5, 0.8):
        tracker = Tracker(smoothing)
        spreads.append(np.std([box_x(tracker.update([found(x)])[0]) for x in places]))
    assert spreads[0] == pytest.approx(np.std(places))
    # an exponential average of independent tremble has sqrt((1 - s) / (1 + s)) of its spread
    assert spreads[1] / spreads[0] == pytest.approx(np.sqrt(0.5 / 1.5), rel=0.15)
    assert spreads[2] / spreads[0] == pytest.approx(np.sqrt(0.2 / 1.8), rel=0.2)


def test_smoothing_bridges_one_odd_answer_and_follows_a_lasting_one() -> None:
    tracker = Tracker(smoothing=0.6)
    labels = [
        tracker.update([found(0, label)])[0].face.label for label in ("happy", "sad", "happy", "happy", "sad", "sad")
    ]
    assert labels == ["happy"] * 5 + ["sad"]
    (track,) = tracker.update([found(0, "sad")])
    assert sum(track.face.probabilities.values()) == pytest.approx(1)
    assert track.face.confidence == track.face.probabilities["sad"]


def test_no_smoothing_shows_each_frame_as_it_is() -> None:
    tracker = Tracker(smoothing=0)
    tracker.update([found(0)])
    (track,) = tracker.update([found(7, "sad")])
    assert (box_x(track), track.face.label, track.face.confidence) == (7, "sad", 1.0)


def test_a_lost_face_is_waited_for_and_then_forgotten() -> None:
    tracker = Tracker()
    tracker.update([found(0)])
    for missed in range(1, PATIENCE + 1):
        (track,) = tracker.update([])
        assert (track.number, track.num_missed) == (1, missed)
    (track,) = tracker.update([found(0)])
    assert (track.number, track.num_missed) == (1, 0)
    for _ in range(PATIENCE + 1):
        gone = tracker.update([])
    assert gone == ()
    assert tracker.update([found(0)])[0].number == 2


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_a_smoothing_that_makes_no_sense_is_refused(smoothing: float) -> None:
    with pytest.raises(UsageError, match="expected a smoothing from 0 to below 1, found"):
        Tracker(smoothing)


def test_the_last_certain_answer_is_held() -> None:
    """Half and half after a change of mind: neither is certain then."""
    tracker = Tracker(0.5, Certainty.of(uncertainty(lac=0.9)))  # certain above 0.6 at temperature 2
    first = replace(found(0), is_certain=True)
    (track,) = tracker.update([first])
    assert (track.face.is_certain, track.last_certain, track.text) == (True, "happy", "happy 100%")
    (track,) = tracker.update([found(0, "sad")])
    assert (track.face.is_certain, track.last_certain, track.text) == (False, "happy", "happy (before)")
    for _ in range(8):
        (track,) = tracker.update([found(0, "sad")])
    assert (track.face.is_certain, track.last_certain) == (True, "sad")
    (missed,) = tracker.update([])
    assert missed.last_certain == "sad"
    new = Tracker(0.5, Certainty.of(uncertainty())).update([replace(found(0), is_certain=False)])[0]
    assert (new.last_certain, new.text) == (None, "happy? 100%")


def test_without_calibration_nothing_is_held() -> None:
    tracker = Tracker(0.5)
    tracker.update([found(0)])
    (track,) = tracker.update([found(0, "sad")])
    assert (track.face.is_certain, track.last_certain) == (None, None)
    assert track.text.endswith(" 50%")
