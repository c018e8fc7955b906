from dataclasses import replace

import numpy as np

from fer_edge.data.load import load_faces
from fer_edge.training.checkpoint import load_classifier
from fer_edge.training.evaluate import faces_of


def test_faces_are_split_by_the_seed_of_the_run(tiny_run):
    _, info = load_classifier(tiny_run.folder)
    other = replace(info, config=replace(info.config, seed=1))
    found = faces_of(other, "sample:210")
    assert np.array_equal(found.validation.faces, load_faces("sample:210", size=48, seed=1).validation.faces)
    assert not np.array_equal(found.validation.faces, faces_of(info, "sample:210").validation.faces)
