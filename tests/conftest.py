"""What tests of several rooms share."""

import os
from pathlib import Path

import pytest

# Tests run side by side: one thread each keeps them from slowing each other tenfold. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY
