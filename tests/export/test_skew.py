import numpy as np
import pytest
import torch

from fer_edge.data.load import load_faces
from fer_edge.data.sample import write_sample
from fer_edge.export.faces import judging_faces
from fer_edge.export.parity.skew import GRAIN, SCALE, Skew, SkewRow, make_photos, measure_skew, preparations


@pytest.fixture(scope="module")
def skew(tiny_run):
    return measure_skew(tiny_run.reference, tiny_run.faces.validation, tiny_run.faces.source)


def test_photos_are_large_coloured_and_grainy(tiny_run):
    faces = tiny_run.faces.validation.faces[:4]
    photos = make_photos(faces, np.random.default_rng(0))
    assert photos.shape == (4, 48 * SCALE, 48 * SCALE, 3)
    assert photos.dtype == np.uint8
    assert np.abs(photos[..., 0].astype(int).mean() - photos[..., 2].astype(int).mean()) > 1
    neighbours = np.diff(photos[..., 0].astype(float), axis=2)
    assert neighbours.std() > GRAIN


def test_the_right_way_comes_first_and_costs_nothing(skew):
    assert skew.rows[0].preparation == "rightly"
    assert skew.rows[0].cost_points == 0
    assert skew.rows[0].agreement == 1.0
    assert len({row.preparation for row in skew.rows}) == len(skew.rows) == 9


def test_gross_mistakes_change_answers(skew):
    agreement = {row.preparation: row.agreement for row in skew.rows}
    assert agreement["no normalisation at all (0 to 255)"] < 0.6
    assert agreement["resize to the nearest pixel"] < 1.0


def test_each_preparation_differs_from_the_right_one(tiny_run):
    photos = torch.from_numpy(make_photos(tiny_run.faces.validation.faces[:3], np.random.default_rng(1)))
    faces = {name: prepare(photos) for name, prepare in preparations(tiny_run.reference).items()}
    right = faces.pop("rightly")
    assert all(face.shape == right.shape for face in faces.values())
    assert all((face - right).abs().max() > 0.01 for face in faces.values())


def test_the_table_says_what_was_done(skew):
    text = skew.markdown()
    assert "enlarged 4x" in text
    assert "| BGR for RGB" in text
    assert skew.to_dict()["faces"] == skew.faces == 70


def test_a_cost_that_rounds_to_nothing_has_no_sign():
    rows = (
        SkewRow("rightly", 0.5, 0.0, 1.0),
        SkewRow("wrongly", 0.5003, -0.03, 1.0),
        SkewRow("badly", 0.4, 10.0, 0.8),
    )
    text = Skew("fer2013", 512, rows).markdown()
    costs = [line.split("|")[3].strip() for line in text.splitlines()[-3:]]
    assert costs == ["0.0", "0.0", "+10.0"]


def test_the_report_names_the_data_without_this_machines_folders(tmp_path):
    write_sample(tmp_path / "faces", 42)
    assert judging_faces(48, load_faces(str(tmp_path / "faces"))).source == "faces"
