import shutil

import numpy as np

from fer_edge.benchmark.faces import judging_faces
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.data.load import load_faces
from fer_edge.data.sample import write_sample
from fer_edge.labels import FER2013, FERPLUS


def test_models_are_judged_on_faces_that_their_run_did_not_train_on(tmp_path):
    root = tmp_path / "faces"
    write_sample(root, 140)
    for split in ("validation", "test"):
        shutil.rmtree(root / split)
    found = judging_faces(BenchmarkRequest(data=str(root), num_faces=0), 48, seed=5)
    np.testing.assert_array_equal(found.faces, load_faces(root, seed=5).validation.faces)
    assert not np.array_equal(found.faces, load_faces(root, seed=0).validation.faces)


def test_a_model_of_classes_that_the_data_lack_is_given_the_faces_without_labels_and_the_reason():
    found = judging_faces(BenchmarkRequest(data="sample:70"), 48, 0, FERPLUS)
    assert len(found.faces) > 0
    assert found.labels is None
    assert "which has no contempt" in found.other_classes
    assert judging_faces(BenchmarkRequest(data="sample:70"), 48, 0, FER2013).other_classes == ""


def test_faces_of_one_name_in_two_folders_are_told_apart(tmp_path):
    root = tmp_path / "faces"
    write_sample(root, 140)
    names = judging_faces(BenchmarkRequest(data=str(root)), 48, 0).names
    assert len(set(names)) == len(names)
    for folder in (root / "validation").iterdir():
        for number, path in enumerate(sorted(folder.iterdir())):
            path.rename(folder / f"{number}.png")
    names = judging_faces(BenchmarkRequest(data=str(root)), 48, 0).names
    assert len(set(names)) == len(names)
    assert "validation/happy/0.png" in names
