import shutil
from pathlib import Path

import pytest
from bundles import FACES, TINY

from fer_edge.evidence import BundleRequest, write_bundle
from fer_edge.evidence.kinds import GivenFaces


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory) -> Path:
    """The small model with the claims integrity, golden and accuracy."""
    folder = tmp_path_factory.mktemp("bundle")
    model = shutil.copy(TINY, folder)
    shutil.copy(TINY.with_suffix(".json"), folder)
    return write_bundle(BundleRequest(model, folder / "tiny.zip", GivenFaces(FACES))).path
